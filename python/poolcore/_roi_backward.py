"""Gradients of regions of interest, and their layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex

from poolcore import _core
from poolcore._docs_roi import complete_roi
from poolcore._roi_boxes import box_arrays
from poolcore._typing import Array, ArrayInput, Boxes, Flag, IndexInput, Layout2d, Real

__all__ = ["roi_align_backward", "roi_pool_backward"]


@complete_roi
def roi_pool_backward(
    grad: ArrayInput,
    indices: IndexInput,
    boxes: Boxes,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `roi_pool`.

    Examples
    --------
    >>> import numpy as np
    >>> import poolcore
    >>> x, boxes = np.arange(9.0).reshape(1, 1, 3, 3), np.array([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]])
    >>> values, indices = poolcore.roi_pool(x, boxes, 1, return_indices=True)
    >>> roi_pool_backward(np.ones((2, 1, 1, 1)), indices, boxes, x.shape)
    array([[[[0., 0., 0.],
             [0., 2., 0.],
             [0., 0., 0.]]]])
    """
    return _carry(
        "roi_pool_backward", grad, indices, boxes, input_shape, 1.0, -1, False, "max", None,
        layout, out, threads,
    )  # fmt: skip


@complete_roi
def roi_align_backward(
    grad: ArrayInput,
    boxes: Boxes,
    input_shape: Sequence[SupportsIndex],
    spatial_scale: Real = 1.0,
    sampling_ratio: SupportsIndex = -1,
    aligned: Flag = False,
    mode: Literal["avg", "max"] = "avg",
    x: ArrayInput | None = None,
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `roi_align`.

    Examples
    --------
    >>> import numpy as np
    >>> boxes = np.array([[0, 0.75, 1.5, 0.75, 1.5]])
    >>> roi_align_backward(np.ones((1, 1, 1, 1)), boxes, (1, 1, 2, 3), 1.0, 1, True)
    array([[[[0.  , 0.  , 0.  ],
             [0.75, 0.25, 0.  ]]]])
    """
    return _carry(
        "roi_align_backward", grad, None, boxes, input_shape, spatial_scale, sampling_ratio,
        aligned, mode, x, layout, out, threads,
    )  # fmt: skip


def _carry(
    name: str, grad: Any, indices: Any, boxes: Any, input_shape: Any, scale: Any, sampling: Any,
    aligned: Any, mode: Any, x: Any, layout: Any, out: Any, threads: Any,
) -> Array:  # fmt: skip
    arrays = box_arrays(boxes, name)
    return _core.roi_backward(  # type: ignore[no-any-return]
        name, grad, indices, arrays, input_shape, scale, sampling, aligned, mode, x, layout, out,
        threads,
    )  # fmt: skip
