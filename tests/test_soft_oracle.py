"""The definitions of SoftPool and stochastic pooling, held against what is known of them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

import oracle_soft

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("taps", [[0.0, 1.0], [-3.0, 2.5, 2.5, 0.25], [1e300, -1e300], [7.0]])
def test_soft_pool_is_its_formula(taps: list[float]) -> None:
    most = max(taps)
    powers = [math.exp(t - most) for t in taps]
    want = sum(t * p for t, p in zip(taps, powers, strict=True)) / sum(powers)
    assert math.isclose(float(oracle_soft.soft(taps)), want, rel_tol=1e-14)


@pytest.mark.parametrize(
    ("taps", "want"),
    [([0.1] * 3, 0.1), ([-INF, 2.0], 2.0), ([INF, 1.0, -INF], INF), ([-INF, -INF], -INF)],
)
def test_soft_pool_at_its_limits(taps: list[float], want: float) -> None:
    assert float(oracle_soft.soft(taps)) == want


def test_soft_pool_of_nan() -> None:
    assert oracle_soft.soft([]).is_nan()
    assert oracle_soft.soft([NAN, 1.0]).is_nan()
    assert oracle_soft.soft([NAN, 1.0], "omit") == 1
    assert oracle_soft.soft([NAN, NAN], "omit").is_nan()


def test_shares_are_slopes() -> None:
    taps, step = [0.5, -1.25, 3.0, 2.75], 2.0**-20
    for i, share in enumerate(oracle_soft.soft_shares(taps)):
        up, down = list(taps), list(taps)
        up[i] += step
        down[i] -= step
        slope = float(oracle_soft.soft(up) - oracle_soft.soft(down)) / (2 * step)
        assert abs(float(share) - slope) < 1e-11


def test_every_tap_is_drawn_by_its_share() -> None:
    taps = [0.0, 1.0, 0.0, 3.0, 4.0, 0.0]
    draws = [oracle_soft.drawn(taps, i / 64) for i in range(64)]
    assert [draws.count(i) for i in range(6)] == [0, 8, 0, 24, 32, 0]
    assert draws == sorted(draws)
    assert oracle_soft.drawn(taps, math.nextafter(1.0, 0.0)) == 4
    assert oracle_soft.drawn([0.0, 0.0], 0.5) == 0
    mean = sum((Fraction(taps[i]) for i in draws), Fraction(0)) / 64
    assert oracle_soft.expected(taps) == mean
    assert oracle_soft.expected([0.0, 0.0]) == 0
