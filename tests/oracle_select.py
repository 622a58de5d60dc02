"""What majority and median pooling must return, from docs/numerics.md: one window at a time.

Python integers and fractions; shares nothing with the library. Tests alone import it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np

import oracle


def windows(x: np.ndarray, geometry: list[oracle.Axis]) -> Any:
    """(index of the result, real taps of its window), over the last axes of x."""
    lead = x.shape[: x.ndim - len(geometry)]
    for place in itertools.product(*(range(n) for n in lead), *(range(a.o) for a in geometry)):
        where = place[len(lead) :]
        taps = []
        for axis, o in zip(geometry, where, strict=True):
            positions = [o * axis.s - axis.lo + j * axis.d for j in range(axis.k)]
            taps.append([p for p in positions if 0 <= p < axis.n])
        yield place, x[place[: len(lead)]][np.ix_(*taps)].ravel()


def mode_of(taps: np.ndarray, skip: int | None = None) -> int | None:
    counts = Counter(int(v) for v in taps)
    counts.pop(skip, None)
    if not counts:
        return skip
    most = max(counts.values())
    return min(label for label, count in counts.items() if count == most)


def middles(taps: np.ndarray, nan_policy: str) -> tuple[Any, Any] | None:
    """The two middle values, as Python numbers; None where the median is NaN."""
    values = [float(v) if oracle.is_float(taps.dtype) else int(v) for v in taps]
    numbers = [v for v in values if v == v]
    if not numbers or (len(numbers) < len(values) and nan_policy != "omit"):
        return None
    numbers.sort()
    return numbers[(len(numbers) - 1) // 2], numbers[len(numbers) // 2]


def float_median(pair: tuple[Any, Any] | None) -> float:
    """The exact mean of two values, rounded once to float64, never -0.0."""
    if pair is None:
        return float("nan")
    if any(abs(v) == float("inf") for v in pair):
        return float(pair[0] + pair[1])
    return float((Fraction(pair[0]) + Fraction(pair[1])) / 2) + 0.0


def exact_to(pair: tuple[Any, Any] | None, dtype: np.dtype) -> Any:
    value = float_median(pair)
    return oracle.narrow_to(np.array([value]), dtype)[0]


def pool(
    x: np.ndarray,
    kernel_size: Any,
    op: str,
    axes: tuple[int, ...],
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    dtype: Any = None,
    rounding: str = "half_even",
    nan_policy: str = "propagate",
    skip: int | None = None,
) -> np.ndarray:
    axes = tuple(a % x.ndim for a in axes)
    geometry = oracle.geometries(x.shape, axes, kernel_size, stride, padding, dilation, ceil_mode)
    ordered = sorted(axes)
    last = range(x.ndim - len(axes), x.ndim)
    moved = np.moveaxis(x, ordered, last)
    out = x.dtype if op == "mode" else oracle.result_dtype(x.dtype, "avg", dtype)
    result = np.empty(moved.shape[: x.ndim - len(axes)] + tuple(a.o for a in geometry), out)
    for place, taps in windows(moved, geometry):
        if op == "mode":
            label = mode_of(taps, skip)
            if label is None:
                raise ValueError("a window without a tap has no majority")
            result[place] = label
            continue
        pair = middles(oracle.widen(taps), nan_policy)
        if oracle.is_float(out):
            result[place] = exact_to(pair, out)
            continue
        if pair is None:
            raise ValueError("a window without a tap has no integer median")
        info = np.iinfo(out)
        exact = oracle.round_mean(pair[0] + pair[1], 2, rounding)
        result[place] = min(max(exact, info.min), info.max)
    return np.moveaxis(result, last, ordered)
