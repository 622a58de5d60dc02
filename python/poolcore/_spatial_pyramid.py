"""Spatial pyramid pooling: adaptive pools of several sizes, side by side in one vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from poolcore import _core
from poolcore._adapters import as_array, overlap, whole
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    Indices,
    Layout2d,
    NanPolicy,
    Op,
    Rounding,
)

__all__ = ["check_size", "checked_out", "place", "sides_of", "spatial_pyramid_pool"]

_NAME = "spatial_pyramid_pool"
_Levels = SupportsIndex | Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]]
_MOST_BYTES = 2**63 - 1
# Places of _core.pool's arguments.
_SIZE, _POLICY, _OUT = 2, 15, 16


def sides_of(levels: Any, name: str = _NAME) -> list[int]:
    """Give the levels as ints, checked."""
    listed = isinstance(levels, Sequence) or (isinstance(levels, np.ndarray) and levels.ndim > 0)
    if isinstance(levels, str | bytes) or not listed:
        levels = (levels,)
    sides = []
    for i, level in enumerate(levels):
        sides.append(whole(level, name, f"levels[{i}]"))
        if sides[i] < 1:
            raise ValueError(f"{name}: levels[{i}]={sides[i]} must be at least 1")
        if sides[i] >= 2**31:
            raise ValueError(f"{name}: levels[{i}] must be less than 2**31")
    if not sides:
        raise ValueError(f"{name}: levels must name at least one level")
    return sides


def check_size(shape: tuple[int, ...], itemsize: int, name: str) -> None:
    """Raise MemoryError for arrays that NumPy refuses otherwise, empty ones too."""
    if itemsize * math.prod(max(1, n) for n in shape) > _MOST_BYTES:
        raise MemoryError(f"{name}: the result would have more than 2**63-1 bytes")


def _new(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    check_size(shape, dtype.itemsize, _NAME)
    return np.empty(shape, dtype)


def _overlaps_itself(out: Array) -> bool:
    """Whether an axis steps into what the nearer ones reach, as in the compiled checks."""
    axes = [(abs(s), n) for s, n in zip(out.strides, out.shape, strict=True) if n > 1]
    reach = out.itemsize
    for stride, n in sorted(axes):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def place(out: Array, start: int, channels: int, side: int, last: bool) -> Array:
    """Give the part of the result that one level fills, in the axes of x."""
    part = out[..., start : start + channels * side * side]
    view = part.reshape(*part.shape[:-1], channels, side, side)
    return np.moveaxis(view, -3, -1) if last else view


def checked_out(
    out: Any, shape: tuple[int, ...], dtype: np.dtype[Any] | None, name: str, entry: str = ""
) -> Array:
    """Give `out` if it has that shape, and dtype if one is given, and can be written."""
    argument = f"{name}: out{entry}"
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{argument} must be a numpy.ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{argument} must have shape {shape}, got {out.shape}")
    if dtype is not None and out.dtype != dtype:
        raise ValueError(f"{argument} must have dtype {dtype}, got {out.dtype}")
    if dtype is not None and not out.flags.writeable:
        raise ValueError(f"{argument} is read-only")
    if out.size and _overlaps_itself(out):
        raise ValueError(f"{argument} overlaps itself in memory")
    return out


def _results(out: Any, shape: tuple[int, ...], dtypes: list[np.dtype[Any]]) -> list[Array]:
    """Give the arrays to fill: the values', and the indices' where they are asked for."""
    if out is None:
        return [_new(shape, dtype) for dtype in dtypes]
    if len(dtypes) == 1:
        return [checked_out(out, shape, None, _NAME)]
    if not isinstance(out, tuple) or len(out) != 2:
        got = f"a tuple of {len(out)}" if isinstance(out, tuple) else type(out).__name__
        raise TypeError(
            f"{_NAME}: out must be a tuple (values, indices) when return_indices is true, got {got}"
        )
    found = [checked_out(part, shape, None, _NAME, f"[{i}]") for i, part in enumerate(out)]
    if overlap(found[0], found[1], _NAME, "out"):
        raise ValueError(f"{_NAME}: out[1] overlaps out[0] in memory")
    return found


@overload
def spatial_pyramid_pool(
    x: ArrayInput,
    levels: _Levels = (1, 2, 4),
    op: Op = "max",
    *,
    return_indices: Literal[False] = False,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array: ...
@overload
def spatial_pyramid_pool(
    x: ArrayInput,
    levels: _Levels = (1, 2, 4),
    op: Literal["max", "min"] = "max",
    *,
    return_indices: Literal[True],
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[Array, Indices]: ...
def spatial_pyramid_pool(
    x: ArrayInput,
    levels: _Levels = (1, 2, 4),
    op: Op = "max",
    *,
    return_indices: Flag = False,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Pool planes of any size to a vector of one length.

    Each level ``l`` cuts the plane into ``l * l`` adaptive windows, as `adaptive_max_pool2d` does.
    The levels follow one another in the result, each as channels, rows and columns.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W) or, without N, (C, H, W)
        Any of the element types of `max_pool2d`; never copied.
    levels : int or ints
        Windows along H and along W at each level, at least 1.
    op : "max", "avg", "min" or "sum"
        What to compute of each window.
    return_indices : bool
        "max" and "min" only: also give where each value lies, as `adaptive_max_pool2d` does.
    dtype : dtype, optional
        "avg" and "sum" only: type of the result, as for `avg_pool2d` and `sum_pool2d`.
    rounding : "half_even", "half_up", "floor" or "trunc"
        "avg" with an integer `dtype` only: how the exact mean is rounded.
    layout : "NCHW" or "NHWC"
        Order of the axes of x. The order of the result does not depend on it.
    nan_policy : "propagate", "omit" or "raise"
        As for `max_pool2d`.
    out : ndarray, optional
        Array of the result's shape and dtype, written in place and returned; it must not overlap
        x or itself. With `return_indices` a tuple (values, indices).
    threads : int, optional
        Threads for this call. By default what `set_num_threads` says.

    Returns
    -------
    ndarray, shape (N, C * L) or (C * L,), where L is the sum of the levels' squares
        "max" and "min" keep the dtype of x; "avg" and "sum" have those of `avg_pool2d` and
        `sum_pool2d`.
    indices : ndarray of int64, of the same shape
        With `return_indices`: flat positions ``h * W + w`` of the values.

    Raises
    ------
    ValueError
        A value, a shape or `out` does not fit; the message names the argument. Nothing has been
        written then.
    TypeError
        An argument's type or dtype does not fit.
    MemoryError
        There is not enough memory for the result.
    KeyboardInterrupt
        Ctrl-C during a long call; the contents of `out` are undefined then.

    Notes
    -----
    K. He, X. Zhang, S. Ren, J. Sun: Spatial pyramid pooling in deep convolutional networks for
    visual recognition, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> spatial_pyramid_pool(np.arange(15.0).reshape(1, 1, 3, 5), (1, 2))
    array([[14.,  7.,  9., 12., 14.]])
    >>> images = [np.ones((1, 3, 20, 30)), np.ones((1, 3, 13, 13))]
    >>> [spatial_pyramid_pool(image).shape for image in images]
    [(1, 63), (1, 63)]
    """
    sides = sides_of(levels)
    x = as_array(x, None, _NAME, "x")
    arguments: list[Any] = [
        _NAME, x, 0, None, 0, 1, False, True, None, return_indices, dtype, rounding, layout, None,
        op, nan_policy, None, threads,
    ]  # fmt: skip
    # Without windows: everything is checked, a NaN that nan_policy refuses is found, and the
    # result's type is known before anything is written.
    empty = _core.pool(*arguments)
    if nan_policy == "raise":
        arguments[_POLICY] = "propagate"
    last = layout == "NHWC"
    channels = x.shape[-1 if last else -3]
    lead = x.shape[: x.ndim - 3]
    shape = (*lead, channels * sum(side * side for side in sides))
    parts = empty if isinstance(empty, tuple) else (empty,)
    results = _results(out, shape, [part.dtype for part in parts])
    for do in (_core.pool,) if out is None else (_core.describe, _core.pool):
        start = 0
        for side in sides:
            arguments[_SIZE] = side
            placed = tuple(place(part, start, channels, side, last) for part in results)
            arguments[_OUT] = placed if len(placed) == 2 else placed[0]
            do(*arguments)
            start += channels * side * side
    if out is not None:
        return out
    return (results[0], results[1]) if len(results) == 2 else results[0]
