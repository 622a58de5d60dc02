"""The gradient of max_unpool: the oracle, layouts, threads, indices, differences, PyTorch."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle_scatter as oracle
import poolcore
from layouts import LAYOUTS, name
from poolcore import nn
from support import DTYPES, INTEGERS, THREADS, assert_same, random_array, run_python

LAYOUT_NAMES = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
POOLED = (4, 3, 5)
SIZE = (5, 7, 6)


def backward(nd: int) -> Any:
    return getattr(poolcore, f"max_unpool{nd}d_backward")


def places(rng: np.random.Generator, shape: tuple[int, ...], plane: int) -> np.ndarray:
    """Indices of which many are met more than once."""
    return rng.integers(0, plane, shape)


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("nd", [1, 2, 3])
def test_the_oracle(nd: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    for last in (False, True):
        for lead in ((2, 3), (70,)):
            shape = (*lead[:-1], *POOLED[:nd], lead[-1]) if last else (*lead, *POOLED[:nd])
            whole = oracle.result_shape(shape, SIZE[:nd], last)
            grad = random_array(rng, dtype, whole, "special")
            i = places(rng, shape, int(np.prod(SIZE[:nd])))
            want = oracle.gather(grad, i, nd, last=last)
            for threads in THREADS:
                got = backward(nd)(grad, i, shape, layout=LAYOUT_NAMES[nd][last], threads=threads)
                assert_same(got, want, f"{last} {lead} {threads}", nan_bits=True)


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
@pytest.mark.parametrize("nd", [1, 2, 3])
def test_layouts(nd: int, maker: Any, rng: np.random.Generator) -> None:
    """Of the gradient, of the indices and of the result, each alone and all together."""
    shape = (2, 3, *POOLED[:nd])
    for dtype in (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.uint8)):
        grad = maker(random_array(rng, dtype, (2, 3, *SIZE[:nd])))
        i = maker(places(rng, shape, int(np.prod(SIZE[:nd]))))
        plain = np.ascontiguousarray
        for g, at in ((grad, i), (plain(grad), i), (grad, plain(i))):
            want = oracle.gather(g, at, nd, last=False)
            assert_same(backward(nd)(g, at, shape), want, str(dtype))
            out = maker(np.full(shape, 7, dtype))
            if out.flags.writeable and maker.__name__ != "overlapping":
                assert backward(nd)(g, at, shape, out=out) is out
                assert_same(plain(out), want, str(dtype))


@pytest.mark.parametrize("index_type", INTEGERS, ids=str)
def test_every_integer_type_of_index(index_type: np.dtype, rng: np.random.Generator) -> None:
    grad = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    i = places(rng, (2, 3, 4, 4), 64).astype(index_type)
    assert_same(
        poolcore.max_unpool2d_backward(grad, i, i.shape), oracle.gather(grad, i, 2, last=False)
    )
    largest = np.iinfo(index_type).max
    i[1, 2, 3, 1] = largest
    with pytest.raises(IndexError, match=rf"indices\[1, 2, 3, 1\]={largest} .* a plane of grad"):
        poolcore.max_unpool2d_backward(grad, i, i.shape)


@pytest.mark.parametrize("last", [False, True])
def test_planes_larger_than_the_marks(last: bool, rng: np.random.Generator) -> None:
    """Four million places go in one band, fewer where channels come last."""
    lead = (3, 40) if last else (2,)
    size = (500, 300) if last else (2500, 3000)
    shape = (1, 30, 50, 40) if last else (1, 2, 40, 60)
    whole = (1, *size, 40) if last else (1, *lead, *size)
    grad = np.arange(np.prod(whole), dtype=np.float32).reshape(whole)
    i = places(rng, shape, size[0] * size[1])
    i.flat[::3] = i.flat[5]  # across bands and blocks
    want = oracle.gather(grad, i, 2, last=last)
    for threads in THREADS:
        got = poolcore.max_unpool2d_backward(
            grad, i, shape, layout=LAYOUT_NAMES[2][last], threads=threads
        )
        assert_same(got, want)


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_it_is_the_adjoint(nd: int, rng: np.random.Generator) -> None:
    """<unpool(x), g> = <x, backward(g)>, in whole numbers, whichever values stay."""
    for kernel, stride, pad in ((2, 2, 0), (3, 2, 1), (3, 1, 1)):
        x = rng.integers(-9, 9, (2, 3, *(5, 4, 3)[:nd])).astype(float)
        size = [(n - 1) * stride - 2 * pad + kernel for n in x.shape[2:]]
        i = places(rng, x.shape, int(np.prod(size)))
        up = getattr(poolcore, f"max_unpool{nd}d")(x, i, kernel, stride, pad)
        grad = rng.integers(-9, 9, up.shape).astype(float)
        assert np.sum(up * grad) == np.sum(x * backward(nd)(grad, i, x.shape))


def test_central_differences(rng: np.random.Generator) -> None:
    for nd in (1, 2, 3):
        x = rng.standard_normal((2, *POOLED[:nd]))
        i = places(rng, x.shape, 2**nd * int(np.prod(POOLED[:nd])))
        unpool = getattr(poolcore, f"max_unpool{nd}d")
        grad = rng.integers(-4, 5, unpool(x, i, 2).shape).astype(float)
        got = backward(nd)(grad, i, x.shape)
        for at in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[at] = 0.5
            slope = np.sum((unpool(x + step, i, 2) - unpool(x - step, i, 2)) * grad)
            assert abs(slope - got[at]) < 1e-12


def test_pytorch(rng: np.random.Generator) -> None:
    """Of places that are named once: elsewhere PyTorch gives each value all of the gradient."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for nd in (1, 2, 3):
        x = rng.standard_normal((2, 3, *(8, 6, 4)[:nd])).astype(np.float32)
        values, i = getattr(poolcore, f"max_pool{nd}d")(x, 2, return_indices=True)
        tensor = torch.from_numpy(values).requires_grad_()
        unpool = getattr(torch.nn.functional, f"max_unpool{nd}d")
        result = unpool(tensor, torch.from_numpy(i), 2)
        grad = rng.standard_normal(result.shape).astype(np.float32)
        result.backward(torch.from_numpy(grad))
        np.testing.assert_array_equal(backward(nd)(grad, i, values.shape), tensor.grad.numpy())
        layer = getattr(nn, f"MaxUnpool{nd}d")(2)
        layer(values, i)
        np.testing.assert_array_equal(layer.backward(grad), tensor.grad.numpy())


@pytest.mark.failure(12)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("threads", THREADS)
def test_the_first_bad_index_is_named(last: bool, threads: int) -> None:
    shape = (4, 40, 30, 20)
    whole = oracle.result_shape(shape, (60, 80) if last else (60, 40), last)
    plane = 4800 if last else 2400
    for bad in (plane, -1, -(2**63), 2**63 - 1):
        i = np.zeros(shape, np.int64)
        i[3, 39, 29, 19] = i[2, 1, 7, 5] = i[2, 1, 6, 7] = i[2, 2, 0, 0] = bad
        out = np.full(shape, 5, np.float32)
        for target in (None, out):
            with pytest.raises(IndexError) as caught:
                poolcore.max_unpool2d_backward(
                    np.ones(whole, np.float32), i, shape, layout=LAYOUT_NAMES[2][last],
                    out=target, threads=threads,
                )  # fmt: skip
            assert str(caught.value) == (
                f"max_unpool2d_backward: indices[2, 1, 6, 7]={bad} must be at least 0 and less "
                f"than {plane}, the size of a plane of grad"
            )
        assert (out == 5).all(), "written before the error"


def test_arguments_that_are_refused() -> None:
    g = np.ones((2, 3, 8, 8), np.float32)
    i = np.zeros((2, 3, 4, 4), int)

    def call(**change: Any) -> None:
        poolcore.max_unpool2d_backward(
            **{"grad": g, "indices": i, "input_shape": i.shape, **change}
        )

    for error, message, change in (
        (TypeError, "grad has dtype bool", {"grad": g > 0}),
        (TypeError, "indices must be integers", {"indices": i * 1.0}),
        (ValueError, "indices must have the shape of input_shape, (2, 3, 4, 4), got (2, 3, 4)",
         {"indices": i[..., 0]}),
        (ValueError, "input_shape[1]=2 must be 3, as in grad", {"input_shape": (2, 2, 4, 4)}),
        (ValueError, "input_shape[2]=0 must be at least 1", {"input_shape": (2, 3, 0, 4)}),
        (ValueError, "input_shape must be a sequence of 4 ints", {"input_shape": (3, 4, 4)}),
        (ValueError, "grad must have 3 or 4 dimensions", {"grad": g[0, 0]}),
        (ValueError, "out overlaps grad in memory", {"out": g[:, :, :4, :4]}),
        (ValueError, "out overlaps indices",
         {"out": i.view(np.float32)[..., ::2]}),
        (ValueError, "out must have dtype float32", {"out": np.ones(i.shape)}),
        (ValueError, "layout='NCW' must be", {"layout": "NCW"}),
    ):  # fmt: skip
        with pytest.raises(error, match=r"^max_unpool2d_backward: ") as caught:
            call(**change)
        assert message in str(caught.value)
    assert poolcore.max_unpool2d_backward(g[:0], i[:0], (0, 3, 4, 4)).shape == (0, 3, 4, 4)
    with pytest.raises(IndexError, match="less than 0, the size of a plane"):
        call(grad=g[..., :0])


