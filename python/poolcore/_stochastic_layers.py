"""The layers of `poolcore.nn` that draw elements by chance."""

from __future__ import annotations

from typing import Any

from poolcore import _backward, _stochastic
from poolcore._fractional import generator
from poolcore._layers import Extremum, documented
from poolcore._typing import ArrayInput, Flag, Layout, Padding, PerAxis, Rng

__all__ = ["StochasticPool1d", "StochasticPool2d", "StochasticPool3d"]


class _Stochastic(Extremum):
    """Draws in training, and takes the mean of what would be drawn in evaluation mode."""

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        return_indices: Flag = False,
        ceil_mode: Flag = False,
        *,
        rng: Rng = None,
        layout: Layout | None = None,
    ) -> None:
        super().__init__(
            kernel_size, stride, padding, dilation, return_indices, ceil_mode, layout=layout
        )
        # One generator for all calls: a seed alone would draw the same elements every time.
        self.rng = generator(rng, type(self).__name__)

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "rng": self.rng}

    def __call__(self, x: ArrayInput) -> Any:
        """Pool x; with `return_indices`, in training, a tuple of values and indices."""
        if self.training:
            return super().__call__(x)
        self._saved = None
        return type(self)._forward(x, **super()._options(), training=False)


@documented
class StochasticPool1d(_Stochastic):
    """Draw an element of each window along W, each with its share of the window's sum.

    In evaluation mode (`eval`) the mean of what would be drawn, without chance.

    Examples
    --------
    >>> layer = StochasticPool1d(2, rng=0)
    >>> layer([[0.0, 3.0, 2.0, 0.0]])
    array([[3., 2.]])
    >>> layer.backward([[1.0, 5.0]])
    array([[0., 1., 5., 0.]])
    """

    _axes = 1
    _forward = _stochastic.stochastic_pool1d
    _backward = _backward.max_pool1d_backward


@documented
class StochasticPool2d(_Stochastic):
    """Draw an element of each window along H and W, each with its share of the window's sum.

    In evaluation mode (`eval`) the mean of what would be drawn, without chance.

    Examples
    --------
    >>> StochasticPool2d(2).eval()([[[1.0, 3.0], [0.0, 0.0]]])
    array([[[2.5]]])
    """

    _axes = 2
    _forward = _stochastic.stochastic_pool2d
    _backward = _backward.max_pool2d_backward


@documented
class StochasticPool3d(_Stochastic):
    """Draw an element of each window along D, H and W, each with its share of the window's sum.

    In evaluation mode (`eval`) the mean of what would be drawn, without chance.

    Examples
    --------
    >>> StochasticPool3d(2, 1)
    StochasticPool3d(kernel_size=2, stride=1, padding=0, dilation=1, ceil_mode=False)
    """

    _axes = 3
    _forward = _stochastic.stochastic_pool3d
    _backward = _backward.max_pool3d_backward
