"""What every pooling operation must return, written to be read rather than to be fast.

Pure NumPy and Python integers, from the rules in docs/numerics.md alone: it shares no code, no
constant and no shortcut with the library. Loops run over taps; everything else is vectorised.
Tests may import it; nothing else does.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

FLOAT_NAMES = ("float16", "bfloat16", "float32", "float64")
LANE_LIMIT = 4096  # taps up to which narrow floats are summed in float32
EXACT_DIVISOR = 2**24  # integers up to here are float32 values


class Axis(NamedTuple):
    """One pooled axis: n input elements, kernel k, stride s, dilation d, pads, o outputs."""

    n: int
    k: int
    s: int
    d: int
    lo: int
    hi: int
    o: int

    def positions(self, tap: int) -> np.ndarray:
        """Where tap number `tap` of every window falls; may lie outside the input."""
        return np.array(
            [i * self.s - self.lo + tap * self.d for i in range(self.o)], dtype=np.int64
        )

    def count(self, low: int, high: int) -> list[int]:
        """For every window, how many of its taps fall into [low, high)."""
        return [
            sum(low <= i * self.s - self.lo + j * self.d < high for j in range(self.k))
            for i in range(self.o)
        ]


# ---------------------------------------------------------------------------------- geometry


def ceil_div(a: int, b: int) -> int:
    return -((-a) // b)


def axis_geometry(n: int, k: int, s: int, d: int, padding: Any, ceil_mode: bool) -> Axis:
    """`padding` is a pair (lo, hi) or one of "valid", "same", "same_lower".

    Raises ValueError where the call must be refused.
    """
    if n < 1 or k < 1 or s < 1 or d < 1:
        raise ValueError("length, kernel, stride and dilation must be positive")
    e = d * (k - 1) + 1
    if padding in ("same", "same_lower"):
        o = ceil_div(n, s)
        total = max((o - 1) * s + e - n, 0)
        small, large = total // 2, total - total // 2
        lo, hi = (small, large) if padding == "same" else (large, small)
        return Axis(n, k, s, d, lo, hi, o)
    lo, hi = (0, 0) if padding == "valid" else padding
    if not (0 <= lo < e and 0 <= hi < e):
        raise ValueError("padding must be smaller than the effective kernel")
    span = n + lo + hi - e
    if ceil_mode:
        o = ceil_div(span, s) + 1
        if (o - 1) * s >= n + lo:
            o -= 1
    else:
        o = span // s + 1
    if o < 1:
        raise ValueError("the kernel is larger than the padded input")
    return Axis(n, k, s, d, lo, hi, o)


def per_axis(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value] * count


def geometries(
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> list[Axis]:
    """One Axis per entry of `axes`, in array order. Entries go with the axes as given."""
    count = len(axes)
    kernels = per_axis(kernel, count)
    strides = kernels if stride is None else per_axis(stride, count)
    dilations = per_axis(dilation, count)
    pads = [padding] * count if isinstance(padding, str) else per_axis(padding, count)
    pads = [(p, p) if isinstance(p, int) else p for p in pads]
    entries = sorted(zip(axes, kernels, strides, dilations, pads, strict=True), key=lambda t: t[0])
    return [axis_geometry(shape[a], k, s, d, p, ceil_mode) for a, k, s, d, p in entries]


# --------------------------------------------------------------------------------- data types


def is_float(dtype: np.dtype) -> bool:
    return dtype.name in FLOAT_NAMES


def widen(x: np.ndarray) -> np.ndarray:
    """float16 and bfloat16 as float32 (exact), bool as uint8, the rest unchanged."""
    if x.dtype.name == "bfloat16":
        bits = np.ascontiguousarray(x).view(np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32)
    if x.dtype == np.float16:
        return x.astype(np.float32)
    if x.dtype == np.bool_:
        return np.ascontiguousarray(x).view(np.uint8)
    return x


def to_bfloat16(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float64 or float32 to bfloat16, rounded once, to nearest even."""
    wide = np.ascontiguousarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        narrow = wide.astype(np.float32)
    bits = narrow.view(np.uint32).copy()
    # Round to odd on the way to float32, so that the second rounding sees what was cut off:
    # step back towards zero where the float32 is too far out, then set the last bit.
    inexact = (narrow.astype(np.float64) != wide) & ~np.isnan(wide)
    too_far = inexact & (np.abs(narrow.astype(np.float64)) > np.abs(wide))
    bits = np.where(too_far, bits - 1, bits)
    bits = np.where(inexact, bits | 1, bits).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    rounded = np.where(np.isnan(wide), 0x7FC0, rounded).astype(np.uint16)
    return rounded.view(dtype)


