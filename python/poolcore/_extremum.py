"""Maximum and minimum pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsIndex, cast

from poolcore._core import pool as _pool
from poolcore._docs import complete
from poolcore._typing import (
    Array,
    ArrayInput,
    ExtremumPool,
    Flag,
    Indices,
    Layout1d,
    Layout2d,
    Layout3d,
    NanPolicy,
    Padding,
    PerAxis,
)

__all__ = ["max_pool1d", "max_pool2d", "max_pool3d", "min_pool1d", "min_pool2d", "min_pool3d"]


def _extremum1d(function: Callable[..., Any]) -> ExtremumPool[Layout1d]:
    return cast(ExtremumPool[Layout1d], complete(function, function.__name__[:3], 1))


def _extremum2d(function: Callable[..., Any]) -> ExtremumPool[Layout2d]:
    return cast(ExtremumPool[Layout2d], complete(function, function.__name__[:3], 2))


def _extremum3d(function: Callable[..., Any]) -> ExtremumPool[Layout3d]:
    return cast(ExtremumPool[Layout3d], complete(function, function.__name__[:3], 3))


@_extremum1d
def max_pool1d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of each window along W.

    Examples
    --------
    >>> max_pool1d([[1, 3, 2, 5, 4, 0]], 2)
    array([[3, 5, 4]])
    >>> values, indices = max_pool1d([[1, 3, 2, 5, 4, 0]], 3, 1, return_indices=True)
    >>> indices
    array([[1, 3, 3, 3]])
    """
    return _pool(  # type: ignore[no-any-return]
        "max_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        return_indices, None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum2d
def max_pool2d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of each window along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> max_pool2d(x, 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    >>> values, indices = max_pool2d(x, 3, stride=2, padding=1, return_indices=True)
    >>> indices
    array([[[[ 5,  7],
             [13, 15]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        return_indices, None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum3d
def max_pool3d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool3d(np.arange(64).reshape(1, 4, 4, 4), 2)
    array([[[[21, 23],
             [29, 31]],
    <BLANKLINE>
            [[53, 55],
             [61, 63]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "max_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        return_indices, None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum1d
def min_pool1d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the smallest value of each window along W.

    Examples
    --------
    >>> min_pool1d([[1, 3, 2, 5, 4, 0]], 2)
    array([[1, 2, 0]])
    """
    return _pool(  # type: ignore[no-any-return]
        "min_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        return_indices, None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum2d
def min_pool2d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the smallest value of each window along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> min_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 0.,  2.],
             [ 8., 10.]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "min_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        return_indices, None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum3d
def min_pool3d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the smallest value of each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> min_pool3d(np.arange(64).reshape(1, 4, 4, 4), 2)
    array([[[[ 0,  2],
             [ 8, 10]],
    <BLANKLINE>
            [[32, 34],
             [40, 42]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "min_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        return_indices, None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip
