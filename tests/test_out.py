"""out=: written in place and returned, or refused before a byte of it changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layouts
import oracle
import poolcore
from support import assert_same, bits, function, random_array

OPS = ["max", "min", "avg", "sum"]
X = np.arange(2 * 3 * 8 * 9, dtype=np.float32).reshape(2, 3, 8, 9)
SHAPE = (2, 3, 4, 4)


def refused(
    out: Any, match: str, x: np.ndarray = X, error: Any = ValueError, **options: Any
) -> None:
    """ValueError that names the function, and nothing in `out` or x has changed."""
    arrays = [a for a in (out if isinstance(out, tuple) else (out,)) if isinstance(a, np.ndarray)]
    before = [a.tobytes() for a in arrays]
    x_before = x.tobytes()
    with pytest.raises(error, match=match) as caught:
        poolcore.max_pool2d(x, 2, out=out, **options)
    assert str(caught.value).startswith("max_pool2d: out"), str(caught.value)
    assert [a.tobytes() for a in arrays] == before
    assert x.tobytes() == x_before


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("nd", [1, 2, 3])
def test_out_is_written_and_returned(op: str, nd: int, rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 3, 6, 7, 9)[: nd + 2])
    want = function(op, nd)(x, 2)
    out = np.full_like(want, np.nan)
    assert function(op, nd)(x, 2, out=out) is out
    assert_same(out, want)


@pytest.mark.parametrize("maker", layouts.ORDERED + [layouts.reversed_first], ids=layouts.name)
def test_out_of_any_layout(maker: layouts.Maker, rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 3, 8, 37))
    for op in OPS:
        want = function(op, 2)(x, 2)
        out = maker(np.full_like(want, np.nan))
        assert function(op, 2)(x, 2, out=out) is out
        assert_same(np.array(out, order="C"), want)
        assert function(op, 2)(maker(x), 2, out=out) is out
        assert_same(np.array(out, order="C"), want)


def test_pair_for_indices(rng: np.random.Generator) -> None:
    x = rng.random((2, 3, 8, 9))
    want = poolcore.max_pool2d(x, 2, return_indices=True)
    value, index = np.empty(SHAPE), np.empty(SHAPE, np.int64)
    got = poolcore.max_pool2d(x, 2, return_indices=True, out=(value, index))
    assert got[0] is value
    assert got[1] is index
    assert_same(value, want[0])
    assert_same(index, want[1])
    # interleaved halves of one block do not overlap, though their ranges do
    block = np.zeros((*SHAPE, 2))
    value, index = block[..., 0], block[..., 1].view(np.int64)
    poolcore.max_pool2d(x, 2, return_indices=True, out=(value, index))
    assert_same(value.copy(), want[0])
    assert_same(index.copy(), want[1])


def test_out_subclass_is_returned_as_it_is() -> None:
    class Sub(np.ndarray):
        pass

    out = np.empty(SHAPE, np.float32).view(Sub)
    assert poolcore.max_pool2d(X, 2, out=out) is out
    assert_same(np.asarray(out), poolcore.max_pool2d(X, 2))


@pytest.mark.failure(23)
def test_neighbours_of_out_are_not_touched(rng: np.random.Generator) -> None:
    """A sentinel all around and in between the elements of `out`."""
    for dtype in (np.uint8, np.float16, np.float32, np.float64):
        for width in (*range(2, 40), 63, 64, 65, 127, 129, 200):
            x = random_array(rng, np.dtype(dtype), (3, width))
            for k, s in ((2, 2), (3, 1), (3, 2)):
                if width < k:
                    continue
                o = (width - k) // s + 1
                for step in (1, 2):
                    raw = np.full((5, o * step + 40), 77, dtype)
                    out = raw[1:4, 20 : 20 + o * step : step]
                    poolcore.pool(x, (k,), "max", stride=s, out=out)
                    assert_same(out.copy(), oracle.pool(x, k, "max", (1,), s))
                    out[...] = 77
                    assert (raw == 77).all(), (dtype, width, k, s, step)


@pytest.mark.failure(29)
@pytest.mark.parametrize(
    "shape", [(), (3,), (2, 3, 4), (2, 3, 4, 5), (2, 3, 8, 9), (1, 2, 3, 4, 4), (2, 3, 16)], ids=str
)
def test_wrong_shape(shape: tuple[int, ...]) -> None:
    refused(np.zeros(shape, np.float32), "shape")


@pytest.mark.failure(29)
@pytest.mark.parametrize("dtype", ["f8", "f2", "i4", "u4", "c8", "?", ">f4", "O", "V4", "S4"])
def test_wrong_dtype(dtype: str) -> None:
    refused(np.zeros(SHAPE, dtype), "dtype|byte")


@pytest.mark.failure(29)
def test_read_only() -> None:
    out = np.zeros(SHAPE, np.float32)
    out.flags.writeable = False
    refused(out, "read-only|writeable|writable")
    refused(np.broadcast_to(np.float32(0), SHAPE), "read-only|writeable|writable|overlap")


@pytest.mark.parametrize(
    "out", [[1.0], 5, "x", object(), b"abc", {}, (None,), np.float32(3)], ids=repr
)
def test_not_an_array(out: Any) -> None:
    refused(out, "out", error=TypeError)


def test_masked_out() -> None:
    refused(np.ma.zeros(SHAPE, np.float32), "out", error=(TypeError, ValueError))


@pytest.mark.failure(29)
def test_out_that_overlaps_itself() -> None:
    base = np.zeros(1000, np.float32)
    for strides in ((0, 0, 0, 4), (64, 16, 4, 4), (4, 4, 4, 4), (384, 128, 32, 0)):
        out = np.lib.stride_tricks.as_strided(base, SHAPE, strides)
        refused(out, "overlap")


@pytest.mark.failure(29)
def test_out_that_overlaps_x() -> None:
    x = np.arange(2000, dtype=np.float32)
    big = x[: 2 * 3 * 8 * 9].reshape(2, 3, 8, 9)
    size = 2 * 3 * 4 * 4
    for start in (0, 1, 200, 431):
        refused(x[start : start + size].reshape(SHAPE), "overlap", big)
    refused(big[:, :, ::2, 1::2], "overlap", big)
    refused(big[..., 4:, 4:8], "overlap", big)
    refused(x.view(np.uint8)[2 : 2 + 4 * size].view(np.float32).reshape(SHAPE), "overlap", big)
    # the element after the last is free
    out = x[432 : 432 + size].reshape(SHAPE)
    assert poolcore.max_pool2d(big, 2, out=out) is out


def test_disjoint_interleaved_views_are_taken(rng: np.random.Generator) -> None:
    """Memory ranges that interlock without a shared byte are no overlap."""
    block = rng.random((2, 3, 8, 18)).astype(np.float32)
    x, other = block[..., 0::2], block[..., 1::2]
    want = poolcore.max_pool2d(x.copy(), 2)
    out = other[:, :, :4, :4]
    assert poolcore.max_pool2d(x, 2, out=out) is out
    assert_same(out.copy(), want)


@pytest.mark.failure(29)
def test_random_views_against_numpy(rng: np.random.Generator) -> None:
    """Refused exactly when NumPy says that the two share memory."""
    base = np.zeros(400, np.float32)
    seen = {True: 0, False: 0}
    for _ in range(10_000):

        def view(n: int) -> np.ndarray:
            step = int(rng.integers(1, 6)) * (1 if rng.random() < 0.7 else -1)
            start = int(rng.integers(0, 400 - n * abs(step)))
            picked = base[start : start + n * abs(step) : abs(step)][:n]
            return picked if step > 0 else picked[::-1]

        x, out = view(24), view(12)
        shares = np.shares_memory(x, out)
        seen[shares] += 1
        if shares:
            with pytest.raises(ValueError, match="overlap"):
                poolcore.pool(x, (2,), "max", out=out)
        else:
            assert poolcore.pool(x, (2,), "max", out=out) is out
    assert min(seen.values()) > 200


def test_pair_is_checked_as_one() -> None:
    value, index = np.full(SHAPE, 7, np.float32), np.full(SHAPE, 7, np.int64)
    options: dict[str, Any] = {"return_indices": True}
    refused((value, index.astype(np.int32)), "dtype", **options)
    refused((value, index[..., :3]), "shape", **options)
    refused((value[..., :3], index), "shape", **options)
    refused((value, index, index), "out", error=(ValueError, TypeError), **options)
    refused((value,), "out", error=(ValueError, TypeError), **options)
    refused(value, "out", error=(ValueError, TypeError), **options)
    refused((value, index), "out", error=(ValueError, TypeError))
    both = np.full((*SHAPE, 3), 7, np.float32)
    refused((both[..., 0], both[..., 1:].reshape(-1)[:0]), "shape|out",
            error=(ValueError, TypeError), **options)  # fmt: skip
    shared = np.full(SHAPE, 7, np.int64)
    refused((shared.view(np.float32)[..., ::2], shared), "overlap", **options)
    locked = index.copy()
    locked.flags.writeable = False
    refused((value, locked), "read-only|writeable|writable", **options)
    doubles = X.astype(np.float64)
    refused((np.zeros(SHAPE), doubles.view(np.int64)[:, :, :4, :4]), "overlap", doubles, **options)


@pytest.mark.failure(29)
def test_bad_arguments_leave_out_alone() -> None:
    out = np.full(SHAPE, 7, np.float32)
    for bad in ({"stride": 0}, {"padding": 5}, {"threads": 0}, {"nan_policy": "none"}):
        with pytest.raises(ValueError):
            poolcore.max_pool2d(X, 2, out=out, **bad)
    assert (out == 7).all()


def test_same_bits_with_out(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (4, 8, 33, 35), "special")
    for op in OPS:
        want = function(op, 2)(x, 3, 2, 1)
        for fill in (np.nan, 0.0, np.inf):
            out = np.full(want.shape, fill, np.float32)
            function(op, 2)(x, 3, 2, 1, out=out)
            assert (bits(out) == bits(want)).all()