def test_the_layer_refuses_another_shape(rng: np.random.Generator) -> None:
    undo = nn.MaxUnpool2d(2)
    result = undo(np.ones((1, 2, 2)), np.zeros((1, 2, 2), np.uint8))
    for shape in ((1, 4, 5), (1, 5, 4), (2, 4, 4), (4, 4)):
        with pytest.raises(ValueError, match=r"^MaxUnpool2d.backward: grad must have shape"):
            undo.backward(np.ones(shape))
    assert undo.backward(result).tolist() == [[[0, 0], [0, 1]]]


@pytest.mark.failure(31)
def test_indices_that_change_meanwhile() -> None:
    """Another thread writes wild indices: a result or an IndexError, never a wild read."""
    grad = np.ones((4, 8, 128, 128), np.float32)
    i = np.zeros((4, 8, 64, 64), np.int64)
    done = threading.Event()

    def disturb() -> None:
        while not done.is_set():
            i[...] = 2**40
            i[...] = 5

    worker = threading.Thread(target=disturb)
    worker.start()
    refused = 0
    try:
        for _ in range(100):
            try:
                got = poolcore.max_unpool2d_backward(grad, i, i.shape, out=np.empty(i.shape, "f4"))
                assert np.isin(got, (0, 1)).all()
            except IndexError:
                refused += 1
    finally:
        done.set()
        worker.join()
    assert refused > 0


@pytest.mark.failure(35)
def test_interrupts_are_heard() -> None:
    code = """
import signal, numpy as np, poolcore
g = np.ones((1, 1, 4, 4), np.float32)
i = np.broadcast_to(np.int64(0), (1, 1, 1 << 13, 1 << 13))
out = np.empty(i.shape, np.float32)
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    for _ in range(1000):
        poolcore.max_unpool2d_backward(g, i, i.shape, out=out)
except KeyboardInterrupt:
    print("heard")
"""
    assert run_python(code).stdout == "heard\n"


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, ...]:
    nd = draw(st.integers(1, 3))
    lead = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    pooled = tuple(draw(st.integers(1, 5)) for _ in range(nd))
    size = tuple(draw(st.integers(1, 9)) for _ in range(nd))
    order = draw(st.permutations(range(len(lead) + nd)))
    flips = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    return (
        nd, draw(st.booleans()), lead, pooled, size, draw(st.sampled_from(DTYPES[1:])), order,
        flips, draw(st.integers(0, 2**32)),
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(problems())
def test_random_problems(problem: tuple[Any, ...]) -> None:
    nd, last, lead, pooled, size, dtype, order, flips, seed = problem
    rng = np.random.default_rng(seed)
    shape = (*lead[:-1], *pooled, lead[-1]) if last else (*lead, *pooled)
    back = np.argsort(order)
    flip = tuple(slice(None, None, -1 if f else 1) for f in flips)

    def laid_out(x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x[flip].transpose(order)).transpose(back)[flip]

    whole = oracle.result_shape(shape, size, last)
    g = laid_out(random_array(rng, dtype, whole, "special"))
    i = laid_out(places(rng, shape, int(np.prod(size))))
    want = oracle.gather(g, i, nd, last=last)
    got = backward(nd)(g, i, shape, layout=LAYOUT_NAMES[nd][last], threads=2)
    assert_same(got, want)
