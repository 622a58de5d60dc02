"""Gradients of fractional max pooling, and its layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, TypeVar

from poolcore import _fractional
from poolcore._core import max_backward as _max_backward
from poolcore._docs_inverse import complete_inverse
from poolcore._layers import Extremum, documented
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    IndexInput,
    Layout,
    Layout2d,
    Layout3d,
    PerAxis,
    Ratio,
    Rng,
)

__all__ = [
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "fractional_max_pool2d_backward",
    "fractional_max_pool3d_backward",
]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _backward(function: _Function) -> _Function:
    return complete_inverse(function, "fractional_max_backward", int(function.__name__[19]))


@_backward
def fractional_max_pool2d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `fractional_max_pool2d`.

    Examples
    --------
    >>> fractional_max_pool2d_backward([[[1.0, 2.0]]], [[[2, 2]]], (1, 2, 2))
    array([[[0., 0.],
            [3., 0.]]])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "fractional_max_pool2d_backward", grad, indices, input_shape, layout, None, True, out,
        threads,
    )  # fmt: skip


@_backward
def fractional_max_pool3d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `fractional_max_pool3d`.

    Examples
    --------
    >>> fractional_max_pool3d_backward([[[[1.0, 2.0]]]], [[[[1, 3]]]], (1, 1, 2, 2)).ravel()
    array([0., 1., 0., 2.])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "fractional_max_pool3d_backward", grad, indices, input_shape, layout, None, True, out,
        threads,
    )  # fmt: skip


class _Fractional(Extremum):
    """Maxima of windows at random steps; every call draws anew."""

    _shown = ("kernel_size", "output_size", "output_ratio")

    def __init__(
        self,
        kernel_size: PerAxis,
        output_size: PerAxis | None = None,
        output_ratio: Ratio | None = None,
        return_indices: Flag = False,
        *,
        rng: Rng = None,
        layout: Layout | None = None,
    ) -> None:
        self._start_modes(layout)
        self.kernel_size = kernel_size
        self.output_size = output_size
        self.output_ratio = output_ratio
        self.return_indices = return_indices
        # One generator for all calls: a seed alone would draw the same windows every time.
        self.rng = _fractional.generator(rng, type(self).__name__)

    def _options(self) -> dict[str, Any]:
        names = ("kernel_size", "output_size", "output_ratio", "rng", "layout")
        return {name: getattr(self, name) for name in names}


@documented
class FractionalMaxPool2d(_Fractional):
    """Take the largest value of windows at random steps along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> FractionalMaxPool2d(2, output_ratio=0.5, rng=0)(np.ones((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    _axes = 2
    _forward = _fractional.fractional_max_pool2d
    _backward = fractional_max_pool2d_backward


@documented
class FractionalMaxPool3d(_Fractional):
    """Take the largest value of windows at random steps along D, H and W.

    Examples
    --------
    >>> FractionalMaxPool3d(2, (4, 5, 6))
    FractionalMaxPool3d(kernel_size=2, output_size=(4, 5, 6), output_ratio=None)
    """

    _axes = 3
    _forward = _fractional.fractional_max_pool3d
    _backward = fractional_max_pool3d_backward
