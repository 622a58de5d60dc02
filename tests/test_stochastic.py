"""Stochastic pooling: what is drawn, to the bit, how often, and the mean of it."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import oracle
import oracle_soft
import poolcore
from cases import SHORT, Case
from poolcore import nn
from support import (
    BFLOAT16,
    DTYPES,
    FLOATS,
    assert_runs,
    assert_same,
    configurations,
    is_nan,
    random_array,
)
from test_guard import guard

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
# kernel_size, stride, padding, dilation, ceil_mode
WINDOWS: list[tuple[Any, ...]] = [
    (2, 2, 0, 1, False), (3, 1, 1, 1, False), (3, 2, 1, 2, True), (4, 3, 0, 1, True),
    (1, 1, 0, 1, False),
]  # fmt: skip


def function(nd: int) -> Any:
    return getattr(poolcore, f"stochastic_pool{nd}d")


def weights(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of at least 0, zeros and windows of zeros among them."""
    x = random_array(rng, dtype, shape)
    if dtype.kind == "i":
        x = np.where(x < 0, 0, x).astype(dtype)
    elif oracle.is_float(dtype):
        x = oracle.narrow_to(np.abs(oracle.widen(x)), dtype)
    few = rng.random(shape) < 0.4
    return np.where(few, np.zeros((), dtype), x).astype(dtype)


def expected(
    x: np.ndarray, nd: int, window: tuple[Any, ...], samples: np.ndarray | None, policy: str
) -> tuple[np.ndarray, np.ndarray]:
    """Window by window: the drawn elements and their places, or the means."""
    kernel, stride, padding, dilation, ceil = window
    axes = oracle.geometries(
        x.shape, tuple(range(2, x.ndim)), kernel, stride, padding, dilation, ceil
    )
    shape = x.shape[:2] + tuple(a.o for a in axes)
    values = np.zeros(shape, x.dtype if samples is not None else np.float64)
    index = np.full(shape, -1, np.int64)
    wide = oracle.widen(x) if x.dtype != np.bool_ else x
    for at in np.ndindex(shape):
        taps = []
        for tap in itertools.product(*(range(a.k) for a in axes)):
            place = tuple(
                o * a.s - a.lo + t * a.d for o, t, a in zip(at[2:], tap, axes, strict=True)
            )
            if all(0 <= p < n for p, n in zip(place, x.shape[2:], strict=True)):
                taps.append((*at[:2], *place))
        numbers = [float(wide[p]) for p in taps]
        kept = [i for i, n in enumerate(numbers) if n == n]
        if not taps:
            continue
        if not kept or (len(kept) < len(taps) and policy != "omit"):
            chosen = 0 if policy == "omit" else next(i for i, n in enumerate(numbers) if n != n)
        elif samples is not None:
            chosen = kept[oracle_soft.drawn([numbers[i] for i in kept], float(samples[at]))]
        else:
            exact = oracle_soft.expected([numbers[i] for i in kept])
            values[at] = float(exact)
            continue
        place = taps[chosen]
        values[at] = x[place] if samples is not None else math.nan
        if samples is not None and numbers[chosen] == 0:
            values[at] = 0
        index[at] = np.ravel_multi_index(place[2:], x.shape[2:])
    return values, index


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16], ids=str)
def test_what_is_drawn(dtype: np.dtype, rng: np.random.Generator) -> None:
    for nd, window in itertools.product((1, 2, 3), WINDOWS):
        x = weights(rng, dtype, (2, 2, *(7, 6, 5)[:nd]))
        if oracle.is_float(dtype):
            x[rng.random(x.shape) < 0.05] = np.nan
        kernel, stride, padding, dilation, ceil = window
        for policy in ("propagate", "omit"):
            where = {"dilation": dilation, "ceil_mode": ceil, "nan_policy": policy}
            means = function(nd)(x, kernel, stride, padding, training=False, **where)
            samples = rng.random(means.shape)
            samples.flat[::5] = 0
            samples.flat[1::5] = np.nextafter(1, 0)
            want = expected(x, nd, window, samples, policy)
            for target, threads in configurations():
                got = function(nd)(x, kernel, stride, padding, random_samples=samples,
                                   return_indices=True, threads=threads, **where)  # fmt: skip
                for a, b in zip(got, want, strict=True):
                    assert_same(a, b, f"{window} {policy} on {target} with {threads} threads")
            exact, _ = expected(x, nd, window, None, policy)
            close(means, exact, dtype)


