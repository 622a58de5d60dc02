"""What the gradients of sums and means must be: each element gathers what its windows were given.

Pure NumPy, from docs/numerics.md; shares nothing with the library.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import oracle


def most_windows(axis: oracle.Axis) -> int:
    """As many windows as cover any element: taps of one residue of the stride."""
    period = axis.s // math.gcd(axis.s, axis.d)
    return (axis.k - 1) // period + 1


def accumulator(x: np.dtype, op: str, axes: list[oracle.Axis], divisor: int | None) -> Any:
    if not oracle.is_float(x):
        return np.float64 if op == "avg" else np.uint64 if x.kind == "u" else np.int64
    if x == np.float64:
        return np.float64
    largest = math.prod(a.k for a in axes) if divisor is None else abs(divisor)
    narrow = math.prod(map(most_windows, axes)) <= 4096
    return np.float32 if narrow and (op == "sum" or largest <= 2**24) else np.float64


def gather(x: np.ndarray, axis: oracle.Axis, where: int) -> np.ndarray:
    """Along one axis: for each element the tree over the windows on it, the earliest first."""
    zero = np.zeros(x.shape[:where] + x.shape[where + 1 :], x.dtype)
    rows = []
    for p in range(axis.n):
        q = p + axis.lo
        windows = [
            (q - j * axis.d) // axis.s
            for j in reversed(range(axis.k))
            if (q - j * axis.d) % axis.s == 0
        ]

        def term(i: int, windows=windows, x=x) -> np.ndarray:
            o = windows[i]
            return np.take(x, o, axis=where) if 0 <= o < axis.o else zero

        rows.append(oracle.tree_sum(term, len(windows)) if windows else zero)
    return np.stack(rows, axis=where)


@np.errstate(all="ignore")
def backward(
    grad: np.ndarray,
    op: str,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    window: dict[str, Any],
    *,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """The gradient of `op` over `axes` (ascending) of an array of `shape`."""
    geometry = oracle.geometries(
        shape, axes, window["kernel_size"], window["stride"], window["padding"],
        window["dilation"], window["ceil_mode"],
    )  # fmt: skip
    last = range(grad.ndim - len(axes), grad.ndim)
    moved = np.moveaxis(grad, axes, last)
    work = accumulator(grad.dtype, op, geometry, divisor_override)
    x = oracle.widen(moved).astype(work)
    if op == "avg":
        bounds = [(-a.lo, a.n + a.hi) if count_include_pad else (0, a.n) for a in geometry]
        counts = oracle.outer_counts([a.count(*b) for a, b in zip(geometry, bounds, strict=True)])
        if divisor_override is not None:
            counts = np.full(counts.shape, divisor_override, object)
        x = (x + work(0)) / np.broadcast_to(counts.astype(np.float64), x.shape).astype(work)
    for number, axis in enumerate(geometry):
        x = gather(x, axis, x.ndim - len(axes) + number)
    if np.issubdtype(work, np.floating):
        out = grad.dtype if oracle.is_float(grad.dtype) else np.dtype(np.float64)
        x = oracle.narrow_to(x + work(0), out)
    return np.moveaxis(x, last, axes)
