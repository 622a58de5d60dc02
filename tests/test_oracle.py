"""Hand-computed values that pin the oracle itself. Needs no poolcore."""

from __future__ import annotations

import numpy as np
import pytest

import oracle
from support import BFLOAT16, assert_same, bits

LESSON = np.arange(9.0).reshape(3, 3)
INF = np.inf
NAN = np.nan


def row(*values: float, dtype: str = "float64") -> np.ndarray:
    return np.array(values, dtype)


def pool1(x: np.ndarray, k: int, op: str, *args: object, **options: object) -> object:
    return oracle.pool(x, k, op, (0,), *args, **options)


def test_the_lesson() -> None:
    assert oracle.pool(LESSON, 2, "max", (0, 1), 1).tolist() == [[4, 5], [7, 8]]
    assert oracle.pool(LESSON, 2, "avg", (0, 1), 1).tolist() == [[2, 3], [5, 6]]
    assert oracle.pool(LESSON, 2, "min", (0, 1), 1).tolist() == [[0, 1], [3, 4]]
    assert oracle.pool(LESSON, 2, "sum", (0, 1), 1).tolist() == [[8, 12], [20, 24]]


@pytest.mark.parametrize(
    ("n", "k", "s", "d", "padding", "ceil", "length"),
    [
        (3, 2, 1, 1, (0, 0), False, 2),
        (112, 3, 2, 1, (1, 1), False, 56),
        (55, 3, 2, 1, (0, 0), False, 27),
        (14, 3, 2, 1, (0, 0), False, 6),
        (14, 3, 2, 1, (0, 0), True, 7),
        (5, 3, 3, 1, (1, 1), True, 2),  # the third would start at 6 = n + pl
        (2, 3, 2, 1, (0, 0), True, 1),
        (7, 3, 1, 2, (0, 0), False, 3),
        (9, 4, 2, 1, "same", False, 5),
        (10, 2, 5, 1, "same", False, 2),
        (10, 4, 3, 1, "valid", False, 3),
        (10, 4, 4, 1, "valid", True, 3),
    ],
)
def test_lengths(n, k, s, d, padding, ceil, length) -> None:
    assert oracle.axis_geometry(n, k, s, d, padding, ceil).o == length


def test_same_puts_the_odd_pad_where_it_says() -> None:
    # n=9, k=4, s=2: o=5, total = 8 + 4 - 9 = 3
    upper = oracle.axis_geometry(9, 4, 2, 1, "same", False)
    lower = oracle.axis_geometry(9, 4, 2, 1, "same_lower", False)
    assert (upper.lo, upper.hi) == (1, 2)
    assert (lower.lo, lower.hi) == (2, 1)


@pytest.mark.parametrize(
    ("n", "k", "s", "d", "padding", "ceil"),
    [
        (0, 1, 1, 1, (0, 0), False),
        (3, 0, 1, 1, (0, 0), False),
        (3, 2, 0, 1, (0, 0), False),
        (3, 2, 1, 0, (0, 0), False),
        (3, 2, 1, 1, (2, 0), False),
        (3, 2, 1, 1, (0, -1), False),
        (3, 4, 1, 1, (0, 0), False),
        (3, 5, 1, 1, (0, 0), True),
    ],
)
def test_illegal_geometry(n, k, s, d, padding, ceil) -> None:
    with pytest.raises(ValueError):
        oracle.axis_geometry(n, k, s, d, padding, ceil)


def test_divisors() -> None:
    ones = np.ones(5)
    # windows at -1, 2 with k=3, s=3, p=1 under ceil: [0,1], [2,3,4]
    assert pool1(ones, 3, "avg", 3, 1, 1, True).tolist() == [2 / 3, 1.0]
    # n=4, k=3, s=2, p=1, ceil: starts -1, 1, 3; the last covers 3 and one pad, not two
    x = np.ones(4)
    assert pool1(x, 3, "avg", 2, 1, 1, True).tolist() == [2 / 3, 1.0, 1 / 2]
    assert pool1(x, 3, "avg", 2, 1, 1, True, count_include_pad=False).tolist() == [1, 1, 1]
    assert pool1(x, 3, "avg", 2, 1, 1, True, divisor_override=4).tolist() == [0.5, 0.75, 0.25]
    assert pool1(x, 3, "avg", 2, 1, 1, True, divisor_override=-1).tolist() == [-2, -3, -1]
    # dilation 2, pads 2: taps -2,0,2 | -1,1,3 | 0,2,4 | 1,3,5
    assert pool1(x, 3, "avg", 1, 2, 2).tolist() == [2 / 3, 2 / 3, 2 / 3, 2 / 3]


