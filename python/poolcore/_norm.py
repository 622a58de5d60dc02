"""Lp pooling: the p-norm of each window."""

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
    Real,
)

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _norm(function: _Function) -> _Function:
    return complete(function, "lp", int(function.__name__[-2]))


@_norm
def lp_pool1d(
    x: ArrayInput,
    norm_type: Real,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    ceil_mode: Flag = False,
    *,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the p-norm of each window along W, p being `norm_type`.

    Examples
    --------
    >>> lp_pool1d([[3, -4, 0, 1, 2, -2]], 2, 2)
    array([[5.        , 1.        , 2.82842712]])
    >>> lp_pool1d([[3.0, -4.0, 0.0, 1.0]], float("inf"), 2)
    array([[4., 1.]])
    """
    return _pool(  # type: ignore[no-any-return]
        "lp_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        None, "half_even", layout, None, norm_type, nan_policy, out, threads,
    )  # fmt: skip


@_norm
def lp_pool2d(
    x: ArrayInput,
    norm_type: Real,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    ceil_mode: Flag = False,
    *,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the p-norm of each window along H and W, p being `norm_type`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[3.0, 0.0, 1.0], [0.0, -4.0, 1.0]]], np.float32)
    >>> lp_pool2d(x, 2, 2, ceil_mode=True)
    array([[[5.       , 1.4142135]]], dtype=float32)
    """
    return _pool(  # type: ignore[no-any-return]
        "lp_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        None, "half_even", layout, None, norm_type, nan_policy, out, threads,
    )  # fmt: skip


@_norm
def lp_pool3d(
    x: ArrayInput,
    norm_type: Real,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    ceil_mode: Flag = False,
    *,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the p-norm of each window along D, H and W, p being `norm_type`.

    Examples
    --------
    >>> import numpy as np
    >>> lp_pool3d(np.full((1, 2, 2, 2), -0.5), 3, 2)
    array([[[[1.]]]])
    """
    return _pool(  # type: ignore[no-any-return]
        "lp_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, True, None, False,
        None, "half_even", layout, None, norm_type, nan_policy, out, threads,
    )  # fmt: skip
