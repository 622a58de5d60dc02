"""max_unpool and the gradients of maxima: the oracle, layouts, threads, indices, PyTorch."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle_scatter as oracle
import poolcore
from cases import SHORT, Case
from layouts import LAYOUTS, name
from support import DTYPES, INTEGERS, THREADS, assert_same, function, random_array, run_python

INDEX_TYPES = [t for t in INTEGERS if t.itemsize > 1]
LAYOUT_NAMES = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


def unpool(nd: int) -> Any:
    return getattr(poolcore, f"max_unpool{nd}d")


def backward(nd: int) -> Any:
    return getattr(poolcore, f"max_pool{nd}d_backward")


def random_places(
    rng: np.random.Generator, shape: tuple[int, ...], plane: int, dtype: Any = np.int64
) -> np.ndarray:
    """Indices with many collisions."""
    return rng.integers(0, plane, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("nd", [1, 2, 3])
def test_unpool_is_the_oracle(nd: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    for last in (False, True):
        for lead in ((2, 3), (3,)):
            pooled = (4, 3, 5)[:nd]
            shape = (*lead[:-1], *pooled, lead[-1]) if last else (*lead, *pooled)
            size = tuple(oracle.unpooled_length(n, 3, 2, (1, 1)) for n in pooled)
            x = random_array(rng, dtype, shape, "special")
            i = random_places(rng, shape, int(np.prod(size)))
            want = oracle.scatter(x, i, size, add=False, last=last)
            for threads in THREADS:
                got = unpool(nd)(x, i, 3, 2, 1, layout=LAYOUT_NAMES[nd][last], threads=threads)
                assert_same(got, want, f"{last} {lead} {threads}", nan_bits=True)


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("nd", [1, 2, 3])
def test_backward_is_the_oracle(nd: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    for last in (False, True):
        pooled = (4, 3, 5)[:nd]
        shape = (2, *pooled, 3) if last else (2, 3, *pooled)
        size = (5, 4, 3)[:nd]
        g = random_array(rng, dtype, shape, "special")
        i = random_places(rng, shape, int(np.prod(size)))
        i[rng.random(shape) < 0.2] = -1
        want = oracle.scatter(g, i, size, add=True, last=last)
        for threads in THREADS:
            got = backward(nd)(g, i, want.shape, layout=LAYOUT_NAMES[nd][last], threads=threads)
            assert_same(got, want, f"{last} {threads}")


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
@pytest.mark.parametrize("nd", [1, 2, 3])
def test_layouts(nd: int, maker: Any, rng: np.random.Generator) -> None:
    """Of the values, of the indices and of the result, each alone and all together."""
    shape = (2, 3, *(4, 3, 5)[:nd])
    size = (5, 4, 3)[:nd]
    for dtype in (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.uint8)):
        x = maker(random_array(rng, dtype, shape))
        i = maker(random_places(rng, shape, int(np.prod(size))))
        for values, indices in ((x, i), (np.ascontiguousarray(x), i), (x, np.ascontiguousarray(i))):
            want = oracle.scatter(values, indices, size, add=True, last=False)
            assert_same(backward(nd)(values, indices, want.shape), want, str(dtype))
            top = oracle.scatter(values, indices, size, add=False, last=False)
            out = maker(np.full(top.shape, 7, dtype))
            if out.flags.writeable and maker.__name__ != "overlapping":
                kernel = tuple(o - n + 1 for o, n in zip(size, shape[2:], strict=True))
                if min(kernel) < 1:
                    assert backward(nd)(values, indices, want.shape, out=out) is out
                    assert_same(np.ascontiguousarray(out), want, str(dtype))
                    continue
                assert unpool(nd)(values, indices, kernel, 1, out=out) is out
                assert_same(np.ascontiguousarray(out), top, str(dtype))


@pytest.mark.parametrize("index_type", INTEGERS, ids=str)
def test_every_integer_type_of_index(index_type: np.dtype, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    i = random_places(rng, x.shape, 64, index_type)
    want = oracle.scatter(x, i, (8, 8), add=False, last=False)
    assert_same(poolcore.max_unpool2d(x, i, 2), want)
    if index_type.kind == "i":
        i[0] = -1
    want = oracle.scatter(x, i, (8, 8), add=True, last=False)
    assert_same(poolcore.max_pool2d_backward(x, i, (2, 3, 8, 8)), want)
    largest = np.iinfo(index_type).max
    i[1, 2, 3, 1] = largest
    with pytest.raises(IndexError, match=rf"indices\[1, 2, 3, 1\]={largest} "):
        poolcore.max_pool2d_backward(x, i, (2, 3, 8, 8))


@pytest.mark.parametrize("case", SHORT, ids=str)
@pytest.mark.parametrize("op", ["max", "min"])
def test_of_what_was_pooled(case: Case, op: str, rng: np.random.Generator) -> None:
    """The gradient's sum is that of the gradients; a -1 in it adds nothing."""
    x = np.round(rng.standard_normal(case.lead + case.shape) * 2)
    values, indices = function(op, case.nd)(x, **case.window, return_indices=True)
    grad = rng.integers(1, 9, values.shape).astype(np.float64)
    got = backward(case.nd)(grad, indices, x.shape)
    assert got.shape == x.shape
    assert got.sum() == grad[indices >= 0].sum()
    assert_same(got, oracle.scatter(grad, indices, case.shape, add=True, last=False))
    one = backward(case.nd)(grad[0], indices[0], x.shape[1:])
    assert_same(one, got[0])