def test_window_without_a_tap() -> None:
    # n=2, k=2, d=5, p=4: starts -4..-1, taps -4,1 | -3,2 | -2,3 | -1,4 | 0,5
    x = row(1.0, 2.0)
    args = (1, 4, 5)
    value, index = pool1(x, 2, "max", *args, return_indices=True)
    assert value.tolist() == [2, -INF, -INF, -INF, 1]
    assert index.tolist() == [1, -1, -1, -1, 0]
    assert pool1(x, 2, "sum", *args).tolist() == [2, 0, 0, 0, 1]
    mean = pool1(x, 2, "avg", *args)
    assert np.isnan(mean).tolist() == [False, True, True, True, False]
    assert pool1(x.astype(np.int8), 2, "max", *args).tolist() == [2, -128, -128, -128, 1]
    assert pool1(x.astype(np.uint8), 2, "min", *args).tolist() == [2, 255, 255, 255, 1]
    with pytest.raises(ValueError):
        pool1(x.astype(np.int8), 2, "avg", *args, dtype=np.int8)


def test_nan_policies() -> None:
    x = row(1, NAN, 3, NAN, NAN, -INF)
    value, index = pool1(x, 2, "max", 1, return_indices=True)
    assert np.isnan(value).tolist() == [True, True, True, True, True]
    assert index.tolist() == [1, 1, 3, 3, 4]
    value, index = pool1(x, 2, "max", 1, return_indices=True, nan_policy="omit")
    np.testing.assert_array_equal(value, [1, 3, 3, NAN, -INF])
    assert index.tolist() == [0, 2, 2, 3, 5]
    np.testing.assert_array_equal(pool1(x, 2, "sum", 1, nan_policy="omit"), [1, 3, 3, NAN, -INF])
    np.testing.assert_array_equal(pool1(x, 2, "avg", 1, nan_policy="omit"), [1, 3, 3, NAN, -INF])
    np.testing.assert_array_equal(
        pool1(x, 2, "avg", 1, nan_policy="omit", divisor_override=2), [0.5, 1.5, 1.5, NAN, -INF]
    )
    with pytest.raises(ValueError):
        pool1(x, 2, "max", nan_policy="raise")


def test_ties_and_signed_zeros() -> None:
    value, index = pool1(row(-0.0, 0.0), 2, "max", return_indices=True)
    assert np.signbit(value).tolist() == [True]
    assert index.tolist() == [0]
    value, index = pool1(row(0.0, -0.0), 2, "min", return_indices=True)
    assert np.signbit(value).tolist() == [False]
    assert index.tolist() == [0]
    assert not np.signbit(pool1(row(-0.0, -0.0), 2, "sum"))[0]
    value, index = pool1(row(-INF, -INF), 2, "max", return_indices=True)
    assert value.tolist() == [-INF]
    assert index.tolist() == [0]


def test_indices_are_flat_in_array_order() -> None:
    x = np.zeros((3, 2, 4))
    x[2, 1, 3] = 1
    for axes in ((0, 2), (2, 0)):
        kernel = (3, 4) if axes == (0, 2) else (4, 3)
        _, index = oracle.pool(x, kernel, "max", axes, return_indices=True)
        assert index.shape == (1, 2, 1)
        assert index.ravel().tolist() == [0, 2 * 4 + 3]


def test_the_tree_is_the_canonical_one() -> None:
    # float32: 2**24 + 1 rounds to 2**24. Three taps: (a + b) + c; five: ((a+b)+(c+d)) + e.
    big = 2.0**24
    assert pool1(row(big, 1, 1, dtype="float32"), 3, "sum").tolist() == [big]
    assert pool1(row(1, 1, big, dtype="float32"), 3, "sum").tolist() == [big + 2]
    assert pool1(row(big, 1, 1, 1, dtype="float32"), 4, "sum").tolist() == [big + 2]
    assert pool1(row(1, big, 1, 1, 0, dtype="float32"), 5, "sum").tolist() == [big + 2]
    # two axes: down the columns first
    x = np.array([[big, 1], [1, 1]], np.float32)
    assert oracle.pool(x, 2, "sum", (0, 1)).tolist() == [[big + 2]]
    x = np.array([[big, 1, 1, 1]], np.float32).reshape(2, 2)  # (big+1)+(1+1)
    assert oracle.pool(x.T, 2, "sum", (0, 1)).tolist() == [[big + 2]]
    x = np.array([[1, big], [0, 1]], np.float32)  # (1+0) + (big+1) = big + 1 -> big
    assert oracle.pool(x, 2, "sum", (0, 1)).tolist() == [[big]]


