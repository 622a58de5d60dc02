"""The layers of `poolcore.nn` that pool planes of any size to one: GeM, spatial pyramids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, SupportsIndex

from poolcore import _global, _norm_backward, _spatial_pyramid, _spatial_pyramid_backward
from poolcore._layers import KeepsInput, Pooling, documented, shape_of
from poolcore._typing import Array, ArrayInput, Flag, Layout, Op, Real

__all__ = ["GeMPool", "SpatialPyramidPool"]


@documented
class GeMPool(KeepsInput):
    """Take the generalised mean of each whole plane, as `gem_pool`; p and eps are fixed.

    Examples
    --------
    >>> layer = GeMPool(2.0, keepdims=False)
    >>> layer([[[1.0, 7.0]]])
    array([[5.]])
    >>> layer.backward([[10.0]])
    array([[[1., 7.]]])
    """

    _shown = ("p", "eps")
    _shown_unless: ClassVar[dict[str, Any]] = {"keepdims": True}
    _words: ClassVar[dict[str, str]] = {
        "p": "float\n    The exponent, above 0 and at most 2**60; 1 is the mean.",
        "eps": "float\n    What elements count as at least, not below 0.",
        "keepdims": "bool\n    Whether results have the axes of the planes, with length 1.",
        "layout": """"NCHW" or "NHWC" and the like, optional
    Order of the axes. By default planes are all axes but the first two, however many.""",
    }
    _forward = _global.gem_pool
    _backward = _norm_backward.gem_pool_backward

    def __init__(
        self,
        p: Real = 3.0,
        eps: Real = 1e-6,
        *,
        keepdims: Flag = True,
        layout: Layout | None = None,
    ) -> None:
        self.p = p
        self.eps = eps
        self.keepdims = keepdims
        self._start_modes(layout)

    def _start_modes(self, layout: Layout | None) -> None:
        self.layout: Any = layout
        self.training = True
        self._saved = None

    def _options(self) -> dict[str, Any]:
        return {"p": self.p, "eps": self.eps, "keepdims": self.keepdims, "layout": self.layout}


@documented
class SpatialPyramidPool(Pooling):
    """Pool planes of any size to a vector of one length, as `spatial_pyramid_pool`.

    Examples
    --------
    >>> import numpy as np
    >>> layer = SpatialPyramidPool((1, 2))
    >>> layer(np.arange(9.0).reshape(1, 1, 3, 3))
    array([[8., 4., 5., 7., 8.]])
    >>> layer.backward(np.ones((1, 5)))
    array([[[[0., 0., 0.],
             [0., 1., 1.],
             [0., 1., 2.]]]])
    """

    _axes = 2
    _shown = ("levels", "op")
    _words: ClassVar[dict[str, str]] = {
        "levels": "int or ints\n    Windows along H and along W at each level, at least 1.",
        "op": """"max", "avg", "min" or "sum"
    What to compute of each window.""",
    }
    _forward: ClassVar[Callable[..., Any]] = _spatial_pyramid.spatial_pyramid_pool

    def __init__(
        self,
        levels: SupportsIndex | Sequence[SupportsIndex] = (1, 2, 4),
        op: Op = "max",
        *,
        layout: Layout | None = None,
    ) -> None:
        self._start_modes(layout)
        self.levels = levels
        self.op = op

    def __call__(self, x: ArrayInput) -> Array:
        """Pool x."""
        self._saved = None
        extremes = self.training and isinstance(self.op, str) and self.op in ("max", "min")
        found = type(self)._forward(
            x, self.levels, self.op, return_indices=extremes, layout=self.layout
        )
        values, indices = found if extremes else (found, None)
        if self.training:
            self._saved = (shape_of(x), indices)
        result: Array = values
        return result

    def backward(self, grad: ArrayInput) -> Array:
        """Carry the gradient of the results of the last call back to its input."""
        shape, indices = self._last_call()
        layout: Any = self.layout
        return _spatial_pyramid_backward.spatial_pyramid_pool_backward(
            grad, shape, self.levels, self.op, indices=indices, layout=layout
        )
