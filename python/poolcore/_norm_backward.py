"""Gradients of Lp pooling and of generalised means."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsIndex, TypeVar

from poolcore._core import norm_backward as _norm_backward
from poolcore._docs_inverse import complete_inverse
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    Layout,
    Layout1d,
    Layout2d,
    Layout3d,
    Padding,
    PerAxis,
    Real,
)

__all__ = [
    "gem_pool_backward",
    "global_lp_pool_backward",
    "lp_pool1d_backward",
    "lp_pool2d_backward",
    "lp_pool3d_backward",
]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _backward(function: _Function) -> _Function:
    return complete_inverse(function, "lp_backward", int(function.__name__[7]))


def _whole_backward(function: _Function) -> _Function:
    return complete_inverse(function, function.__name__.replace("_pool", ""), 2)


@_backward
def lp_pool1d_backward(
    grad: ArrayInput,
    x: ArrayInput,
    norm_type: Real,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    ceil_mode: Flag = False,
    *,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    layout: Layout1d = "NCW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `lp_pool1d`.

    Examples
    --------
    >>> lp_pool1d_backward([[5.0, 2.0]], [[3.0, -4.0, 0.0, 1.0]], 2, 2)
    array([[ 3., -4.,  0.,  2.]])
    >>> lp_pool1d_backward([[5.0, 2.0]], [[3.0, -4.0, 0.0, 1.0]], float("inf"), 2)
    array([[ 0., -5.,  0.,  2.]])
    """
    return _norm_backward(  # type: ignore[no-any-return]
        "lp_pool1d_backward", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        False, None, "half_even", layout, None, norm_type, "propagate", out, threads, grad, True,
    )  # fmt: skip


@_backward
def lp_pool2d_backward(
    grad: ArrayInput,
    x: ArrayInput,
    norm_type: Real,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    ceil_mode: Flag = False,
    *,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `lp_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[3.0, 0.0], [0.0, -4.0]]])
    >>> lp_pool2d_backward(np.ones((1, 1, 1)), x, 2, 2)
    array([[[ 0.6,  0. ],
            [ 0. , -0.8]]])
    """
    return _norm_backward(  # type: ignore[no-any-return]
        "lp_pool2d_backward", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        False, None, "half_even", layout, None, norm_type, "propagate", out, threads, grad, True,
    )  # fmt: skip


@_backward
def lp_pool3d_backward(
    grad: ArrayInput,
    x: ArrayInput,
    norm_type: Real,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    ceil_mode: Flag = False,
    *,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `lp_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> lp_pool3d_backward(np.full((1, 1, 1, 1), 4.0), np.ones((1, 1, 2, 2)), 2, (1, 2, 2))
    array([[[[2., 2.],
             [2., 2.]]]])
    """
    return _norm_backward(  # type: ignore[no-any-return]
        "lp_pool3d_backward", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        False, None, "half_even", layout, None, norm_type, "propagate", out, threads, grad, True,
    )  # fmt: skip


@_whole_backward
def global_lp_pool_backward(
    grad: ArrayInput,
    x: ArrayInput,
    p: Real = 2,
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    layout: Layout | None = None,
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `global_lp_pool`.

    Examples
    --------
    >>> global_lp_pool_backward([[10.0]], [[[3.0, -4.0]]], keepdims=False)
    array([[[ 6., -8.]]])
    """
    return _norm_backward(  # type: ignore[no-any-return]
        "global_lp_pool_backward", x, None, None, 0, 1, False, True, None, False, None,
        "half_even", layout, axes, p, "propagate", out, threads, grad, keepdims,
    )  # fmt: skip


@_whole_backward
def gem_pool_backward(
    grad: ArrayInput,
    x: ArrayInput,
    p: Real = 3.0,
    eps: Real = 1e-6,
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    layout: Layout | None = None,
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `gem_pool`; elements below `eps` get none.

    Examples
    --------
    >>> gem_pool_backward([[4.0]], [[[2.0, 2.0, -1.0, 2.0]]], 1, keepdims=False)
    array([[[1., 1., 0., 1.]]])
    """
    return _norm_backward(  # type: ignore[no-any-return]
        "gem_pool_backward", x, None, None, 0, 1, False, True, None, False, None, "half_even",
        layout, axes, (p, eps), "propagate", out, threads, grad, keepdims,
    )  # fmt: skip
