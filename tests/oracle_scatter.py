"""What unpooling and the gradients of maxima must return, one value at a time.

Pure NumPy, from the rules in docs/numerics.md; shares nothing with the library.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import oracle


def planes(x: np.ndarray, nd: int, layout_last: bool) -> np.ndarray:
    """x as (..., plane): one row for each plane, in row-major order of the pooled axes."""
    if layout_last:
        x = np.moveaxis(x, -1, -1 - nd)
    return x.reshape(*x.shape[: x.ndim - nd], int(np.prod(x.shape[x.ndim - nd :])))


def unpooled_length(n: int, k: int, s: int, pads: tuple[int, int]) -> int:
    return (n - 1) * s - sum(pads) + k


def result_shape(shape: tuple[int, ...], size: tuple[int, ...], last: bool) -> tuple[int, ...]:
    """`shape` with the pooled axes of those sizes."""
    nd = len(size)
    if last:
        return (*shape[: len(shape) - nd - 1], *size, shape[-1])
    return (*shape[: len(shape) - nd], *size)


def scatter(
    values: np.ndarray, indices: np.ndarray, size: tuple[int, ...], *, add: bool, last: bool
) -> np.ndarray:
    """Values to their indices in planes of `size`: the last stays, or they add up in order."""
    nd = len(size)
    wide = np.float32 if values.dtype.itemsize == 2 and oracle.is_float(values.dtype) else None
    v = planes(values, nd, last)
    i = planes(indices, nd, last)
    work = oracle.widen(v) if wide else v
    out = np.zeros((*v.shape[:-1], int(np.prod(size))), work.dtype)
    with np.errstate(all="ignore"):
        for at in np.ndindex(v.shape):
            place = (*at[:-1], int(i[at]))
            if add and place[-1] == -1:
                continue
            out[place] = out[place] + work[at] if add else work[at]
    shaped = out.reshape(*v.shape[:-1], *size)
    if last:
        shaped = np.moveaxis(shaped, -1 - nd, -1)
    return oracle.narrow_to(shaped, values.dtype) if wide else shaped


def gather(grad: np.ndarray, indices: np.ndarray, nd: int, *, last: bool) -> np.ndarray:
    """Each value's share of the gradient of its plane; only the last at a place has any."""
    g = planes(grad, nd, last)
    i = planes(indices, nd, last)
    out = np.zeros(i.shape, grad.dtype)
    for lead in np.ndindex(i.shape[:-1]):
        stayed = {int(place): at for at, place in enumerate(i[lead])}
        for place, at in stayed.items():
            out[(*lead, at)] = g[(*lead, place)]
    inner = np.moveaxis(indices, -1, -1 - nd).shape if last else indices.shape
    shaped = out.reshape(inner)
    return np.moveaxis(shaped, -1 - nd, -1) if last else shaped


def first_bad(indices: np.ndarray, plane: int, *, allow_none: bool) -> tuple[int, ...] | None:
    """Where the first index outside a plane lies."""
    for at in np.ndindex(indices.shape):
        value: Any = int(indices[at])
        if not (0 <= value < plane or (allow_none and value == -1)):
            return at
    return None
