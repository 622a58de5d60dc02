"""What norms and generalised means must be, from docs/numerics.md.

`norms` and `means` know the exact value, in decimals of 36 digits; `simple` knows the bits for the
exponents whose powers and roots are single operations. Shares nothing with the library.
"""

from __future__ import annotations

import decimal
import itertools
from decimal import Decimal
from typing import Any

import numpy as np

import oracle

CONTEXT = decimal.Context(prec=36, Emin=-decimal.MAX_EMAX, Emax=decimal.MAX_EMAX)
NAN, INFINITY = Decimal("nan"), Decimal("inf")


def windows(x: np.ndarray, geometry: list[oracle.Axis]) -> Any:
    """(index of the result, real taps of its window as Python floats), over the last axes of x."""
    lead = x.shape[: x.ndim - len(geometry)]
    for place in itertools.product(*(range(n) for n in lead), *(range(a.o) for a in geometry)):
        taps = []
        for axis, o in zip(geometry, place[len(lead) :], strict=True):
            positions = [o * axis.s - axis.lo + j * axis.d for j in range(axis.k)]
            taps.append([p for p in positions if 0 <= p < axis.n])
        yield place, [float(v) for v in x[place[: len(lead)]][np.ix_(*taps)].ravel()]


def total(numbers: list[float], p: float) -> Decimal:
    result = Decimal(0)
    for number in numbers:
        power = CONTEXT.power(CONTEXT.create_decimal(number), Decimal(p)) if number else Decimal(0)
        result = CONTEXT.add(result, power)
    return result


def root(x: Decimal, p: float) -> Decimal:
    return CONTEXT.power(x, CONTEXT.divide(Decimal(1), Decimal(p))) if x else x


def kept(taps: list[float], nan_policy: str) -> list[float] | None:
    """The numbers of a window; None where the result is NaN."""
    numbers = [t for t in taps if t == t]
    if len(numbers) == len(taps) or (nan_policy == "omit" and numbers):
        return numbers
    return None


def norm(taps: list[float], p: float, nan_policy: str) -> Decimal:
    numbers = kept(taps, nan_policy)
    if numbers is None:
        return NAN
    numbers = [abs(n) for n in numbers]
    if p == float("inf") or max(numbers, default=0) == float("inf"):
        return Decimal(max(numbers, default=0))
    return root(total(numbers, p), p)


def mean(taps: list[float], p: float, eps: float, nan_policy: str) -> Decimal:
    numbers = kept(taps, nan_policy)
    if numbers is None:
        return NAN
    numbers = [max(n, eps) for n in numbers]
    if max(numbers) == float("inf"):
        return INFINITY
    return root(CONTEXT.divide(total(numbers, p), Decimal(len(numbers))), p)


def pool(
    x: np.ndarray,
    of_taps: Any,
    axes: tuple[int, ...],
    window: dict[str, Any],
) -> np.ndarray:
    """of_taps of every window, as Decimals."""
    options = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **window}
    axes = tuple(a % x.ndim for a in axes)
    geometry = oracle.geometries(x.shape, axes, *(options[n] for n in
        ("kernel_size", "stride", "padding", "dilation", "ceil_mode")))  # fmt: skip
    last = range(x.ndim - len(axes), x.ndim)
    moved = np.moveaxis(oracle.widen(x), sorted(axes), last)
    shape = moved.shape[: x.ndim - len(axes)] + tuple(a.o for a in geometry)
    result = np.empty(shape, object)
    for place, taps in windows(moved, geometry):
        result[place] = of_taps(taps)
    return np.moveaxis(result, last, sorted(axes))


def norms(
    x: np.ndarray, p: float, axes: tuple[int, ...], window: dict[str, Any], policy: str
) -> np.ndarray:
    return pool(x, lambda taps: norm(taps, p, policy), axes, window)


def means(x: np.ndarray, p: float, eps: float, axes: tuple[int, ...], policy: str) -> np.ndarray:
    window = {"kernel_size": tuple(x.shape[a] for a in axes)}
    return pool(x, lambda taps: mean(taps, p, eps, policy), axes, window)


POWERS: dict[float, tuple[Any, Any]] = {
    1: (lambda x: x, lambda x: x),
    2: (lambda x: x * x, np.sqrt),
    0.5: (np.sqrt, lambda x: x * x),
}


