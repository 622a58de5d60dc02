"""What SoftPool and stochastic pooling must be, window by window, from their definitions.

SoftPool: Stergiou, Poppe and Kalliatakis 2021; stochastic pooling: Zeiler and Fergus 2013. SoftPool
is known exactly, in decimals of 60 digits; gradients of whole arrays are in float64; the draw is
known to the bit. Shares nothing with the library.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import oracle

CONTEXT = decimal.Context(prec=60, Emin=-decimal.MAX_EMAX, Emax=decimal.MAX_EMAX)
NAN, INFINITY = Decimal("nan"), Decimal("inf")


def kept(taps: list[float], nan_policy: str) -> list[float]:
    """The numbers of a window; none where the result is NaN."""
    numbers = [t for t in taps if t == t]
    return numbers if nan_policy == "omit" or len(numbers) == len(taps) else []


def weights(numbers: list[float]) -> list[Decimal]:
    """The weights of finite numbers and of -inf, which add up to 1 if any number is finite."""
    most = CONTEXT.create_decimal(max(numbers))
    powers = [
        CONTEXT.exp(CONTEXT.subtract(CONTEXT.create_decimal(n), most)) if n > -INFINITY else 0
        for n in numbers
    ]
    total = Decimal(0)
    for power in powers:
        total = CONTEXT.add(total, power)
    return [CONTEXT.divide(Decimal(power), total) for power in powers]


def soft(taps: list[float], nan_policy: str = "propagate") -> Decimal:
    """SoftPool of the real taps of one window."""
    numbers = kept(taps, nan_policy)
    if not numbers:
        return NAN
    most = max(numbers)
    if most in (INFINITY, -INFINITY):
        return Decimal(most)
    result = Decimal(0)
    for number, weight in zip(numbers, weights(numbers), strict=True):
        if number > -INFINITY:
            result = CONTEXT.fma(CONTEXT.create_decimal(number), weight, result)
    return result


def soft_shares(numbers: list[float]) -> list[Decimal]:
    """What the finite taps of one window get of a gradient of 1: w * (1 + x - y)."""
    y = soft(numbers)
    return [
        CONTEXT.multiply(w, CONTEXT.subtract(CONTEXT.add(CONTEXT.create_decimal(x), 1), y))
        for x, w in zip(numbers, weights(numbers), strict=True)
    ]


def _windows(x: np.ndarray, geometry: list[Any], outside: Any) -> np.ndarray:
    """The windows over all axes but the first two, the taps of each in one last axis."""
    nd = len(geometry)
    pads = [(0, 0), (0, 0)]
    for a in geometry:
        e = a.d * (a.k - 1) + 1
        pads.append((a.lo, max(0, (a.o - 1) * a.s - a.lo + e - a.n)))
    padded = np.pad(x, pads, constant_values=outside)
    lengths = tuple(a.d * (a.k - 1) + 1 for a in geometry)
    view = sliding_window_view(padded, lengths, tuple(range(2, 2 + nd)))
    view = view[(..., *(slice(None, None, a.d) for a in geometry))]
    view = view[(slice(None),) * 2 + tuple(slice(0, (a.o - 1) * a.s + 1, a.s) for a in geometry)]
    return view.reshape(*view.shape[: 2 + nd], -1)


def gradient(grad: np.ndarray, x: np.ndarray, window: dict[str, Any]) -> np.ndarray:
    """All windows of (batch, channels, ...) at once, in float64, scattered to their taps."""
    axes = oracle.geometries(
        x.shape, tuple(range(2, x.ndim)), window["kernel_size"], window["stride"],
        window["padding"], window["dilation"], window["ceil_mode"],
    )  # fmt: skip
    geometry = list(axes)
    taps = _windows(x.astype(np.float64), geometry, -np.inf)
    places = _windows(np.arange(x.size).reshape(x.shape), geometry, -1)
    with np.errstate(all="ignore"):
        most = taps.max(axis=-1, keepdims=True)  # NaN if there is one
        below = taps - most
        power = np.where(np.isinf(most), 0, np.exp(below))
        total = power.sum(axis=-1, keepdims=True)
        mean = np.where(power == 0, 0, power * below).sum(axis=-1, keepdims=True) / total
        given = grad[..., None].astype(np.float64) * (power / total * (1 + (below - mean)))
    given = np.where(power == 0, 0, given)  # no weight, whatever the gradient
    result = np.zeros(x.size)
    with np.errstate(invalid="ignore"):
        np.add.at(result, places[places >= 0], given[places >= 0])
    return result.reshape(x.shape)


def drawn(numbers: list[float], sample: float) -> int:
    """Which of the finite taps, all >= 0, a sample in [0, 1) draws; sums are those of float64."""
    total = 0.0
    for number in numbers:
        total += number
    if total == 0:
        return 0
    running, last = 0.0, 0
    for i, number in enumerate(numbers):
        running += number
        if running > sample * total:
            return i
        if number > 0:
            last = i
    return last


def expected(numbers: list[float]) -> Fraction:
    """The mean of what is drawn from finite taps, all >= 0: the rule of the test phase."""
    total = sum(map(Fraction, numbers), Fraction(0))
    return sum((Fraction(n) ** 2 for n in numbers), Fraction(0)) / total if total else total
