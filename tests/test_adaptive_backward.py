"""The gradients of adaptive pooling: the oracle on every target, layouts, guard pages, PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle_adaptive
import poolcore
from layouts import LAYOUTS, name
from support import (
    DTYPES,
    THREADS,
    assert_same,
    configurations,
    random_array,
    run_python,
)

LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
NUMBERS = DTYPES[1:]
# (elements, windows) along every axis: fewer, more, none, as many, coprime, long windows.
SIZES = [
    ((5,), (3,)), ((3,), (5,)), ((7,), (7,)), ((12,), (4,)), ((4,), (12,)), ((6,), (0,)),
    ((1,), (9,)), ((257,), (10,)), ((10,), (257,)), ((13, 7), (5, 3)), ((6, 10), (9, 4)),
    ((40, 70), (7, 11)), ((5, 4, 9), (3, 2, 5)), ((2, 6, 3), (3, 3, 7)), ((8, 6, 4), (4, 6, 1)),
]  # fmt: skip


def mean_backward(nd: int) -> Any:
    return getattr(poolcore, f"adaptive_avg_pool{nd}d_backward")


@pytest.mark.parametrize(("shape", "size"), SIZES, ids=str)
def test_means(shape: Any, size: Any, rng: np.random.Generator) -> None:
    """Both memory orders, every target, every number of threads: the oracle's bits."""
    nd = len(shape)
    grad = random_array(rng, np.dtype(np.float32), (2, 5, *size), "special")
    whole = (2, 5, *shape)
    want = oracle_adaptive.backward(grad, whole, tuple(range(2, 2 + nd)))
    last = np.ascontiguousarray(np.moveaxis(grad, 1, -1))
    for target, threads in configurations():
        got = mean_backward(nd)(grad, whole, threads=threads)
        assert_same(got, want, f"{target} {threads}", nan_bits=True)
        got = mean_backward(nd)(last, (2, *shape, 5), layout=LAST[nd], threads=threads)
        assert_same(np.moveaxis(got, -1, 1).copy(), want, f"{target} {threads}", nan_bits=True)


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_every_type(dtype: np.dtype, rng: np.random.Generator) -> None:
    for shape, size in SIZES[-6:]:
        axes = tuple(range(1, 1 + len(shape)))
        grad = random_array(rng, dtype, (3, *size), "special")
        want = oracle_adaptive.backward(grad, (3, *shape), axes)
        got = mean_backward(len(shape))(grad, (3, *shape))
        assert_same(got, want, f"{shape} {size}", nan_bits=True)


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
def test_layouts(maker: Any, rng: np.random.Generator) -> None:
    for shape, size, dtype in (((13, 7), (5, 3), np.float32), ((6, 10), (9, 4), np.float64)):
        whole = (2, 3, *shape)
        grad = maker(random_array(rng, np.dtype(dtype), (2, 3, *size)))
        want = oracle_adaptive.backward(grad, whole, (2, 3))
        assert_same(np.ascontiguousarray(mean_backward(2)(grad, whole)), want)
        out = maker(np.full(whole, 3, dtype))
        if not out.flags.writeable or maker.__name__ == "overlapping":
            continue
        assert mean_backward(2)(grad, whole, out=out, threads=2) is out
        assert_same(np.ascontiguousarray(out), want)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, ...]:
    nd = draw(st.integers(1, 3))
    lengths = st.lists(st.integers(1, 14), min_size=nd, max_size=nd)
    order = draw(st.permutations(range(nd + 2)))
    return (tuple(draw(lengths)), tuple(draw(lengths)), draw(st.booleans()),
            draw(st.sampled_from(NUMBERS)), order, draw(st.integers(0, 2**32)))  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(problems())
def test_random_problems(problem: tuple[Any, ...]) -> None:
    shape, size, last, dtype, order, seed = problem
    nd = len(shape)
    rng = np.random.default_rng(seed)
    whole = (2, *shape, 3) if last else (2, 3, *shape)
    plain = random_array(rng, dtype, (2, *size, 3) if last else (2, 3, *size), "special")
    grad = np.ascontiguousarray(plain.transpose(order)).transpose(np.argsort(order))
    first = 1 if last else 2
    want = oracle_adaptive.backward(grad, whole, tuple(range(first, first + nd)))
    options = {"layout": LAST[nd]} if last else {}
    got = mean_backward(nd)(grad, whole, threads=2, **options)
    assert_same(np.ascontiguousarray(got), want, nan_bits=True)


def test_large_planes(rng: np.random.Generator) -> None:
    """Tasks of rows, strips of windows, windows over one element that exceed the scratch."""
    for shape, size in (((700, 900), (300, 70)), ((3, 50_000), (2, 7001)), ((30_000,), (40_001,))):
        grad = rng.standard_normal((1, 1, *size)).astype(np.float32)
        axes = tuple(range(2, 2 + len(shape)))
        got = [mean_backward(len(shape))(grad, (1, 1, *shape), threads=t) for t in THREADS]
        for other in got[1:]:
            assert_same(other, got[0])
        small = grad.astype(np.float64)
        for axis, n in zip(axes, shape, strict=True):
            o = small.shape[axis]
            edges = np.array(oracle_adaptive.windows(n, o))
            moved = np.moveaxis(small, axis, -1) / (edges[:, 1] - edges[:, 0])
            total = np.zeros((*moved.shape[:-1], n + 1))
            np.add.at(total, (..., edges[:, 0]), moved)
            np.add.at(total, (..., edges[:, 1]), -moved)
            small = np.moveaxis(np.cumsum(total, -1)[..., :-1], -1, axis)
        np.testing.assert_allclose(got[0], small, rtol=2e-5, atol=2e-6)
    few = np.ones((1, 1, 200_003), np.float32)
    for n in (1, 2):
        got_few = mean_backward(1)(few, (1, 1, n))
        np.testing.assert_allclose(got_few, np.full((1, 1, n), {1: 200_003, 2: 100_001.5}[n]))


