"""Element types: which result, exact integers, every rounding, the limits."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import oracle
import poolcore
from support import (
    BFLOAT16,
    DTYPES,
    FLOATS,
    INTEGERS,
    assert_runs,
    assert_same,
    configurations,
    function,
)


def name(value: object) -> str:
    return str(value)


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_default_result_types(dtype: np.dtype) -> None:
    x = np.ones((1, 1, 4, 4), dtype)
    for op in ("max", "min"):
        value, index = function(op, 2)(x, 2, return_indices=True)
        assert value.dtype == dtype
        assert index.dtype == np.int64
    floating = dtype in FLOATS
    assert poolcore.avg_pool2d(x, 2).dtype == (dtype if floating else np.float64)
    wide = np.uint64 if dtype.kind == "u" else np.int64
    assert poolcore.sum_pool2d(x, 2).dtype == (dtype if floating else wide)


def test_as_numpy_does() -> None:
    """Result types and values of a whole-array window are NumPy's reductions."""
    for dtype in [d for d in DTYPES if d not in FLOATS]:
        x = np.arange(12).astype(dtype).reshape(3, 4)
        assert_same(poolcore.pool(x, (3, 4), "sum"), x.sum(keepdims=True))
        assert_same(poolcore.pool(x, (3, 4), "avg"), x.mean(keepdims=True))
        assert_same(poolcore.pool(x, (3, 4), "max"), x.max(keepdims=True))


FORMS: list[Any] = ["float32", np.float32, np.dtype("float32"), "f4", "<f4", "=f4"]


@pytest.mark.parametrize("form", FORMS, ids=name)
def test_dtype_may_be_written_as_numpy_allows(form: Any) -> None:
    if np.dtype(form).byteorder == ">":
        pytest.skip("big-endian host")
    assert poolcore.avg_pool1d(np.ones((1, 4), np.int8), 2, dtype=form).dtype == np.float32


def test_dtype_as_python_types() -> None:
    x = np.ones((1, 4), np.int8)
    assert poolcore.avg_pool1d(x, 2, dtype=float).dtype == np.float64
    assert poolcore.sum_pool1d(x, 2, dtype=int).dtype == np.dtype(int)
    with pytest.raises(TypeError, match="bool"):
        poolcore.sum_pool1d(x, 2, dtype=bool)


@pytest.mark.parametrize("op", ["avg", "sum"])
@pytest.mark.parametrize("out", INTEGERS, ids=name)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_integer_dtype_of_floats_is_refused(dtype: np.dtype, out: np.dtype, op: str) -> None:
    with pytest.raises(TypeError, match=rf"^{op}_pool2d: dtype"):
        function(op, 2)(np.ones((1, 1, 2, 2), dtype), 2, dtype=out)


@pytest.mark.parametrize("op", ["avg", "sum"])
@pytest.mark.parametrize(
    "out", [bool, complex, object, str, "S4", "M8[s]", ">f4", np.longdouble, "V3"], ids=name
)
def test_dtypes_that_cannot_be_results(out: Any, op: str) -> None:
    if np.dtype(out) == np.float64:
        pytest.skip("longdouble is float64 here")
    with pytest.raises(TypeError, match=rf"^{op}_pool2d: .*dtype"):
        function(op, 2)(np.ones((1, 1, 2, 2), np.int8), 2, dtype=out)


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor", "trunc"])
@pytest.mark.parametrize("dtype", INTEGERS, ids=name)
def test_means_of_all_small_windows(dtype: np.dtype, rounding: str) -> None:
    """Every multiset of the extremes and small numbers, against exact fractions."""
    info = np.iinfo(dtype)
    values = sorted({info.min, info.min + 1, 0, 1, 2, 3, info.max - 1, info.max})
    if info.min < 0:
        values += [-1, -2]
    for k in (1, 2, 3):
        rows = list(itertools.combinations_with_replacement(values, k))
        x = np.array(rows, dtype=dtype)
        got = poolcore.pool(x, (k,), "avg", dtype=dtype, rounding=rounding)
        want = [oracle.round_mean(sum(row), k, rounding) for row in rows]
        assert got.ravel().tolist() == want
        for divisor in (-1, 7, -2):
            got = poolcore.pool(
                x, (k,), "avg", dtype=np.int16, rounding=rounding, divisor_override=divisor
            )
            want = [oracle.round_mean(sum(row), divisor, rounding) for row in rows]
            assert got.ravel().tolist() == [min(max(v, -(2**15)), 2**15 - 1) for v in want]


@pytest.mark.failure(18)
@pytest.mark.parametrize("dtype", [np.int64, np.uint64], ids=name)
@pytest.mark.parametrize("k", [2, 3, 5, 100])
def test_64_bit_extremes(dtype: Any, k: int) -> None:
    info = np.iinfo(dtype)
    for value in (info.min, info.max):
        x = np.full((1, 4 * k), value, dtype)
        # the mean of equal numbers is that number, however far their sum is beyond 64 bits
        assert (poolcore.pool(x, (k,), "avg", dtype=dtype) == value).all()
        mean = poolcore.pool(x, (k,), "avg")
        assert (mean == float(k * int(value)) / float(k)).all()
        total = poolcore.pool(x, (k,), "sum")
        assert_same(total, np.full((1, 4), k * int(value) % 2**64, np.uint64).view(dtype))
        exact = poolcore.pool(x, (k,), "sum", dtype=np.float64)
        assert (exact == float(k * int(value))).all()