@np.errstate(all="ignore")
def simple(
    x: np.ndarray, p: float, axes: tuple[int, ...], window: dict[str, Any], policy: str
) -> np.ndarray:
    """The bits of norms with p of 1, 2 or 1/2, for values that no power takes out of range."""
    options = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **window}
    axes = tuple(a % x.ndim for a in axes)
    geometry = oracle.geometries(x.shape, axes, *(options[n] for n in
        ("kernel_size", "stride", "padding", "dilation", "ceil_mode")))  # fmt: skip
    last = range(x.ndim - len(axes), x.ndim)
    moved = np.moveaxis(oracle.widen(x), sorted(axes), last).astype(np.float64)
    power, back = POWERS[p]
    powers = power(np.abs(moved))
    nans = np.isnan(powers)
    if policy == "omit":
        powers = np.where(nans, 0.0, powers)
    result = back(oracle.window_sums(powers, geometry) + 0.0)
    if policy == "omit":
        missing = oracle.window_sums(nans.astype(np.int64), geometry)
        real = oracle.window_sums(np.ones(nans.shape, np.int64), geometry)
        result = np.where((missing == real) & (real > 0), np.nan, result)
    out = x.dtype if oracle.is_float(x.dtype) else np.dtype(np.float64)
    return np.moveaxis(oracle.narrow_to(result, out), last, sorted(axes))


def off_by(got: np.ndarray, want: np.ndarray) -> float:
    """The largest distance of results from exact values, in units of the result's last place."""
    bits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[got.dtype.name]
    least = {"float16": -24, "bfloat16": -133, "float32": -149, "float64": -1074}[got.dtype.name]
    highest = {"float16": 16, "bfloat16": 128, "float32": 128, "float64": 1024}[got.dtype.name]
    worst = 0.0
    for value, exact in zip(oracle.widen(got).ravel().tolist(), want.ravel(), strict=True):
        if not exact.is_finite() or value != value:
            assert exact.is_nan() == (value != value), (value, exact)
            assert exact.is_nan() or value == float("inf"), (value, exact)
            continue
        if value == float("inf"):  # right where the exact value is beyond, but for rounding
            assert exact > Decimal(2**highest - 4 * 2 ** (highest - bits)), exact
            continue
        exponent = exact.adjusted() if exact else 0
        place = max(int(np.floor(exponent * 3.3219280948873626)) - bits - 4, least)
        while place < highest and Decimal(2) ** (place + bits) <= abs(exact):
            place += 1
        distance = CONTEXT.subtract(Decimal(value), exact)
        worst = max(worst, abs(float(CONTEXT.divide(distance, Decimal(2) ** place))))
    return worst


def shares(numbers: list[float], p: float, eps: float | None) -> list[Decimal]:
    """What the elements of one window get of a gradient of 1; `eps` for means."""
    sizes = [abs(n) if eps is None else max(n, eps) for n in numbers]
    if p == float("inf"):
        first = sizes.index(max(sizes)) if max(sizes, default=0) > 0 else -1
        return [Decimal((i == first) * (1 if n > 0 else -1)) for i, n in enumerate(numbers)]
    y = root(total(sizes, p), p)
    if eps is not None:
        y = root(CONTEXT.divide(total(sizes, p), Decimal(len(sizes))), p)
    result = []
    for number, size in zip(numbers, sizes, strict=True):
        if y == 0 or (size == 0 and p != 1) or (eps is None and number == 0):
            result.append(Decimal(0))
            continue
        quotient = CONTEXT.divide(CONTEXT.create_decimal(size), y)
        power = CONTEXT.power(quotient, CONTEXT.subtract(Decimal(p), 1)) if p != 1 else Decimal(1)
        if eps is None:
            power = power.copy_sign(Decimal(number))
        else:
            power = CONTEXT.divide(power, len(sizes)) if number >= eps else Decimal(0)
        result.append(power)
    return result


def backward(
    grad: np.ndarray, x: np.ndarray, p: float, axes: tuple[int, ...], window: dict[str, Any],
    eps: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The gradient of x, and the sum of the magnitudes that make it up."""
    options = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **window}
    geometry = oracle.geometries(x.shape, axes, *(options[n] for n in
        ("kernel_size", "stride", "padding", "dilation", "ceil_mode")))  # fmt: skip
    last = range(x.ndim - len(axes), x.ndim)
    grads, wide = (np.moveaxis(oracle.widen(a), sorted(axes), last) for a in (grad, x))
    result = np.full(wide.shape, Decimal(0), object)
    size = result.copy()
    for place in np.ndindex(grads.shape):
        plane, where = place[: x.ndim - len(axes)], place[x.ndim - len(axes) :]
        taps = []
        for axis, o in zip(geometry, where, strict=True):
            positions = [o * axis.s - axis.lo + j * axis.d for j in range(axis.k)]
            taps.append([q for q in positions if 0 <= q < axis.n])
        inside = list(itertools.product(*taps))
        given = Decimal(float(grads[place]))
        parts = shares([float(wide[plane + at]) for at in inside], p, eps)
        for at, share in zip(inside, parts, strict=True):
            part = CONTEXT.multiply(given, share)
            result[plane + at] = CONTEXT.add(result[plane + at], part)
            size[plane + at] = CONTEXT.add(size[plane + at], abs(part))
    return np.moveaxis(result, last, sorted(axes)), np.moveaxis(size, last, sorted(axes))
