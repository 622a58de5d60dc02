"""The gradients of global pooling: on every target, any axes, with and without the pooled ones."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
import oracle_adaptive
import poolcore
from layouts import LAYOUTS, name
from support import DTYPES, THREADS, assert_runs, assert_same, configurations, random_array
from test_guard import guard

NUMBERS = DTYPES[1:]
SHAPES = [(2, 3, 9), (2, 3, 7, 7), (3, 1, 4, 40), (2, 2, 3, 4, 5), (1, 2, 1, 1), (2, 3, 200, 170)]


def squeezed(a: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return a if keepdims else a.squeeze(axes)


def want_sum(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A sum of one term each: the gradient itself, with the oracle's zero and NaN."""
    one = oracle.pool(grad, (1,), "sum", (grad.ndim - 1,))
    return np.array(np.broadcast_to(one, shape))


def want_max(grad: np.ndarray, indices: np.ndarray, shape: Any, axes: tuple[int, ...]) -> Any:
    want = np.zeros(shape, grad.dtype)
    plane = [shape[a] for a in axes]
    for at in np.ndindex(*grad.shape):
        if indices[at] < 0:
            continue
        to = list(at)
        for axis, i in zip(axes, np.unravel_index(indices[at], plane), strict=True):
            to[axis] = int(i)
        want[tuple(to)] = grad[at] + want.dtype.type(0)
    return want


def problem(
    rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    results = tuple(1 if i in axes else n for i, n in enumerate(shape))
    plane = int(np.prod([shape[a] for a in axes]))
    return random_array(rng, dtype, results, "special"), rng.integers(-1, plane, results)


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("shape", SHAPES[:-1], ids=str)
def test_values(shape: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> None:
    axes = tuple(range(2, len(shape)))
    grad, indices = problem(rng, dtype, shape, axes)
    mean = oracle_adaptive.backward(grad, shape, axes)
    largest = want_max(np.nan_to_num(grad, nan=3), indices, shape, axes)
    for target, threads in configurations():
        for keepdims in (True, False):
            how = {"keepdims": keepdims, "threads": threads}
            g, i = squeezed(grad, axes, keepdims), squeezed(indices, axes, keepdims)
            got = poolcore.global_avg_pool_backward(g, shape, **how)
            assert_same(got, mean, f"avg {target}", nan_bits=True)
            got = poolcore.global_sum_pool_backward(g, shape, **how)
            assert_same(got, want_sum(grad, shape), f"sum {target}", nan_bits=True)
            got = poolcore.global_max_pool_backward(np.nan_to_num(g, nan=3), i, shape, **how)
            assert_same(got, largest, f"max {target}")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_axes(data: st.DataObject) -> None:
    """Axes anywhere, in any order, of arrays of any rank, in any order of memory."""
    rank = data.draw(st.integers(1, 6))
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=rank, max_size=rank)))
    order = data.draw(st.permutations(range(rank)))
    axes = tuple(data.draw(st.permutations(range(rank)))[: data.draw(st.integers(1, min(rank, 3)))])
    keepdims = data.draw(st.booleans())
    dtype = data.draw(st.sampled_from(NUMBERS))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    ascending = tuple(sorted(axes))
    grad, indices = problem(rng, dtype, shape, ascending)
    grad = np.nan_to_num(grad, nan=2)
    moved = np.ascontiguousarray(grad.transpose(order)).transpose(np.argsort(order))
    written = tuple(a - rank * data.draw(st.booleans()) for a in axes)
    how: dict[str, Any] = {"axes": written, "keepdims": keepdims}
    g, i = squeezed(moved, ascending, keepdims), squeezed(indices, ascending, keepdims)
    got = poolcore.global_max_pool_backward(g, i, shape, **how)
    assert_same(np.array(got, order="C"), want_max(grad, indices, shape, ascending))
    got = poolcore.global_avg_pool_backward(g, shape, **how)
    assert_same(np.array(got, order="C"), oracle_adaptive.backward(grad, shape, ascending))


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
def test_layouts(maker: Any, rng: np.random.Generator) -> None:
    shape, axes = (2, 4, 6, 5), (1, 2)
    grad, indices = problem(rng, np.dtype(np.float32), shape, axes)
    g = maker(grad)
    grad = np.array(g, order="C")
    want = oracle_adaptive.backward(grad, shape, axes)
    got = poolcore.global_avg_pool_backward(g, shape, layout="NHWC")
    assert_same(np.array(got, order="C"), want)
    out = maker(np.full(shape, 3, np.float32))
    if not out.flags.writeable or maker.__name__ == "overlapping":
        return
    assert poolcore.global_avg_pool_backward(g, shape, axes=axes, out=out, threads=2) is out
    assert_same(np.array(out, order="C"), want)
    grad = np.nan_to_num(grad, nan=1)
    assert poolcore.global_max_pool_backward(grad, indices, shape, axes=axes, out=out) is out
    assert_same(np.array(out, order="C"), want_max(grad, indices, shape, axes))


