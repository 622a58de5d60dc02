"""Sum pooling."""

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
    Layout1d,
    Layout2d,
    Layout3d,
    NanPolicy,
    Padding,
    PerAxis,
)

__all__ = ["sum_pool1d", "sum_pool2d", "sum_pool3d"]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _summed(function: _Function) -> _Function:
    return complete(function, "sum", int(function.__name__[-2]))


@_summed
def sum_pool1d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    dtype: npt.DTypeLike | None = None,
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Add up each window along W.

    Examples
    --------
    >>> sum_pool1d([[1, 3, 2, 5, 4, 0]], 2)
    array([[4, 7, 4]])
    """
    return _pool(  # type: ignore[no-any-return]
        "sum_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        dtype, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_summed
def sum_pool2d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    dtype: npt.DTypeLike | None = None,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Add up each window along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> sum_pool2d(np.full((1, 1, 4, 4), 200, np.uint8), 2)
    array([[[[800, 800],
             [800, 800]]]], dtype=uint64)
    """
    return _pool(  # type: ignore[no-any-return]
        "sum_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        dtype, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_summed
def sum_pool3d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    dtype: npt.DTypeLike | None = None,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Add up each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> sum_pool3d(np.ones((1, 4, 4, 4)), (4, 2, 2))
    array([[[[16., 16.],
             [16., 16.]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "sum_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        dtype, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip
