"""Majority and median pooling: operations that look at all elements of a window at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsIndex, TypeVar

import numpy.typing as npt

from poolcore._core import pool as _pool
from poolcore._docs import complete
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    Layout2d,
    Layout3d,
    NanPolicy,
    Padding,
    PerAxis,
    Rounding,
)

__all__ = ["median_pool2d", "median_pool3d", "mode_pool2d", "mode_pool3d"]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _selected(function: _Function) -> _Function:
    return complete(function, function.__name__.split("_")[0], int(function.__name__[-2]))


@_selected
def mode_pool2d(
    x: ArrayInput,
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
    """Take the commonest label of each window along H and W; of equally common ones the smallest.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[[1, 1, 7, 7], [1, 2, 3, 3]]], np.uint8)
    >>> mode_pool2d(labels, 2)
    array([[[1, 3]]], dtype=uint8)
    """
    return _pool(  # type: ignore[no-any-return]
        "mode_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        None, "half_even", layout, None, None, "propagate", out, threads,
    )  # fmt: skip


@_selected
def mode_pool3d(
    x: ArrayInput,
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
    """Take the commonest label of each window along D, H and W; of equals the smallest.

    Examples
    --------
    >>> import numpy as np
    >>> segments = np.arange(16, dtype=np.uint64).reshape(1, 2, 2, 4) % 3
    >>> mode_pool3d(segments, 2)
    array([[[[0, 0]]]], dtype=uint64)
    """
    return _pool(  # type: ignore[no-any-return]
        "mode_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        None, "half_even", layout, None, None, "propagate", out, threads,
    )  # fmt: skip


@_selected
def median_pool2d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the median of each window along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[9, 1, 5, 5], [2, 3, 0, 6]]], np.uint8)
    >>> median_pool2d(x, 2)
    array([[[2.5, 5. ]]])
    >>> median_pool2d(x, 2, dtype=np.uint8, rounding="floor")
    array([[[2, 5]]], dtype=uint8)
    """
    return _pool(  # type: ignore[no-any-return]
        "median_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        dtype, rounding, layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_selected
def median_pool3d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the median of each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> median_pool3d(np.arange(27.0).reshape(1, 3, 3, 3), 3)
    array([[[[13.]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "median_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        dtype, rounding, layout, None, None, nan_policy, out, threads,
    )  # fmt: skip
