"""Any strides, any alignment: the bits of the contiguous copy, in the input's memory order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layouts
import oracle
import poolcore
from cases import SHORT, Case
from support import BFLOAT16, DTYPES, assert_same, configurations, function, random_array

SOME = [np.dtype(t) for t in (np.bool_, np.uint8, np.int16, np.float32, np.float64)] + [BFLOAT16]
OPTIONS = [
    ("max", {"return_indices": True}),
    ("max", {}),
    ("min", {}),
    ("avg", {}),
    ("sum", {}),
]


def name(value: object) -> str:
    return str(value)


@pytest.mark.failure(24)
@pytest.mark.parametrize("maker", layouts.LAYOUTS, ids=layouts.name)
@pytest.mark.parametrize("case", SHORT, ids=name)
def test_same_bits_as_the_contiguous_copy(
    case: Case, maker: layouts.Maker, rng: np.random.Generator
) -> None:
    for dtype in SOME:
        kind = "special" if oracle.is_float(dtype) else "plain"
        view = maker(random_array(rng, dtype, case.lead + case.shape, kind))
        before = view.tobytes()
        copy = np.array(view, order="C")
        for op, options in OPTIONS:
            pooling = function(op, case.nd)
            want = pooling(copy, **case.window, **options)
            for target, threads in configurations():
                got = pooling(view, **case.window, threads=threads, **options)
                for g, w in zip(
                    got if isinstance(got, tuple) else (got,),
                    want if isinstance(want, tuple) else (want,),
                    strict=True,
                ):
                    note = f"{op} {dtype} on {target}, {threads} threads"
                    assert_same(g, w, note, nan_bits=op in ("avg", "sum"))
        assert view.tobytes() == before


@pytest.mark.failure(20)
@pytest.mark.parametrize("maker", layouts.LAYOUTS, ids=layouts.name)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("dtype", SOME, ids=name)
def test_whole_planes_in_every_order_of_memory(
    dtype: np.dtype, depth: int, maker: layouts.Maker, rng: np.random.Generator
) -> None:
    for height, width in ((2, 2), (3, 2), (7, 7), (8, 5), (6, 1), (1, 6), (12, 3)):
        x = random_array(rng, dtype, (2, 9, 3, height, width))
        if oracle.is_float(dtype):  # extrema that are zeros of either sign
            zeros = np.where(rng.random(x.shape) < 0.5, -0.0, 0.0).astype(dtype)
            x[:, ::2] = np.where(rng.random(x.shape) < 0.5, zeros, -np.abs(x))[:, ::2]
        view = maker(x)
        copy = np.array(view, order="C")
        kernel, padding = (depth, height, width), (depth // 2, 0, 0)
        for op in ("max", "min", "sum", "avg"):
            pooling = function(op, 3)
            want = oracle.pool(
                copy, kernel, op, axes=(2, 3, 4), stride=1, padding=[(p, p) for p in padding]
            )
            got = pooling(view, kernel, 1, padding)
            assert_same(got, pooling(copy, kernel, 1, padding), op, nan_bits=op in ("avg", "sum"))
            if op in ("max", "min"):
                assert_same(got, want, op, nan_bits=False)


@pytest.mark.failure(24)
@pytest.mark.parametrize("maker", layouts.LAYOUTS, ids=layouts.name)
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_every_type_against_the_oracle(
    dtype: np.dtype, maker: layouts.Maker, rng: np.random.Generator
) -> None:
    view = maker(random_array(rng, dtype, (2, 5, 9, 37)))
    copy = np.array(view, order="C")
    for op, _ in OPTIONS:
        for axes in ((2, 3), (1, 2), (0,), (3, 1, 2)):
            want = oracle.pool(copy, 2, op, axes, 1, 1)
            for _target, threads in configurations():
                got = poolcore.pool(view, 2, op, axes, 1, 1, threads=threads)
                assert_same(got, want, f"{op} {axes}", nan_bits=op in ("avg", "sum"))


@pytest.mark.parametrize("maker", layouts.ORDERED, ids=layouts.name)
def test_result_keeps_the_memory_order(maker: layouts.Maker, rng: np.random.Generator) -> None:
    """As NumPy's order "K": the axes of the result are ordered as those of the input."""
    view = maker(rng.random((2, 3, 8, 10)))
    for op, options in OPTIONS:
        got = poolcore.pool(view, (2, 3), op, stride=2, **options)
        for array in got if isinstance(got, tuple) else (got,):
            want = np.empty_like(view, dtype=array.dtype, shape=array.shape, order="K")
            assert array.strides == want.strides, op
            assert array.flags.owndata or array.base is not None
            assert array.flags.writeable
            assert array.flags.aligned


