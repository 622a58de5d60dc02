"""Peers from image processing: they know planes or colour images, and mostly stride 1.

Where the stride is larger, the filter runs at every place and the result is sliced, which is what
their users do. OpenCV and Pillow take one plane or one image at a time, so a case of many planes is
a Python loop over them, left out beyond MANY planes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.cases import Case
from bench.contender import Contender, Job, peer, require

MANY = 64


def _starts(case: Case) -> tuple[slice, ...]:
    """Say where the windows' centres lie, for filters that put k//2 taps before the centre."""
    cuts = []
    lengths = zip(case.kernel, case.stride, case.padding, case.spatial, case.out_spatial,
                  strict=True)  # fmt: skip
    for k, s, p, n, o in lengths:
        first, last = k // 2 - p, k // 2 - p + (o - 1) * s
        require(first >= 0 and last < n, "a window's centre lies outside the input")
        cuts.append(slice(first, last + 1, s))
    return tuple(cuts)


def _is_float(case: Case) -> bool:
    return case.dtype in ("float32", "float64")


def _plain_mean(case: Case) -> None:
    """Refuse means whose divisor is not the same for all windows."""
    require(not case.ceil and (case.count_include_pad or not any(case.padding)),
            "its divisor does not change at the border")  # fmt: skip


def _filter(case: Case) -> None:
    require(not case.indices, "gives no indices")
    require(case.dtype not in ("float16", "bfloat16"), f"has no {case.dtype}")
    require(case.op == "max" or case.dtype not in ("uint8", "uint16") or not any(case.padding),
            "rounds means at the border in another way")  # fmt: skip
    if case.op == "avg":
        _plain_mean(case)


@peer("SciPy", "scipy")
def scipy(job: Job) -> Contender:
    """scipy.ndimage's separable filters over the pooled axes."""
    from scipy import ndimage

    case = job.case
    _filter(case)
    require(case.op == "max" or _is_float(case), "its means of integers truncate between axes")
    cut = [slice(None)] * job.x.ndim
    for axis, one in zip(case.axes, _starts(case), strict=True):
        cut[axis] = one
    keep = tuple(cut)
    options: dict[str, Any] = {"size": case.kernel, "axes": case.axes, "mode": "constant"}
    if case.op == "max":
        lowest = -np.inf if _is_float(case) else 0
        return Contender(
            "SciPy",
            lambda: np.ascontiguousarray(
                ndimage.maximum_filter(job.x, cval=lowest, **options)[keep]
            ),
        )
    return Contender(
        "SciPy",
        lambda: np.ascontiguousarray(ndimage.uniform_filter(job.x, cval=0.0, **options)[keep]),
    )


@peer("scikit-image", "skimage", "scikit-image")
def skimage(job: Job) -> Contender:
    """block_reduce for blocks; dilation with a separable square for maxima one apart."""
    case = job.case
    require(not case.indices, "gives no indices")
    require(case.dtype != "bfloat16", "has no bfloat16")
    block = [1] * job.x.ndim
    for axis, k in zip(case.axes, case.kernel, strict=True):
        block[axis] = k
    if case.blocks:
        from skimage.measure import block_reduce

        reduce = np.max if case.op == "max" else np.mean
        return Contender(
            "scikit-image",
            lambda: block_reduce(job.x, tuple(block), reduce),
            lambda y: y if case.op == "max" else _rounded(y, job.x.dtype),
        )
    from skimage.morphology import dilation, footprint_rectangle

    require(case.op == "max" and case.stride == (1, 1), "its other filters are no pooling")
    require(case.shape[:2] == (1, 1) and not case.channels_last, "takes one plane")
    require(all(k % 2 and p == k // 2 for k, p in zip(case.kernel, case.padding, strict=True)),
            "keeps the size")  # fmt: skip
    square = footprint_rectangle(case.kernel, decomposition="separable")
    plane = job.x[0, 0]
    return Contender("scikit-image", lambda: dilation(plane, square), lambda y: y[None, None])


def _rounded(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.rint(y).astype(dtype) if dtype.kind in "iu" else y


def _images(job: Job) -> list[np.ndarray]:
    """Give planes, or colour images where the channels are last and few."""
    case = job.case
    require(case.nd == 2, "takes images only")
    if case.channels_last:
        require(case.channels <= 4, "takes at most four channels")
        images = list(job.x)
    else:
        images = [plane for image in job.x for plane in image]
    require(len(images) <= MANY, f"takes one plane at a time, here more than {MANY}")
    return [np.ascontiguousarray(image) for image in images]


def _stacked(case: Case, results: list[Any]) -> np.ndarray:
    return np.stack([np.asarray(y) for y in results]).reshape(case.out_shape)


@peer("OpenCV", "cv2", "opencv-python-headless")
def opencv(job: Job) -> Contender:
    """dilate for maxima; INTER_AREA for means of blocks, else a box filter."""
    import cv2

    case = job.case
    cv2.setNumThreads(job.threads)
    _filter(case)
    images = _images(job)
    kernel_h, kernel_w = case.kernel
    small = (case.out_spatial[1], case.out_spatial[0])
    one: Callable[[np.ndarray], Any]
    if case.op == "avg" and case.blocks:

        def one(image: np.ndarray) -> Any:
            return cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    else:
        keep = _starts(case)
        square = cv2.getStructuringElement(cv2.MORPH_RECT, (kernel_w, kernel_h))

        def one(image: np.ndarray) -> Any:
            if case.op == "max":
                return np.ascontiguousarray(cv2.dilate(image, square)[keep])
            border = cv2.BORDER_CONSTANT
            y = cv2.boxFilter(image, -1, (kernel_w, kernel_h), borderType=border)
            return np.ascontiguousarray(y[keep])

    return Contender(
        "OpenCV", lambda: [one(image) for image in images], lambda ys: _stacked(case, ys)
    )


@peer("Pillow", "PIL", "pillow")
def pillow(job: Job) -> Contender:
    """Image.reduce for means of blocks, MaxFilter for maxima of odd squares."""
    from PIL import Image, ImageFilter

    case = job.case
    require(not case.indices, "gives no indices")
    require(case.dtype in ("uint8", "float32"), f"has no {case.dtype}")
    require(case.dtype == "uint8" or not case.channels_last, "has no colours in float32")
    require(case.nd == 2, "takes images only")
    same = len(set(case.kernel)) == 1
    one: Callable[[Any], Any]
    if case.op == "avg":
        require(case.blocks, "has means of blocks only")
        one = lambda image: image.reduce(case.kernel[::-1])  # noqa: E731
    else:
        k = case.kernel[0]
        require(same and k % 2 == 1, "has maxima of odd squares only")
        require(k <= 15, "takes time with the square of the window")
        rows, columns = _starts(case)
        maximum = ImageFilter.MaxFilter(k)
        one = lambda image: np.asarray(image.filter(maximum))[rows, columns]  # noqa: E731
    images = [Image.fromarray(image) for image in _images(job)]
    return Contender(
        "Pillow", lambda: [one(image) for image in images], lambda ys: _stacked(case, ys)
    )
