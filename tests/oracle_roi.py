"""What pooling regions of interest means, sample by sample in exact numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

import oracle

FARTHEST = 2.0**61
Sample = list[tuple[tuple[int, int], Fraction]]


def planes(x: np.ndarray, layout: str) -> np.ndarray:
    return np.moveaxis(x, -1, 1) if layout == "NHWC" else x


def corner(value: float, scale: float) -> float:
    with np.errstate(over="ignore"):
        scaled = float(np.float64(value) * np.float64(scale))
    return min(max(scaled, -FARTHEST), FARTHEST)


def rounded(value: float) -> int:
    """Halves away from zero."""
    size = math.floor(abs(Fraction(value)) + Fraction(1, 2))
    return size if value >= 0 else -size


def bin_range(lo: float, hi: float, j: int, bins: int, length: int) -> range:
    first, last = rounded(lo), rounded(hi)
    width = max(last - first + 1, 1)
    start = math.floor(Fraction(j * width, bins)) + first
    stop = math.ceil(Fraction((j + 1) * width, bins)) + first
    return range(min(max(start, 0), length), min(max(stop, 0), length))


def pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def roi_pool(
    x: np.ndarray, boxes: np.ndarray, size: Any, scale: float = 1.0, layout: str = "NCHW",
    omit: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Values and indices, (K, C, height, width) whatever the layout of x."""
    source = planes(x, layout)
    channels, height, width = source.shape[1:]
    shape = (len(boxes), channels, *pair(size))
    values, indices = np.zeros(shape, x.dtype), np.full(shape, -1, np.int64)
    for k, c, a, b in np.ndindex(shape):
        x1, y1, x2, y2 = (corner(v, scale) for v in boxes[k][1:])
        rows = bin_range(y1, y2, a, shape[2], height)
        columns = bin_range(x1, x2, b, shape[3], width)
        best = None
        for r in rows:
            for q in columns:
                value = source[int(boxes[k][0]), c, r, q]
                if best is None or beats(value, best[0], omit):
                    best = (value, r * width + q)
        if best is not None:
            values[k, c, a, b], indices[k, c, a, b] = best
    return values, indices


def beats(value: Any, best: Any, omit: bool) -> bool:
    """Whether a later element takes the place of an earlier one."""
    value_nan, best_nan = value != value, best != best
    if value_nan or best_nan:
        return bool(value_nan and not best_nan) != omit and not (value_nan and best_nan)
    return bool(value > best)


def samples(
    lo: float, hi: float, j: int, bins: int, sampling: int, aligned: bool
) -> list[float]:  # fmt: skip
    """Where the samples of bin j lie, computed in float64 as the formula has it."""
    shift = 0.5 if aligned else 0.0
    start = lo - shift
    size = (hi - shift) - start
    if not aligned:
        size = max(size, 1.0)
    step = size / bins
    grid = sampling if sampling > 0 else max(math.ceil(step), 0)
    return [start + j * step + (i + 0.5) * step / grid for i in range(grid)]


def axis_weights(y: float, length: int) -> list[tuple[int, Fraction]]:
    """The elements that a sample reads; none beyond the image."""
    if y < -1 or y > length:
        return []
    y = max(y, 0.0)
    at = int(y)
    if at >= length - 1:
        return [(length - 1, Fraction(1))]
    part = Fraction(y) - at
    both = [(at, 1 - part), (at + 1, part)]
    return [(i, w) for i, w in both if w]


def bin_samples(
    box: np.ndarray, scale: float, at: tuple[int, int], size: tuple[int, int],
    lengths: tuple[int, int], sampling: int, aligned: bool,
) -> list[Sample]:  # fmt: skip
    """For each sample of a bin what it reads, and with what weight."""
    x1, y1, x2, y2 = (corner(v, scale) for v in box[1:])
    down = [axis_weights(y, lengths[0])
            for y in samples(y1, y2, at[0], size[0], sampling, aligned)]  # fmt: skip
    over = [axis_weights(q, lengths[1])
            for q in samples(x1, x2, at[1], size[1], sampling, aligned)]  # fmt: skip
    return [[((r, q), v * w) for r, v in ys for q, w in xs] for ys in down for xs in over]


def weighted(sample: Sample, plane: np.ndarray) -> tuple[Fraction | float, Fraction]:
    """The sum of weight times value, and of its magnitudes; NaN and infinities as floats have."""
    total, size, special = Fraction(0), Fraction(0), 0.0
    for at, weight in sample:
        value = plane[at]
        if not math.isfinite(value):
            special += value
        else:
            total += weight * Fraction(value)
            size += weight * abs(Fraction(value))
    return (special if special != 0 else total), size


