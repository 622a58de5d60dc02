"""Regions of interest: boxes of images, pooled to one size."""

from __future__ import annotations

from typing import Literal, SupportsIndex, overload

from poolcore import _core
from poolcore._docs_roi import complete_roi
from poolcore._roi_boxes import box_arrays
from poolcore._typing import (
    Array,
    ArrayInput,
    Boxes,
    Flag,
    Indices,
    Layout2d,
    NanPolicy,
    PerAxis,
    Real,
)

__all__ = ["roi_align", "roi_pool"]


@overload
def roi_pool(
    x: ArrayInput,
    boxes: Boxes,
    output_size: PerAxis,
    spatial_scale: Real = 1.0,
    return_indices: Literal[False] = False,
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array: ...
@overload
def roi_pool(
    x: ArrayInput,
    boxes: Boxes,
    output_size: PerAxis,
    spatial_scale: Real = 1.0,
    *,
    return_indices: Literal[True],
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[Array, Indices]: ...
@overload
def roi_pool(
    x: ArrayInput,
    boxes: Boxes,
    output_size: PerAxis,
    spatial_scale: Real = 1.0,
    return_indices: Flag = False,
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]: ...
@complete_roi
def roi_pool(
    x: ArrayInput,
    boxes: Boxes,
    output_size: PerAxis,
    spatial_scale: Real = 1.0,
    return_indices: Flag = False,
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest element of each bin of each box.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(36.0).reshape(1, 1, 6, 6)
    >>> roi_pool(x, np.array([[0, 1, 1, 4, 4]]), 2)
    array([[[[14., 16.],
             [26., 28.]]]])
    """
    name = "roi_pool"
    return _core.roi(  # type: ignore[no-any-return]
        name, x, box_arrays(boxes, name), output_size, spatial_scale, -1, False,
        "max", return_indices, layout, nan_policy, out, threads,
    )  # fmt: skip


@complete_roi
def roi_align(
    x: ArrayInput,
    boxes: Boxes,
    output_size: PerAxis,
    spatial_scale: Real = 1.0,
    sampling_ratio: SupportsIndex = -1,
    aligned: Flag = False,
    mode: Literal["avg", "max"] = "avg",
    *,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean, or the largest, of samples in each bin of each box, interpolated bilinearly.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(36.0).reshape(1, 1, 6, 6)
    >>> roi_align(x, np.array([[0, 1.5, 1.5, 4.5, 4.5]]), 2, aligned=True)
    array([[[[12.25, 13.75],
             [21.25, 22.75]]]])
    """
    name = "roi_align"
    return _core.roi(  # type: ignore[no-any-return]
        name, x, box_arrays(boxes, name), output_size, spatial_scale, sampling_ratio,
        aligned, mode, False, layout, nan_policy, out, threads,
    )  # fmt: skip
