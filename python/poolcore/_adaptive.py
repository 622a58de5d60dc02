"""Adaptive pooling: the number of windows is given, their sizes follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsIndex, TypeVar, cast

import numpy.typing as npt

from poolcore._core import pool as _pool
from poolcore._docs import complete
from poolcore._typing import (
    AdaptiveExtremumPool,
    Array,
    ArrayInput,
    Flag,
    Indices,
    Layout1d,
    Layout2d,
    Layout3d,
    NanPolicy,
    OutputSize,
    Rounding,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "adaptive_min_pool1d",
    "adaptive_min_pool2d",
    "adaptive_min_pool3d",
]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _average(function: _Function) -> _Function:
    return complete(function, "avg", int(function.__name__[-2]))


def _extremum1d(function: Callable[..., Any]) -> AdaptiveExtremumPool[Layout1d]:
    return cast(AdaptiveExtremumPool[Layout1d], complete(function, function.__name__[9:12], 1))


def _extremum2d(function: Callable[..., Any]) -> AdaptiveExtremumPool[Layout2d]:
    return cast(AdaptiveExtremumPool[Layout2d], complete(function, function.__name__[9:12], 2))


def _extremum3d(function: Callable[..., Any]) -> AdaptiveExtremumPool[Layout3d]:
    return cast(AdaptiveExtremumPool[Layout3d], complete(function, function.__name__[9:12], 3))


@_extremum1d
def adaptive_max_pool1d(
    x: ArrayInput,
    output_size: OutputSize,
    return_indices: Flag = False,
    *,
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of each of `output_size` windows along W.

    Examples
    --------
    >>> adaptive_max_pool1d([[1, 3, 2, 5, 4]], 2)
    array([[3, 5]])
    >>> values, indices = adaptive_max_pool1d([[1, 3, 2, 5, 4]], 3, return_indices=True)
    >>> indices
    array([[1, 3, 3]])
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_max_pool1d", x, output_size, None, 0, 1, False, True, None, return_indices,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum2d
def adaptive_max_pool2d(
    x: ArrayInput,
    output_size: OutputSize,
    return_indices: Flag = False,
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of each of `output_size` windows along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(15.0).reshape(1, 1, 3, 5)
    >>> adaptive_max_pool2d(x, 2)
    array([[[[ 7.,  9.],
             [12., 14.]]]])
    >>> adaptive_max_pool2d(x, (None, 1))
    array([[[[ 4.],
             [ 9.],
             [14.]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_max_pool2d", x, output_size, None, 0, 1, False, True, None, return_indices,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum3d
def adaptive_max_pool3d(
    x: ArrayInput,
    output_size: OutputSize,
    return_indices: Flag = False,
    *,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of each of `output_size` windows along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_max_pool3d(np.arange(27.0).reshape(1, 3, 3, 3), (1, 1, 2))
    array([[[[25., 26.]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_max_pool3d", x, output_size, None, 0, 1, False, True, None, return_indices,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum1d
def adaptive_min_pool1d(
    x: ArrayInput,
    output_size: OutputSize,
    return_indices: Flag = False,
    *,
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the smallest value of each of `output_size` windows along W.

    Examples
    --------
    >>> adaptive_min_pool1d([[1, 3, 2, 5, 4]], 2)
    array([[1, 2]])
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_min_pool1d", x, output_size, None, 0, 1, False, True, None, return_indices,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum2d
def adaptive_min_pool2d(
    x: ArrayInput,
    output_size: OutputSize,
    return_indices: Flag = False,
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the smallest value of each of `output_size` windows along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_min_pool2d(np.arange(15.0).reshape(1, 1, 3, 5), 2)
    array([[[[0., 2.],
             [5., 7.]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_min_pool2d", x, output_size, None, 0, 1, False, True, None, return_indices,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum3d
def adaptive_min_pool3d(
    x: ArrayInput,
    output_size: OutputSize,
    return_indices: Flag = False,
    *,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the smallest value of each of `output_size` windows along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_min_pool3d(np.arange(27.0).reshape(1, 3, 3, 3), (1, 1, 2))
    array([[[[0., 1.]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_min_pool3d", x, output_size, None, 0, 1, False, True, None, return_indices,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_average
def adaptive_avg_pool1d(
    x: ArrayInput,
    output_size: OutputSize,
    *,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each of `output_size` windows along W.

    Examples
    --------
    >>> adaptive_avg_pool1d([[1, 3, 2, 5, 4]], 2)
    array([[2.        , 3.66666667]])
    >>> adaptive_avg_pool1d([[1.0, 3.0]], 4)
    array([[1., 1., 3., 3.]])
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_avg_pool1d", x, output_size, None, 0, 1, False, True, None, False,
        dtype, rounding, layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_average
def adaptive_avg_pool2d(
    x: ArrayInput,
    output_size: OutputSize,
    *,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each of `output_size` windows along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(15.0).reshape(1, 1, 3, 5)
    >>> adaptive_avg_pool2d(x, 2)
    array([[[[ 3.5,  5.5],
             [ 8.5, 10.5]]]])
    >>> adaptive_avg_pool2d(x.astype(np.uint8), (1, None), dtype=np.uint8)
    array([[[[5, 6, 7, 8, 9]]]], dtype=uint8)
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_avg_pool2d", x, output_size, None, 0, 1, False, True, None, False,
        dtype, rounding, layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_average
def adaptive_avg_pool3d(
    x: ArrayInput,
    output_size: OutputSize,
    *,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each of `output_size` windows along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool3d(np.arange(27.0).reshape(1, 3, 3, 3), (1, 1, 2))
    array([[[[12.5, 13.5]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "adaptive_avg_pool3d", x, output_size, None, 0, 1, False, True, None, False,
        dtype, rounding, layout, None, None, nan_policy, out, threads,
    )  # fmt: skip
