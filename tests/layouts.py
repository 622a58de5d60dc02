"""The memory layouts an array can come in. Each maker returns an array of the shape it is given.

`LAYOUTS` are taken as they are, without a copy; `REFUSED` must be a TypeError. The values of a
view need not be those of the array it was made from (zero strides repeat them): compare with
np.ascontiguousarray(view).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np

Maker = Callable[[np.ndarray], np.ndarray]


def contiguous(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(x.shape)


def fortran(x: np.ndarray) -> np.ndarray:
    return np.asfortranarray(x)


def transposed(x: np.ndarray) -> np.ndarray:
    """Memory runs along the second axis last but one: the last two axes swapped."""
    if x.ndim < 2:
        return x.copy()
    return np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2)


def channels_last(x: np.ndarray) -> np.ndarray:
    """NHWC memory seen as NCHW (any rank of at least 3: axis 1 is innermost)."""
    if x.ndim < 3:
        return x.copy()
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def rotated(x: np.ndarray) -> np.ndarray:
    """The first axis is innermost."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)


def sliced(x: np.ndarray) -> np.ndarray:
    """Every second element of a larger array, off its edge."""
    big = np.zeros([2 * n + 3 for n in x.shape], x.dtype)
    view = big[tuple(slice(1, 1 + 2 * n, 2) for n in x.shape)]
    view[...] = x
    return view


def cropped(x: np.ndarray) -> np.ndarray:
    """Rows are contiguous, the pitch is longer."""
    big = np.zeros([n + 5 for n in x.shape], x.dtype)
    view = big[tuple(slice(2, 2 + n) for n in x.shape)]
    view[...] = x
    return view


def reversed_all(x: np.ndarray) -> np.ndarray:
    """Every stride is negative."""
    flip = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[flip])[flip]


def reversed_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[..., ::-1])[..., ::-1]


def reversed_first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[::-1])[::-1]


def broadcast_last(x: np.ndarray) -> np.ndarray:
    """Zero stride along the last axis."""
    return np.broadcast_to(x[..., :1].copy(), x.shape)


def broadcast_first(x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(x[:1].copy(), x.shape)


def broadcast_all(x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(x.reshape(-1)[:1].copy().reshape(()), x.shape)


def overlapping(x: np.ndarray) -> np.ndarray:
    """Rows that overlap in memory, as sliding windows do."""
    strides = [x.itemsize] * x.ndim
    flat = np.resize(x.reshape(-1), sum(x.shape) + 1)
    return np.lib.stride_tricks.as_strided(flat, x.shape, strides, writeable=False)


def misaligned(x: np.ndarray) -> np.ndarray:
    """One byte off the alignment of the type."""
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def record_field(x: np.ndarray) -> np.ndarray:
    """A field of packed records: strides are no multiple of the item size."""
    records = np.zeros(x.shape, np.dtype([("tag", np.uint8), ("value", x.dtype), ("rest", "V2")]))
    records["value"] = x
    return records["value"]


def read_only(x: np.ndarray) -> np.ndarray:
    view = x.copy()
    view.flags.writeable = False
    return view


def memory_mapped(x: np.ndarray) -> np.ndarray:
    """Pages of an anonymous map, read-only to the interpreter."""
    pages = mmap.mmap(-1, max(x.nbytes, 1))
    pages.write(np.ascontiguousarray(x).tobytes())
    view = np.frombuffer(pages, dtype=x.dtype, count=x.size).reshape(x.shape)
    view.flags.writeable = False
    return view


LAYOUTS: list[Maker] = [
    contiguous,
    fortran,
    transposed,
    channels_last,
    rotated,
    sliced,
    cropped,
    reversed_all,
    reversed_last,
    reversed_first,
    broadcast_last,
    broadcast_first,
    broadcast_all,
    overlapping,
    misaligned,
    record_field,
    read_only,
    memory_mapped,
]

# Those whose strides order the axes without doubt, so the result's memory order is defined.
ORDERED: list[Maker] = [contiguous, fortran, transposed, channels_last, rotated, sliced, cropped,
                        reversed_all, reversed_last, misaligned, record_field]  # fmt: skip


def byte_swapped(x: np.ndarray) -> np.ndarray:
    return x.astype(x.dtype.newbyteorder())


REFUSED: list[Maker] = [byte_swapped]


def name(maker: Any) -> str:
    return maker.__name__
