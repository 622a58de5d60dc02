"""The layers of `poolcore.nn` that take norms."""

from __future__ import annotations

from poolcore import _norm, _norm_backward
from poolcore._layers import KeepsInput, documented
from poolcore._typing import Flag, Layout, Padding, PerAxis, Real

__all__ = ["LPPool1d", "LPPool2d", "LPPool3d"]


class _Norm(KeepsInput):
    """Norms."""

    _shown = ("norm_type", "kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        norm_type: Real,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        ceil_mode: Flag = False,
        *,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        layout: Layout | None = None,
    ) -> None:
        self._start(kernel_size, stride, layout)
        self.norm_type = norm_type
        self.ceil_mode = ceil_mode
        self.padding = padding
        self.dilation = dilation


@documented
class LPPool1d(_Norm):
    """Take the p-norm of each window along W, p being `norm_type`.

    Examples
    --------
    >>> layer = LPPool1d(2, 2)
    >>> layer([[3.0, -4.0, 0.0, 1.0]])
    array([[5., 1.]])
    >>> layer.backward([[5.0, 2.0]])
    array([[ 3., -4.,  0.,  2.]])
    """

    _axes = 1
    _forward = _norm.lp_pool1d
    _backward = _norm_backward.lp_pool1d_backward


@documented
class LPPool2d(_Norm):
    """Take the p-norm of each window along H and W, p being `norm_type`.

    Examples
    --------
    >>> LPPool2d(1, (2, 1))([[[1, -3], [2, 5]]])
    array([[[3., 8.]]])
    """

    _axes = 2
    _forward = _norm.lp_pool2d
    _backward = _norm_backward.lp_pool2d_backward


@documented
class LPPool3d(_Norm):
    """Take the p-norm of each window along D, H and W, p being `norm_type`.

    Examples
    --------
    >>> LPPool3d(2, 2)
    LPPool3d(norm_type=2, kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    """

    _axes = 3
    _forward = _norm.lp_pool3d
    _backward = _norm_backward.lp_pool3d_backward
