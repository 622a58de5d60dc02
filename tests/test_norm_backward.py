"""Gradients of norms and generalised means: exact values, bits, bands, types, layouts, errors."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
import oracle_powers
import poolcore
from cases import CASES, SHORT, Case
from layouts import LAYOUTS, name
from support import (
    DTYPES,
    FLOATS,
    assert_same,
    configurations,
    function,
    random_array,
    run_python,
)

INFINITY = math.inf
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
LAYOUT_NAMES = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
NUMBERS = DTYPES[1:]


def backward(nd: int) -> Any:
    return getattr(poolcore, f"lp_pool{nd}d_backward")


def axes_of(case: Case) -> tuple[int, ...]:
    return tuple(range(2, 2 + case.nd))


def small(case: Case) -> bool:
    return math.prod(case.shape) * math.prod(case.lead) < 400


def check(got: np.ndarray, want: tuple[np.ndarray, np.ndarray], p: float, note: str = "") -> None:
    """A few units in the last place of float64, of the magnitudes added up, then one rounding."""
    exact, size = (a.astype(np.float64) for a in want)
    step = 8 * min(max(1, p), 100) * 2.0**-53 * size + 5e-324
    value = oracle.widen(got).astype(np.float64)
    if got.dtype != np.float64:
        precision = {"float16": 11, "bfloat16": 8, "float32": 24}[got.dtype.name]
        least = {"float16": 2.0**-25, "bfloat16": 2.0**-134, "float32": 2.0**-150}[got.dtype.name]
        step = step + np.abs(exact) * 2.0**-precision + least
        if p == INFINITY:  # sums of the gradients as they are, those of 16 bits in float32
            step = step + 4 * 2.0**-24 * size
    off = np.abs(value - exact) > step
    assert not off.any(), (note, value[off][0], exact[off][0])


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, 7.5, INFINITY], ids=str)
def test_exact_values(p: float, rng: np.random.Generator) -> None:
    for case in filter(small, SHORT):
        for dtype in (FLOAT32, FLOAT64):
            x = random_array(rng, dtype, case.lead + case.shape)
            grad = rng.standard_normal(function("lp", case.nd)(x, 2, **case.window).shape)
            grad = grad.astype(dtype)
            want = oracle_powers.backward(grad, x, p, axes_of(case), case.window)
            bits = None
            for target, threads in configurations():
                got = backward(case.nd)(grad, x, p, **case.window, threads=threads)
                bits = got if bits is None else bits
                assert_same(got, bits, f"{case} {target} {threads}")
            check(got, want, p, str(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_named_cases(case: Case, rng: np.random.Generator) -> None:
    """Both memory orders have the same bits, and the central differences agree."""
    lead = (1, 2) if math.prod(case.shape) > 600 else case.lead
    x = random_array(rng, FLOAT64, lead + case.shape)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for p in (2, 3.5, INFINITY):
        values = function("lp", case.nd)(x, p, **case.window)
        grad = rng.standard_normal(values.shape)
        got = backward(case.nd)(grad, x, p, **case.window)
        turned = backward(case.nd)(
            np.moveaxis(grad, 1, -1), last, p, **case.window, layout=LAYOUT_NAMES[case.nd][1]
        )
        assert_same(np.moveaxis(turned, -1, 1).copy(), got, str(p))
        # Euler: a norm is homogeneous, so its gradient times x is the norm itself.
        total, size = np.sum(got * x), np.sum(np.abs(grad * values))
        assert abs(total - np.sum(grad * values)) <= 1e-12 * size


@pytest.mark.parametrize("p", [2, 3, 30], ids=str)
@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-304], ids=str)
def test_magnitudes_whose_powers_do_not_exist(
    p: float, scale: float, rng: np.random.Generator
) -> None:
    for case in filter(small, SHORT):
        x = rng.integers(-8, 9, case.lead + case.shape) / 8 * scale
        grad = rng.standard_normal(function("lp", case.nd)(x, 2, **case.window).shape)
        want = oracle_powers.backward(grad, x, p, axes_of(case), case.window)
        bits = None
        for target, threads in configurations():
            if threads == 7:
                continue
            got = backward(case.nd)(grad, x, p, **case.window, threads=threads)
            bits = got if bits is None else bits
            assert_same(got, bits, f"{case} {target} {threads}")
        check(got, want, p, str(case))


def test_windows_of_every_magnitude(rng: np.random.Generator) -> None:
    x = np.ldexp(rng.standard_normal((2, 2, 5, 12)), rng.integers(-1000, 1000, (2, 2, 5, 12)))
    x[0, 0] = rng.standard_normal((5, 12))
    x[1, 1, :, 3:] = 0
    for p in (0.7, 1, 2, 3, 12.5):
        window = {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 1), "dilation": (1, 2)}
        grad = rng.standard_normal(poolcore.lp_pool2d(x, 2, **window).shape)
        want = oracle_powers.backward(grad, x, p, (2, 3), window)
        # Exponents below 1 give elements that are far below the norm more than float64 holds.
        fits = np.vectorize(lambda d: d < Decimal("1.7e308"))(want[1])
        got = poolcore.lp_pool2d_backward(grad, x, p, **window)
        check(np.where(fits, got, 0), tuple(np.where(fits, w, Decimal(0)) for w in want), p, str(p))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_planes_alone(case: Case, rng: np.random.Generator) -> None:
    """Many planes at a time or one, which is cut for the threads: the same bits."""
    lead = (3, 7) if math.prod(case.shape) < 600 else (1, 2)
    x = random_array(rng, FLOAT32, lead + case.shape)
    if case.nd == 2:
        x[:, 0] *= np.float32(2.0**100)
    for p in (3, 30, INFINITY):
        grad = rng.standard_normal(function("lp", case.nd)(x, 2, **case.window).shape)
        got = backward(case.nd)(grad, x, p, **case.window, threads=3)
        for n, c in np.ndindex(lead):
            alone = backward(case.nd)(grad[n, c][None], x[n, c][None], p, **case.window)
            assert_same(got[n, c], alone[0], f"{p} {n} {c}")


def test_large_planes(rng: np.random.Generator) -> None:
    """Bands as they come: elements under every window, gaps between windows, one window for all."""
    x = rng.standard_normal((1, 1, 400, 300))
    for kernel, stride, padding in ((3, 1, 1), (2, 5, 0), (41, 3, 20), (400, 400, 0)):
        kernels = (kernel, min(kernel, 300))
        y = poolcore.lp_pool2d(x, 3, kernels, stride, padding=padding)
        grad = rng.standard_normal(y.shape)
        got = poolcore.lp_pool2d_backward(grad, x, 3, kernels, stride, padding=padding)
        spread = poolcore.sum_pool2d_backward(
            grad / (y * y), x.shape, kernels, stride, padding=padding
        )
        np.testing.assert_allclose(got, spread * x * np.abs(x), rtol=1e-12, atol=1e-14)
    whole = poolcore.global_lp_pool_backward(grad, x, 3)
    assert_same(got[..., :300].copy() if kernels[1] < 300 else got, whole)


# --------------------------------------------------------------------------------------- planes


@pytest.mark.parametrize("p", [0.7, 1, 2, 3, 4.5], ids=str)
def test_means_of_whole_planes(p: float, rng: np.random.Generator) -> None:
    for plane in ((9,), (7, 7), (2, 3, 4)):
        x = random_array(rng, FLOAT64, (2, 3, *plane))
        axes = tuple(range(2, x.ndim))
        grad = rng.standard_normal((2, 3))
        full = grad.reshape(2, 3, *[1] * len(plane))
        for eps in (1e-6, 0, 0.25):
            want = oracle_powers.backward(full, x, p, axes, {"kernel_size": plane}, eps)
            got = poolcore.gem_pool_backward(full, x, p, eps)
            check(got, want, p, f"{plane} {eps}")
            flat = poolcore.gem_pool_backward(grad, x, p, eps, keepdims=False, threads=2)
            assert_same(flat, got)
        want = oracle_powers.backward(full, x, p, axes, {"kernel_size": plane})
        got = poolcore.global_lp_pool_backward(grad, x, p, keepdims=False)
        check(got, want, p, str(plane))


def test_axes(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 5, 6, 2))
    grad = rng.standard_normal((5, 2))
    got = poolcore.gem_pool_backward(grad, x, axes=(2, 0), keepdims=False)
    turned = x.transpose(1, 3, 0, 2)
    want = poolcore.gem_pool_backward(grad[..., None, None], turned)
    assert_same(np.ascontiguousarray(got.transpose(1, 3, 0, 2)), np.ascontiguousarray(want))
    last = poolcore.global_lp_pool_backward(np.ones((4, 2)), x, layout="NHWC", keepdims=False)
    norms = np.sqrt((x * x).sum((1, 2), keepdims=True))
    np.testing.assert_allclose(last, x / norms, rtol=1e-13)
    everything = poolcore.global_lp_pool_backward(np.ones(()), x[0], axes=(0, 1, 2), keepdims=False)
    np.testing.assert_allclose(everything, x[0] / np.linalg.norm(x[0].ravel()), rtol=1e-13)


# ----------------------------------------------------------------------------- types and layouts


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_every_type(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Gradients of floats keep their type, of integers they are float64; x may be of any type."""
    case = next(c for c in SHORT if c.name == "resnet_stem")
    for other in (FLOAT64, np.dtype(bool), np.dtype(np.int16), dtype):
        x = random_array(rng, other, (1, 2, 9, 8))
        grad = random_array(rng, dtype, (1, 2, 5, 4))
        for p in (1, 2, 3, INFINITY):
            got = poolcore.lp_pool2d_backward(grad, x, p, **case.window)
            assert got.dtype == (dtype if oracle.is_float(dtype) else FLOAT64)
            if dtype.itemsize == 8 and dtype != np.float64:
                continue  # rounded to float64 first
            want = oracle_powers.backward(grad, x, p, (2, 3), case.window)
            check(got, want, p, f"{other} {p}")


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
def test_layouts(maker: Any, rng: np.random.Generator) -> None:
    for case in SHORT:
        x = maker(random_array(rng, FLOAT32, case.lead + case.shape))
        shape = function("lp", case.nd)(x, 2, **case.window).shape
        grad = maker(random_array(rng, FLOATS[0], shape))
        copies = [np.array(a, order="C") for a in (grad, x)]
        for p in (2, 2.5, INFINITY):
            want = backward(case.nd)(*copies, p, **case.window)
            got = backward(case.nd)(grad, x, p, **case.window)
            assert_same(np.ascontiguousarray(got), want, f"{case} {p}")
            out = maker(np.full(want.shape, 3, want.dtype))
            if not out.flags.writeable or maker.__name__ == "overlapping":
                continue
            assert backward(case.nd)(grad, x, p, **case.window, out=out, threads=2) is out
            assert_same(np.ascontiguousarray(out), want, f"{case} {p} out")