@pytest.mark.parametrize("shape", [(1, 1, 300, 300), (1, 40, 200, 90), (2, 3, 90, 1)], ids=str)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_planes_larger_than_scratch(
    shape: tuple[int, ...], dtype: str, rng: np.random.Generator
) -> None:
    """float16 planes are added up in bands; channels last in chunks of lanes."""
    size = tuple(2 * n + 1 for n in shape[2:])
    grad = (rng.standard_normal(shape) * 8).astype(dtype)
    rows = np.arange(shape[2])[:, None] * 2 + rng.integers(0, 2, shape)
    columns = np.arange(shape[3]) * 2 + rng.integers(0, 2, shape)
    local = rows * size[1] + columns
    anywhere = random_places(rng, shape, size[0] * size[1])
    for i in (local, anywhere):
        flat = (np.arange(shape[0] * shape[1])[:, None] * (size[0] * size[1])
                + i.reshape(shape[0] * shape[1], -1))  # fmt: skip
        total = np.zeros(shape[0] * shape[1] * size[0] * size[1], np.float32)
        np.add.at(total, flat.ravel(), grad.astype(np.float32).ravel())
        want = total.astype(dtype).reshape(*shape[:2], *size)
        for threads in THREADS:
            got = poolcore.max_pool2d_backward(grad, i, want.shape, threads=threads)
            assert_same(got, want)
        moved = np.ascontiguousarray(np.moveaxis(grad, 1, -1))
        got = poolcore.max_pool2d_backward(np.moveaxis(moved, -1, 1), i, want.shape, threads=2)
        assert_same(np.ascontiguousarray(got), want)


@pytest.mark.failure(12)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("threads", THREADS)
def test_the_first_bad_index_is_named(last: bool, threads: int, rng: np.random.Generator) -> None:
    shape = (4, 40, 30, 20)
    layout = LAYOUT_NAMES[2][last]
    size = oracle.result_shape(shape, (60, 80) if last else (60, 40), last)
    for bad in (2400 if not last else 4800, -2, -(2**63), 2**63 - 1):
        i = np.zeros(shape, np.int64)
        i[3, 39, 29, 19] = bad
        i[2, 1, 7, 5] = i[2, 1, 6, 7] = bad
        i[2, 2, 0, 0] = bad
        g = np.ones(shape, np.float32)
        out = np.full(size, 5, np.float32)
        for target in (None, out):
            with pytest.raises(IndexError) as caught:
                poolcore.max_pool2d_backward(g, i, size, layout=layout, out=target, threads=threads)
            text = f"max_pool2d_backward: indices[2, 1, 6, 7]={bad} must be -1 or at least 0"
            assert str(caught.value).startswith(text)
        assert (out == 5).all(), "written before the error"
    i[...] = -1
    assert not poolcore.max_pool2d_backward(g, i, size, layout=layout).any()
    with pytest.raises(IndexError, match=r"indices\[0, 0, 0, 0\]=-1 must be at least 0"):
        poolcore.max_unpool2d(g, i, 2, layout=layout)