def test_of_what_was_pooled(rng: np.random.Generator) -> None:
    """With the indices of maxima and minima; threads; central differences of means."""
    for shape in SHAPES:
        x = rng.standard_normal(shape)
        axes = tuple(range(2, len(shape)))
        grad = rng.standard_normal(shape[:2])
        wide = np.expand_dims(grad, axes)
        for pooling in (poolcore.global_max_pool, poolcore.global_min_pool):
            values, indices = pooling(x, keepdims=False, return_indices=True)
            want = np.where(x == np.expand_dims(values, axes), wide, 0.0)
            for threads in THREADS:
                how: dict[str, Any] = {"keepdims": False, "threads": threads}
                got = poolcore.global_max_pool_backward(grad, indices, shape, **how)
                assert_same(got, want)
        step = np.zeros(shape)
        at = tuple(int(rng.integers(n)) for n in shape)
        step[at] = 2.0**-8
        for forward, backward in (
            (poolcore.global_avg_pool, poolcore.global_avg_pool_backward),
            (poolcore.global_sum_pool, poolcore.global_sum_pool_backward),
        ):
            slope = np.sum((forward(x + step) - forward(x - step)) * wide) / 2.0**-7
            assert abs(slope - backward(wide, shape)[at]) < 1e-9


WRONG: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((np.ones((2, 3, 1)), 5), {}, TypeError, "input_shape must be a sequence of ints, got int"),
    ((np.ones((2, 3)), (2, 3)), {}, ValueError, "input_shape must have 3 to 5 dimensions"),
    ((np.ones((2, 3)), (2, 3, 0)), {"keepdims": False}, ValueError, r"input_shape\[2\]=0 must be"),
    ((np.ones((2, 3)), (2, 3, 4)), {}, ValueError, r"grad must have shape \(2, 3, 1\)"),
    ((np.ones((2, 3, 1)), (2, 3, 4)), {"keepdims": False}, ValueError, r"must have shape \(2, 3\)"),
    ((np.ones((2, 3, 1)), (2, 4, 4)), {}, ValueError, r"grad must have shape \(2, 4, 1\)"),
    ((np.ones((2, 3, 1), bool), (2, 3, 4)), {}, TypeError, "grad has dtype bool"),
    ((np.ones((2, 3, 1)), (2, 3, 4)), {"keepdims": 1}, TypeError, "keepdims must be a bool"),
    ((np.ones((2, 3, 1)), (2, 3, 4)), {"axes": 3}, ValueError,
     r"axes\[0\]=3 is out of range for input_shape with 3"),
    ((np.ones((2, 3, 1)), (2, 3, 4)), {"axes": 2, "layout": "NCW"}, ValueError, "not both"),
    ((np.ones((1,) * 3), (2,) * 70), {"axes": 2}, ValueError, "input_shape must have at most 64"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "how", "error", "text"), WRONG, ids=lambda v: str(v)[:40])
def test_errors(args: Any, how: dict[str, Any], error: type[Exception], text: str) -> None:
    grad, shape = args
    for op in ("avg", "sum"):
        with pytest.raises(error, match=f"global_{op}_pool_backward: .*{text}"):
            getattr(poolcore, f"global_{op}_pool_backward")(grad, shape, **how)
    with pytest.raises(error, match=f"global_max_pool_backward: .*{text}"):
        poolcore.global_max_pool_backward(grad, np.zeros(grad.shape, int), shape, **how)


def test_indices_and_out_are_checked_first() -> None:
    grad, indices = np.ones((2, 3)), np.zeros((2, 3), int)
    indices[1, 2] = 20
    out = np.full((2, 3, 4, 5), 7.0)
    with pytest.raises(IndexError, match=r"indices\[1, 2\]=20 must be -1 or at least 0 and less"):
        poolcore.global_max_pool_backward(grad, indices, out.shape, keepdims=False, out=out)
    with pytest.raises(ValueError, match=r"indices must have the shape of grad, \(2, 3\)"):
        poolcore.global_max_pool_backward(grad, indices[:1], out.shape, keepdims=False, out=out)
    with pytest.raises(ValueError, match="overlaps grad"):
        poolcore.global_avg_pool_backward(out[..., 0, 0], out.shape, keepdims=False, out=out)
    assert (out == 7).all()
    assert poolcore.global_sum_pool_backward(np.ones((0, 3, 1)), (0, 3, 5)).shape == (0, 3, 5)


RANDOM = """
for _ in range(300):
    dtype = (np.float32, np.float64, np.float16, np.int8)[rng.integers(4)]
    nd = int(rng.integers(1, 4))
    shape = tuple(int(v) for v in rng.integers(1, (3, 12))) + tuple(
        int(v) for v in rng.integers(1, (60, 14, 6)[nd - 1], nd))
    results = shape[:2] + (1,) * nd
    at_end = bool(rng.integers(2))
    plane = int(np.prod(shape[2:]))
    out = outputs.place(shape, np.dtype(dtype), at_end)
    where = indices.place(results, np.dtype(np.int64), at_end)
    where[...] = rng.integers(plane, size=results)
    grad = inputs.place(results, np.dtype(dtype), at_end)
    grad[...] = rng.integers(1, 9, results)
    poolcore.global_max_pool_backward(grad, where, shape, out=out, threads=int(rng.integers(1, 3)))
    assert out.sum(dtype=float) == grad.sum(dtype=float)
    if dtype is not np.int8:
        poolcore.global_avg_pool_backward(grad, shape, out=out)
        assert (out > 0).all()
print("done")
"""


@pytest.mark.failure(22)
@pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect as Linux has it")
def test_between_guard_pages() -> None:
    assert assert_runs(guard(3, 16) + RANDOM, timeout=100).strip() == "done"


def test_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for shape in SHAPES:
        x = torch.from_numpy(rng.standard_normal(shape)).requires_grad_()
        grad = rng.standard_normal(shape[:2])
        axes = tuple(range(2, len(shape)))
        x.mean(axes).backward(torch.from_numpy(grad))
        got = poolcore.global_avg_pool_backward(grad, shape, keepdims=False)
        np.testing.assert_allclose(got, x.grad.numpy(), rtol=1e-12, atol=1e-15)
