"""Rows of regions of interest, against renderings in NumPy, and the ways back from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import poolcore
from bench.rows import Operation, by_numpy, random_array

RATIO = 2


def _corners(numpy: Any, shape: Any, boxes: np.ndarray, size: int) -> Iterator[tuple[Any, ...]]:
    """Give rows, columns and weights of the four elements around each sample of each box."""
    steps = (numpy.arange(size * RATIO) + 0.5) / RATIO / size

    def axis(lo: int, hi: int, n: int) -> list[Any]:
        at = boxes[:, lo, None] + steps * (boxes[:, hi] - boxes[:, lo])[:, None]
        at = numpy.clip(at, 0, n - 1)
        first = numpy.minimum(at.astype(int), n - 2)
        return [(first, first + 1 - at), (first + 1, at - first)]

    for rows, down in axis(2, 4, shape[2]):
        for columns, over in axis(1, 3, shape[3]):
            weights = (down[:, :, None] * over[:, None, :]).astype(numpy.float32)
            yield rows[:, :, None], columns[:, None, :], weights[..., None]


def _aligned(numpy: Any, x: np.ndarray, boxes: np.ndarray, size: int, mode: str) -> np.ndarray:
    """RoIAlign in NumPy: samples gathered, and averaged or compared."""
    batch = boxes[:, 0].astype(int)[:, None, None]
    total: Any = 0
    for rows, columns, weights in _corners(numpy, x.shape, boxes, size):
        total = total + x[batch, :, rows, columns] * weights
    samples = total.reshape(len(boxes), size, RATIO, size, RATIO, x.shape[1])
    bins = samples.mean((2, 4)) if mode == "avg" else samples.max((2, 4))
    return numpy.moveaxis(bins, -1, 1)  # type: ignore[no-any-return]


def _aligned_back(numpy: Any, grad: np.ndarray, boxes: np.ndarray, shape: Any) -> np.ndarray:
    """The gradient of the mean: every sample gives to its four elements."""
    size = grad.shape[-1]
    batch = boxes[:, 0].astype(int)[:, None, None]
    share = numpy.moveaxis(grad, 1, -1).repeat(RATIO, 1).repeat(RATIO, 2) / RATIO**2
    result = numpy.zeros((shape[0], *shape[2:], shape[1]), grad.dtype)
    for rows, columns, weights in _corners(numpy, shape, boxes, size):
        numpy.add.at(result, (batch, rows, columns), share * weights)
    return numpy.moveaxis(result, -1, 1)  # type: ignore[no-any-return]


def _pooled(numpy: Any, x: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """RoIPool in NumPy, bin by bin."""
    result = numpy.zeros((len(boxes), x.shape[1], size, size), x.dtype)
    corners = numpy.floor(boxes[:, 1:] + 0.5).astype(int)
    for k, (x1, y1, x2, y2) in enumerate(corners.tolist()):
        image = x[int(boxes[k, 0])]
        h, w = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for i in range(size):
            rows = slice(y1 + i * h // size, y1 - (-(i + 1) * h // size))
            for j in range(size):
                columns = slice(x1 + j * w // size, x1 - (-(j + 1) * w // size))
                found = image[:, rows, columns]
                if found.size:
                    result[k, :, i, j] = found.max((1, 2))
    return result  # type: ignore[no-any-return]


def _pooled_back(
    numpy: Any, grad: np.ndarray, at: np.ndarray, boxes: np.ndarray, shape: Any
) -> np.ndarray:
    """The gradient of RoIPool: to the indices."""
    plane = shape[2] * shape[3]
    first = (boxes[:, 0].astype(int)[:, None] * shape[1] + numpy.arange(shape[1])) * plane
    places = (first[..., None, None] + at)[at >= 0]
    total = numpy.bincount(places, grad[at >= 0], shape[0] * shape[1] * plane)
    return total.astype(grad.dtype).reshape(shape)  # type: ignore[no-any-return]


def regions() -> Iterator[Operation]:
    """Boxes of feature maps."""
    x = random_array(2, 256, 50, 50)
    rng = np.random.default_rng(6)
    corners = rng.uniform(0, 30, (100, 2))
    boxes = np.concatenate(
        [rng.integers(0, 2, (100, 1)), corners, corners + rng.uniform(2, 19, (100, 2))], 1
    )
    for size in (7, 14):
        for layout in ("NCHW", "NHWC"):
            given = x if layout == "NCHW" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
            yield Operation(
                f"roi_align {size}x{size} of 100 boxes {layout}",
                lambda x=given, n=size, layout=layout: poolcore.roi_align(
                    x, boxes, n, sampling_ratio=RATIO, layout=layout
                ),
                {"numpy": by_numpy(_aligned, x, boxes, size, "avg")} if layout == "NCHW" else {},
            )
    yield Operation(
        "roi_align max 7x7 of 100 boxes",
        lambda: poolcore.roi_align(x, boxes, 7, sampling_ratio=RATIO, mode="max"),
        {"numpy": by_numpy(_aligned, x, boxes, 7, "max")},
    )
    values, at = poolcore.roi_pool(x, boxes, 7, return_indices=True)
    yield Operation(
        "roi_pool 7x7 of 100 boxes",
        lambda: poolcore.roi_pool(x, boxes, 7),
        {"numpy": by_numpy(_pooled, x, boxes, 7)},
    )
    grad = random_array(*values.shape)
    yield Operation(
        "roi_pool_backward 7x7 of 100 boxes",
        lambda: poolcore.roi_pool_backward(grad, at, boxes, x.shape),
        {"numpy": by_numpy(_pooled_back, grad, at, boxes, x.shape)},
    )
    yield Operation(
        "roi_align_backward 7x7 of 100 boxes",
        lambda: poolcore.roi_align_backward(grad, boxes, x.shape, sampling_ratio=RATIO),
        {"numpy": by_numpy(_aligned_back, grad, boxes, x.shape)},
    )
    yield Operation(
        "roi_align_backward max 7x7 of 100 boxes",
        lambda: poolcore.roi_align_backward(
            grad, boxes, x.shape, sampling_ratio=RATIO, mode="max", x=x
        ),
    )