def narrow_to(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A float array as `dtype`, one rounding to nearest even; NaN becomes the canonical NaN."""
    if dtype.name == "bfloat16":
        return to_bfloat16(x, dtype)
    with np.errstate(all="ignore"):
        out = x.astype(dtype)
    return np.where(np.isnan(out), np.array(np.nan, dtype), out)


def result_dtype(x_dtype: np.dtype, op: str, dtype: Any) -> np.dtype:
    if op in ("max", "min"):
        return x_dtype
    if dtype is not None:
        return np.dtype(dtype)
    if is_float(x_dtype):
        return x_dtype
    if op == "avg":
        return np.dtype(np.float64)
    return np.dtype(np.uint64 if x_dtype.kind == "u" else np.int64)


# ---------------------------------------------------------------------------- taps and counts


def tap(x: np.ndarray, axes: list[Axis], taps: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """One tap of every window: its values and whether it is real (inside the input).

    The pooled axes are the last ones of x. Values of taps that are not real are arbitrary.
    """
    real = np.ones((), dtype=bool)
    for number, (axis, j) in enumerate(zip(axes, taps, strict=True)):
        where = x.ndim - len(axes) + number
        position = axis.positions(j)
        inside = (position >= 0) & (position < axis.n)
        x = np.take(x, np.where(inside, position, 0), axis=where)
        real = real[..., None] & inside
    return x, real


def plane_index(axes: list[Axis], taps: tuple[int, ...]) -> np.ndarray:
    """Where that tap of every window lies in the flattened plane of the pooled axes."""
    flat = np.zeros((), dtype=np.int64)
    for axis, j in zip(axes, taps, strict=True):
        flat = flat[..., None] * axis.n + axis.positions(j)
    return flat


def outer_counts(per_axis_counts: list[list[int]]) -> np.ndarray:
    """Counts per window of all pooled axes together, as Python integers."""
    total = np.array(1, dtype=object)
    for counts in per_axis_counts:
        total = total[..., None] * np.array(counts, dtype=object)
    return total


def tree_sum(terms: Any, count: int, first: int = 0) -> np.ndarray:
    """terms(first) + ... + terms(first+count-1) in the canonical order."""
    if count == 1:
        return terms(first)
    half = 1
    while half * 2 < count:
        half *= 2
    return tree_sum(terms, half, first) + tree_sum(terms, count - half, first + half)


def window_sums(x: np.ndarray, axes: list[Axis]) -> np.ndarray:
    """Canonical sums over the last len(axes) axes of x, in x's own type; outside counts as 0."""
    for number, axis in enumerate(axes):
        where = x.ndim - len(axes) + number
        tail = (1,) * (x.ndim - where - 1)

        def term(j: int, x=x, axis=axis, where=where, tail=tail) -> np.ndarray:
            position = axis.positions(j)
            inside = (position >= 0) & (position < axis.n)
            taken = np.take(x, np.where(inside, position, 0), axis=where)
            return np.where(inside.reshape((-1, *tail)), taken, np.zeros((), x.dtype))

        with np.errstate(all="ignore"):
            x = tree_sum(term, axis.k)
    return x


# ------------------------------------------------------------------------------ the operations


def extreme(
    x: np.ndarray, axes: list[Axis], op: str, nan_policy: str
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum or minimum and its flat index, the first in row-major order of the taps."""
    wide = widen(x)
    floating = wide.dtype.kind == "f"
    if floating:
        identity = -np.inf if op == "max" else np.inf
    elif x.dtype == np.bool_:
        identity = 0 if op == "max" else 1
    else:
        identity = np.iinfo(x.dtype).min if op == "max" else np.iinfo(x.dtype).max
    out_shape = x.shape[: x.ndim - len(axes)] + tuple(a.o for a in axes)
    best = np.full(out_shape, identity, dtype=wide.dtype)
    index = np.full(out_shape, -1, dtype=np.int64)
    any_real = np.zeros(out_shape, dtype=bool)  # a real tap was seen
    taken = np.zeros(out_shape, dtype=bool)  # a tap was chosen
    for taps in itertools.product(*(range(a.k) for a in axes)):
        value, real = tap(wide, axes, taps)
        where = plane_index(axes, taps)
        nan = np.isnan(value) if floating else np.zeros(value.shape, bool)
        index = np.where(real & ~any_real, where, index)
        any_real = any_real | real
        beats = value > best if op == "max" else value < best
        if floating and nan_policy != "omit":
            beats = (beats | nan) & ~np.isnan(best)
        choose = real & (beats | ~taken)
        if nan_policy == "omit":
            choose = choose & ~nan
        best = np.where(choose, value, best)
        index = np.where(choose, where, index)
        taken = taken | choose
    if floating and nan_policy == "omit":
        best = np.where(any_real & ~taken, np.nan, best)
    if floating:
        return narrow_to(best, x.dtype), index
    return best.astype(x.dtype), index


def float_total(
    x: np.ndarray,
    axes: list[Axis],
    op: str,
    nan_policy: str,
    counts: np.ndarray,
    out: np.dtype,
    overridden: bool,
) -> np.ndarray:
    taps = math.prod(a.k for a in axes)
    narrow = x.dtype != np.float64 and out != np.float64 and taps <= LANE_LIMIT
    accumulator = np.float32 if narrow else np.float64
    values = widen(x).astype(accumulator)
    real = outer_counts([a.count(0, a.n) for a in axes])
    if nan_policy == "omit":
        nans = np.isnan(values)
        values = np.where(nans, accumulator(0), values)
        missing = window_sums(nans.astype(np.int64), axes)
    else:
        missing = np.zeros((), np.int64)
    total = window_sums(values, axes) + accumulator(0)
    if op == "avg":
        divisor = counts if overridden else counts - missing.astype(object)
        total = divide(total, np.broadcast_to(divisor, total.shape), accumulator)
        total = np.where(real == 0, accumulator(np.nan), total)
    if nan_policy == "omit":
        total = np.where((missing == real) & (real > 0), accumulator(np.nan), total)
    return narrow_to(total, out)


def divide(total: np.ndarray, divisor: np.ndarray, accumulator: Any) -> np.ndarray:
    """One correctly rounded division, in float64 where float32 cannot hold the divisor."""
    number = np.array([float(v) for v in divisor.ravel()], np.float64).reshape(divisor.shape)
    with np.errstate(all="ignore"):
        exact_enough = total.astype(np.float64) / number
        own = (total / number.astype(accumulator)).astype(np.float64)
    small = np.array([abs(v) <= EXACT_DIVISOR for v in divisor.ravel()]).reshape(divisor.shape)
    return np.where(small, own, exact_enough)


def round_mean(total: int, divisor: int, rounding: str) -> int:
    mean = Fraction(total, divisor)
    if rounding == "half_even":
        return round(mean)
    if rounding == "half_up":
        return math.floor(mean + Fraction(1, 2))
    if rounding == "floor":
        return math.floor(mean)
    if rounding == "trunc":
        return math.trunc(mean)
    raise ValueError(f"rounding {rounding!r}")


def integer_total(
    x: np.ndarray, axes: list[Axis], op: str, counts: np.ndarray, out: np.dtype, rounding: str
) -> np.ndarray:
    wide = widen(x)
    # int64 holds any sum of fewer than 2**31 values of 32 bits; wider ones need Python integers.
    sums = window_sums(wide.astype(object if wide.itemsize == 8 else np.int64), axes)
    sums = sums.astype(object)
    real = np.broadcast_to(outer_counts([a.count(0, a.n) for a in axes]), sums.shape)
    counts = np.broadcast_to(counts, sums.shape)
    if is_float(out):
        values = [float(v) for v in sums.ravel()]
        if op == "avg":
            values = [
                v / float(c) if r else math.nan
                for v, c, r in zip(values, counts.ravel(), real.ravel(), strict=True)
            ]
        return narrow_to(np.array(values, np.float64).reshape(sums.shape), out)
    info = np.iinfo(out)
    if op == "avg":
        if (real == 0).any():
            raise ValueError("a window without a real tap has no integer mean")
        means = [
            min(max(round_mean(v, c, rounding), info.min), info.max)
            for v, c in zip(sums.ravel(), counts.ravel(), strict=True)
        ]
        return np.array(means, dtype=object).reshape(sums.shape).astype(out)
    modulus = 1 << info.bits
    wrapped = [(v - info.min) % modulus + info.min for v in sums.ravel()]
    return np.array(wrapped, dtype=object).reshape(sums.shape).astype(out)


@np.errstate(all="ignore")
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
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    return_indices: bool = False,
    dtype: Any = None,
    rounding: str = "half_even",
    nan_policy: str = "propagate",
) -> Any:
    """Pool `axes` of x (any rank, any order of axes). ValueError where the call is illegal."""
    axes = tuple(a % x.ndim for a in axes)
    geometry = geometries(x.shape, axes, kernel_size, stride, padding, dilation, ceil_mode)
    ordered = sorted(axes)
    last = range(x.ndim - len(axes), x.ndim)
    moved = np.moveaxis(x, ordered, last)
    if nan_policy == "raise" and is_float(x.dtype) and np.isnan(widen(x)).any():
        raise ValueError("NaN")
    if op in ("max", "min"):
        value, index = extreme(moved, geometry, op, nan_policy)
        value = np.moveaxis(value, last, ordered)
        return (value, np.moveaxis(index, last, ordered)) if return_indices else value
    out = result_dtype(x.dtype, op, dtype)
    bounds = [(-a.lo, a.n + a.hi) if count_include_pad else (0, a.n) for a in geometry]
    counts = outer_counts([a.count(*b) for a, b in zip(geometry, bounds, strict=True)])
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError("divisor_override=0")
        counts = np.full(counts.shape, divisor_override, dtype=object)
    if is_float(x.dtype):
        overridden = divisor_override is not None
        value = float_total(moved, geometry, op, nan_policy, counts, out, overridden)
    else:
        value = integer_total(moved, geometry, op, counts, out, rounding)
    return np.moveaxis(value, last, ordered)