def test_sums_wrap_as_numpy_does() -> None:
    x = np.full((1, 300), 255, np.uint8)
    for out in INTEGERS:
        got = poolcore.pool(x, (300,), "sum", dtype=out)
        want = x.sum(axis=1, keepdims=True, dtype=np.int64).astype(out)
        assert_same(got, want)


def test_narrow_sums_do_not_wrap_inside() -> None:
    """uint16 and uint32 windows whose sum passes 2**16, 2**32: the mean is exact."""
    for dtype, n in ((np.uint8, 70000), (np.uint16, 70000), (np.uint32, 70000)):
        top = np.iinfo(dtype).max
        x = np.full((n,), top, dtype)
        assert poolcore.pool(x, (n,), "avg").tolist() == [top]
        assert poolcore.pool(x, (n,), "sum").tolist() == [top * n]
        assert poolcore.pool(x, (n,), "avg", dtype=dtype).tolist() == [top]
    for dtype in (np.int8, np.int16, np.int32):
        low = np.iinfo(dtype).min
        x = np.full((7, 10001), low, dtype)
        assert poolcore.pool(x, (7, 10001), "sum").tolist() == [[low * 70007]]
        assert poolcore.pool(x, (7, 10001), "avg", dtype=dtype).tolist() == [[low]]


def test_rounding_needs_a_known_name() -> None:
    with pytest.raises(ValueError, match=r"^avg_pool2d: rounding='up'"):
        poolcore.avg_pool2d(np.ones((1, 1, 2, 2), np.int8), 2, dtype="int8", rounding="up")


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16], ids=name)
def test_every_half_precision_value(dtype: np.dtype) -> None:
    """All 65,536 patterns survive max, min and a mean over one tap."""
    x = np.arange(2**16, dtype=np.uint16).view(dtype).reshape(256, 256)
    for op in ("max", "min", "avg", "sum"):
        for k, axes in ((1, (0, 1)), (2, (1,)), (3, (0,))):
            want = oracle.pool(x, k, op, axes, 1)
            for target, threads in configurations():
                got = poolcore.pool(x, (k,) * len(axes), op, axes, 1, threads=threads)
                assert_same(got, want, f"{op} {k} on {target}")


@pytest.mark.parametrize("out", [np.dtype(np.float16), BFLOAT16], ids=name)
def test_double_to_half_is_rounded_once(out: np.dtype) -> None:
    """Values that a stop in float32 would round twice."""
    unit = 2.0 ** (-11 if out == np.float16 else -8)  # half an ulp at 1
    base = 1 + unit * np.arange(1, 400, 2)
    x = np.concatenate([base, base + 2.0**-40, base - 2.0**-40, base * 2.0**-20, -base])
    got = poolcore.pool(x, (1,), "sum", dtype=out)
    assert_same(got, oracle.narrow_to(x, out))
    for value, result in zip(x[:50], oracle.widen(got)[:50].tolist(), strict=True):
        error = abs(Fraction(float(value)) - Fraction(result))
        assert error <= Fraction(unit) * (2 if result >= 2 else 1)


def test_bfloat16_is_recognised_without_ml_dtypes() -> None:
    """poolcore never imports ml_dtypes: it knows the type by its name."""
    assert_runs(
        "import sys, numpy as np, poolcore\n"
        "poolcore.max_pool1d(np.ones((1, 4)), 2)\n"
        "assert 'ml_dtypes' not in sys.modules\n"
        "import ml_dtypes\n"
        "y = poolcore.max_pool1d(np.ones((1, 4), ml_dtypes.bfloat16), 2)\n"
        "assert y.dtype == ml_dtypes.bfloat16\n"
    )


@pytest.mark.failure(27)
@pytest.mark.parametrize(
    "look_alike", ["float8_e4m3fn", "float8_e5m2", "int4", "uint4", "float8_e3m4"]
)
def test_relatives_of_bfloat16_are_refused(look_alike: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    if not hasattr(ml_dtypes, look_alike):
        pytest.skip(f"this ml_dtypes has no {look_alike}")
    x = np.ones((1, 1, 4, 4)).astype(getattr(ml_dtypes, look_alike))
    with pytest.raises(TypeError, match=look_alike):
        poolcore.max_pool2d(x, 2)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32, np.uint32], ids=name)
def test_means_at_the_limits_of_doubles(dtype: Any, rng: np.random.Generator) -> None:
    """Small integers are added as doubles, part by part of the array, large ones exactly."""
    info = np.iinfo(dtype)
    powers = [1 << p for p in (0, 20, 30, 44, 45, 46, 47, 48, 49, 50, 52, 53, 61)]
    values = [v for p in powers for v in (p - 1, p, p + 1, -p, -p - 1, 1 - p)]
    values = [v for v in [*values, info.min, info.max] if info.min <= v <= info.max]
    for edge in values:
        x = rng.integers(0, 1000, (2, 40, 30, 31)).astype(dtype)
        x[1, 7] = np.where(rng.random((30, 31)) < 0.4, np.array(edge, dtype), x[1, 7])
        x[0, 3, 11, 30] = edge
        for kernel, stride, out in ((3, 1, None), (3, 2, dtype), (2, 2, np.float32), (5, 3, None)):
            want = oracle.pool(x, kernel, "avg", (2, 3), stride=stride, dtype=out)
            for threads in (1, 2):
                got = poolcore.avg_pool2d(x, kernel, stride, dtype=out, threads=threads)
                assert_same(got, want, f"{edge} {kernel} {stride}")
