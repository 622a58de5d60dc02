"""Windows of fractional pooling: where they start, and their maxima.

The maximum of every window at stride 1 comes from the compiled module, of a block of planes or of a
part of one at a time, and those that are asked for are picked from it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from poolcore import _core
from poolcore._config import get_num_threads
from poolcore._typing import Array

__all__ = ["Windows", "pool_planes"]

_Starts = npt.NDArray[np.int64]

# Bytes that are held for each thread: windows at stride 1, and the places of those asked for.
_HELD = 960 * 1024


class Windows(NamedTuple):
    """The windows of planes (N, C, ...), from samples (N, C, axes).

    `starts` has one array (N, C, windows) an axis, for the planes at hand only.
    """

    kernel: tuple[int, ...]
    samples: Array
    nan_policy: str
    threads: Any
    most: int  # windows at stride 1 that are held at once
    starts: tuple[_Starts, ...] = ()

    @staticmethod
    def most_held(itemsize: int, both: bool, threads: Any) -> int:
        """Give the number of windows, of values or with indices, that take up what is allowed."""
        share = get_num_threads() if threads is None else int(threads)
        return _HELD * min(share, 4) // (itemsize + 8 + (16 if both else 0))


def _starts_of(
    samples: Array, kernel: tuple[int, ...], output: tuple[int, ...], sizes: tuple[int, ...],
    dtype: np.dtype[Any],
) -> tuple[_Starts, ...]:  # fmt: skip
    """Give the starts along each axis, from samples (N, C, axes).

    In the arithmetic of `dtype` as in PyTorch, whose first sample drives W in planes, and D in
    volumes.
    """
    real = dtype.type if dtype.kind == "f" or dtype.name == "bfloat16" else np.float64
    order = samples[..., ::-1] if len(sizes) == 2 else samples
    found = []
    for axis, (k, o, n) in enumerate(zip(kernel, output, sizes, strict=True)):
        u = order[..., axis, np.newaxis].astype(real)
        starts = np.full((*u.shape[:-1], o), n - k, np.int64)
        if o > 1:
            with np.errstate(all="ignore"):
                alpha = real(n - k) / real(o - 1)
                steps = _floor((np.arange(o - 1).astype(real) + u) * alpha, n)
                starts[..., :-1] = np.clip(steps - _floor(u * alpha, n), 0, n - k)
        found.append(starts)
    return tuple(found)


def _floor(values: Array, most: int) -> _Starts:
    """Whole parts of numbers that are not negative, infinity included."""
    return np.minimum(values.astype(np.float64), float(most)).astype(np.int64)


def pool_planes(x: Array, values: Array, indices: Array | None, windows: Windows) -> None:
    """Write the maxima of the planes of x (N, C, ...), and their flat indices."""
    nd = len(windows.kernel)
    sizes, output = x.shape[2:], values.shape[2:]
    every = int(np.prod([n - k + 1 for n, k in zip(sizes, windows.kernel, strict=True)]))
    channels = max(1, min(x.shape[1], windows.most // max(1, every)))
    images = max(1, windows.most // max(1, every * channels)) if channels == x.shape[1] else 1
    strides = np.cumprod([1, *x.shape[:2:-1]])[::-1][:nd].tolist()
    for n in range(0, x.shape[0], images):
        for c in range(0, x.shape[1], channels):
            block = (slice(n, n + images), slice(c, c + channels))
            starts = _starts_of(windows.samples[block], windows.kernel, output, sizes, x.dtype)
            _pool_block(
                x[block], values[block], None if indices is None else indices[block],
                windows._replace(starts=tuple(starts)), strides, 0,
            )  # fmt: skip


def _pool_block(
    x: Array, values: Array, indices: Array | None, windows: Windows, strides: list[int],
    offset: int,
) -> None:  # fmt: skip
    """Pool planes that fit, or one plane in halves until they do."""
    every = [n - k + 1 for n, k in zip(x.shape[2:], windows.kernel, strict=True)]
    axis = next((a for a, o in enumerate(values.shape[2:]) if o > 1), None)
    if (
        np.prod(every, dtype=float) > windows.most
        and x.shape[0] * x.shape[1] == 1
        and axis is not None
    ):
        half = values.shape[2 + axis] // 2
        for part in (slice(None, half), slice(half, None)):
            starts = list(windows.starts)
            mine = starts[axis][..., part]
            low = int(mine.min())
            high = int(mine.max()) + windows.kernel[axis]
            starts[axis] = mine - low
            outs = (slice(None),) * (2 + axis) + (part,)
            _pool_block(
                x[(slice(None),) * (2 + axis) + (slice(low, high),)], values[outs],
                None if indices is None else indices[outs], windows._replace(starts=tuple(starts)),
                strides, offset + low * strides[axis],
            )  # fmt: skip
        return
    found: Any = _core.pool(
        "pool", x, windows.kernel, 1, 0, 1, False, True, None, indices is not None, None,
        "half_even", None, tuple(range(2, x.ndim)), "max", windows.nan_policy, None,
        windows.threads,
    )  # fmt: skip
    pooled, where = found if indices is not None else (found, found)
    places = _places(windows.starts, every)
    _pick(pooled, places, values)
    if indices is not None:
        _pick(where, places, indices)
        # Flat positions in the part become those of the plane.
        in_plane = _in_plane(indices, x.shape[2:], strides)
        if in_plane is not indices or offset:
            np.add(in_plane, offset, out=indices)


def _places(starts: tuple[_Starts, ...], every: list[int]) -> _Starts:
    """Flat places of all combinations of starts among the windows at stride 1 of all planes."""
    nd = len(every)
    step = 1
    lead = starts[0].shape[:2]
    planes = np.arange(lead[0] * lead[1]).reshape(*lead, *(1,) * nd)
    total: Any = planes * int(np.prod(every))
    for axis in reversed(range(nd)):
        shape = (*starts[axis].shape[:2], *(-1 if a == axis else 1 for a in range(nd)))
        total = total + starts[axis].reshape(shape) * step
        step *= every[axis]
    return np.asarray(total)


def _pick(pooled: Array, places: _Starts, out: Array) -> None:
    """Take elements of an array in row-major order; all places lie in it."""
    flat = np.ascontiguousarray(pooled).reshape(-1)
    if out.flags.c_contiguous and out.dtype == flat.dtype:
        flat.take(places, mode="clip", out=out)
    else:
        out[...] = flat.take(places, mode="clip")


def _in_plane(part: _Starts, sizes: tuple[int, ...], strides: list[int]) -> _Starts:
    inner = np.cumprod([1, *sizes[:0:-1]])[::-1].tolist()
    if inner == strides:
        return part
    result = np.zeros_like(part)
    for step, stride in zip(inner, strides, strict=True):
        digit, part = np.divmod(part, step)
        result += digit * stride
    return result