@pytest.mark.parametrize("case", SHORT, ids=str)
def test_named_cases(case: Case, rng: np.random.Generator) -> None:
    x = weights(rng, np.dtype(np.float32), (1, 2, *case.shape))
    means = function(case.nd)(x, **case.window, training=False)
    samples = rng.random(means.shape)
    window = tuple(case.window.values())
    got = function(case.nd)(x, **case.window, random_samples=samples, return_indices=True)
    for a, b in zip(got, expected(x, case.nd, window, samples, "propagate"), strict=True):
        assert_same(a, b)
    close(means, expected(x, case.nd, window, None, "propagate")[0], x.dtype)


def close(got: np.ndarray, exact: np.ndarray, dtype: np.dtype) -> None:
    wanted = dtype if oracle.is_float(dtype) else np.dtype(np.float64)
    assert got.dtype == wanted
    both = oracle.widen(got).astype(np.float64)
    assert np.array_equal(is_nan(got), np.isnan(exact))
    slack = {2: 2.0**-7, 4: 2.0**-23, 8: 2.0**-47}[got.dtype.itemsize]
    with np.errstate(all="ignore"):
        wrong = np.abs(both - exact) > slack * np.abs(exact) + 1e-40
    smallest = 2.0**-24 if got.dtype == np.float16 else 0
    assert not (wrong & (np.abs(both - exact) > smallest)).any()


def test_layouts_and_out(rng: np.random.Generator) -> None:
    for nd in (1, 2, 3):
        x = weights(rng, np.dtype(np.float32), (2, 3, *(8, 7, 6)[:nd]))
        first, last = LAYOUTS[nd]
        want = function(nd)(x, 3, 2, 1, random_samples=None, rng=5, return_indices=True)
        samples = np.random.default_rng(5).random(want[0].shape)
        given = function(nd)(x, 3, 2, 1, random_samples=samples, return_indices=True)
        turned = function(nd)(
            np.moveaxis(x, 1, -1), 3, 2, 1, random_samples=np.moveaxis(samples, 1, -1),
            return_indices=True, layout=last,
        )  # fmt: skip
        for a, b, c in zip(want, given, turned, strict=True):
            assert_same(a, b)
            assert_same(np.moveaxis(c, -1, 1), b)
        out = np.empty_like(want[0]), np.empty_like(want[1])
        back = function(nd)(x, 3, 2, 1, random_samples=samples, return_indices=True, out=out,
                            layout=first)  # fmt: skip
        assert back is out
        assert_same(out[0], want[0])
        assert_same(out[1], want[1])
        alone = function(nd)(x[0], 3, 2, 1, random_samples=samples[0])
        assert_same(alone, want[0][0])
        strided = np.repeat(x, 2, axis=-1)[..., ::2]
        assert_same(function(nd)(strided, 3, 2, 1, random_samples=samples), want[0])


def test_how_often(rng: np.random.Generator) -> None:
    """Chi squared over the shares of a window; the chance to fail is below 1e-6."""
    taps = np.array([0, 1, 2, 5, 0, 8, 3, 1, 4])
    x = np.broadcast_to(taps.reshape(1, 1, 3, 3), (1, 40_000, 3, 3)).astype(np.uint8)
    _, index = poolcore.stochastic_pool2d(x, 3, return_indices=True, rng=rng)
    counts = np.bincount(index.ravel(), minlength=9)
    share = taps / taps.sum() * index.size
    assert (counts[taps == 0] == 0).all()
    drawn = taps > 0
    assert ((counts - share)[drawn] ** 2 / share[drawn]).sum() < 40


def test_a_seed_repeats_and_no_seed_does_not() -> None:
    x = np.ones((1, 1, 64, 64), np.uint8)

    def places(**how: Any) -> Any:
        return poolcore.stochastic_pool2d(x, 4, return_indices=True, **how)[1].tolist()

    assert places(rng=3) == places(rng=3) == places(rng=np.random.default_rng(3))
    assert places(rng=3) != places(rng=4)
    assert places() != places()


def test_extreme_numbers() -> None:
    """Sums beyond float64, and the least and the largest numbers."""
    most = np.finfo(np.float64).max
    x = np.array([[[most, most, most, most]]])
    found = [
        poolcore.stochastic_pool1d(x, 4, return_indices=True, random_samples=[[[u]]])[1].item()
        for u in (0.0, 0.3, 0.6, 0.9)
    ]
    assert found == [0, 1, 2, 3]
    assert poolcore.stochastic_pool1d(x, 4, training=False).item() == most
    tiny = np.array([[[0.0, 5e-324, 0.0, 5e-324]]])
    assert poolcore.stochastic_pool1d(tiny, 4, random_samples=[[[0.7]]]).item() == 5e-324
    assert poolcore.stochastic_pool1d(tiny, 4, training=False).item() == 5e-324
    mixed = np.array([[[1e300, 1e-300]]])
    want = float(oracle_soft.expected([1e300, 1e-300]))
    assert poolcore.stochastic_pool1d(mixed, 2, training=False).item() == want
    assert Fraction(want) > 0
    zero = np.array([[[-0.0, 0.0]]])
    value = poolcore.stochastic_pool1d(zero, 2, rng=1)
    assert value == 0
    assert not np.signbit(value).any()