def test_channels_last_both_ways(rng: np.random.Generator) -> None:
    """layout="NHWC" on an array is the NCHW call on its transposed view."""
    for nd, last in ((1, "NWC"), (2, "NHWC"), (3, "NDHWC")):
        x = rng.random((2, 5, 6, 7)[: nd + 1] + (17,)).astype(np.float32)
        for op in ("max", "min", "avg", "sum"):
            pooling = function(op, nd)
            got = pooling(x, 3, 2, 1, layout=last)
            want = pooling(np.moveaxis(x, -1, 1), 3, 2, 1)
            assert_same(np.moveaxis(got, -1, 1), want)
            assert got.flags.c_contiguous
            assert_same(pooling(x[0], 3, 2, 1, layout=last), got[0])
    value, index = poolcore.max_pool2d(x[0], 2, return_indices=True, layout="NHWC")
    flat = x[0].reshape(x.shape[1], -1, x.shape[-1])
    assert_same(np.take_along_axis(flat, index.reshape(len(flat), -1, 17), 1),
                value.reshape(len(flat), -1, 17))  # fmt: skip


def compare_layouts(x: np.ndarray, kernel: Any, stride: int, size: Any) -> None:
    """Channels last and first, by paths that share little: x has its channels last."""
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    padding = tuple(k // 2 for k in kernel)
    calls: list[tuple[str, Any, dict[str, Any]]] = [
        ("max_pool2d", (kernel, stride, padding), {}),
        ("avg_pool2d", (kernel, stride, padding), {}),
        ("adaptive_max_pool2d", (size,), {}),
        ("adaptive_avg_pool2d", (size,), {}),
    ]
    if x.size < 100_000:
        calls.append(("max_pool2d", (kernel, stride, padding), {"return_indices": True}))
    for call, arguments, how in calls:
        pooling = getattr(poolcore, call)
        both = [pooling(x, *arguments, layout="NHWC", **how), pooling(first, *arguments, **how)]
        if how:
            both = [np.concatenate([np.ravel(np.moveaxis(index, axis, 1))])
                    for (_, index), axis in zip(both, (-1, 1), strict=True)]  # fmt: skip
        else:
            both[0] = np.ascontiguousarray(np.moveaxis(both[0], -1, 1))
        assert_same(both[0], both[1], f"{call} {x.shape} {x.dtype} {arguments}")


# Shape with channels last, kernel, stride, output size.
MANY_CHANNELS = [
    ((14, 13, 528), (14, 10), 1, (3, 4)),  # the last of boxes of 17 lanes would have a single one
    ((11, 16, 590), (10, 8), 1, (5, 7)),
    ((16, 13, 621), (15, 8), 1, (5, 7)),
    ((36, 15, 656), (17, 15), 1, (29, 1)),  # whole rows, halved in scratch
    ((35, 18, 546), (29, 6), 2, (34, 2)),
]


@pytest.mark.parametrize("given", MANY_CHANNELS, ids=name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_channels(given: Any, dtype: Any, rng: np.random.Generator) -> None:
    shape, kernel, stride, size = given
    compare_layouts(rng.standard_normal((1, *shape)).astype(dtype), kernel, stride, size)


def test_any_channels(rng: np.random.Generator) -> None:
    for _ in range(150):
        h, w = (int(v) for v in rng.integers(1, 40, 2))
        channels = int(rng.integers(2, 1 + min(700, 200_000 // (h * w))))
        kernel = int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1))
        size = tuple(int(v) for v in rng.integers(1, (h + 3, w + 3)))
        dtype = (np.float64, np.float32, np.uint8, np.float16)[rng.integers(4)]
        x = (rng.random((1, h, w, channels)) * 200).astype(dtype)
        compare_layouts(x, kernel, int(rng.integers(1, 4)), size)


@pytest.mark.failure(26)
@pytest.mark.parametrize("maker", layouts.REFUSED, ids=layouts.name)
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.itemsize > 1 and d != BFLOAT16], ids=name)
def test_refused_layouts(dtype: np.dtype, maker: layouts.Maker) -> None:
    x = maker(np.ones((1, 1, 4, 4), dtype))
    for op in ("max", "min", "avg", "sum"):
        with pytest.raises(TypeError, match="byte") as caught:
            function(op, 2)(x, 2)
        assert str(caught.value).startswith(f"{op}_pool2d: ")


@pytest.mark.failure(25)
@pytest.mark.parametrize("offset", [0, 1, 2, 3, 7, 15, 16, 31, 33, 63])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_every_alignment(dtype: np.dtype, offset: int, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, (3, 71))
    raw = np.zeros(x.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + offset
    view = raw[start : start + x.nbytes].view(dtype).reshape(x.shape)
    view[...] = x
    result = np.zeros(3 * 71 * 8 + 128, np.uint8)
    for op in ("max", "sum"):
        for s in (1, 2, 3):
            want = oracle.pool(x, 3, op, (1,), s)
            at = -result.ctypes.data % 64 + offset
            out = result[at : at + want.nbytes].view(want.dtype).reshape(want.shape)
            assert_same(poolcore.pool(view, (3,), op, stride=s, out=out), want)


def test_empty_arrays() -> None:
    for shape in ((0, 3, 4, 5), (2, 0, 4, 5), (0, 0, 4, 5)):
        x = np.empty(shape, np.float32)
        for op in ("max", "min", "avg", "sum"):
            got = function(op, 2)(x, 2)
            assert got.shape == (*shape[:2], 2, 2)
            assert got.dtype == np.float32
    value, index = poolcore.max_pool1d(np.empty((0, 2, 5)), 2, return_indices=True)
    assert value.shape == index.shape == (0, 2, 2)
    assert index.dtype == np.int64
