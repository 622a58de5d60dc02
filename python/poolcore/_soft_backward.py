"""The gradient of SoftPool, and its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsIndex, TypeVar

from poolcore import _soft
from poolcore._core import soft_backward as _soft_backward
from poolcore._docs_inverse import complete_inverse
from poolcore._layers import Dilated, KeepsInput, documented
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    Layout1d,
    Layout2d,
    Layout3d,
    Padding,
    PerAxis,
)

__all__ = [
    "SoftPool1d",
    "SoftPool2d",
    "SoftPool3d",
    "soft_pool1d_backward",
    "soft_pool2d_backward",
    "soft_pool3d_backward",
]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _backward(function: _Function) -> _Function:
    return complete_inverse(function, "soft_backward", int(function.__name__[9]))


@_backward
def soft_pool1d_backward(
    grad: ArrayInput,
    x: ArrayInput,
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
    """Carry gradients back through `soft_pool1d`.

    Examples
    --------
    >>> soft_pool1d_backward([[2.0, 1.0]], [[1.0, 1.0, 0.0, float("-inf")]], 2)
    array([[1., 1., 1., 0.]])
    """
    return _soft_backward(  # type: ignore[no-any-return]
        "soft_pool1d_backward", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        False, None, "half_even", layout, None, None, "propagate", out, threads, grad, True,
    )  # fmt: skip


@_backward
def soft_pool2d_backward(
    grad: ArrayInput,
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
    """Carry gradients back through `soft_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[0.0, 0.0], [0.0, 1.0]]])
    >>> soft_pool2d_backward(np.ones((1, 1, 1)), x, 2)
    array([[[0.09174663, 0.09174663],
            [0.09174663, 0.7247601 ]]])
    """
    return _soft_backward(  # type: ignore[no-any-return]
        "soft_pool2d_backward", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        False, None, "half_even", layout, None, None, "propagate", out, threads, grad, True,
    )  # fmt: skip


@_backward
def soft_pool3d_backward(
    grad: ArrayInput,
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
    """Carry gradients back through `soft_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> soft_pool3d_backward(np.full((1, 1, 1, 1), 8.0), np.zeros((1, 1, 2, 2)), (1, 2, 2))
    array([[[[2., 2.],
             [2., 2.]]]])
    """
    return _soft_backward(  # type: ignore[no-any-return]
        "soft_pool3d_backward", x, kernel_size, stride, padding, dilation, ceil_mode, True, None,
        False, None, "half_even", layout, None, None, "propagate", out, threads, grad, True,
    )  # fmt: skip


class _Soft(Dilated, KeepsInput):
    """Means weighted by exponentials."""


@documented
class SoftPool1d(_Soft):
    """Take the mean of each window along W, weighted by ``exp(x)``.

    Examples
    --------
    >>> layer = SoftPool1d(2)
    >>> layer([[3.0, 3.0, 0.0, 1.0]])
    array([[3.        , 0.73105858]])
    >>> layer.backward([[2.0, 0.0]])
    array([[1., 1., 0., 0.]])
    """

    _axes = 1
    _forward = _soft.soft_pool1d
    _backward = soft_pool1d_backward


@documented
class SoftPool2d(_Soft):
    """Take the mean of each window along H and W, weighted by ``exp(x)``.

    Examples
    --------
    >>> SoftPool2d(2)([[[5, 5], [5, 5]]])
    array([[[5.]]])
    """

    _axes = 2
    _forward = _soft.soft_pool2d
    _backward = soft_pool2d_backward


@documented
class SoftPool3d(_Soft):
    """Take the mean of each window along D, H and W, weighted by ``exp(x)``.

    Examples
    --------
    >>> SoftPool3d(2, 1, 1)
    SoftPool3d(kernel_size=2, stride=1, padding=1, dilation=1, ceil_mode=False)
    """

    _axes = 3
    _forward = _soft.soft_pool3d
    _backward = soft_pool3d_backward