@pytest.mark.parametrize(("shape", "size"), SIZES, ids=str)
def test_central_differences(shape: Any, size: Any, rng: np.random.Generator) -> None:
    nd = len(shape)
    whole = (1, 2, *shape)
    x = rng.standard_normal(whole)
    pooling = getattr(poolcore, f"adaptive_avg_pool{nd}d")
    grad = rng.standard_normal((1, 2, *size))
    got = mean_backward(nd)(grad, whole)
    for at in [tuple(int(rng.integers(n)) for n in whole) for _ in range(8)]:
        step = np.zeros(whole)
        step[at] = 2.0**-8
        slope = np.sum((pooling(x + step, size) - pooling(x - step, size)) * grad) / 2.0**-7
        assert abs(slope - got[at]) < 1e-10


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_maxima_and_minima(nd: int, rng: np.random.Generator) -> None:
    """The same sums of the same indices as those of other windows."""
    for shape, size in SIZES:
        if len(shape) != nd or 0 in size:
            continue
        for op in ("max", "min"):
            x = rng.standard_normal((2, 3, *shape))
            pooling = getattr(poolcore, f"adaptive_{op}_pool{nd}d")
            values, indices = pooling(x, size, return_indices=True)
            grad = rng.integers(-50, 50, values.shape).astype(np.float64)
            want = np.zeros((6, int(np.prod(shape))))
            np.add.at(want, (np.arange(6)[:, None], indices.reshape(6, -1)), grad.reshape(6, -1))
            back = getattr(poolcore, f"adaptive_max_pool{nd}d_backward")
            for threads in THREADS:
                got = back(grad, indices, x.shape, threads=threads)
                assert_same(got, want.reshape(x.shape))
            last = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (grad, indices)]
            got = back(*last, (2, *shape, 3), layout=LAST[nd])
            assert_same(np.moveaxis(got, -1, 1).copy(), want.reshape(x.shape))


def test_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for shape, size in SIZES:
        if 0 in size:
            continue
        nd = len(shape)
        x = rng.permutation(6 * int(np.prod(shape))).astype(np.float64).reshape(2, 3, *shape)
        grad = rng.standard_normal((2, 3, *size))
        for op in ("avg", "max"):
            tensor = torch.from_numpy(x).requires_grad_()
            pooling = getattr(torch.nn.functional, f"adaptive_{op}_pool{nd}d")
            pooling(tensor, size).backward(torch.from_numpy(grad))
            if op == "avg":
                got = mean_backward(nd)(grad, x.shape)
            else:
                forward = getattr(poolcore, f"adaptive_max_pool{nd}d")
                indices = forward(x, size, return_indices=True)[1]
                back = getattr(poolcore, f"adaptive_max_pool{nd}d_backward")
                got = back(grad, indices, x.shape)
            np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-12, atol=1e-13)
            tensor.grad = None


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1500,), (7,)), ((1400,), (7,)), ((1499,), (149,)), ((70_000,), (3,)), ((60, 41), (59, 40))],
    ids=str,
)
def test_many_lines_and_one(shape: Any, size: Any, rng: np.random.Generator) -> None:
    """Long lines go side by side where there are many, one alone for itself: the same bits."""
    grad = rng.standard_normal((2, 9, *size)).astype(np.float32)
    back = mean_backward(len(shape))
    want = [[back(line[None], (1, *shape))[0] for line in image] for image in grad]
    for threads in THREADS:
        assert_same(back(grad, (2, 9, *shape), threads=threads), np.array(want))


def test_empty_and_wrong_shapes() -> None:
    back = poolcore.adaptive_avg_pool2d_backward
    assert back(np.ones((0, 3, 2, 2)), (0, 3, 5, 4)).shape == (0, 3, 5, 4)
    assert_same(back(np.ones((1, 3, 2, 0))[..., :0], (1, 3, 5, 4)), np.zeros((1, 3, 5, 4)))
    with pytest.raises(ValueError, match=r"input_shape\[2\]=0 must be at least 1"):
        back(np.ones((1, 3, 2, 3)), (1, 3, 0, 4))
    with pytest.raises(ValueError, match=r"input_shape\[1\]=4 must be 3, as in grad"):
        back(np.ones((1, 3, 2, 3)), (1, 4, 5, 4))
    with pytest.raises(TypeError, match="adaptive_avg_pool2d_backward: grad has dtype bool"):
        back(np.ones((1, 3, 2, 3), bool), (1, 3, 5, 4))
    shared = np.ones((1, 1, 4, 4))
    with pytest.raises(ValueError, match="overlaps grad"):
        back(shared, (1, 1, 4, 4), out=shared)
    with pytest.raises(IndexError, match=r"adaptive_max_pool1d_backward: indices\[0, 1\]=7"):
        poolcore.adaptive_max_pool1d_backward([[1.0, 2.0]], [[0, 7]], (1, 5))


def test_interrupts_are_heard() -> None:
    code = """
import signal, numpy as np, poolcore
g = np.broadcast_to(np.float32(1), (1, 1, 2**40))
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    poolcore.adaptive_avg_pool1d_backward(g, (1, 1, 3))
except KeyboardInterrupt:
    print("heard")
"""
    assert run_python(code).stdout == "heard\n"
