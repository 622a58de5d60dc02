"""Peers without a library: the lesson's loops, and NumPy as one would decently write it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bench.cases import Case
from bench.contender import Contender, Job, peer

LOOP_WINDOWS = 2000  # of more windows than these the loops do a part


def _window(case: Case, at: tuple[int, ...]) -> tuple[slice, ...]:
    lengths = zip(at, case.kernel, case.stride, case.padding, case.spatial, strict=True)
    return tuple(slice(max(i * s - p, 0), min(i * s - p + k, n)) for i, k, s, p, n in lengths)


@peer("Python loop", "numpy")
def python_loop(job: Job) -> Contender:
    """Loop over the windows in Python, one reduction of an array slice each: the lesson's way.

    Of a large case only the first windows are done; the time counts as that share of the whole.
    """
    case = job.case
    x = np.moveaxis(job.x, -1, 1) if case.channels_last else job.x
    total = math.prod(case.out_shape)
    positions = list(itertools.islice(np.ndindex(*case.out_spatial), LOOP_WINDOWS))
    planes = list(itertools.islice(
        np.ndindex(case.batch, case.channels), max(1, LOOP_WINDOWS // len(positions))
    ))  # fmt: skip
    divisors = case.divisors() if case.op == "avg" else None

    def call() -> list[Any]:
        found = []
        for plane in planes:
            for at in positions:
                window = x[plane][_window(case, at)]
                if divisors is None:
                    found.append(window.max())
                    if case.indices:
                        window.argmax()
                else:
                    found.append(window.sum(dtype=float) / divisors[at])
        return found

    part = len(planes) * len(positions) / total
    notes = [] if part == 1 else [f"extrapolated from {part:.2%} of the windows"]
    return Contender("Python loop", call, lambda y: None, part, notes=notes)


def _padded(case: Case, x: np.ndarray, fill: Any) -> np.ndarray:
    """Make room for every window, also for one that hangs over the end."""
    widths = [(0, 0)] * x.ndim
    lengths = zip(case.axes, case.out_spatial, case.kernel, case.stride, case.padding, strict=True)
    for axis, o, k, s, p in lengths:
        widths[axis] = (p, max(0, (o - 1) * s + k - p - x.shape[axis]))
    if not any(any(width) for width in widths):
        return x
    return np.pad(x, widths, constant_values=fill)


def _along(x: np.ndarray, axis: int, window: tuple[int, int, int], combine: np.ufunc) -> np.ndarray:
    """Combine the windows along one axis: shifted copies, doubled where the stride is 1."""
    k, s, o = window

    def shifted(source: np.ndarray, start: int, length: int, step: int = 1) -> np.ndarray:
        cut = [slice(None)] * source.ndim
        cut[axis] = slice(start, start + (length - 1) * step + 1, step)
        return source[tuple(cut)]

    if s == 1 and k > 3 and combine is np.maximum:
        width, y = 1, x
        while 2 * width <= k:
            length = y.shape[axis] - width
            y = combine(shifted(y, 0, length), shifted(y, width, length))
            width *= 2
        return combine(shifted(y, 0, o), shifted(y, k - width, o))
    if k == 1:
        return shifted(x, 0, o, s)
    y = combine(shifted(x, 0, o, s), shifted(x, 1, o, s))
    for tap in range(2, k):
        combine(y, shifted(x, tap, o, s), out=y)
    return y


def _lowest(dtype: np.dtype) -> Any:
    return np.iinfo(dtype).min if dtype.kind in "iu" else dtype.type(-np.inf)


def _numpy_max(case: Case, x: np.ndarray) -> np.ndarray:
    if case.whole:
        return x.max(axis=case.axes, keepdims=True)
    y = _padded(case, x, _lowest(x.dtype))
    for axis, *window in zip(case.axes, case.kernel, case.stride, case.out_spatial, strict=True):
        y = _along(y, axis, tuple(window), np.maximum)
    return y


def _numpy_avg(case: Case, x: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    exact = x.dtype.kind in "iu"
    wide = np.dtype(np.uint32 if exact else np.float64 if x.dtype == np.float64 else np.float32)
    if case.whole:
        y = x.sum(axis=case.axes, keepdims=True, dtype=wide)
    else:
        y = _padded(case, x.astype(wide, copy=False), 0)
        axes = zip(case.axes, case.kernel, case.stride, case.out_spatial, strict=True)
        for axis, *window in axes:
            y = _along(y, axis, tuple(window), np.add)
    same = divisors.size == 1 or bool((divisors == divisors.flat[0]).all())
    if exact:
        by = wide.type(divisors.flat[0]) if same else divisors.astype(wide)
        return ((y + by // 2) // by).astype(x.dtype)
    by = wide.type(divisors.flat[0]) if same else divisors.astype(wide)
    return np.divide(y, by, out=y).astype(x.dtype, copy=False)


def _numpy_indices(case: Case, x: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    step = [slice(None)] * x.ndim
    for axis, s, o in zip(case.axes, case.stride, case.out_spatial, strict=True):
        step[axis] = slice(0, (o - 1) * s + 1, s)
    windows = sliding_window_view(_padded(case, x, _lowest(x.dtype)), case.kernel, case.axes)
    flat = windows[tuple(step)].reshape(*case.out_shape, -1)
    first = flat.argmax(axis=-1)
    values = np.take_along_axis(flat, first[..., None], -1)[..., 0]
    taps = np.unravel_index(first, case.kernel)
    offset = np.zeros_like(first)
    for tap, n in zip(taps, case.spatial, strict=True):
        offset = offset * n + tap
    return values, base + offset


def _first_taps(case: Case) -> np.ndarray:
    """Give the flat place of every window's first tap, which may lie in the padding."""
    result = np.zeros(case.out_spatial, np.int64)
    grids = np.ogrid[tuple(slice(o) for o in case.out_spatial)]
    for grid, s, p, n in zip(grids, case.stride, case.padding, case.spatial, strict=True):
        result = result * n + (grid * s - p)
    return result[..., None] if case.channels_last else result


@peer("NumPy", "numpy")
def numpy(job: Job) -> Contender:
    """Shifted maxima or sums, one axis at a time; one thread, as NumPy does."""
    case, x = job.case, job.x
    call: Callable[[], Any]
    if case.indices:
        base = _first_taps(case)
        call = lambda: _numpy_indices(case, x, base)  # noqa: E731
    elif case.op == "max":
        call = lambda: _numpy_max(case, x)  # noqa: E731
    else:
        divisors = case.divisors()
        divisors = divisors[..., None] if case.channels_last else divisors
        call = lambda: _numpy_avg(case, x, divisors)  # noqa: E731
    return Contender("NumPy", call)