@pytest.mark.parametrize("dtype", [*FLOATS, np.dtype(np.int8), np.dtype(np.int64)], ids=str)
def test_what_is_no_weight(dtype: np.dtype) -> None:
    bad: list[float] = [-1.0]
    if oracle.is_float(dtype):
        bad += [-math.inf, math.inf, -float(np.finfo(np.float16).tiny)]
    for value in bad:
        x = np.ones((2, 3, 4, 4), dtype)
        x[1, 2, 3, 0] = value
        x[1, 2, 3, 2] = value
        out = np.full((2, 3, 2, 2), 7, dtype)
        text = rf"x holds {value:g}.* at \[1, 2, 3, 0\], and weights must be finite"
        for how in ({"rng": 0}, {"training": False}):
            if how == {"training": False} and not oracle.is_float(dtype):
                continue
            with pytest.raises(ValueError, match=text.replace("+", r"\+")):
                poolcore.stochastic_pool2d(x, 2, out=out, **how)
            assert (out == 7).all()
    x = np.full((1, 1, 2, 2), np.nan, np.float32)
    with pytest.raises(ValueError, match="holds NaN at"):
        poolcore.stochastic_pool2d(x, 2, nan_policy="raise")


def test_what_the_test_phase_refuses() -> None:
    x = np.ones((1, 4, 4))
    for how in ({"rng": 1}, {"random_samples": np.zeros((1, 2, 2))}, {"return_indices": True}):
        with pytest.raises(ValueError, match=f"{next(iter(how))} is for training=True"):
            poolcore.stochastic_pool2d(x, 2, training=False, **how)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not both"):
        poolcore.stochastic_pool2d(x, 2, rng=1, random_samples=np.zeros((1, 2, 2)))


def test_indices_carry_gradients_back(rng: np.random.Generator) -> None:
    x = rng.random((2, 3, 8, 8))
    values, index = poolcore.stochastic_pool2d(x, 3, 2, 1, return_indices=True, rng=0)
    flat = x.reshape(2, 3, -1)
    assert_same(np.take_along_axis(flat, index.reshape(2, 3, -1), 2).reshape(values.shape), values)
    grad = rng.random(values.shape)
    layer = nn.StochasticPool2d(3, 2, 1, rng=0)
    assert_same(layer(x), values)
    assert_same(layer.backward(grad), poolcore.max_pool2d_backward(grad, index, x.shape))
    assert_same(layer.eval()(x), poolcore.stochastic_pool2d(x, 3, 2, 1, training=False))
    with pytest.raises(RuntimeError, match="evaluation mode"):
        layer.backward(grad)


RANDOM = """
import oracle, test_stochastic
for turn in range({count}):
    dtype = support.DTYPES[rng.integers(len(support.DTYPES))]
    shape = (1, int(rng.integers(1, 4)), *(int(v) for v in rng.integers(3, 9, 2)))
    kernel, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    padding = int(rng.integers(0, kernel // 2 + 1))
    if any(n + 2 * padding < kernel for n in shape[2:]): continue
    x = inputs.place(shape, dtype, bool(rng.integers(2)))
    x[...] = test_stochastic.weights(rng, dtype, shape)
    size = [(n + 2 * padding - kernel) // stride + 1 for n in shape[2:]]
    samples = rng.random((*shape[:2], *size))
    window = (kernel, stride, padding, 1, False)
    want, _ = test_stochastic.expected(np.array(x), 2, window, samples, 'propagate')
    out = outputs.place(want.shape, want.dtype, bool(rng.integers(2)))
    poolcore.stochastic_pool2d(x, kernel, stride, padding, random_samples=samples, out=out)
    support.assert_same(out.copy(), want, str((shape, dtype, window)))
    checked += 1
assert checked > {count} // 2, checked
"""


@pytest.mark.failure(22)
def test_between_guard_pages() -> None:
    assert_runs(guard(3, 16) + "import poolcore\n" + RANDOM.format(count=300), timeout=100)