def test_largest_magnitudes_have_one_place(rng: np.random.Generator) -> None:
    x = np.array([[[3, -7, 7, 0], [-7, 0, 0, 0]]], np.int8)
    got = poolcore.lp_pool2d_backward(np.ones((1, 1, 2), np.int32), x, INFINITY, 2)
    assert got.tolist() == [[[0, -1, 1, 0], [0, 0, 0, 0]]]
    got = poolcore.lp_pool2d_backward(np.ones((1, 1, 2)), np.zeros((1, 2, 4)), INFINITY, 2)
    assert repr(got.tolist()) == repr(np.zeros((1, 2, 4)).tolist())
    x = rng.standard_normal((2, 3, 20, 30)).astype(np.float32)
    values, indices = poolcore.max_pool2d(np.abs(x), 3, 2, 1, return_indices=True)
    grad = rng.standard_normal(values.shape).astype(np.float32)
    want = poolcore.max_pool2d_backward(grad, indices, x.shape) * np.sign(x)
    got = poolcore.lp_pool2d_backward(grad, x, INFINITY, 3, 2, padding=1)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_elements_under_no_window() -> None:
    """Whatever they are."""
    x = np.ones((1, 1, 9, 7))
    x[:, :, 1::3] = [np.nan, np.inf, -np.inf, 1e300, 1e-300, 0, 2]
    x[:, :, :, 1::3] = [[1e300], [np.inf], [np.nan], [2], [3], [1e-300], [-np.inf], [0], [5]]
    for p in (0.5, 1, 2, 30, INFINITY):
        got = poolcore.lp_pool2d_backward(np.ones((1, 1, 3, 3)), x, p, 1, 3)
        want = np.zeros(x.shape)
        want[:, :, ::3, ::3] = 1
        assert_same(got, want, str(p))


def test_special_values() -> None:
    x = np.array([[0.0, 0.0, np.inf, 1.0, np.nan, 1.0, 0.0, 2.0]])
    for p in (1.5, 2, 3):
        got = poolcore.lp_pool1d_backward(np.ones((1, 4)), x, p, 2)
        nan = math.nan
        assert got[0].tolist() == pytest.approx([0, 0, nan, 0, nan, nan, 0, 1], nan_ok=True)
    got = poolcore.gem_pool_backward([[1.0]], [[[-1.0, 0.5, 0.5]]], 2, 0.5, keepdims=False)
    assert got[0, 0].tolist() == pytest.approx([0, 1 / 3, 1 / 3], rel=1e-15)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, ...]:
    nd = draw(st.integers(1, 3))
    shape, window = [], []
    for _ in range(nd):
        n, k, s, d = (draw(st.integers(1, top)) for top in (7, 3, 5, 3))
        e = d * (k - 1) + 1
        lo, hi = draw(st.integers(0, e - 1)), draw(st.integers(0, e - 1))
        shape.append(e if n + lo + hi < e else n)
        window.append((k, s, d, (lo, hi)))
    return (
        tuple(shape), window, draw(st.booleans()), draw(st.sampled_from(DTYPES)),
        draw(st.one_of(st.sampled_from([1, 2, 3, INFINITY]), st.floats(1, 20))),
        draw(st.sampled_from([0, 0, 300, -300, -900])), draw(st.integers(0, 2**32)),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(problems())
def test_random_problems(problem: tuple[Any, ...]) -> None:
    inner, windows, ceil, dtype, p, scale, seed = problem
    rng = np.random.default_rng(seed)
    kernel, stride, dilation, padding = (list(v) for v in zip(*windows, strict=True))
    window = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation,
              "ceil_mode": ceil}  # fmt: skip
    x = random_array(rng, dtype, (1, 2, *inner))
    if dtype == np.float64:
        x = np.where(rng.random(x.shape) < 0.5, np.ldexp(x, scale), x)
    axes = tuple(range(2, x.ndim))
    grad = rng.standard_normal(function("lp", len(inner))(x, 2, **window).shape)
    want = oracle_powers.backward(grad, x, p, axes, window)
    check(backward(len(inner))(grad, x, p, **window), want, p)


def test_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for nd in (1, 2, 3):
        pooling = getattr(torch.nn.functional, f"lp_pool{nd}d")
        for p, kernel, stride in ((2, 2, None), (3, 3, 2), (1.5, 2, 1), (1, 2, 3)):
            x = rng.random((2, 3, *(10, 9, 8)[:nd]))
            tensor = torch.from_numpy(x).requires_grad_()
            values = pooling(tensor, p, kernel, stride)
            grad = rng.standard_normal(values.shape)
            values.backward(torch.from_numpy(grad))
            got = backward(nd)(grad, x, p, kernel, stride)
            np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-9, atol=1e-12)
    x = rng.standard_normal((2, 3, 6, 5))
    tensor = torch.from_numpy(x).requires_grad_()
    tensor.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3).backward(torch.ones(2, 3).double())
    got = poolcore.gem_pool_backward(np.ones((2, 3)), x, keepdims=False)
    np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-12)


def test_wrong_arrays_are_refused_untouched() -> None:
    x = np.ones((1, 3, 4, 4))
    out = np.full((1, 3, 4, 4), 7.0)
    for grad, how, error, text in [
        (np.ones((1, 3, 2, 3)), {}, ValueError, r"grad must have shape \(1, 3, 2, 2\), that of"),
        (np.ones((3, 2, 2)), {}, ValueError, r"grad must have shape \(1, 3, 2, 2\), that of"),
        (np.ones((1, 3, 2, 2), bool), {}, TypeError, "grad has dtype bool"),
        (np.ones((1, 3, 2, 2), np.float32), {}, ValueError, "out must have dtype float32"),
        (out[:, :, :2, :2], {}, ValueError, "out overlaps grad"),
        (np.ones((1, 3, 2, 2)), {"x": out}, ValueError, "out overlaps x"),
        (np.ones((1, 3, 2, 2)), {"norm_type": 0}, ValueError, "norm_type=0 must be above 0"),
    ]:
        with pytest.raises(error, match=f"lp_pool2d_backward: {text}"):
            poolcore.lp_pool2d_backward(
                grad, **{"x": x, "norm_type": 2, "kernel_size": 2, "out": out, **how}
            )
    for keepdims, shape in ((True, (1, 3)), (False, (1, 3, 1, 1))):
        with pytest.raises(ValueError, match="gem_pool_backward: grad must have shape"):
            poolcore.gem_pool_backward(np.ones(shape), x, keepdims=keepdims, out=out)
    assert (out == 7).all()
    empty = poolcore.lp_pool2d_backward(np.ones((0, 3, 2, 2)), np.ones((0, 3, 4, 4)), 2, 2)
    assert empty.shape == (0, 3, 4, 4)


@pytest.mark.failure(14, 15)
@pytest.mark.parametrize("p", [1, 2, 3, INFINITY], ids=str)
def test_more_windows_than_memory_holds(p: float) -> None:
    k = 2**50
    grad = np.broadcast_to(np.float32(1), (1, k + 3))
    out = np.full((1, 4), np.float32(7))
    with pytest.raises(MemoryError, match="lp_pool1d_backward: no memory for so many windows"):
        poolcore.lp_pool1d_backward(
            grad, np.ones((1, 4), np.float32), p, k, 1, padding=k - 1, out=out
        )
    assert (out == 7).all()


@pytest.mark.failure(35)
@pytest.mark.parametrize(
    ("value", "kernel", "stride", "p"),
    [
        (1, 2, 2, 3),
        (1e-300, 3, 1, 3),
        (1, 2**13, 1, 1.5),
        (1, 2**13, 2**13, 2),
        (1, 3, 1, "np.inf"),
    ],
)
def test_interrupts_are_heard(value: float, kernel: int, stride: int, p: float) -> None:
    """By norms, by elements that are done one by one, by windows that are a plane, by maxima."""
    code = f"""
import signal, numpy as np, poolcore
x = np.broadcast_to(np.float64({value}), (1, 4, 2**14, 2**13))
shape = [(n - {kernel}) // {stride} + 1 for n in x.shape[2:]]
grad = np.broadcast_to(np.float64(1), (1, 4, *shape))
out = np.empty(x.shape)
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    poolcore.lp_pool2d_backward(grad, x, {p}, {kernel}, {stride}, out=out)
except KeyboardInterrupt:
    print("heard")
"""
    assert run_python(code).stdout == "heard\n"
