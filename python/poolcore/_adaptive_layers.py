"""The adaptive layers of `poolcore.nn`."""

from __future__ import annotations

from typing import Any

from poolcore import _adaptive, _adaptive_backward
from poolcore._layers import Extremum, Window, documented, shape_of
from poolcore._typing import Array, ArrayInput, Flag, Layout, OutputSize

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AdaptiveMinPool1d",
    "AdaptiveMinPool2d",
    "AdaptiveMinPool3d",
]


class _Extremum(Extremum):
    """Maxima and minima of as many windows as one asks for."""

    _shown = ("output_size",)

    def __init__(
        self, output_size: OutputSize, return_indices: Flag = False, *, layout: Layout | None = None
    ) -> None:
        self._start_modes(layout)
        self.output_size = output_size
        self.return_indices = return_indices

    def _options(self) -> dict[str, Any]:
        return {"output_size": self.output_size, "layout": self.layout}


class _Average(Window):
    """Means of as many windows as one asks for."""

    _shown = ("output_size",)

    def __init__(self, output_size: OutputSize, *, layout: Layout | None = None) -> None:
        self._start_modes(layout)
        self.output_size = output_size

    def _options(self) -> dict[str, Any]:
        return {"output_size": self.output_size, "layout": self.layout}

    def backward(self, grad: ArrayInput) -> Array:
        """Carry the gradient of the results of the last call back to its input."""
        shape, results = self._last_call()
        if shape_of(grad) != results:  # which any shape could be
            raise ValueError(
                f"{type(self).__name__}.backward: grad must have shape {results}, "
                f"got {shape_of(grad)}"
            )
        return type(self)._backward(grad, shape, layout=self.layout)


@documented
class AdaptiveMaxPool1d(_Extremum):
    """Take the largest value of each of `output_size` windows along W.

    Examples
    --------
    >>> AdaptiveMaxPool1d(2)([[1, 3, 2, 5, 4]])
    array([[3, 5]])
    """

    _axes = 1
    _forward = _adaptive.adaptive_max_pool1d
    _backward = _adaptive_backward.adaptive_max_pool1d_backward


@documented
class AdaptiveMaxPool2d(_Extremum):
    """Take the largest value of each of `output_size` windows along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> values, indices = AdaptiveMaxPool2d(1, return_indices=True)(np.eye(3).reshape(1, 3, 3))
    >>> indices
    array([[[0]]])
    """

    _axes = 2
    _forward = _adaptive.adaptive_max_pool2d
    _backward = _adaptive_backward.adaptive_max_pool2d_backward


@documented
class AdaptiveMaxPool3d(_Extremum):
    """Take the largest value of each of `output_size` windows along D, H and W.

    Examples
    --------
    >>> AdaptiveMaxPool3d(7)
    AdaptiveMaxPool3d(output_size=7)
    """

    _axes = 3
    _forward = _adaptive.adaptive_max_pool3d
    _backward = _adaptive_backward.adaptive_max_pool3d_backward


@documented
class AdaptiveMinPool1d(_Extremum):
    """Take the smallest value of each of `output_size` windows along W.

    Examples
    --------
    >>> AdaptiveMinPool1d(2)([[1, 3, 2, 5, 4]])
    array([[1, 2]])
    """

    _axes = 1
    _forward = _adaptive.adaptive_min_pool1d
    _backward = _adaptive_backward.adaptive_max_pool1d_backward


@documented
class AdaptiveMinPool2d(_Extremum):
    """Take the smallest value of each of `output_size` windows along H and W.

    Examples
    --------
    >>> AdaptiveMinPool2d(1)([[[1, 3], [2, 5]]])
    array([[[1]]])
    """

    _axes = 2
    _forward = _adaptive.adaptive_min_pool2d
    _backward = _adaptive_backward.adaptive_max_pool2d_backward


@documented
class AdaptiveMinPool3d(_Extremum):
    """Take the smallest value of each of `output_size` windows along D, H and W.

    Examples
    --------
    >>> AdaptiveMinPool3d(7)
    AdaptiveMinPool3d(output_size=7)
    """

    _axes = 3
    _forward = _adaptive.adaptive_min_pool3d
    _backward = _adaptive_backward.adaptive_max_pool3d_backward


@documented
class AdaptiveAvgPool1d(_Average):
    """Take the mean of each of `output_size` windows along W.

    Examples
    --------
    >>> layer = AdaptiveAvgPool1d(2)
    >>> layer([[1.0, 3.0, 5.0]])
    array([[2., 4.]])
    >>> layer.backward([[2.0, 4.0]])
    array([[1., 3., 2.]])
    """

    _axes = 1
    _forward = _adaptive.adaptive_avg_pool1d
    _backward = _adaptive_backward.adaptive_avg_pool1d_backward


@documented
class AdaptiveAvgPool2d(_Average):
    """Take the mean of each of `output_size` windows along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> AdaptiveAvgPool2d((1, None))(np.arange(6.0).reshape(1, 2, 3))
    array([[[1.5, 2.5, 3.5]]])
    """

    _axes = 2
    _forward = _adaptive.adaptive_avg_pool2d
    _backward = _adaptive_backward.adaptive_avg_pool2d_backward


@documented
class AdaptiveAvgPool3d(_Average):
    """Take the mean of each of `output_size` windows along D, H and W.

    Examples
    --------
    >>> AdaptiveAvgPool3d((1, 7, 7))
    AdaptiveAvgPool3d(output_size=(1, 7, 7))
    """

    _axes = 3
    _forward = _adaptive.adaptive_avg_pool3d
    _backward = _adaptive_backward.adaptive_avg_pool3d_backward
