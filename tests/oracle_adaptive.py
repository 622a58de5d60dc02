"""What adaptive pooling must return: every window cut out and pooled whole by oracle.py.

Written from the definition of the windows alone, with Python integers. Tests may import it; nothing
else does.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

import oracle


def windows(n: int, o: int) -> list[tuple[int, int]]:
    """Start and end of every window along an axis of n elements."""
    return [(i * n // o, -(-(i + 1) * n // o)) for i in range(o)]


def pool(
    x: np.ndarray, output_size: tuple[int | None, ...], op: str, axes: tuple[int, ...], **how: Any
) -> Any:
    """Pool `axes`, in ascending order, of x adaptively; options as those of oracle.pool."""
    wants_indices = how.get("return_indices", False)
    sizes = [x.shape[a] if o is None else o for a, o in zip(axes, output_size, strict=True)]
    if min(x.shape[a] for a in axes) < 1 or min(sizes) < 0:
        raise ValueError("no such windows")
    shape = list(x.shape)
    for axis, o in zip(axes, sizes, strict=True):
        shape[axis] = o
    dtype = oracle.result_dtype(x.dtype, op, how.get("dtype"))
    values = np.zeros(shape, dtype)
    indices = np.zeros(shape, np.int64)
    per_axis = [list(enumerate(windows(x.shape[a], o))) for a, o in zip(axes, sizes, strict=True)]
    for place in itertools.product(*per_axis):
        source = [slice(None)] * x.ndim
        target = [slice(None)] * x.ndim
        for axis, (i, (lo, hi)) in zip(axes, place, strict=True):
            source[axis] = slice(lo, hi)
            target[axis] = slice(i, i + 1)
        part = x[tuple(source)]
        whole = tuple(part.shape[a] for a in axes)
        got = oracle.pool(part, whole, op, axes, **how)
        if wants_indices:
            got, local = got
            at = np.unravel_index(local, whole)
            there = [p + lo for p, (_, (lo, _)) in zip(at, place, strict=True)]
            indices[tuple(target)] = np.ravel_multi_index(there, [x.shape[a] for a in axes])
        values[tuple(target)] = got
    return (values, indices) if wants_indices else values


def covering(n: int, o: int) -> list[list[int]]:
    """For every element of an axis, the windows that hold it, in ascending order."""
    return [[i for i, (lo, hi) in enumerate(windows(n, o)) if lo <= p < hi] for p in range(n)]


@np.errstate(all="ignore")
def backward(grad: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """The gradient of adaptive means of `axes`, ascending, of an array of `shape`."""
    pairs = [(shape[a], grad.shape[a]) for a in axes]
    longest = math.prod(max((hi - lo for lo, hi in windows(n, o)), default=1) for n, o in pairs)
    most = math.prod(max(map(len, covering(n, o))) for n, o in pairs)
    floats = oracle.is_float(grad.dtype)
    narrow = floats and grad.dtype != np.float64 and most <= 4096 and longest <= 2**24
    work = np.float32 if narrow else np.float64
    x = oracle.widen(grad).astype(work) + work(0)
    counts = np.ones((), work)
    for axis, (n, o) in zip(axes, pairs, strict=True):
        lengths = np.array([hi - lo for lo, hi in windows(n, o)], work)
        counts = counts * lengths.reshape([-1 if a == axis else 1 for a in range(grad.ndim)])
    x = x / counts
    for axis, (n, o) in zip(axes, pairs, strict=True):
        rows = []
        for found in covering(n, o):
            terms = [np.take(x, i, axis=axis) for i in found]
            zero = np.zeros(x.shape[:axis] + x.shape[axis + 1 :], work)
            rows.append(oracle.tree_sum(terms.__getitem__, len(terms)) if terms else zero)
        x = np.stack(rows, axis=axis)
    return oracle.narrow_to(x + work(0), grad.dtype if floats else np.dtype(np.float64))