def test_output_size() -> None:
    x = np.ones((2, 3, 4, 5))
    i = np.zeros(x.shape, int)
    for size, shape in {
        None: (2, 3, 8, 10), 8: None, (7, 11): (2, 3, 7, 11), (9, 9): (2, 3, 9, 9),
        (2, 3, 9, 10): (2, 3, 9, 10), (8, 12): None, (6, 10): None, (2, 2, 8, 10): None,
        (3, 8, 10): None, (2, 3, 8, 12): None,
    }.items():  # fmt: skip
        if shape is None:
            with pytest.raises(ValueError, match=r"^max_unpool2d: output_size"):
                poolcore.max_unpool2d(x, i, 2, output_size=size)
        else:
            assert poolcore.max_unpool2d(x, i, 2, output_size=size).shape == shape
    got = poolcore.max_unpool2d(x[0], i[0], 2, output_size=[3, 9, 11])
    assert got.shape == (3, 9, 11)
    last = poolcore.max_unpool2d(x, i, 2, output_size=(2, 7, 9, 5), layout="NHWC")
    assert last.shape == (2, 7, 9, 5)
    assert poolcore.max_unpool1d(x[0], i[0], 3, 2, [(1, 2)]).shape == (3, 4, 8)
    with pytest.raises(ValueError, match=r"padding='same' must be numbers"):
        poolcore.max_unpool2d(x, i, 2, padding="same")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"padding=1 leaves nothing of axis 2"):
        poolcore.max_unpool1d(x[0][..., :1], i[0][..., :1], 2, 2, 1)


def test_sizes_beyond_memory() -> None:
    x = np.ones((1, 2, 2))
    i = np.zeros(x.shape, int)
    with pytest.raises(MemoryError):
        poolcore.max_unpool1d(x, i, 2, 2**62 - 2)
    with pytest.raises(MemoryError):
        poolcore.max_pool1d_backward(x, i, (1, 2, 2**62))
    with pytest.raises(ValueError, match="kernel_size=2 with stride"):
        poolcore.max_unpool1d(x, i, 2, 2**63 - 1)


def test_empty_batches() -> None:
    for shape in ((0, 3, 4, 4), (2, 0, 4, 4)):
        x = np.ones(shape)
        i = np.zeros(shape, int)
        assert poolcore.max_unpool2d(x, i, 2).shape == (*shape[:2], 8, 8)
        got = poolcore.max_pool2d_backward(x, i, (*shape[:2], 9, 9))
        assert got.shape == (*shape[:2], 9, 9)
    # Nothing to add is not nothing to write.
    got = poolcore.max_pool2d_backward(
        np.ones((1, 1, 0, 4)), np.ones((1, 1, 0, 4), int), (1, 1, 2, 2)
    )
    assert got.tolist() == [[[[0, 0], [0, 0]]]]
    with pytest.raises(ValueError, match="x has length 0 along axis 3"):
        poolcore.max_unpool2d(np.ones((1, 1, 4, 0)), np.ones((1, 1, 4, 0), int), 2)


def test_out_is_checked() -> None:
    x = np.ones((1, 2, 4, 4), np.float32)
    i = np.zeros(x.shape, np.int64)
    for match, out in {
        "dtype": np.zeros((1, 2, 8, 8)),
        "shape": np.zeros((1, 2, 8, 9), np.float32),
        "read-only": np.broadcast_to(np.zeros((1, 2, 8, 1), np.float32), (1, 2, 8, 8)),
    }.items():
        with pytest.raises(ValueError, match=rf"^max_unpool2d: out .*{match}"):
            poolcore.max_unpool2d(x, i, 2, out=out)
    shared = np.zeros(400, np.float32)
    y = shared[:32].reshape(1, 2, 4, 4)
    with pytest.raises(ValueError, match="overlaps x"):
        poolcore.max_unpool2d(y, i, 2, out=shared[8:136].reshape(1, 2, 8, 8))
    places = np.zeros(64, np.int64)
    with pytest.raises(ValueError, match="overlaps indices"):
        poolcore.max_unpool2d(
            x, places[:32].reshape(x.shape), 2, out=places.view(np.float32).reshape(1, 2, 8, 8)
        )


def test_bool_gradients_are_refused() -> None:
    g = np.ones((1, 2, 2), bool)
    with pytest.raises(TypeError, match=r"^max_pool1d_backward: grad has dtype bool"):
        poolcore.max_pool1d_backward(g, np.zeros(g.shape, int), (1, 2, 4))


