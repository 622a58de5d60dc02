"""SoftPool: exact values, bits, types, layouts, NaN and infinities, long windows, errors."""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import oracle
import oracle_powers
import oracle_soft
import poolcore
from cases import SHORT, Case
from layouts import LAYOUTS, name
from support import DTYPES, assert_runs, assert_same, configurations, function, random_array

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
INFINITY, NAN = float("inf"), float("nan")
LAYOUT_NAMES = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def axes_of(case: Case) -> tuple[int, ...]:
    return tuple(range(2, 2 + case.nd))


def exact(x: np.ndarray, case: Case, policy: str = "propagate") -> np.ndarray:
    return oracle_powers.pool(
        x, lambda taps: oracle_soft.soft(taps, policy), axes_of(case), case.window
    )


def assert_near(got: np.ndarray, want: np.ndarray, largest: float, what: str) -> None:
    """Half a unit of the last place, and some units of float64 of the largest magnitude."""
    for g, w in zip(got.ravel(), want.ravel(), strict=True):
        value = float(g)
        if w.is_nan() or w.is_infinite() or math.isinf(value) or math.isnan(value):
            assert str(value) == str(float(g.dtype.type(float(w)))), f"{what}: {value}, not {w}"
            continue
        rounded = np.spacing(abs(g)) if g.dtype.kind == "f" else abs(value) * 2.0**-7
        allowed = Decimal(float(rounded)) / 2 + Decimal(largest) * Decimal(2) ** -49
        assert abs(Decimal(value) - w) <= allowed, f"{what}: {value}, not {w}"