def test_accumulators() -> None:
    x = np.zeros(4097, np.float32)
    x[0], x[1] = 2.0**24, 1.0
    assert pool1(x[:4096], 4096, "sum").tolist() == [2.0**24]
    assert pool1(x, 4097, "sum", dtype=np.float64).tolist() == [2.0**24 + 1]
    assert pool1(x[:2], 2, "sum", dtype=np.float64).tolist() == [2.0**24 + 1]
    x[2] = 1.0
    assert pool1(x, 4097, "sum").tolist() == [2.0**24 + 2]
    # a divisor that float32 cannot hold is used in float64
    got = pool1(row(3, dtype="float32"), 1, "avg", divisor_override=2**24 + 1)
    assert bits(got) == bits(np.array([3 / (2**24 + 1)]).astype(np.float32))
    big = np.full(4, 65504, np.float16)
    assert pool1(big, 4, "avg").tolist() == [65504]
    assert pool1(big, 4, "sum").tolist() == [INF]


def test_integer_means() -> None:
    x = np.array([1, 2, -1, -2, 0, 3], np.int8)
    for rounding, want in {
        "half_even": [2, -2, 2],  # 1.5, -1.5, 1.5
        "half_up": [2, -1, 2],
        "floor": [1, -2, 1],
        "trunc": [1, -1, 1],
    }.items():
        assert pool1(x, 2, "avg", dtype=np.int16, rounding=rounding).tolist() == want
    assert pool1(x, 2, "avg").tolist() == [1.5, -1.5, 1.5]
    # exact sums: two int64 maxima, and saturation
    top = np.array([2**63 - 1, 2**63 - 2], np.int64)
    assert pool1(top, 2, "avg", dtype=np.int64, rounding="floor").tolist() == [2**63 - 2]
    assert pool1(top, 2, "avg", dtype=np.int8).tolist() == [127]
    assert pool1(-top, 2, "avg", dtype=np.uint64).tolist() == [0]
    assert pool1(top, 2, "sum").tolist() == [-3]
    assert pool1(np.array([200, 100], np.uint8), 2, "sum", dtype=np.uint8).tolist() == [44]
    assert pool1(np.array([True, True, False]), 3, "sum").dtype == np.int64
    assert pool1(top, 2, "avg").tolist() == [float(2**64 - 3) / 2]


def test_bfloat16_conversions() -> None:
    def convert(value: float) -> int:
        return int(oracle.narrow_to(np.array([value]), BFLOAT16).view(np.uint16)[0])

    assert convert(1.0) == 0x3F80
    assert convert(-2.0) == 0xC000
    assert convert(1 + 2**-8) == 0x3F80  # a tie goes to even
    assert convert(1 + 3 * 2**-8) == 0x3F82
    assert convert(1 + 2**-8 + 2**-40) == 0x3F81  # which float32 on the way would lose
    assert convert(1 + 2**-8 - 2**-40) == 0x3F80
    assert convert(1 + 3 * 2**-8 - 2**-40) == 0x3F81
    assert convert(3.4e38) == 0x7F80
    assert convert(1e300) == 0x7F80
    assert convert(NAN) == 0x7FC0
    assert convert(-NAN) == 0x7FC0
    assert convert(2.0**-133) == 0x0001
    assert convert(2.0**-134) == 0x0000
    back = oracle.widen(np.array([0x3F81, 0x8000, 0x7F80], np.uint16).view(BFLOAT16))
    assert back.tolist() == [1 + 2**-7, 0.0, INF]
    assert np.signbit(back[1])


def test_any_axes_of_any_rank() -> None:
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    got = oracle.pool(x, (2, 5), "sum", (0, 3))
    assert_same(got, x.sum(axis=(0, 3), keepdims=True))
    got = oracle.pool(x, (2, 4, 3), "max", (-4, -2, -3))
    assert_same(got, x.max(axis=(0, 1, 2), keepdims=True))
    assert oracle.pool(np.zeros((0, 4)), 2, "avg", (1,)).shape == (0, 2)