@pytest.mark.failure(31)
def test_indices_that_change_meanwhile() -> None:
    """Another thread writes wild indices: a result or an IndexError, never a wild write."""
    x = np.ones((4, 8, 64, 64), np.float32)
    half = x.astype(np.float16)
    i = np.zeros(x.shape, np.int64)
    done = threading.Event()

    def disturb() -> None:
        while not done.is_set():
            i[...] = 2**40
            i[...] = 5

    worker = threading.Thread(target=disturb)
    worker.start()
    refused = 0
    try:
        for _ in range(60):
            for values in (x, half):
                try:
                    out = np.empty((4, 8, 128, 128), values.dtype)
                    poolcore.max_unpool2d(values, i, 2, out=out)
                    poolcore.max_pool2d_backward(values, i, out.shape)
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
g = np.broadcast_to(np.float32(1), (1, 1, 1 << 14, 1 << 14))
i = np.broadcast_to(np.int64(0), g.shape)
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    for _ in range(1000):
        poolcore.max_pool2d_backward(g, i, (1, 1, 4, 4))
except KeyboardInterrupt:
    print("heard")
"""
    assert run_python(code).stdout == "heard\n"


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, ...]:
    nd = draw(st.integers(1, 3))
    last = draw(st.booleans())
    lead = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    pooled = tuple(draw(st.integers(1, 5)) for _ in range(nd))
    size = tuple(draw(st.integers(1, 9)) for _ in range(nd))
    dtype = draw(st.sampled_from(DTYPES[1:]))
    order = draw(st.permutations(range(len(lead) + nd)))
    flips = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    return nd, last, lead, pooled, size, dtype, order, flips, draw(st.integers(0, 2**32))


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

    g = laid_out(random_array(rng, dtype, shape, "special"))
    i = laid_out(random_places(rng, shape, int(np.prod(size))))
    want = oracle.scatter(g, i, size, add=True, last=last)
    got = backward(nd)(g, i, want.shape, layout=LAYOUT_NAMES[nd][last], threads=2)
    assert_same(got, want)
    i.flat[int(rng.integers(i.size))] = 10**6
    where = ", ".join(map(str, oracle.first_bad(i, int(np.prod(size)), allow_none=True) or ()))
    with pytest.raises(IndexError) as caught:
        backward(nd)(g, i, want.shape, layout=LAYOUT_NAMES[nd][last], threads=2)
    assert f"indices[{where}]=1000000 " in str(caught.value)


def central_differences(x: np.ndarray, loss: Any) -> np.ndarray:
    step = 2.0**-10
    slopes = np.empty_like(x)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        slopes[at] = (loss(up) - loss(down)) / (2 * step)
    return slopes


@pytest.mark.parametrize("op", ["max", "min"])
def test_central_differences(op: str, rng: np.random.Generator) -> None:
    for nd, window in ((1, (3, 2, 1)), (2, ((3, 2), (1, 2), (1, 0))), (3, (2, 1, 1, 2))):
        size = (7, 6, 5)[:nd]
        x = rng.permutation(int(np.prod((2, *size)))).astype(np.float64).reshape(2, *size)
        pooling = function(op, nd)
        values, indices = pooling(x, *window, return_indices=True)
        grad = rng.integers(-4, 5, values.shape).astype(np.float64)

        def loss(x: np.ndarray, pooling=pooling, window=window, grad=grad) -> float:
            values = pooling(x, *window)  # without a tap: infinite, whatever x is
            return float(np.sum(np.where(np.isinf(values), 0, values) * grad))

        want = central_differences(x, loss)
        np.testing.assert_array_equal(backward(nd)(grad, indices, x.shape), want)


def test_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.nn.functional
    for nd in (1, 2, 3):
        for kernel, stride, pad in ((2, 2, 0), (3, 2, 1), (3, 1, 1)):
            x = np.round(rng.standard_normal((2, 3, *(9, 8, 7)[:nd])) * 3).astype(np.float32)
            tensor = torch.from_numpy(x).requires_grad_()
            pooling = getattr(functional, f"max_pool{nd}d")
            values, places = pooling(tensor, kernel, stride, pad, return_indices=True)
            grad = rng.integers(-8, 9, values.shape).astype(np.float32)
            values.backward(torch.from_numpy(grad))
            got = backward(nd)(grad, places.numpy(), x.shape)
            np.testing.assert_array_equal(got, tensor.grad.numpy())
            if stride == kernel:  # else PyTorch races
                size = x.shape[2:]
                undo = getattr(functional, f"max_unpool{nd}d")
                want = undo(values.detach(), places, kernel, stride, pad, size)
                mine = unpool(nd)(
                    values.detach().numpy(), places.numpy(), kernel, stride, pad, size
                )
                np.testing.assert_array_equal(mine, want.numpy())
