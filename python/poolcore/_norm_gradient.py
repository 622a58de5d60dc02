"""Gradients of norms and generalised means, block after block.

With y the norm of a window, dy/dx is sign(x) * |x|**(p-1) * y**(1-p). So each window's gradient
times y**(1-p) is spread as that of a sum, and an element takes what it gets times
sign(x) * |x|**(p-1). Where one of these leaves the range of float64 the quotients |x| / y are
raised instead, window by window. All powers are the core's, whose bits no CPU changes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from poolcore import _core
from poolcore._typing import Array

__all__ = ["norm_backward"]

_pool: Any = _core.pool
_norm_windows: Any = _core.norm_windows
_window_backward: Any = _core.window_backward
_BLOCK = 1 << 14  # elements that are worked on at a time, in float64
_LAYOUTS = ("NCW", "NCHW", "NCDHW")
_OUT, _THREADS = 16, 17  # places of _core.pool's arguments
# Factors within these limits have products and sums that float64 holds.
_LEAST, _MOST = 2.0**-450, 2.0**450
_LEAST_POWER = 2.0**-900


class _Window(NamedTuple):
    """Windows along one axis: kernel, stride, dilation, padding before, how many."""

    axis: int
    k: int
    s: int
    d: int
    lo: int
    o: int

    @property
    def e(self) -> int:
        return self.d * (self.k - 1) + 1

    def pads(self, first: int, last: int, low: int, high: int) -> tuple[int, int]:
        """Give the padding with which windows [first, last) lie so on elements [low, high)."""
        start = first * self.s - self.lo
        end = (last - 1) * self.s - self.lo + self.e
        return max(0, low - start), max(0, end - high)


class _Band(NamedTuple):
    """Positions [low, high) of an axis, those below `first` under no window."""

    low: int
    first: int
    high: int
    at: tuple[int, int]  # the windows on them,
    start: int  # which reach over [start, end)
    end: int


class _Weights(NamedTuple):
    """What the windows give to the elements under them."""

    norm: Array
    grad: Array
    factor: Array  # grad * norm ** (1 - p)
    risky: Array | None  # where that may have lost its digits


def _float64(x: Array) -> Array:
    """Give a new contiguous array of float64."""
    return np.array(x, np.float64, order="C")


def _store(x: Array, out: Array) -> None:
    """Write x, rounded once, without -0.0 and with one NaN: a sum of windows of one element."""
    _pool(
        "pool", x, 1, 1, 0, 1, False, True, None, False, out.dtype, "half_even", None, -1, "sum",
        "propagate", out, 1,
    )  # fmt: skip


def _beyond(x: Array) -> Array:
    size = np.abs(x)
    return (size < _LEAST) | (size > _MOST)


@dataclass(frozen=True)
class _Norms:
    """One call on planes whose pooled axes are the last ones."""

    mean: bool  # of max(x, eps), not a norm of magnitudes
    p: float
    eps: float
    windows: tuple[_Window, ...]
    threads: Any

    def rows(self, x: Array, low: int, high: int) -> Array:
        """Take positions [low, high) of the first pooled axis."""
        axis = x.ndim - len(self.windows)
        return x[(*(slice(None),) * axis, slice(low, high))]

    def geometry(self, pads: tuple[int, int], shape: tuple[int, ...]) -> list[Any]:
        """Kernel, stride, padding and dilation as the core's functions take them."""
        rest = self.windows[1:]
        padding = [pads]
        padding += [w.pads(0, w.o, 0, n) for w, n in zip(rest, shape, strict=True)]
        kernels, strides, dilations = ([w[i] for w in self.windows] for i in (1, 2, 3))
        return [kernels, strides, padding, dilations, False]

    def norms(self, x: Array, pads: tuple[int, int]) -> Array:
        nd = len(self.windows)
        op: Any
        layout: Any
        axes: Any
        if self.mean:
            arguments = ["gem_pool", x, None, None, 0, 1, False]
            op, layout, axes = (self.p, self.eps), None, tuple(range(1, nd + 1))
        else:
            arguments = [f"lp_pool{nd}d", x, *self.geometry(pads, x.shape[2:])]
            op, layout, axes = self.p, _LAYOUTS[nd - 1], None
        result = _pool(
            *arguments, True, None, False, np.float64, "half_even", layout, axes, op, "propagate",
            None, self.threads,
        )  # fmt: skip
        return np.ascontiguousarray(result)

    def spread(self, t: Array, pads: tuple[int, int], shape: tuple[int, ...]) -> Array:
        nd = len(self.windows)
        result: Array = _window_backward(
            f"sum_pool{nd}d_backward", t, shape, *self.geometry(pads, shape[2:]), True, None,
            _LAYOUTS[nd - 1], None, True, None, self.threads,
        )  # fmt: skip
        return result

    def raised(self, x: Array) -> Array:
        """Give x to the power of |p - 1|."""
        powers = x.copy()
        _core.raise_magnitudes(powers, abs(self.p - 1))
        return powers

    def weights(self, grad: Array, x: Array, pads: tuple[int, int]) -> _Weights:
        norm = self.norms(x, pads)
        given = _float64(grad).reshape(norm.shape)
        if self.mean:
            given /= np.prod([w.k for w in self.windows])
        if self.p == 1:
            return _Weights(norm, given, given, None)
        power = self.raised(norm)
        factor = given / power if self.p > 1 else given * power
        factor[norm == 0] = 0
        risky = None
        wide = grad.dtype == np.float64  # no other type reaches the limits
        if wide or not (power.min() >= _LEAST and power.max() <= _MOST):
            finite = wide & (given != 0) & np.isfinite(given)
            risky = (norm > 0) & (norm < np.inf) & (_beyond(power) | (finite & _beyond(given)))
        return _Weights(norm, given, factor, risky if risky is not None and risky.any() else None)

    def elements(self, x: Array, first: int, weights: _Weights, at: tuple[int, int]) -> Array:
        """Give the gradient of elements that start at `first`, under the windows [at)."""
        pads = self.windows[0].pads(*at, first, first + x.shape[1])
        given = self.spread(weights.factor, pads, x.shape)
        size = np.maximum(x, self.eps) if self.mean else x  # but for the sign
        power = np.ones(x.shape) if self.p == 1 else self.raised(size)
        least, most = power.min(), power.max()
        if self.p >= 1:
            result = given * (x if self.p == 2 and not self.mean else power)
        else:
            result = np.divide(given, power, out=np.zeros(given.shape), where=power != 0)
        if self.mean:
            result *= x >= self.eps
        elif self.p != 2:
            result *= np.sign(x)
        if not most < np.inf or self.p == 1:  # though x be infinite or NaN, under no window
            result[given == 0] = 0
        if self.p == 1 or (least >= _LEAST_POWER and most < np.inf and weights.risky is None):
            return result
        flagged = ((power < _LEAST_POWER) & (size != 0)) | (power == np.inf)
        if weights.risky is not None:
            flagged |= self.spread(weights.risky.astype(np.float64), pads, x.shape) != 0
        places = np.nonzero(flagged)
        if len(places[0]):
            sign = x[places] >= self.eps if self.mean else np.sign(x[places])
            exact = self.quotients(np.abs(size[places]), places, first, weights, at)
            result[places] = exact * sign
        return result

    def quotients(
        self, size: Array, places: tuple[Array, ...], first: int, weights: _Weights,
        at: tuple[int, int],
    ) -> Array:  # fmt: skip
        """Add up what the windows give to single elements, in row-major order."""
        total = np.zeros(size.shape)
        origin = [first, *(0 for _ in self.windows[1:])]
        spans = [at, *((0, w.o) for w in self.windows[1:])]
        counts = [
            min(high - low, -(-w.e // w.s))
            for w, (low, high) in zip(self.windows, spans, strict=True)
        ]
        for back in itertools.product(*(range(c - 1, -1, -1) for c in counts)):
            covered = np.ones(size.shape, bool)
            index = [places[0]]
            for w, p, start, (low, high), b in zip(
                self.windows, places[1:], origin, spans, back, strict=True
            ):
                position = p + (start + w.lo)
                o = np.minimum(position // w.s, high - 1) - b
                offset = position - o * w.s
                covered &= (o >= low) & (offset % w.d == 0) & (offset // w.d < w.k)
                index.append(np.where(covered, o - low, 0))
            norm, grad = (part[tuple(index)] for part in (weights.norm, weights.grad))
            share = self.raised(np.where(covered & (norm != 0), size / norm, 1.0))
            share = grad * share if self.p > 1 else grad / share
            total += np.where(covered & (norm != 0), share, 0.0)
        return total

    def bands(self, n: int, row: int) -> Iterator[_Band]:
        """Cut a first pooled axis of n positions of `row` elements each."""
        w = self.windows[0]
        height = max(1, _BLOCK // row)
        if w.o > 4 and w.e > w.s:  # windows over a border are done for both bands
            height = max(height, w.e)
        for low in range(0, n, height):
            high = min(low + height, n)
            at = max(0, -((w.e - 1 - low - w.lo) // w.s)), min(w.o, (high - 1 + w.lo) // w.s + 1)
            if at[0] >= at[1]:
                yield _Band(low, high, high, at, high, high)
                continue
            start = max(0, at[0] * w.s - w.lo)
            end = min(n, (at[1] - 1) * w.s - w.lo + w.e)
            yield _Band(low, min(high, max(low, start)), high, at, start, end)

    def planes(self, grad: Array, x: Array, out: Array) -> None:
        """Fill `out` for planes of one leading axis."""
        w, n = self.windows[0], x.shape[1]
        seen: tuple[int, int] | None = None
        for band in self.bands(n, x.size // n):
            self.rows(out, band.low, band.first)[...] = 0
            if band.first == band.high:
                continue
            if band.at != seen:
                under = self.rows(x, band.start, band.end)
                pads = w.pads(*band.at, band.start, band.end)
                weights = self.weights(self.rows(grad, *band.at), under, pads)
                seen = band.at
            own = _float64(self.rows(x, band.first, band.high))
            part = self.elements(own, band.first, weights, band.at)
            _store(part, self.rows(out, band.first, band.high))

    def largest(self, grad: Array, x: Array, out: Array) -> None:
        """Fill `out` where all goes to the first of the largest magnitudes."""
        w, n = self.windows[0], x.shape[1]
        if w.o <= 4:
            pads = w.pads(0, w.o, 0, n)
            self.to_largest(grad, x, pads, out)
            return
        for band in self.bands(n, x.size // n):
            self.rows(out, band.low, band.first)[...] = 0
            if band.first == band.high:
                continue
            end = max(band.end, band.high)
            under = self.rows(x, band.start, end)
            pads = w.pads(*band.at, band.start, end)
            found = self.to_largest(self.rows(grad, *band.at), under, pads, None)
            own = self.rows(found, band.first - band.start, band.high - band.start)
            self.rows(out, band.first, band.high)[...] = own

    def to_largest(
        self, grad: Array, x: Array, pads: tuple[int, int], out: Array | None
    ) -> Array:  # fmt: skip
        nd = len(self.windows)
        geometry = self.geometry(pads, x.shape[2:])
        (high, top), (low, bottom) = (
            _pool(
                f"{op}_pool{nd}d", x, *geometry, True, None, True, None, "half_even",
                _LAYOUTS[nd - 1], None, None, "propagate", None, self.threads,
            )
            for op in ("max", "min")
        )  # fmt: skip
        high, low = _float64(high), _float64(low)
        below = (np.abs(low) > np.abs(high)) | ((np.abs(low) == np.abs(high)) & (bottom < top))
        value = np.where(below, low, high)
        given = _float64(grad) if np.issubdtype(grad.dtype, np.integer) else grad
        given = np.where(value < 0, -given, given)
        given[value == 0] = 0
        result: Array = _core.max_backward(
            f"max_pool{nd}d_backward", given, np.where(below, bottom, top), x.shape,
            _LAYOUTS[nd - 1], None, True, out, self.threads,
        )  # fmt: skip
        return result


def _merged(arrays: list[Array], lead: int) -> tuple[list[Array], int]:
    """Make one of neighbouring leading axes, `lead` in all, wherever no array needs a copy."""
    for i in range(lead - 2, -1, -1):
        if all(1 in a.shape[i : i + 2] or a.strides[i] == a.strides[i + 1] * a.shape[i + 1]
               for a in arrays):  # fmt: skip
            arrays = [
                a.reshape(*a.shape[:i], a.shape[i] * a.shape[i + 1], *a.shape[i + 2 :])
                for a in arrays
            ]
            lead -= 1
    return arrays, lead


def _groups(lead: tuple[int, ...], plane: int) -> Iterator[tuple[Any, ...]]:
    """Give indices of as many planes as make a block, along the last leading axis."""
    count = max(1, _BLOCK // plane)
    for index in np.ndindex(lead[:-1]):
        for low in range(0, lead[-1], count):
            yield (*index, slice(low, low + count))


@np.errstate(all="ignore")
def norm_backward(grad: Any, keepdims: Any, *arguments: Any) -> Array:
    """Carry gradients back through the pooling that `arguments`, those of _core.pool, describe."""
    grad, x, out, p, eps, found = _norm_windows(*arguments, grad, keepdims)
    result: Array = out if arguments[_OUT] is None else arguments[_OUT]
    if out.size == 0:
        return result
    windows = tuple(_Window(*w) for w in found)
    axes = tuple(w.axis for w in windows)
    if grad.ndim < x.ndim:
        grad = np.expand_dims(grad, axes)
    lead = x.ndim - len(axes)
    order = sorted((a for a in range(x.ndim) if a not in axes), key=lambda a: x.shape[a])
    arrays = [a.transpose(*order, *axes) for a in (grad, x, out)]
    if lead == 0:
        arrays, lead = [a[None] for a in arrays], 1
    arrays, lead = _merged(arrays, lead)
    grad, x, out = arrays
    call = _Norms(arguments[0] == "gem_pool_backward", p, eps, windows, arguments[_THREADS])
    plane = max(math.prod(a.shape[lead:]) for a in (grad, x))
    for at in _groups(x.shape[:lead], plane):
        (call.largest if p == math.inf else call.planes)(grad[at], x[at], out[at])
    return result
