"""Norms where powers leave the range of float64, and how exact the powers themselves are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oracle_powers
import poolcore
from cases import SHORT, Case
from oracle_powers import off_by
from support import THREADS, assert_runs, assert_same, configurations, function

SCALES = (1e200, 1e-200, 1e308, 5e-324)


def axes_of(case: Case) -> tuple[int, ...]:
    return tuple(range(2, 2 + case.nd))


@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("p", [1.5, 2, 40, 2000], ids=str)
def test_magnitudes_whose_powers_do_not_exist(
    scale: float, p: float, rng: np.random.Generator
) -> None:
    for case in SHORT:
        if case.name in ("resnet_stem", "vgg_pool", "global_7x7") or case.nd == 3:
            continue
        x = rng.integers(-8, 9, (1, 2, *case.shape)) / 8 * scale
        want = oracle_powers.norms(x, p, axes_of(case), case.window, "propagate")
        bits = None
        for target, threads in configurations():
            got = function("lp", case.nd)(x, p, **case.window, threads=threads)
            bits = got if bits is None else bits
            assert_same(got, bits, f"{case} {target} {threads}")
        assert off_by(got, want) <= 4, str(case)


def test_windows_of_every_magnitude(rng: np.random.Generator) -> None:
    """Neighbours that differ by hundreds of powers of ten; some planes need no second look."""
    x = np.ldexp(rng.standard_normal((3, 4, 6, 24)), rng.integers(-1000, 1000, (3, 4, 6, 24)))
    x[0, 0] = rng.standard_normal((6, 24))
    x[0, 1, :, :8] = 0
    for p in (0.5, 1, 2, 3, 5.5):
        for window in ({"kernel_size": 2}, {"kernel_size": (1, 3), "stride": 1, "padding": (0, 1)},
                       {"kernel_size": (3, 1), "stride": (2, 1)}, {"kernel_size": 1}):  # fmt: skip
            want = oracle_powers.norms(x, p, (2, 3), window, "propagate")
            got = poolcore.lp_pool2d(x, p, **window)
            assert off_by(got, want) <= 4 * max(1, 1 / p), (p, window)
            last = np.moveaxis(x, 1, -1).copy()
            turned = poolcore.lp_pool2d(last, p, **window, layout="NHWC")
            assert_same(np.moveaxis(turned, -1, 1).copy(), got, f"{p} {window}")


def test_missing_elements_of_extreme_planes(rng: np.random.Generator) -> None:
    x = rng.random((2, 3, 5, 5))
    x[0] *= 1e-250
    x[1] *= 1e250
    x[:, :, 1, 1] = np.nan
    x[1, 2] = np.nan
    for policy in ("propagate", "omit"):
        want = oracle_powers.norms(x, 2, (2, 3), {"kernel_size": 5}, policy)
        assert off_by(poolcore.global_lp_pool(x, 2, nan_policy=policy), want) <= 4
        for p in (1, 3):
            want = oracle_powers.means(x, p, 0, (2, 3), policy)
            assert off_by(poolcore.gem_pool(x, p, 0, nan_policy=policy), want) <= 4


def test_means_of_the_largest_numbers() -> None:
    """Their sum is infinite, their mean is not."""
    most = np.finfo(np.float64).max
    x = np.full((1, 2, 6, 6), most)
    for p in (1, 2, 3):
        assert off_by(poolcore.gem_pool(x, p), np.full((1, 2, 1, 1), oracle_powers.Decimal(most),
                                                       object)) <= 4  # fmt: skip
    assert poolcore.global_lp_pool(x, 2).tolist() == [[[[np.inf]], [[np.inf]]]]
    single = np.full((1, 2, 6, 6), np.finfo(np.float32).max, np.float32)
    assert_same(poolcore.gem_pool(single, 2, keepdims=False), single[..., 0, 0])
    assert poolcore.lp_pool2d(single, 2, 2)[0, 0, 0, 0] == np.inf
    assert_same(poolcore.lp_pool2d(single / 4, 2, 2), single[:, :, ::2, ::2] / 2)


@pytest.mark.parametrize("scale", [1.0, 1e-170, 1e170], ids=str)
@pytest.mark.parametrize("p", [1, 2, 3], ids=str)
def test_windows_larger_than_the_scratch(scale: float, p: float, rng: np.random.Generator) -> None:
    """In pieces, and looked at again one by one: the order of additions is the same."""
    x = rng.standard_normal((1, 2, 300, 401)) * scale
    want = np.linalg.norm((x / scale).reshape(2, -1), p, axis=1).reshape(1, 2, 1, 1) * scale
    for layout in (lambda a: a, np.asfortranarray, lambda a: a[..., ::-1].copy()[..., ::-1]):
        bits = poolcore.global_lp_pool(x, p)
        for threads in THREADS:
            got = poolcore.global_lp_pool(layout(x), p, threads=threads)
            assert_same(np.ascontiguousarray(got), bits)
        np.testing.assert_allclose(bits, want, rtol=1e-14)
    wide = poolcore.lp_pool2d(x, p, (300, 390), 5)
    assert_same(wide[..., 0].copy(), poolcore.global_lp_pool(x[..., :390], p)[..., 0])


def test_powers_of_every_exponent(rng: np.random.Generator) -> None:
    """A single element is its own norm: power and root are inverse within a unit or two."""
    x = np.ldexp(1 + rng.random((1, 2000)), rng.integers(-1060, 1024, (1, 2000)))
    near = 1 + rng.integers(-9, 10, (1, 400)) * 2.0**-52
    for numbers in (x, near):
        exact = np.array([oracle_powers.Decimal(v) for v in numbers.ravel()], object)
        for p in (0.9, 1.1, 2.0**-0.5, 4, np.pi, 11, 100.5, 1e6, 2.0**40, 2.0**60):
            for target, threads in configurations():
                if threads == 1:
                    got = poolcore.lp_pool1d(numbers, p, 1)
                    assert off_by(got, exact.reshape(got.shape)) <= 3, (p, target)


def test_special_values() -> None:
    x = np.array([[0.0, -0.0, np.inf, 1.0, -np.inf, np.nan, np.nan, 0.0]])
    for p in (0.5, 1, 2, 2.5, 3, np.inf):
        got = poolcore.lp_pool1d(x, p, 2)
        assert repr(got.tolist()) == "[[0.0, inf, nan, nan]]"
        got = poolcore.lp_pool1d(x, p, 2, nan_policy="omit")
        assert repr(got.tolist()) == "[[0.0, inf, inf, 0.0]]"
    gaps = poolcore.lp_pool1d(np.ones((1, 2)), 2, 2, 1, padding=4, dilation=5)
    assert gaps.tolist() == poolcore.lp_pool1d(
        np.ones((1, 2)), np.inf, 2, 1, padding=4, dilation=5
    ).tolist()  # fmt: skip
    assert 0.0 in gaps[0]  # a window without a tap


def test_beyond_two_to_the_sixty() -> None:
    x = np.array([[3.0, -4.0, 0.5, 4.0]])
    for p in (2.0**60 * 1.0001, 1e300, np.inf):
        assert poolcore.lp_pool1d(x, p, 4).tolist() == [[4.0]]
    assert poolcore.gem_pool(x[None], 2.0**60).item() == 4.0


def test_interrupts_are_heard() -> None:
    assert_runs("""
import signal, numpy as np, poolcore
x = np.broadcast_to(np.float64(1e200), (1, 1, 2**20, 2**20))
signal.signal(signal.SIGALRM, signal.default_int_handler)
for call in (lambda: poolcore.global_lp_pool(x), lambda: poolcore.gem_pool(x, 2.5, 1e-200)):
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        call()
    except KeyboardInterrupt:
        continue
    raise SystemExit("no interrupt")
""")


def of_window(x: Any, p: float) -> float:
    return float(poolcore.lp_pool1d(np.array([x], np.float64), p, len(x)).item())


def test_an_interrupted_second_look() -> None:
    """The windows that are read again are left early, too."""
    assert_runs("""
import signal, numpy as np, poolcore
x = np.broadcast_to(np.float64(1e200), (1, 4000, 4000))
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    poolcore.lp_pool2d(x, 2, 400, 1)
except KeyboardInterrupt:
    print("heard")
""")


def test_a_large_element_among_small_ones() -> None:
    assert of_window([3e-200, 4e-200], 2) == pytest.approx(5e-200, rel=1e-15)
    assert of_window([3e200, 4e200], 2) == pytest.approx(5e200, rel=1e-15)
    assert of_window([1e300, 1e-300, 1.0], 3) == 1e300
