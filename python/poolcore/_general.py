"""`pool`, the general form under all pooling functions, and `pool2d`, the textbook's function."""

from __future__ import annotations

from typing import Literal, SupportsIndex, overload

import numpy.typing as npt

from poolcore._core import pool as _pool
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    Indices,
    Layout,
    Layout2d,
    NanPolicy,
    Op,
    Padding,
    PerAxis,
    Rounding,
)

__all__ = ["pool", "pool2d"]


def pool2d(
    X: ArrayInput,
    pool_size: PerAxis,
    mode: Op = "max",
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Pool every window of X, one step apart, without padding.

    The pooling layer as textbooks define it, on one plane or on planes with channels.

    Parameters
    ----------
    X : array_like, shape (H, W), (C, H, W) or (N, C, H, W)
        Any of the element types of `max_pool2d`; never copied.
    pool_size : int or 2 ints
        Rows and columns of a window, in elements.
    mode : "max", "avg", "min", "sum", "mode" or "median"
        What to compute of each window.
    layout : "NCHW" or "NHWC"
        Order of the axes of X, less those it lacks.
    nan_policy : "propagate", "omit" or "raise"
        As for `max_pool2d`.
    out : ndarray, optional
        Array of the result's shape and dtype, written in place and returned; it must not overlap
        X or itself.
    threads : int, optional
        Threads for this call. By default what `set_num_threads` says.

    Returns
    -------
    ndarray, shape (..., H - pool_size[0] + 1, W - pool_size[1] + 1)
        "max" and "min" keep the dtype of X; "avg" and "sum" have those of `avg_pool2d` and
        `sum_pool2d`, "mode" and "median" those of `mode_pool2d` and `median_pool2d`.

    Raises
    ------
    ValueError
        A value, a shape or `out` does not fit; the message names the argument.
    TypeError
        An argument's type or dtype does not fit.
    KeyboardInterrupt
        Ctrl-C during a long call; the contents of `out` are undefined then.

    Examples
    --------
    >>> X = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]
    >>> pool2d(X, (2, 2))
    array([[4., 5.],
           [7., 8.]])
    >>> pool2d(X, (2, 2), "avg")
    array([[2., 3.],
           [5., 6.]])
    """
    return _pool(  # type: ignore[no-any-return]
        "pool2d", X, pool_size, 1, 0, 1, False, True, None, False, None, "half_even", layout,
        None, mode, nan_policy, out, threads,
    )  # fmt: skip


@overload
def pool(
    x: ArrayInput,
    kernel_size: PerAxis,
    op: Op = "max",
    axes: PerAxis | None = None,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    return_indices: Literal[False] = False,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array: ...
@overload
def pool(
    x: ArrayInput,
    kernel_size: PerAxis,
    op: Op = "max",
    axes: PerAxis | None = None,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    return_indices: Literal[True],
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[Array, Indices]: ...
@overload
def pool(
    x: ArrayInput,
    kernel_size: PerAxis,
    op: Op = "max",
    axes: PerAxis | None = None,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    return_indices: Flag,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]: ...
def pool(
    x: ArrayInput,
    kernel_size: PerAxis,
    op: Op = "max",
    axes: PerAxis | None = None,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    return_indices: Flag = False,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Pool one to three axes, anywhere in an array of any rank.

    The general form under all pooling functions of this package.

    Parameters
    ----------
    x : array_like, any shape
        bool, integers, float16, float32, float64 or ml_dtypes' bfloat16, in native byte order, of
        any strides; it is never copied.
    kernel_size : int or one int an axis
        Elements of x in a window.
    op : "max", "min", "avg", "sum", "mode" or "median"
        What to compute of each window.
    axes : int or 1 to 3 ints, optional
        The axes to pool, each once, in any order; negative ones count from the end. All other
        arguments with one entry an axis follow this order. By default the axes that `layout`
        names, or else the last ``len(kernel_size)``: the last two for an int, or the only one.
    stride : int or one int an axis, optional
        Elements from one window to the next. By default `kernel_size`.
    padding : int, one int or pair (low, high) an axis, "valid", "same" or "same_lower"
        As for `max_pool2d`.
    dilation : int or one int an axis
        Elements from one tap of a window to the next.
    ceil_mode : bool
        Round the number of windows up instead of down.
    count_include_pad : bool
        "avg" only: whether the divisor counts taps that fall on padding.
    divisor_override : int, optional
        "avg" only: divide every sum by this.
    return_indices : bool
        "max" and "min" only: also return where each value was found.
    dtype : dtype, optional
        "avg", "sum" and "median" only: type of the result, as for `avg_pool2d`, `sum_pool2d` and
        `median_pool2d`.
    rounding : "half_even", "half_up", "floor" or "trunc"
        "avg" and "median" with an integer `dtype` only: how the exact value is rounded.
    layout : "NCW", "NWC", "NCHW", "NHWC", "NCDHW" or "NDHWC", optional
        Names the pooled axes instead of `axes`: all but N and C. Unbatched x leaves out N.
    nan_policy : "propagate", "omit" or "raise"
        As for `max_pool2d`.
    out : ndarray, optional
        Array (with `return_indices`: a tuple of two) of the result's shape and dtype, written in
        place and returned; it must not overlap x or itself.
    threads : int, optional
        Threads for this call. By default what `set_num_threads` says.

    Returns
    -------
    values : ndarray
        The shape of x with the pooled axes shortened, in the memory order of x.
    indices : ndarray of int64, same shape
        With `return_indices` only: flat positions in the plane of the pooled axes, which are
        taken in the order they have in x.

    Raises
    ------
    ValueError
        A value, a shape or `out` does not fit, or `axes` and `layout` are both given; the message
        names the argument.
    TypeError
        An argument's type or dtype does not fit.
    MemoryError
        There is not enough memory for the result.
    KeyboardInterrupt
        Ctrl-C during a long call; the contents of `out` are undefined then.

    Notes
    -----
    The output lengths are those of `max_pool2d`. The order in which sums are taken is fixed:
    docs/numerics.md.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(24.0).reshape(2, 3, 4)
    >>> pool(x, 2, "avg", axes=2)
    array([[[ 0.5,  2.5],
            [ 4.5,  6.5],
            [ 8.5, 10.5]],
    <BLANKLINE>
           [[12.5, 14.5],
            [16.5, 18.5],
            [20.5, 22.5]]])
    >>> pool(x, (2, 3), "sum", axes=(0, 1))
    array([[[60., 66., 72., 78.]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "pool", x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, return_indices, dtype, rounding, layout, axes, op, nan_policy, out,
        threads,
    )  # fmt: skip
