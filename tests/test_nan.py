"""NaN, infinities and signed zeros: the same answer at every place of a row, on every target."""

from __future__ import annotations

import numpy as np
import pytest

import oracle
import poolcore
from support import BFLOAT16, FLOATS, INTEGERS, THREADS, assert_same, bits, function

LANES = {2: 32, 4: 16, 8: 8}
SIGNALLING = {
    2: (np.uint16, 0x7C01),
    4: (np.uint32, 0x7F800001),
    8: (np.uint64, 0x7FF0000000000001),
}
WINDOWS = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 4), (5, 3)]
CANONICAL = {
    "float16": 0x7E00, "bfloat16": 0x7FC0, "float32": 0x7FC00000, "float64": 0x7FF8000000000000,
}  # fmt: skip


def name(value: object) -> str:
    return str(value)


def every_position(dtype: np.dtype, width: int, value: float = np.nan) -> np.ndarray:
    """Row i holds `value` at place i, distinct finite numbers elsewhere."""
    x = np.arange(width * width, dtype=np.float64).reshape(width, width) % 61 - 30
    np.fill_diagonal(x, value)
    return oracle.narrow_to(x, dtype)


def widths(dtype: np.dtype) -> list[int]:
    """Every width up to a few, then around each multiple of the widest vector."""
    lanes = LANES[dtype.itemsize]
    around = {m * lanes + delta for m in (1, 2, 4) for delta in (-1, 0, 1, 3)}
    return sorted({1, 2, 3, 4, 5, 7, 8, 9, *around})


@pytest.mark.failure(19)
@pytest.mark.parametrize("op", ["max", "min", "avg", "sum"])
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_nan_at_every_position(target: str, dtype: np.dtype, op: str) -> None:
    """Along the contiguous axis, rows of NaN-free neighbours: no lane hides or spreads one."""
    for width in widths(dtype):
        x = every_position(dtype, width)
        for k, s in WINDOWS:
            if k > width:
                continue
            for axis in (0, 1):
                got = poolcore.pool(x, (k,), op, axes=(axis,), stride=s)
                want = oracle.pool(x, k, op, (axis,), s)
                assert_same(got, want, f"width {width} k {k} s {s} axis {axis}")


