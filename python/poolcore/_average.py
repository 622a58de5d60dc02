"""Average pooling."""

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
    Rounding,
)

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d"]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _average(function: _Function) -> _Function:
    return complete(function, "avg", int(function.__name__[-2]))


@_average
def avg_pool1d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: Flag = False,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    dilation: PerAxis = 1,
    *,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each window along W.

    Examples
    --------
    >>> avg_pool1d([[1, 3, 2, 5, 4, 0]], 2)
    array([[2. , 3.5, 2. ]])
    >>> avg_pool1d([[1.0, 3.0, 2.0]], 3, 1, padding=1, count_include_pad=False)
    array([[2. , 2. , 2.5]])
    """
    return _pool(  # type: ignore[no-any-return]
        "avg_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, False, dtype, rounding, layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_average
def avg_pool2d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: Flag = False,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    dilation: PerAxis = 1,
    *,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each window along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> avg_pool2d(x, 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    >>> pixels = x.astype(np.uint8)
    >>> avg_pool2d(pixels, 2, dtype=np.uint8, rounding="half_up")
    array([[[[ 3,  5],
             [11, 13]]]], dtype=uint8)
    """
    return _pool(  # type: ignore[no-any-return]
        "avg_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, False, dtype, rounding, layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_average
def avg_pool3d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: Flag = False,
    count_include_pad: Flag = True,
    divisor_override: SupportsIndex | None = None,
    dilation: PerAxis = 1,
    *,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool3d(np.arange(64.0).reshape(1, 4, 4, 4), (4, 2, 2))
    array([[[[26.5, 28.5],
             [34.5, 36.5]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "avg_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, False, dtype, rounding, layout, None, None, nan_policy, out, threads,
    )  # fmt: skip
