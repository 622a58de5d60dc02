"""The layers of `poolcore.nn` on regions of interest, under the names of torchvision.ops."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, SupportsIndex

import numpy as np

from poolcore import _roi, _roi_backward
from poolcore._adapters import as_array
from poolcore._layers import Pooling, documented, shape_of
from poolcore._roi_boxes import kept_boxes
from poolcore._typing import Array, ArrayInput, Boxes, Flag, Layout, PerAxis, Real

__all__ = ["RoIAlign", "RoIPool"]

_WORDS = {
    "output_size": "int or 2 ints\n    Bins along H and W of each box.",
    "spatial_scale": """float
    What the coordinates of boxes are multiplied by to get those of x; above 0.""",
    "sampling_ratio": """int
    Samples along each axis of a bin. Below 1: as many as it has elements, rounded up.""",
    "aligned": """bool
    Whether elements lie at half-integer coordinates; if not, boxes are at least 1 by 1.""",
    "mode": """"avg" or "max"
    The mean of the samples of a bin or the largest of them; of x a copy is kept for that.""",
}


class _Regions(Pooling):
    """What both have: a call takes x and boxes."""

    _axes = 2
    _words: ClassVar[dict[str, str]] = _WORDS

    output_size: PerAxis
    spatial_scale: Real

    def _keep(self, x: ArrayInput, boxes: Boxes, values: Array, *more: Any) -> None:
        # A copy of the boxes: a caller may change them.
        kept = kept_boxes(boxes, type(self).__name__)
        self._saved = (kept, shape_of(x), values.shape, *more)

    def _checked(self, grad: ArrayInput) -> tuple[Any, ...]:
        rows, shape, results, *more = self._last_call()
        if shape_of(grad) != results:
            raise ValueError(
                f"{type(self).__name__}.backward: grad must have shape {results}, "
                f"got {shape_of(grad)}"
            )
        return (rows, shape, *more)


@documented
class RoIPool(_Regions):
    """Take the largest element of each bin of each box: ``layer(x, boxes)``, as `roi_pool`.

    Examples
    --------
    >>> import numpy as np
    >>> layer = RoIPool(1)
    >>> layer(np.arange(9.0).reshape(1, 1, 3, 3), np.array([[0, 0, 0, 1, 1]]))
    array([[[[4.]]]])
    >>> layer.backward(np.ones((1, 1, 1, 1)))
    array([[[[0., 0., 0.],
             [0., 1., 0.],
             [0., 0., 0.]]]])
    """

    _shown = ("output_size", "spatial_scale")

    def __init__(
        self, output_size: PerAxis, spatial_scale: Real = 1.0, *, layout: Layout | None = None
    ) -> None:
        self._start_modes(layout)
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def __call__(self, x: ArrayInput, boxes: Boxes) -> Array:
        """Pool the boxes of x."""
        self._saved = None
        arguments: Any = (x, boxes, self.output_size, self.spatial_scale)
        layout: Any = self.layout
        if not self.training:
            values: Array = _roi.roi_pool(*arguments, layout=layout)
            return values
        values, indices = _roi.roi_pool(*arguments, return_indices=True, layout=layout)
        self._keep(x, boxes, values, indices)
        return values

    def backward(self, grad: ArrayInput) -> Array:
        """Carry the gradient of the results of the last call back to its x."""
        rows, shape, indices = self._checked(grad)
        layout: Any = self.layout
        return _roi_backward.roi_pool_backward(grad, indices, rows, shape, layout=layout)


@documented
class RoIAlign(_Regions):
    """Take means of samples in each bin of each box: ``layer(x, boxes)``, as `roi_align`.

    Examples
    --------
    >>> import numpy as np
    >>> layer = RoIAlign(1, sampling_ratio=2, aligned=True)
    >>> layer(np.arange(9.0).reshape(1, 1, 3, 3), np.array([[0, 0, 0, 2, 2]]))
    array([[[[2.]]]])
    >>> layer.backward(np.ones((1, 1, 1, 1)))
    array([[[[0.25, 0.25, 0.  ],
             [0.25, 0.25, 0.  ],
             [0.  , 0.  , 0.  ]]]])
    """

    _shown = ("output_size", "spatial_scale", "sampling_ratio", "aligned")
    _shown_unless: ClassVar[dict[str, Any]] = {"mode": "avg"}

    def __init__(
        self,
        output_size: PerAxis,
        spatial_scale: Real = 1.0,
        sampling_ratio: SupportsIndex = -1,
        aligned: Flag = False,
        mode: Literal["avg", "max"] = "avg",
        *,
        layout: Layout | None = None,
    ) -> None:
        self._start_modes(layout)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned
        self.mode = mode

    def __call__(self, x: ArrayInput, boxes: Boxes) -> Array:
        """Pool the boxes of x."""
        self._saved = None
        layout: Any = self.layout
        values = _roi.roi_align(
            x, boxes, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned,
            self.mode, layout=layout,
        )  # fmt: skip
        if self.training:
            array = as_array(x, None, "roi_align", "x") if self.mode == "max" else None
            self._keep(x, boxes, values, None if array is None else np.array(array, order="K"))
        return values

    def backward(self, grad: ArrayInput) -> Array:
        """Carry the gradient of the results of the last call back to its x."""
        rows, shape, x = self._checked(grad)
        layout: Any = self.layout
        return _roi_backward.roi_align_backward(
            grad, rows, shape, self.spatial_scale, self.sampling_ratio, self.aligned, self.mode, x,
            layout=layout,
        )  # fmt: skip