@pytest.mark.failure(19)
@pytest.mark.slow
@pytest.mark.parametrize("policy", ["propagate", "omit"])
@pytest.mark.parametrize("op", ["max", "min", "avg", "sum"])
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_nan_at_every_position_of_every_width(
    target: str, dtype: np.dtype, op: str, policy: str
) -> None:
    for width in range(1, 4 * LANES[dtype.itemsize] + 4):
        x = every_position(dtype, width)
        for k, s in WINDOWS:
            for padding in {0, k // 2}:
                if k > width + 2 * padding:
                    continue
                got = poolcore.pool(x, (k,), op, (1,), s, padding, nan_policy=policy)
                want = oracle.pool(x, k, op, (1,), s, padding, nan_policy=policy)
                assert_same(got, want, f"width {width} k {k} s {s} p {padding}")


@pytest.mark.failure(19)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_index_of_nan(target: str, dtype: np.dtype) -> None:
    """The index is that of the first NaN, as np.argmax."""
    width = 3 * LANES[dtype.itemsize] + 2
    x = every_position(dtype, width)
    x[:, ::5] = np.nan
    for op in ("max", "min"):
        for k, s in WINDOWS:
            for policy in ("propagate", "omit"):
                options = {"return_indices": True, "nan_policy": policy}
                got = poolcore.pool(x, (k, k), op, None, s, **options)
                want = oracle.pool(x, k, op, (0, 1), s, **options)
                for g, w in zip(got, want, strict=True):
                    assert_same(g, w, f"{op} k {k} s {s} {policy}")
    _, index = poolcore.pool(x, (width,), "max", return_indices=True)
    assert index.ravel().tolist() == np.argmax(x.astype(np.float64), axis=1).tolist()


@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_signalling_nan(target: str, dtype: np.dtype) -> None:
    unsigned, pattern = SIGNALLING[dtype.itemsize]
    if dtype == BFLOAT16:
        pattern = 0x7F81
    for width in (1, 5, 16, 33, 70):
        raw = np.zeros((width, width), unsigned)
        np.fill_diagonal(raw, pattern)
        x = raw.view(dtype)
        for op in ("max", "min", "avg", "sum"):
            for k, s in WINDOWS:
                if k > width:
                    continue
                got = poolcore.pool(x, (k,), op, stride=s)
                want = oracle.pool(x, k, op, (1,), s)
                assert_same(got, want, f"{op} width {width} k {k} s {s}")


@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_nan_results_of_sums_are_canonical(target: str, dtype: np.dtype) -> None:
    """Whatever NaN went in, or came of inf - inf, one positive quiet NaN comes out."""
    bad = -oracle.narrow_to(np.full(40, np.nan), dtype)
    mixed = np.array([np.inf, -np.inf] * 20).astype(dtype)
    raw = bits(bad).copy()
    raw[::3] |= 5
    for x in (bad, mixed, raw.view(dtype)):
        for op in ("avg", "sum"):
            for k in (2, 3, 8, 40):
                for policy in ("propagate", "omit"):
                    got = poolcore.pool(x, (k,), op, stride=1, nan_policy=policy)
                    nans = np.isnan(oracle.widen(got))
                    assert (bits(got)[nans] == CANONICAL[dtype.name]).all()
                    assert nans.all()


@pytest.mark.parametrize("dtype", FLOATS, ids=name)
@pytest.mark.parametrize("nd", [1, 2, 3])
def test_raise(nd: int, dtype: np.dtype) -> None:
    shape = (2, 3, 4, 5, 6)[: nd + 2]
    x = np.ones(shape, dtype)
    kernel = 2
    for op in ("max", "min", "avg", "sum"):
        pooling = function(op, nd)
        clean = pooling(x, kernel, nan_policy="raise")
        assert_same(clean, pooling(x, kernel))
        for where in ((0,) * (nd + 2), tuple(n - 1 for n in shape), (1, 2, *(1,) * nd)):
            bad = x.copy()
            bad[where] = np.nan
            out = np.full(clean.shape, 7, dtype)
            for threads in THREADS:
                with pytest.raises(ValueError) as caught:
                    pooling(bad, kernel, nan_policy="raise", out=out, threads=threads)
                message = str(caught.value)
                assert message.startswith(f"{op}_pool{nd}d: ")
                assert "NaN" in message
                for i in where:
                    assert str(i) in message
            assert (out == 7).all()


def test_raise_looks_at_every_element() -> None:
    """Also at those that no window covers."""
    x = np.ones((1, 1, 5, 5), np.float32)
    x[0, 0, 4, 4] = np.nan
    assert poolcore.max_pool2d(x, 2).tolist() == np.ones((1, 1, 2, 2)).tolist()
    with pytest.raises(ValueError, match="NaN"):
        poolcore.max_pool2d(x, 2, nan_policy="raise")


def test_integers_have_no_nan() -> None:
    x = np.arange(8).reshape(1, 1, 2, 4)
    for policy in ("propagate", "omit", "raise"):
        assert poolcore.sum_pool2d(x, 2, nan_policy=policy).tolist() == [[[[10, 18]]]]


@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_a_window_of_nans_alone_under_omit(target: str, dtype: np.dtype) -> None:
    x = np.full((1, 1, 6, 40), np.nan, dtype)
    for op in ("max", "min", "avg", "sum"):
        for padding in (0, 1):
            got = function(op, 2)(x, 3, 1, padding, nan_policy="omit")
            assert np.isnan(oracle.widen(got)).all()
    _, index = poolcore.max_pool2d(x, 3, 1, 1, return_indices=True, nan_policy="omit")
    assert index[0, 0, 0, 0] == 0
    assert index[0, 0, 1, 1] == 0
    assert index[0, 0, 2, 5] == 40 + 4


@pytest.mark.failure(20)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_signed_zeros(target: str, dtype: np.dtype) -> None:
    """-0.0 == +0.0, so the first of them stays; a sum of zeros is +0.0."""
    for width in (2, 17, 64, 67):
        x = np.zeros((width, width), dtype)
        x[np.arange(width) % 3 > 0] = -0.0
        x[:, ::4] = -x[:, ::4]
        for op in ("max", "min"):
            for k, s in ((2, 1), (2, 2), (3, 1), (3, 2)):
                if k > width:
                    continue
                got = poolcore.pool(x, (k, k), op, stride=s)
                assert_same(got, oracle.pool(x, k, op, (0, 1), s), f"{op} {width} {k} {s}")
        for op in ("avg", "sum"):
            got = poolcore.pool(np.full_like(x, -0.0), (2, 2), op, stride=1, padding=1)
            assert not np.signbit(oracle.widen(got)).any()


@pytest.mark.failure(20)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_infinities(target: str, dtype: np.dtype) -> None:
    lowest = np.full((1, 1, 5, 40), -np.inf, dtype)
    value, index = poolcore.max_pool2d(lowest, 3, 2, 1, return_indices=True)
    assert np.isneginf(oracle.widen(value)).all()
    assert (index >= 0).all()
    assert_same(index, oracle.pool(lowest, 3, "max", (2, 3), 2, 1, return_indices=True)[1])
    value, index = poolcore.min_pool2d(-lowest, 3, 2, 1, return_indices=True)
    assert np.isposinf(oracle.widen(value)).all()
    assert (index >= 0).all()
    assert np.isneginf(oracle.widen(poolcore.avg_pool2d(lowest, 3, 2, 1))).all()


@pytest.mark.failure(20)
@pytest.mark.parametrize("dtype", INTEGERS, ids=name)
def test_integer_limits(target: str, dtype: np.dtype) -> None:
    """Padding never wins, not even against the least value."""
    info = np.iinfo(dtype)
    for extreme, op in ((info.min, "max"), (info.max, "min")):
        x = np.full((1, 1, 5, 70), extreme, dtype)
        value, index = function(op, 2)(x, 3, 2, 1, return_indices=True)
        assert (value == extreme).all()
        assert (index >= 0).all()
        assert_same(index, oracle.pool(x, 3, op, (2, 3), 2, 1, return_indices=True)[1])


@pytest.mark.failure(21)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_denormals_are_kept(target: str, dtype: np.dtype) -> None:
    tiny = np.array([1, 2, 3] * 30, {2: np.uint16, 4: np.uint32, 8: np.uint64}[dtype.itemsize])
    x = tiny.view(dtype)
    for op in ("max", "min", "sum", "avg"):
        assert_same(poolcore.pool(x, (3,), op), oracle.pool(x, 3, op, (0,)))


@pytest.mark.failure(21)
def test_the_floating_point_state_is_left_alone() -> None:
    """No warning or error of NumPy's comes of a call, and denormals still exist after it."""
    with np.errstate(all="raise"):
        for dtype in FLOATS:
            x = oracle.narrow_to(np.array([np.inf, -np.inf, np.nan, 1e-30, 6e4, 6e4] * 20), dtype)
            for op in ("max", "min", "sum", "avg"):
                for threads in THREADS:
                    poolcore.pool(x, (3,), op, stride=1, threads=threads)
    smallest = np.array([1], np.uint32).view(np.float32)
    assert (smallest * np.float32(1)).view(np.uint32)[0] == 1
    assert (smallest + smallest).view(np.uint32)[0] == 2