def magnitude(x: np.ndarray) -> float:
    values = np.abs(x.astype(np.float64))
    return float(values[np.isfinite(values)].max(initial=0))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Floats keep their type, all others give float64; NaN and infinities by each policy."""
    for case in SHORT:
        if math.prod(case.shape) * math.prod(case.lead) > 600:
            continue
        x = random_array(rng, dtype, case.lead + case.shape, "special")
        for policy in ("propagate", "omit"):
            want = exact(x, case, policy)
            first = None
            for target, threads in configurations():
                got = function("soft", case.nd)(
                    x, **case.window, nan_policy=policy, threads=threads
                )
                assert got.dtype == (dtype if oracle.is_float(dtype) else FLOAT64)
                if first is None:
                    first = got
                    assert_near(got, want, magnitude(x), f"{case} {policy} {target}")
                assert_same(got, first, f"{case} {policy} {target} {threads}", nan_bits=True)


@pytest.mark.parametrize("case", SHORT, ids=str)
def test_layouts(case: Case, rng: np.random.Generator) -> None:
    """The bits of the contiguous copy, whatever the strides, and with the channels last."""
    soft = function("soft", case.nd)
    for dtype in (FLOAT32, FLOAT64, np.dtype(np.uint16)):
        x = random_array(rng, dtype, case.lead + case.shape)
        for layout in LAYOUTS:
            view = layout(x)
            want = soft(np.ascontiguousarray(view), **case.window)
            assert_same(soft(view, **case.window), want, f"{name(layout)} {dtype}")
        last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        got = soft(last, **case.window, layout=LAYOUT_NAMES[case.nd])
        assert_same(np.moveaxis(got, -1, 1).copy(), soft(x, **case.window), f"last {dtype}")


LIMITS: list[tuple[list[float], float]] = [
    ([3.5, 3.5, 3.5], 3.5),
    ([1e308, 1e308], 1e308),
    ([1e308, -1e308], 1e308),
    ([-1e308, -1e308], -1e308),
    ([800.0, -800.0], 800.0),
    ([5e-324, 5e-324], 5e-324),
    ([INFINITY, 1.0], INFINITY),
    ([INFINITY, -INFINITY], INFINITY),
    ([-INFINITY, 2.0], 2.0),
    ([-INFINITY, -INFINITY], -INFINITY),
    ([NAN, 1.0], NAN),
    ([NAN, INFINITY], NAN),
    ([0.0, -0.0], 0.0),
    ([-7.0], -7.0),
]


@pytest.mark.parametrize(("taps", "want"), LIMITS, ids=str)
def test_limits(taps: list[float], want: float) -> None:
    for order in (taps, taps[::-1]):
        got = poolcore.soft_pool1d([order], len(taps))
        np.testing.assert_array_equal(got, [[want]])


def test_nan_policies() -> None:
    x = np.array([[NAN, 1.0, NAN, NAN, 4.0, 4.0]])
    np.testing.assert_array_equal(poolcore.soft_pool1d(x, 2), [[NAN, NAN, 4]])
    got = poolcore.soft_pool1d(x, 2, nan_policy="omit")
    np.testing.assert_array_equal(got, [[1, NAN, 4]])
    out = np.full((1, 3), 7.0)
    with pytest.raises(ValueError, match="NaN"):
        poolcore.soft_pool1d(x, 2, nan_policy="raise", out=out)
    assert (out == 7).all()


def test_a_window_without_a_tap() -> None:
    """Possible with dilation: NaN, as a mean."""
    got = poolcore.soft_pool1d(np.ones((1, 2)), 2, 1, 3, 4)
    want = poolcore.avg_pool1d(np.ones((1, 2)), 2, 1, 3, dilation=4, count_include_pad=False)
    assert np.isnan(got).any()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))


def test_between_mean_and_maximum(rng: np.random.Generator) -> None:
    """Weights grow with the elements: no less than the mean, no more than the maximum."""
    x = rng.standard_normal((2, 3, 40, 41)) * 3
    soft = poolcore.soft_pool2d(x, 3, 2)
    assert (soft >= poolcore.avg_pool2d(x, 3, 2) - 1e-14).all()
    assert (soft <= poolcore.max_pool2d(x, 3, 2)).all()
    shifted = poolcore.soft_pool2d(x + 5, 3, 2) - 5
    np.testing.assert_allclose(shifted, soft, rtol=0, atol=1e-13)


def test_large_windows(rng: np.random.Generator) -> None:
    """More taps than are taken between two looks for a signal."""
    x = rng.standard_normal((1, 400, 401)).astype(np.float32)
    weights = np.exp(x.astype(np.float64))
    want = (weights * x).sum() / weights.sum()
    np.testing.assert_allclose(poolcore.soft_pool2d(x, (400, 401))[0, 0, 0], want, rtol=1e-6)


def test_out_is_written_in_place(rng: np.random.Generator) -> None:
    x = rng.random((2, 4, 4), dtype=np.float32)
    whole = np.zeros((2, 4, 2), np.float32)
    out = whole[:, ::2]
    assert poolcore.soft_pool2d(x, 2, out=out) is out
    np.testing.assert_array_equal(out, poolcore.soft_pool2d(x, 2))
    assert (whole[:, 1::2] == 0).all()
    with pytest.raises(ValueError, match="overlap"):
        poolcore.soft_pool2d(x, 1, out=x)


ERRORS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"kernel_size": 0}, ValueError, "soft_pool2d: kernel_size=0 must be at least 1"),
    ({"kernel_size": 2, "padding": 2}, ValueError, "soft_pool2d: padding=2 must be smaller"),
    ({"kernel_size": 9}, ValueError, "more than the padded length 4"),
    ({"kernel_size": 2, "nan_policy": "skip"}, ValueError, "nan_policy='skip' must be"),
    ({"kernel_size": 2, "layout": "NCW"}, ValueError, "layout='NCW' must be"),
    ({"kernel_size": 2, "threads": 0}, ValueError, "threads=0 must be at least 1"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), ERRORS, ids=str)
def test_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        poolcore.soft_pool2d(np.ones((1, 4, 4)), **arguments)


def test_soft_is_no_op_of_the_general_form() -> None:
    with pytest.raises(ValueError, match="op='soft' must be"):
        poolcore.pool(np.ones((4, 4)), 2, "soft")


@pytest.mark.failure(35)
@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c(threads: int) -> None:
    assert "stopped" in assert_runs(
        "import signal, numpy as np, poolcore\n"
        "x = np.broadcast_to(np.float32(1), (2**16, 2**20))\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.2)\n"
        f"try: poolcore.soft_pool2d(x[None], (2**16, 2**20), threads={threads})\n"
        "except KeyboardInterrupt: print('stopped')\n",
        timeout=30,
    )
