"""The layers of `poolcore.nn` that take medians and majorities, which have no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NoReturn

from poolcore import _select
from poolcore._layers import Dilated, documented
from poolcore._typing import Array, ArrayInput

__all__ = ["MedianPool2d", "MedianPool3d", "ModePool2d", "ModePool3d"]


class _Selection(Dilated):
    """Nothing is saved, as there is no way back."""

    _forward: ClassVar[Callable[..., Array]]
    _why: ClassVar[str]

    def __call__(self, x: ArrayInput) -> Array:
        """Pool x."""
        return type(self)._forward(x, **self._options())

    def backward(self, grad: ArrayInput) -> NoReturn:
        """Raise NotImplementedError: there is no gradient to carry back."""
        raise NotImplementedError(f"{type(self).__name__}.backward: {self._why}")


class _Median(_Selection):
    _why = "medians have no gradient here: nothing says which elements of a window would get it"


class _Mode(_Selection):
    _why = "majorities have no gradient: they are labels, which do not change by small steps"


@documented
class MedianPool2d(_Median):
    """Take the median of each window along H and W. It has no gradient.

    Examples
    --------
    >>> MedianPool2d(2)([[[9.0, 1.0], [2.0, 3.0]]])
    array([[[2.5]]])
    """

    _axes = 2
    _forward = _select.median_pool2d


@documented
class MedianPool3d(_Median):
    """Take the median of each window along D, H and W. It has no gradient.

    Examples
    --------
    >>> MedianPool3d(3, 1, 1)
    MedianPool3d(kernel_size=3, stride=1, padding=1, dilation=1, ceil_mode=False)
    """

    _axes = 3
    _forward = _select.median_pool3d


@documented
class ModePool2d(_Mode):
    """Take the commonest label of each window along H and W. It has no gradient.

    Examples
    --------
    >>> ModePool2d(2)([[[7, 1], [7, 3]]])
    array([[[7]]])
    """

    _axes = 2
    _forward = _select.mode_pool2d


@documented
class ModePool3d(_Mode):
    """Take the commonest label of each window along D, H and W. It has no gradient.

    Examples
    --------
    >>> ModePool3d((1, 1, 3))([[[[2, 5, 5]]]])
    array([[[[5]]]])
    """

    _axes = 3
    _forward = _select.mode_pool3d
