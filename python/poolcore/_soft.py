"""SoftPool: the mean of each window, weighted by the exponentials of its elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsIndex, TypeVar

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

__all__ = ["soft_pool1d", "soft_pool2d", "soft_pool3d"]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _soft(function: _Function) -> _Function:
    return complete(function, "soft", int(function.__name__[-2]))


@_soft
def soft_pool1d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each window along W, weighted by ``exp(x)``.

    Examples
    --------
    >>> soft_pool1d([[0.0, 0.0, 1.0, 3.0]], 2)
    array([[0.        , 2.76159416]])
    """
    return _pool(  # type: ignore[no-any-return]
        "soft_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_soft
def soft_pool2d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each window along H and W, weighted by ``exp(x)``.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[5.0, 5.0, 0.0, 1.0], [5.0, 5.0, 2.0, 9.0]]], np.float32)
    >>> soft_pool2d(x, 2)
    array([[[5.      , 8.989837]]], dtype=float32)
    """
    return _pool(  # type: ignore[no-any-return]
        "soft_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip


@_soft
def soft_pool3d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    *,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each window along D, H and W, weighted by ``exp(x)``.

    Examples
    --------
    >>> import numpy as np
    >>> soft_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[6.42070789]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "soft_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip
