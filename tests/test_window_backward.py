"""The gradients of averages and sums: the oracle on every target, layouts, divisors, PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
import oracle_spread
import poolcore
from cases import CASES, SHORT, Case
from layouts import LAYOUTS, name
from support import (
    DTYPES,
    FLOATS,
    THREADS,
    assert_same,
    configurations,
    function,
    random_array,
    run_python,
)

LAYOUT_NAMES = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
NUMBERS = DTYPES[1:]
FLOAT32 = np.dtype(np.float32)


def backward(op: str, nd: int) -> Any:
    return getattr(poolcore, f"{op}_pool{nd}d_backward")


def out_shape(case: Case) -> tuple[int, ...]:
    axes = tuple(range(case.nd))
    geometry = oracle.geometries(
        case.shape, axes, case.kernel, case.stride, case.padding, case.dilation, case.ceil_mode
    )
    return tuple(a.o for a in geometry)


def pooled_axes(nd: int, rank: int, last: bool = False) -> tuple[int, ...]:
    first = rank - nd - (1 if last else 0)
    return tuple(range(first, first + nd))


def taps(case: Case) -> int:
    kernel = case.kernel if isinstance(case.kernel, tuple) else (case.kernel,) * case.nd
    return int(np.prod(kernel))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("op", ["avg", "sum"])
def test_named_cases(op: str, case: Case, rng: np.random.Generator) -> None:
    """Both memory orders, every target, every number of threads: the oracle's bits."""
    lead = (1, 2) if taps(case) > 1000 else case.lead
    grad = random_array(rng, FLOAT32, lead + out_shape(case), "special")
    shape = lead + case.shape
    want = oracle_spread.backward(grad, op, shape, pooled_axes(case.nd, len(shape)), case.window)
    last = np.ascontiguousarray(np.moveaxis(grad, 1, -1))
    for target, threads in configurations():
        got = backward(op, case.nd)(grad, shape, **case.window, threads=threads)
        assert_same(got, want, f"{target} {threads}", nan_bits=True)
        got = backward(op, case.nd)(
            last, (lead[0], *case.shape, lead[1]), **case.window,
            layout=LAYOUT_NAMES[case.nd][1], threads=threads,
        )  # fmt: skip
        assert_same(np.moveaxis(got, -1, 1).copy(), want, f"{target} {threads} last", nan_bits=True)


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("op", ["avg", "sum"])
def test_every_type(op: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    for case in SHORT:
        grad = random_array(rng, dtype, case.lead + out_shape(case), "special")
        shape = case.lead + case.shape
        axes = pooled_axes(case.nd, len(shape))
        want = oracle_spread.backward(grad, op, shape, axes, case.window)
        got = backward(op, case.nd)(grad, shape, **case.window)
        assert_same(got, want, str(case), nan_bits=True)
        one = backward(op, case.nd)(grad[0], shape[1:], **case.window, threads=2)
        assert_same(one, want[0], str(case), nan_bits=True)


@pytest.mark.parametrize("case", SHORT, ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_divisors(case: Case, dtype: np.dtype, rng: np.random.Generator) -> None:
    grad = random_array(rng, dtype, case.lead + out_shape(case))
    shape = case.lead + case.shape
    axes = pooled_axes(case.nd, len(shape))
    options: list[dict[str, Any]] = [
        {"count_include_pad": False},
        *({"divisor_override": v} for v in (7, -3, 2**24, 2**24 + 1, 2**53 + 1, -(2**63))),
    ]
    for option in options:
        want = oracle_spread.backward(grad, "avg", shape, axes, case.window, **option)
        got = backward("avg", case.nd)(grad, shape, **case.window, **option)
        assert_same(got, want, str(option))


def check_layout(maker: Any, grad: np.ndarray, op: str, case: Case) -> None:
    """The gradient, and `out` where it can be, in that order of memory."""
    shape = case.lead + case.shape
    grad = maker(grad)
    want = oracle_spread.backward(grad, op, shape, pooled_axes(case.nd, len(shape)), case.window)
    got = backward(op, case.nd)(grad, shape, **case.window)
    assert_same(np.ascontiguousarray(got), want, op)
    out = maker(np.full(shape, 3, want.dtype))
    if not out.flags.writeable or maker.__name__ == "overlapping":
        return
    assert backward(op, case.nd)(grad, shape, **case.window, out=out, threads=2) is out
    assert_same(np.ascontiguousarray(out), want, op)


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
@pytest.mark.parametrize("case", SHORT, ids=str)
def test_layouts(case: Case, maker: Any, rng: np.random.Generator) -> None:
    for op, dtype in (("avg", FLOAT32), ("sum", np.dtype(np.int16)), ("avg", FLOATS[0])):
        check_layout(maker, random_array(rng, dtype, case.lead + out_shape(case)), op, case)


LARGE = [
    # Rows in several strips, planes in several tasks, windows that need float64.
    Case("many_rows", "bands", (700, 90), 3, 1, 1, lead=(1, 1)),
    Case("long_rows", "strips", (9, 30_000), (3, 5), (1, 2), (1, 2), lead=(1, 1)),
    Case("large_window", "many windows over an element", (150, 160), 70, 1, 35, lead=(1, 1)),
    Case("long_window", "a long tree", (40_000,), 3000, 1, 1500, lead=(1, 1)),
    Case("far_taps", "windows far apart", (40_000,), 3, 2, 0, 12_001, lead=(1, 1)),
    Case("volume", "three axes", (20, 70, 60), 5, (1, 2, 3), 2, lead=(1, 1)),
    Case("narrow_strips", "columns of 16 windows at a time", (40, 1500), (900, 40), 1, (899, 39),
         lead=(1, 1)),
    Case("no_room", "windows over one element exceed the scratch", (3,), 70_000, 1, 69_999,
         lead=(1, 1)),
    Case("no_room_dilated", "the same, far apart", (5,), 50_000, 2, 99_990, 2, lead=(1, 1)),
    Case("no_room_at_all", "nor do they fit a larger one", (1,), 300_000, 2, 599_998, 2,
         lead=(1, 1)),
    Case("no_room_for_planes", "planes of windows exceed it", (4, 5, 6), 160, 2, 159, 1,
         lead=(1, 1)),
]  # fmt: skip


def by_differences(grad: np.ndarray, case: Case, shape: tuple[int, ...]) -> np.ndarray:
    """Sums over whole numbers, by scattering to the ends of runs: exact, in time without kernel."""
    total = np.zeros(case.shape)
    axes = oracle.geometries(
        case.shape, tuple(range(case.nd)), case.kernel, case.stride, case.padding, case.dilation,
        case.ceil_mode,
    )  # fmt: skip
    x = grad[0, 0]
    for where, axis in enumerate(axes):
        span = axis.n + axis.lo + axis.hi + axis.s * 2 + axis.k * axis.d
        padded = np.zeros((span, *np.delete(x.shape, where)))
        moved = np.moveaxis(x, where, 0)
        ends = np.arange(axis.o) * axis.s
        np.add.at(padded, ends, moved)
        np.add.at(padded, ends + axis.k * axis.d, -moved)
        for residue in range(axis.d):  # runs of taps are a dilation apart
            padded[residue :: axis.d] = np.cumsum(padded[residue :: axis.d], axis=0)
        x = np.moveaxis(padded[axis.lo : axis.lo + axis.n], 0, where)
    total += x
    return total.reshape(shape)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_large(case: Case, dtype: str, rng: np.random.Generator) -> None:
    """Whole numbers, so that every order gives the same sums."""
    shape = case.lead + case.shape
    grad = rng.integers(-3, 4, case.lead + out_shape(case)).astype(dtype)
    want = by_differences(grad, case, shape)
    for threads in THREADS:
        got = backward("sum", case.nd)(grad, shape, **case.window, threads=threads)
        np.testing.assert_array_equal(got, want)


BITS = [c for c in LARGE if c.name.startswith("no_room") or c.name in ("many_rows", "large_window")]


@pytest.mark.parametrize("case", BITS, ids=str)
def test_large_bits(case: Case, rng: np.random.Generator) -> None:
    """Strips, bands and the path without scratch add in the oracle's order."""
    shape = case.lead + case.shape
    grad = rng.standard_normal(case.lead + out_shape(case)).astype(np.float32)
    axes = pooled_axes(case.nd, len(shape))
    op = "sum" if case.name.startswith("no_room") else "avg"  # the oracle counts taps one by one
    want = oracle_spread.backward(grad, op, shape, axes, case.window)
    for threads in THREADS:
        got = backward(op, case.nd)(grad, shape, **case.window, threads=threads)
        assert_same(got, want, str(threads))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, ...]:
    nd = draw(st.integers(1, 3))
    shape, window = [], []
    for _ in range(nd):
        n, k, s, d = (draw(st.integers(1, top)) for top in (12, 6, 7, 5))
        e = d * (k - 1) + 1
        lo, hi = draw(st.integers(0, e - 1)), draw(st.integers(0, e - 1))
        if n + lo + hi < e:
            n = e
        shape.append(n)
        window.append((k, s, d, (lo, hi)))
    order = draw(st.permutations(range(nd + 2)))
    return (
        nd, tuple(shape), window, draw(st.booleans()), draw(st.booleans()), draw(st.booleans()),
        draw(st.sampled_from(["avg", "sum"])), draw(st.sampled_from(NUMBERS)), order,
        draw(st.integers(0, 2**32)),
    )  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(problems())
def test_random_problems(problem: tuple[Any, ...]) -> None:
    nd, inner, windows, ceil, include, last, op, dtype, order, seed = problem
    rng = np.random.default_rng(seed)
    kernel, stride, dilation, padding = (list(v) for v in zip(*windows, strict=True))
    window = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation,
              "ceil_mode": ceil}  # fmt: skip
    case = Case("", "", inner, tuple(kernel), tuple(stride), padding, tuple(dilation), ceil)
    outs = out_shape(case)
    shape = (2, *inner, 3) if last else (2, 3, *inner)
    grad_shape = (2, *outs, 3) if last else (2, 3, *outs)
    plain = random_array(rng, dtype, grad_shape, "special")
    grad = np.ascontiguousarray(plain.transpose(order)).transpose(np.argsort(order))
    axes = pooled_axes(nd, len(shape), last)
    options = {"count_include_pad": include} if op == "avg" else {}
    want = oracle_spread.backward(grad, op, shape, axes, window, **options)
    got = backward(op, nd)(
        grad, shape, **window, **options, layout=LAYOUT_NAMES[nd][last], threads=2
    )
    assert_same(np.ascontiguousarray(got), want, nan_bits=True)


@pytest.mark.parametrize("case", SHORT, ids=str)
@pytest.mark.parametrize("include", [True, False])
def test_central_differences(case: Case, include: bool, rng: np.random.Generator) -> None:
    """A mean is linear, so the differences are its gradient but for rounding."""
    shape = (1, 2, *case.shape)
    x = rng.standard_normal(shape)
    options: dict[str, Any] = {**case.window, "count_include_pad": include}
    pooling = function("avg", case.nd)
    values = pooling(x, **options)
    grad = np.where(np.isnan(values), 0, rng.standard_normal(values.shape))
    got = backward("avg", case.nd)(grad, shape, **options)
    places = [tuple(int(rng.integers(n)) for n in shape) for _ in range(12)]
    for at in places:
        step = np.zeros(shape)
        step[at] = 2.0**-8
        change = np.nan_to_num(pooling(x + step, **options) - pooling(x - step, **options))
        slope = np.sum(change * grad) / 2.0**-7
        assert abs(slope - got[at]) < 1e-9, (at, slope, got[at])


def test_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for nd in (1, 2, 3):
        pooling = getattr(torch.nn.functional, f"avg_pool{nd}d")
        for kernel, stride, pad, ceil, include in (
            (2, 2, 0, False, True), (3, 2, 1, False, True), (3, 2, 1, True, False),
            (3, 2, 1, True, True), (5, 1, 2, False, False), (3, 4, 0, True, True),
        ):  # fmt: skip
            x = rng.standard_normal((2, 3, *(10, 9, 8)[:nd])).astype(np.float32)
            tensor = torch.from_numpy(x).requires_grad_()
            values = pooling(tensor, kernel, stride, pad, ceil, include)
            grad = rng.standard_normal(values.shape).astype(np.float32)
            values.backward(torch.from_numpy(grad))
            got = backward("avg", nd)(grad, x.shape, kernel, stride, pad, ceil, include)
            np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_empty_and_wrong_shapes() -> None:
    got = poolcore.avg_pool2d_backward(np.ones((0, 3, 2, 2)), (0, 3, 4, 4), 2)
    assert got.shape == (0, 3, 4, 4)
    with pytest.raises(ValueError, match=r"grad must have shape \(1, 3, 2, 2\), that of the"):
        poolcore.avg_pool2d_backward(np.ones((1, 3, 2, 3)), (1, 3, 4, 4), 2)
    with pytest.raises(ValueError, match=r"input_shape\[2\]=0 must be at least 1"):
        poolcore.sum_pool2d_backward(np.ones((1, 3, 2, 3)), (1, 3, 0, 4), 2)
    shared = np.ones((1, 1, 4, 4))
    with pytest.raises(ValueError, match="overlaps grad"):
        poolcore.sum_pool2d_backward(shared, (1, 1, 4, 4), 1, out=shared)
    with pytest.raises(ValueError, match="out must have dtype float64, got float32"):
        poolcore.sum_pool2d_backward(np.ones((1, 4, 4)), (1, 4, 4), 1, out=np.ones((1, 4, 4), "f4"))


def test_interrupts_are_heard() -> None:
    code = """
import signal, numpy as np, poolcore
g = np.broadcast_to(np.float32(1), (1, 1, 2**40))
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    poolcore.sum_pool1d_backward(g, (1, 1, 3), 2**40, 1, [(2**40 - 1, 2**40 - 3)])
except KeyboardInterrupt:
    print("heard")
"""
    assert run_python(code).stdout == "heard\n"
