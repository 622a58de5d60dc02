"""Gradients: from those of a pooling's results to those of what was pooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import SupportsIndex, TypeVar

from poolcore._core import max_backward as _max_backward
from poolcore._core import window_backward as _window_backward
from poolcore._docs_inverse import complete_inverse
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    IndexInput,
    Layout1d,
    Layout2d,
    Layout3d,
    Padding,
    PerAxis,
)

__all__ = [
    "avg_pool1d_backward",
    "avg_pool2d_backward",
    "avg_pool3d_backward",
    "max_pool1d_backward",
    "max_pool2d_backward",
    "max_pool3d_backward",
    "sum_pool1d_backward",
    "sum_pool2d_backward",
    "sum_pool3d_backward",
]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _backward(function: _Function) -> _Function:
    name = function.__name__
    return complete_inverse(function, f"{name[:3]}_backward", int(name[8]))


@_backward
def max_pool1d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout1d = "NCW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `max_pool1d` or `min_pool1d`.

    Examples
    --------
    >>> import poolcore
    >>> values, indices = poolcore.max_pool1d([[1, 3, 2, 5, 4, 0]], 3, 1, return_indices=True)
    >>> max_pool1d_backward([[1.0, 2.0, 3.0, 4.0]], indices, (1, 6))
    array([[0., 1., 0., 9., 0., 0.]])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "max_pool1d_backward", grad, indices, input_shape, layout, None, True, out, threads
    )


@_backward
def max_pool2d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `max_pool2d` or `min_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import poolcore
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> values, indices = poolcore.max_pool2d(x, 2, return_indices=True)
    >>> max_pool2d_backward(np.ones_like(values), indices, x.shape)
    array([[[[0., 0., 0., 0.],
             [0., 1., 0., 1.],
             [0., 0., 0., 0.],
             [0., 1., 0., 1.]]]])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "max_pool2d_backward", grad, indices, input_shape, layout, None, True, out, threads
    )


@_backward
def max_pool3d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `max_pool3d` or `min_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> import poolcore
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> values, indices = poolcore.min_pool3d(x, (2, 2, 1), return_indices=True)
    >>> max_pool3d_backward(np.ones_like(values), indices, x.shape)
    array([[[[1., 1.],
             [0., 0.]],
    <BLANKLINE>
            [[0., 0.],
             [0., 0.]]]])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "max_pool3d_backward", grad, indices, input_shape, layout, None, True, out, threads
    )


@_backward
def avg_pool1d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: Flag = False,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    dilation: PerAxis = 1,
    *,
    layout: Layout1d = "NCW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `avg_pool1d`.

    Examples
    --------
    >>> avg_pool1d_backward([[1.0, 2.0, 3.0]], (1, 6), 2)
    array([[0.5, 0.5, 1. , 1. , 1.5, 1.5]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "avg_pool1d_backward", grad, input_shape, kernel_size, stride, padding, dilation,
        ceil_mode, count_include_pad, divisor_override, layout, None, True, out, threads,
    )  # fmt: skip


@_backward
def avg_pool2d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: Flag = False,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    dilation: PerAxis = 1,
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d_backward(np.full((1, 1, 2, 2), 4.0), (1, 1, 3, 3), 2, stride=1)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "avg_pool2d_backward", grad, input_shape, kernel_size, stride, padding, dilation,
        ceil_mode, count_include_pad, divisor_override, layout, None, True, out, threads,
    )  # fmt: skip


@_backward
def avg_pool3d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: Flag = False,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    dilation: PerAxis = 1,
    *,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `avg_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool3d_backward(np.full((1, 1, 1, 1), 8.0), (1, 2, 2, 2), 2)
    array([[[[1., 1.],
             [1., 1.]],
    <BLANKLINE>
            [[1., 1.],
             [1., 1.]]]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "avg_pool3d_backward", grad, input_shape, kernel_size, stride, padding, dilation,
        ceil_mode, count_include_pad, divisor_override, layout, None, True, out, threads,
    )  # fmt: skip


@_backward
def sum_pool1d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    layout: Layout1d = "NCW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `sum_pool1d`.

    Examples
    --------
    >>> sum_pool1d_backward([[1, 2, 3]], (1, 5), 3, stride=1)
    array([[1, 3, 6, 5, 3]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "sum_pool1d_backward", grad, input_shape, kernel_size, stride, padding, dilation,
        ceil_mode, True, None, layout, None, True, out, threads,
    )  # fmt: skip


@_backward
def sum_pool2d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `sum_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> sum_pool2d_backward(np.ones((1, 1, 2, 2)), (1, 1, 3, 3), 2, stride=1)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "sum_pool2d_backward", grad, input_shape, kernel_size, stride, padding, dilation,
        ceil_mode, True, None, layout, None, True, out, threads,
    )  # fmt: skip


@_backward
def sum_pool3d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `sum_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> sum_pool3d_backward(np.ones((1, 1, 1, 2)), (1, 1, 1, 4), (1, 1, 2))
    array([[[[1., 1., 1., 1.]]]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "sum_pool3d_backward", grad, input_shape, kernel_size, stride, padding, dilation,
        ceil_mode, True, None, layout, None, True, out, threads,
    )  # fmt: skip