def roi_align(
    x: np.ndarray, boxes: np.ndarray, size: Any, scale: float = 1.0, sampling: int = -1,
    aligned: bool = False, mode: str = "avg", layout: str = "NCHW", omit: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Results in float64, and the magnitude that their errors go by, (K, C, height, width)."""
    source = np.asarray(oracle.widen(planes(x, layout)), np.float64)
    channels, *lengths = source.shape[1:]
    shape = (len(boxes), channels, *pair(size))
    values, sizes = np.zeros(shape), np.zeros(shape)
    for k, a, b in np.ndindex(shape[0], *shape[2:]):
        read = bin_samples(
            boxes[k], scale, (a, b), shape[2:], (lengths[0], lengths[1]), sampling, aligned
        )
        for c in range(channels):
            plane = source[int(boxes[k][0]), c].tolist()
            found = (mean if mode == "avg" else largest)(read, np.array(plane, object), omit)
            values[k, c, a, b], sizes[k, c, a, b] = found
    return values, sizes


def mean(read: list[Sample], plane: np.ndarray, omit: bool) -> tuple[float, float]:
    if not read:
        return 0.0, 0.0
    everything = [tap for sample in read for tap in sample]
    count = Fraction(len(read))
    if omit:
        count -= sum((w for at, w in everything if plane[at] != plane[at]), Fraction(0))
        everything = [(at, w) for at, w in everything if plane[at] == plane[at]]
        if not everything and count == 0:
            return math.nan, 0.0
    total, size = weighted(everything, plane)
    if isinstance(total, float):
        return total, 0.0
    return float(total / count), float(size / count)


def largest(read: list[Sample], plane: np.ndarray, omit: bool) -> tuple[float, float]:
    if not read:
        return 0.0, 0.0
    results = []
    for sample in read:
        if omit and any(plane[at] != plane[at] for at, _ in sample):
            continue
        results.append(weighted(sample, plane))
    numbers = [float(value) for value, _ in results]
    if not numbers:
        return math.nan, 0.0
    size = max(float(size) for _, size in results)
    if omit:
        return max((n for n in numbers if n == n), default=math.nan), size
    return (math.nan if any(n != n for n in numbers) else max(numbers)), size


def align_gradient(
    grad: np.ndarray, boxes: np.ndarray, shape: tuple[int, ...], scale: float = 1.0,
    sampling: int = -1, aligned: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The gradient of roi_align's means, (N, C, H, W), and the magnitude of what is added up."""
    given = np.asarray(oracle.widen(grad), np.float64)
    total, size = np.zeros(shape, object), np.zeros(shape)
    total[...] = Fraction(0)
    for k, a, b in np.ndindex(grad.shape[0], *grad.shape[2:]):
        read = bin_samples(
            boxes[k], scale, (a, b), grad.shape[2:], (shape[2], shape[3]), sampling, aligned
        )
        for sample in read:
            for (r, q), weight in sample:
                for c in range(shape[1]):
                    part = weight / len(read) * Fraction(given[k, c, a, b])
                    total[int(boxes[k][0]), c, r, q] += part
                    size[int(boxes[k][0]), c, r, q] += abs(float(part))
    return total.astype(np.float64), size


def largest_gradient(
    grad: np.ndarray, x: np.ndarray, boxes: np.ndarray, sampling: int, aligned: bool
) -> np.ndarray:
    """The gradient of roi_align's maxima, (N, C, H, W), of finite x without ties."""
    total = np.zeros(x.shape)
    for k, c, a, b in np.ndindex(grad.shape):
        at = int(boxes[k][0])
        read = bin_samples(boxes[k], 1.0, (a, b), grad.shape[2:], x.shape[2:], sampling, aligned)
        sums = [weighted(sample, x[at, c])[0] for sample in read]
        if sums:
            for place, weight in read[sums.index(max(sums))]:
                total[(at, c, *place)] += float(weight) * grad[k, c, a, b]
    return total


def pool_gradient(
    grad: np.ndarray, indices: np.ndarray, boxes: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """The gradient of roi_pool, (N, C, H, W): floats added in float64, integers modulo."""
    real = oracle.is_float(grad.dtype)
    given = np.asarray(oracle.widen(grad), np.float64) if real else grad
    total = np.zeros(shape, given.dtype)
    with np.errstate(all="ignore"):
        for k, c, a, b in np.ndindex(grad.shape):
            at = int(indices[k, c, a, b])
            if at >= 0:
                place = (int(boxes[k][0]), c, *divmod(at, shape[3]))
                total[place] = total[place] + given[k, c, a, b]
        return oracle.narrow_to(total + total.dtype.type(0), grad.dtype) if real else total
