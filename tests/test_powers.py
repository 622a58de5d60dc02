"""Norms and generalised means: exact values, bits, types, layouts, NaN, errors, PyTorch."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
import oracle_powers
import poolcore
from cases import CASES, SHORT, Case
from layouts import LAYOUTS, REFUSED, name
from support import DTYPES, FLOATS, assert_same, configurations, function, random_array

INFINITY = float("inf")
EXPONENTS = (0.5, 1, 1.5, 2, 3, 2.5, 7, INFINITY)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
LAYOUT_NAMES = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


def axes_of(case: Case) -> tuple[int, ...]:
    return tuple(range(2, 2 + case.nd))


def tolerance(dtype: np.dtype, p: float) -> float:
    """Units in the last place: a few of float64, and one rounding to narrower types."""
    few = 4 * max(1, 1 / p)
    return few if dtype == np.float64 or not oracle.is_float(dtype) else 0.5 + few * 2.0**-20


def small(case: Case) -> bool:
    return math.prod(case.shape) * math.prod(case.lead) < 500


@pytest.mark.parametrize("p", EXPONENTS, ids=str)
def test_exact_values(p: float, rng: np.random.Generator) -> None:
    """Within a few units of the last place of the exact norm, on every target."""
    for case in filter(small, SHORT):
        for dtype in (FLOAT32, FLOAT64, FLOATS[1]):
            x = random_array(rng, dtype, case.lead + case.shape)
            want = oracle_powers.norms(x, p, axes_of(case), case.window, "propagate")
            for target, threads in configurations():
                if threads != 2:
                    continue
                got = function("lp", case.nd)(x, p, **case.window)
                assert got.dtype == dtype
                off = oracle_powers.off_by(got, want)
                assert off <= tolerance(dtype, p), (str(case), target, off)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_named_cases(case: Case, rng: np.random.Generator) -> None:
    """The bits of every path, in both memory orders, with NaN and infinities among the elements."""
    taps = math.prod(case.kernel) if isinstance(case.kernel, tuple) else case.kernel**case.nd
    x = random_array(rng, FLOAT32, case.lead + case.shape, "special" if taps < 30 else "plain")
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for p in (1, 2, 0.5):
        want = oracle_powers.simple(x, p, axes_of(case), case.window, "propagate")
        for target, threads in configurations():
            got = function("lp", case.nd)(x, p, **case.window, threads=threads)
            assert_same(got, want, f"{p} {target} {threads}", nan_bits=True)
            got = function("lp", case.nd)(
                last, p, **case.window, threads=threads, layout=LAYOUT_NAMES[case.nd][1]
            )
            assert_same(np.moveaxis(got, -1, 1).copy(), want, f"{p} {target}", nan_bits=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_largest_magnitudes(case: Case, rng: np.random.Generator) -> None:
    x = random_array(rng, FLOAT32, case.lead + case.shape, "special")
    want = oracle.pool(np.abs(x), case.kernel, "max", axes_of(case), case.stride, case.padding,
                       case.dilation, case.ceil_mode)  # fmt: skip
    want = np.where(want < 0, np.float32(0), want)  # a window without a tap
    for target, threads in configurations():
        got = function("lp", case.nd)(x, INFINITY, **case.window, threads=threads)
        assert_same(got, want, f"{target} {threads}")


@pytest.mark.parametrize("p", [1.5, 3, 2.7], ids=str)
@pytest.mark.parametrize("case", SHORT, ids=str)
def test_same_bits_everywhere(case: Case, p: float, rng: np.random.Generator) -> None:
    """Roots and powers of any exponent are ours alone: no library of the machine's."""
    for dtype in (FLOAT32, FLOAT64):
        x = random_array(rng, dtype, case.lead + case.shape, "special")
        want = None
        for target, threads in configurations():
            got = function("lp", case.nd)(x, p, **case.window, threads=threads)
            want = got if want is None else want
            assert_same(got, want, f"{target} {threads}", nan_bits=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Floats keep their type, all others give float64; NaN by each policy."""
    for case in SHORT:
        x = random_array(rng, dtype, case.lead + case.shape, "special")
        for p in (1, 2, 0.5):
            for policy in ("propagate", "omit"):
                want = oracle_powers.simple(x, p, axes_of(case), case.window, policy)
                for target, threads in configurations():
                    if threads == 7:
                        continue
                    got = function("lp", case.nd)(
                        x, p, **case.window, nan_policy=policy, threads=threads
                    )
                    assert_same(got, want, f"{case} {p} {policy} {target}", nan_bits=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_largest_magnitudes_of_every_type(dtype: np.dtype, rng: np.random.Generator) -> None:
    for case in SHORT:
        x = random_array(rng, dtype, case.lead + case.shape, "special")
        out = dtype if oracle.is_float(dtype) else FLOAT64
        for policy in ("propagate", "omit"):
            exact = oracle_powers.norms(x, INFINITY, axes_of(case), case.window, policy)
            want = oracle.narrow_to(exact.astype(np.float64), out)
            got = function("lp", case.nd)(x, INFINITY, **case.window, nan_policy=policy)
            assert_same(got, want, f"{case} {policy}")


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
@pytest.mark.parametrize("case", SHORT, ids=str)
def test_layouts(case: Case, maker: Any, rng: np.random.Generator) -> None:
    for dtype in (FLOAT32, FLOAT64, np.dtype(np.int32), FLOATS[0]):
        x = maker(random_array(rng, dtype, case.lead + case.shape))
        plain = np.array(x, order="C")
        for p in (2, 1.5, INFINITY):
            want = function("lp", case.nd)(plain, p, **case.window)
            got = function("lp", case.nd)(x, p, **case.window, threads=2)
            assert_same(np.ascontiguousarray(got), want, f"{dtype} {p}", nan_bits=True)
            out = maker(np.full(want.shape, 3, want.dtype))
            if out.shape != want.shape or not out.flags.writeable or maker.__name__ in (
                "overlapping", "zero_stride",
            ):  # fmt: skip
                continue
            assert function("lp", case.nd)(x, p, **case.window, out=out) is out
            assert_same(np.ascontiguousarray(out), want, f"{dtype} {p} out", nan_bits=True)


@pytest.mark.parametrize("maker", REFUSED, ids=name)
def test_refused_layouts(maker: Any) -> None:
    with pytest.raises(TypeError):
        poolcore.lp_pool2d(maker(np.ones((2, 3, 8, 8), np.float32)), 2, 2)


# ------------------------------------------------------------------------- means of whole planes


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("plane", [(9,), (7, 7), (3, 21), (2, 5, 6)], ids=str)
def test_whole_planes(plane: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, (2, 5, *plane), "special")
    axes = tuple(range(2, x.ndim))
    out = dtype if oracle.is_float(dtype) else FLOAT64
    for policy in ("propagate", "omit"):
        for p in (1, 2, 3.5, INFINITY):
            want = oracle_powers.norms(x, p, axes, {"kernel_size": plane}, policy)
            for target, threads in configurations():
                got = poolcore.global_lp_pool(x, p, nan_policy=policy, threads=threads)
                assert got.dtype == out
                assert oracle_powers.off_by(got, want) <= tolerance(dtype, p), (p, target)
        for p, eps in ((3, 1e-6), (1, 0), (2, 0.25), (0.7, 1e-3)):
            want = oracle_powers.means(x, p, eps, axes, policy)
            bits = None
            for target, threads in configurations():
                got = poolcore.gem_pool(x, p, eps, nan_policy=policy, threads=threads)
                bits = got if bits is None else bits
                assert_same(got, bits, target, nan_bits=True)
            assert got.dtype == out
            assert oracle_powers.off_by(got, want) <= tolerance(dtype, p), (p, eps)
            got = poolcore.gem_pool(x, p, eps, nan_policy=policy, keepdims=False)
            assert_same(got, bits.reshape(2, 5), "keepdims", nan_bits=True)


def test_axes_and_out(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 5, 6))
    want = poolcore.gem_pool(x, axes=(0, 2), keepdims=False)
    assert_same(poolcore.gem_pool(x.transpose(1, 0, 2)[None], keepdims=False)[0], want)
    out = np.empty(5)
    assert poolcore.gem_pool(x, axes=(0, 2), keepdims=False, out=out) is out
    assert_same(out, want)
    flat = poolcore.global_lp_pool(x, layout="NHWC", keepdims=False)
    assert_same(flat, poolcore.lp_pool2d(x, 2, (4, 5), layout="NHWC")[0, 0])
    np.testing.assert_allclose(flat, np.sqrt((x * x).sum((0, 1))), rtol=1e-14)
    assert poolcore.gem_pool(np.ones((0, 3, 4))).shape == (0, 3, 1)


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
def test_layouts_of_means(maker: Any, rng: np.random.Generator) -> None:
    for dtype in (FLOAT32, np.dtype(np.uint8)):
        x = maker(random_array(rng, dtype, (3, 4, 9, 11)))
        for p in (3, 1.25):
            want = poolcore.gem_pool(np.array(x, order="C"), p)
            got = poolcore.gem_pool(x, p, threads=2)
            assert_same(np.ascontiguousarray(got), want, str(p), nan_bits=True)


# ----------------------------------------------------------------------------------- second looks


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, ...]:
    nd = draw(st.integers(1, 3))
    shape, window = [], []
    for _ in range(nd):
        n, k, s, d = (draw(st.integers(1, top)) for top in (9, 4, 4, 4))
        e = d * (k - 1) + 1
        lo, hi = draw(st.integers(0, e - 1)), draw(st.integers(0, e - 1))
        shape.append(e if n + lo + hi < e else n)
        window.append((k, s, d, (lo, hi)))
    order = draw(st.permutations(range(nd + 2)))
    p = draw(st.one_of(st.sampled_from(EXPONENTS), st.floats(0.3, 40)))
    scale = draw(st.sampled_from([0, 0, 0, 300, -300, 700, -700, 1015, -1060]))
    return (
        tuple(shape), window, draw(st.booleans()), draw(st.sampled_from(DTYPES)), p, scale, order,
        draw(st.sampled_from(["propagate", "omit"])), draw(st.integers(0, 2**32)),
    )  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(problems())
def test_random_problems(problem: tuple[Any, ...]) -> None:
    inner, windows, ceil, dtype, p, scale, order, policy, seed = problem
    rng = np.random.default_rng(seed)
    kernel, stride, dilation, padding = (list(v) for v in zip(*windows, strict=True))
    window = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation,
              "ceil_mode": ceil}  # fmt: skip
    plain = random_array(rng, dtype, (1, 2, *inner), "special")
    if dtype == np.float64:  # some elements far from all others
        with np.errstate(all="ignore"):
            plain = np.where(rng.random(plain.shape) < 0.5, np.ldexp(plain, scale), plain)
    x = np.ascontiguousarray(plain.transpose(order)).transpose(np.argsort(order))
    axes = tuple(range(2, x.ndim))
    want = oracle_powers.norms(x, p, axes, window, policy)
    got = function("lp", len(inner))(x, p, **window, nan_policy=policy, threads=2)
    assert oracle_powers.off_by(got, want) <= tolerance(dtype, p)


def test_pytorch(rng: np.random.Generator) -> None:
    """It takes no magnitudes and scales up partial windows: full windows of numbers above 0."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for nd in (1, 2, 3):
        pooling = getattr(torch.nn.functional, f"lp_pool{nd}d")
        for p, kernel, stride in ((2, 2, None), (1, 3, 1), (3, 3, 2), (1.5, 2, 1), (4, 2, 3)):
            x = rng.random((2, 3, *(10, 9, 8)[:nd])).astype(np.float32)
            want = pooling(torch.from_numpy(x), p, kernel, stride).numpy()
            got = function("lp", nd)(x, p, kernel, stride)
            np.testing.assert_allclose(got, want, rtol=2e-5)
    x = rng.standard_normal((2, 3, 5, 5)).astype(np.float32)
    t = torch.from_numpy(x).clamp(min=1e-6)
    want = t.pow(3).mean((2, 3), keepdim=True).pow(1 / 3).numpy()
    np.testing.assert_allclose(poolcore.gem_pool(x), want, rtol=2e-5)


WRONG: list[tuple[Any, type[Exception], str]] = [
    (0, ValueError, "{name}=0 must be above 0"),
    (-1.5, ValueError, r"{name}=-1\.5 must be above 0"),
    (float("nan"), ValueError, "{name}=nan must be above 0"),
    (-INFINITY, ValueError, "{name}=-inf must be above 0"),
    (10**400, ValueError, "{name} must be a real number within the range of float64"),
    (None, TypeError, "{name} must be a real number, got None"),
    ("2", TypeError, "{name} must be a real number, got str"),
    (True, TypeError, "{name} must be a real number, got bool"),
    (np.True_, TypeError, "{name} must be a real number, got numpy.bool"),
    (2j, TypeError, "{name} must be a real number, got complex"),
    ((2, 2), TypeError, "{name} must be a real number, got tuple"),
]


@pytest.mark.parametrize(("value", "error", "text"), WRONG, ids=lambda v: str(v)[:20])
def test_wrong_exponents(value: Any, error: type[Exception], text: str) -> None:
    x = np.ones((1, 2, 4), np.float32)
    out = np.full((1, 2, 2), 7, np.float32)
    with pytest.raises(error, match="lp_pool1d: " + text.format(name="norm_type")):
        poolcore.lp_pool1d(x, value, 2, out=out)
    for call in (poolcore.global_lp_pool, poolcore.gem_pool):
        with pytest.raises(error, match=f"{call.__name__}: " + text.format(name="p")):
            call(x, value, out=out[..., :1])
    assert (out == 7).all()


def test_wrong_least_values() -> None:
    x = np.ones((1, 2, 4))
    for eps, error, text in [
        (-1e-3, ValueError, r"eps=-0\.001 must be a finite number of at least 0"),
        (INFINITY, ValueError, "eps=inf must be"),
        (float("nan"), ValueError, "eps=nan must be"),
        ("0", TypeError, "eps must be a real number, got str"),
    ]:
        with pytest.raises(error, match=f"gem_pool: {text}"):
            poolcore.gem_pool(x, 3, eps)
    with pytest.raises(ValueError, match=r"gem_pool: p=inf must be above 0 and at most 2\*\*60"):
        poolcore.gem_pool(x, INFINITY)


def test_whatever_is_a_number_is_an_exponent() -> None:
    x = np.array([[3.0, 4.0]])
    for p in (2, 2.0, np.float32(2), np.int8(2), Fraction(2), np.array(2)):
        assert poolcore.lp_pool1d(x, p, 2).tolist() == [[5.0]]


def test_nan_may_be_refused() -> None:
    x = np.array([[1.0, np.nan]])
    out = np.full((1, 1), 7.0)
    with pytest.raises(ValueError, match="x holds NaN"):
        poolcore.lp_pool1d(x, 2, 2, nan_policy="raise", out=out)
    assert out[0, 0] == 7


def test_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poolcore.lp_pool1d(np.array([[np.inf, np.nan, 0.0, -1.0]]), 2.5, 2)
        poolcore.gem_pool(np.array([[[0.0, -np.inf]]]), 0.1, 0)
