"""What fractional max pooling must return: every window cut out and pooled whole by oracle.py.

The starts follow Graham's sequence as PyTorch computes it, one window at a time in scalars of the
type of x. Tests may import it; nothing else does.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import oracle


@np.errstate(all="ignore")
def starts(n: int, k: int, o: int, u: Any, dtype: np.dtype) -> list[int]:
    """The first element of each of o windows of k along an axis of n."""
    real = dtype.type if oracle.is_float(dtype) else np.float64
    u = real(u)
    found = []
    for i in range(o - 1):
        alpha = real(n - k) / real(o - 1)
        start = int((real(i) + u) * alpha) - int(u * alpha)
        found.append(min(max(start, 0), n - k))
    return [*found, n - k] if o else []


def pool(
    x: np.ndarray, kernel: tuple[int, ...], size: tuple[int, ...], samples: np.ndarray, **how: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Pool the last axes of x (N, C, ...); `samples` has shape (N, C, axes)."""
    nd = len(kernel)
    values = np.zeros((*x.shape[:2], *size), x.dtype)
    indices = np.zeros(values.shape, np.int64)
    for n, c in itertools.product(range(x.shape[0]), range(x.shape[1])):
        plane = x[n, c]
        order = samples[n, c][::-1] if nd == 2 else samples[n, c]
        per_axis = [
            list(enumerate(starts(plane.shape[a], kernel[a], size[a], order[a], x.dtype)))
            for a in range(nd)
        ]
        for place in itertools.product(*per_axis):
            window = plane[tuple(slice(s, s + k) for (_, s), k in zip(place, kernel, strict=True))]
            got, local = oracle.pool(
                window, kernel, "max", tuple(range(nd)), return_indices=True, **how
            )
            at = tuple(i for i, _ in place)
            there = np.unravel_index(int(local.item()), kernel)
            where = [int(t) + s for t, (_, s) in zip(there, place, strict=True)]
            values[n, c][at] = got.reshape(())
            indices[n, c][at] = np.ravel_multi_index(where, plane.shape)
    return values, indices
