"""Traps that pooling libraries have fallen into, one test each, by name.

Small enough to check by hand; the sweeps over the same ground are in the other files.
"""

from __future__ import annotations

import numpy as np
import pytest

import poolcore
from support import BFLOAT16, configurations

INF = np.inf
NAN = np.nan


def row(*values: float, dtype: str = "float64") -> np.ndarray:
    return np.array([values], dtype)


# --- shapes ---------------------------------------------------------------------------------


@pytest.mark.failure(16)
def test_the_last_window_under_ceil() -> None:
    """It must start inside the input or its left padding, and may hang over the right edge."""
    x = row(1, 2, 3, 4, 5)
    assert poolcore.max_pool1d(x, 2, 2).tolist() == [[2, 4]]
    assert poolcore.max_pool1d(x, 2, 2, ceil_mode=True).tolist() == [[2, 4, 5]]
    # n=5, k=3, s=3, p=1: the third window would start at 5, in the right padding
    assert poolcore.max_pool1d(x, 3, 3, 1, ceil_mode=True).tolist() == [[2, 5]]
    # n=4, k=1, s=3: windows at 0 and 3 only
    assert poolcore.max_pool1d(row(1, 2, 3, 4), 1, 3, ceil_mode=True).tolist() == [[1, 4]]


@pytest.mark.failure(17)
def test_the_divisor_before_and_after_clipping() -> None:
    """A window that hangs over the padded edge is divided by what it covers, not by k."""
    x = np.ones((1, 4))
    # starts -1, 1, 3; the last covers element 3 and the one pad at 4, nothing at 5
    assert poolcore.avg_pool1d(x, 3, 2, 1, True).tolist() == [[2 / 3, 1, 1 / 2]]
    assert poolcore.avg_pool1d(x, 3, 2, 1, True, False).tolist() == [[1, 1, 1]]
    assert poolcore.avg_pool1d(x, 3, 2, 1, True, True, 3).tolist() == [[2 / 3, 1, 1 / 3]]
    x = np.ones((1, 1, 4, 4))
    got = poolcore.avg_pool2d(x, 3, 2, 1, True)[0, 0]
    assert got[2, 2] == 1 / 4
    assert got[0, 2] == 2 / 6
    assert got[0, 0] == 4 / 9


def test_defaults_of_stride_and_padding_count() -> None:
    x = np.ones((1, 1, 6, 6))
    assert poolcore.max_pool2d(x, 3).shape == (1, 1, 2, 2)  # stride = kernel
    assert poolcore.pool2d(x, 3).shape == (1, 1, 4, 4)  # the lesson's, stride 1
    assert poolcore.avg_pool2d(x, 3, 1, 1)[0, 0, 0, 0] == 4 / 9  # padding is counted
    assert poolcore.pool(x, 3, "avg", None, 1, 1)[0, 0, 0, 0] == 4 / 9


def test_same_with_stride_over_kernel() -> None:
    """The total padding would be negative: it is none."""
    x = row(*range(10))
    assert poolcore.max_pool1d(x, 2, 5, "same").tolist() == [[1, 6]]
    assert poolcore.max_pool1d(x, 2, 5, "same_lower").tolist() == [[1, 6]]


def test_same_with_dilation() -> None:
    """The effective kernel counts: n=6, k=3, d=2, s=1 needs two on either side."""
    got, index = poolcore.max_pool1d(row(*range(6)), 3, 1, "same", 2, return_indices=True)
    assert got.tolist() == [[2, 3, 4, 5, 4, 5]] == index.tolist()


def test_same_puts_odd_padding_right_or_left() -> None:
    x = row(1, 2, 3)
    assert poolcore.sum_pool1d(x, 2, 1, "same").tolist() == [[3, 5, 3]]
    assert poolcore.sum_pool1d(x, 2, 1, "same_lower").tolist() == [[1, 3, 5]]


def test_odd_edges() -> None:
    x = np.arange(35).reshape(1, 5, 7)
    assert poolcore.max_pool2d(x, 2).tolist() == [[[8, 10, 12], [22, 24, 26]]]
    got = poolcore.max_pool2d(x, 2, ceil_mode=True)
    assert got.tolist() == [[[8, 10, 12, 13], [22, 24, 26, 27], [29, 31, 33, 34]]]


@pytest.mark.failure(1)
def test_overflow_of_the_effective_kernel() -> None:
    """d * (k - 1) beyond 32 and 64 bits is refused, not wrapped to something small."""
    x = np.ones((1, 8))
    for k, d in (
        (2**32 + 1, 1),
        (3, 2**31),
        (2, 2**32),
        (2**32, 2**32),
        (3, 2**62),
        (2, 2**63 - 1),
    ):
        with pytest.raises(ValueError, match="max_pool1d: "):
            poolcore.max_pool1d(x, k, 1, 0, d)


@pytest.mark.failure(2)
def test_sizes_past_2_to_the_31() -> None:
    x = np.broadcast_to(np.uint8(9), (1, 2**32 + 1))
    value, index = poolcore.max_pool1d(x, 1, 2**31, return_indices=True)
    assert value.tolist() == [[9, 9, 9]]
    assert index.tolist() == [[0, 2**31, 2**32]]


def test_empty_batches_and_empty_planes() -> None:
    assert poolcore.max_pool2d(np.ones((0, 3, 4, 4)), 2).shape == (0, 3, 2, 2)
    assert poolcore.avg_pool2d(np.ones((2, 0, 4, 4), np.int8), 2).shape == (2, 0, 2, 2)
    for shape in ((1, 1, 0, 4), (1, 1, 4, 0), (0, 0, 0, 0)):
        with pytest.raises(ValueError, match="max_pool2d: x"):
            poolcore.max_pool2d(np.ones(shape), 1)


def test_zero_threads() -> None:
    with pytest.raises(ValueError, match="max_pool1d: threads=0"):
        poolcore.max_pool1d(np.ones((1, 4)), 2, threads=0)
    with pytest.raises(ValueError, match="0"):
        poolcore.set_num_threads(0)


# --- values ---------------------------------------------------------------------------------


@pytest.mark.failure(20)
def test_the_integer_minimum_is_the_identity() -> None:
    """Padding is not 0: with all values negative it must not win."""
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        low = np.iinfo(dtype).min
        x = np.full((1, 1, 5, 37), low, dtype)
        for _target, threads in configurations():
            assert (poolcore.max_pool2d(x, 3, 2, 1, threads=threads) == low).all()
    assert poolcore.max_pool1d(row(-5, -7, dtype="int8"), 2, 2, 1).tolist() == [[-5, -7]]
    assert poolcore.min_pool1d(row(5, 7, dtype="uint8"), 2, 2, 1).tolist() == [[5, 7]]
    assert poolcore.max_pool1d(row(-INF, -3), 2, 2, 1).tolist() == [[-INF, -3]]


def test_nan_in_vector_and_tail() -> None:
    """The answer does not depend on the lane that a NaN falls into."""
    for dtype in (np.float16, np.float32, np.float64, BFLOAT16):
        for place in range(2 * 67):
            x = np.ones((1, 2 * 67), np.float64)
            x[0, place] = NAN
            narrow = x.astype(dtype)
            for _target, threads in configurations():
                if threads > 1:
                    continue
                for op in (poolcore.max_pool1d, poolcore.min_pool1d, poolcore.avg_pool1d):
                    nan = np.isnan(op(narrow, 2).astype(np.float64))[0]
                    assert nan.nonzero()[0].tolist() == [place // 2], dtype


def test_the_index_of_minus_infinity_and_nan_alone() -> None:
    """An index of -1 would be a bad address later: there is always a first tap."""
    for value in (-INF, NAN):
        _, index = poolcore.max_pool1d(np.full((1, 6), value), 3, return_indices=True)
        assert index.tolist() == [[0, 3]]
    for value in (INF, NAN):
        _, index = poolcore.min_pool1d(np.full((1, 6), value), 3, return_indices=True)
        assert index.tolist() == [[0, 3]]
    low = np.full((1, 6), -128, np.int8)
    assert poolcore.max_pool1d(low, 3, return_indices=True)[1].tolist() == [[0, 3]]
    _, index = poolcore.max_pool1d(row(NAN, NAN, 1), 3, return_indices=True, nan_policy="omit")
    assert index.tolist() == [[2]]


def test_sums_of_narrow_integers() -> None:
    """uint16 and uint32 sums leave their own width, and 32-bit ones leave 32."""
    for dtype, count in (
        (np.uint16, 2**17),
        (np.uint32, 2**17),
        (np.int32, 2**17),
        (np.uint8, 2**25),
    ):
        top = int(np.iinfo(dtype).max)
        x = np.broadcast_to(np.array(top, dtype), (1, count))
        assert poolcore.sum_pool1d(x, count).tolist() == [[top * count]]
        assert poolcore.avg_pool1d(x, count).tolist() == [[top]]
        assert poolcore.avg_pool1d(x, count, dtype=dtype).tolist() == [[top]]


def test_signalling_nan() -> None:
    quiet_bit = {np.float32: (np.uint32, 0x7F800001), np.float64: (np.uint64, 0x7FF0000000000001)}
    for unsigned, pattern in quiet_bit.values():
        raw = np.zeros((1, 40), unsigned)
        raw[0, 7] = pattern
        x = raw.view(f"f{raw.itemsize}")
        for _target, _ in configurations():
            for op in (poolcore.max_pool1d, poolcore.min_pool1d, poolcore.sum_pool1d):
                with np.errstate(all="raise"):
                    got = op(x, 2)
                assert np.isnan(got).ravel().nonzero()[0].tolist() == [3]
            assert not np.isnan(poolcore.max_pool1d(x, 2, nan_policy="omit")).any()


@pytest.mark.failure(20)
def test_negative_zero() -> None:
    x = row(-0.0, 0.0, 0.0, -0.0, -0.0, -0.0)
    for _target, _ in configurations():
        assert np.signbit(poolcore.max_pool1d(x, 2)).tolist() == [[True, False, True]]
        assert np.signbit(poolcore.min_pool1d(x, 2)).tolist() == [[True, False, True]]
        assert not np.signbit(poolcore.sum_pool1d(x, 2)).any()
        assert not np.signbit(poolcore.avg_pool1d(x, 2)).any()


def test_a_bad_value_does_not_poison_the_row() -> None:
    """Running sums would carry NaN and infinity on to every later window."""
    x = np.ones((1, 100))
    x[0, 3], x[0, 50] = NAN, INF
    got = poolcore.avg_pool1d(x, 4, 1)[0]
    assert np.isnan(got).nonzero()[0].tolist() == [0, 1, 2, 3]
    assert np.isinf(got).nonzero()[0].tolist() == [47, 48, 49, 50]
    assert (got[51:] == 1).all()


# --- adaptive windows -----------------------------------------------------------------------


@pytest.mark.failure(3)
def test_adaptive_starts_are_integers() -> None:
    """In float32 none of these positions exists: 2**24 + 1 and on are rounded to even."""
    n, o = 2**25 + 7, 2
    ends = [-(-(i + 1) * n // o) for i in range(o)]
    x = np.zeros((1, n), np.uint8)
    x[0, ends[0] - 1], x[0, ends[0]] = 5, 9  # the last of window 0, and the first beyond it
    assert ends[0] == 2**24 + 4
    values, indices = poolcore.adaptive_max_pool1d(x, o, True)
    assert values.tolist() == [[5, 9]]
    assert indices.tolist() == [[ends[0] - 1, ends[0]]]
    for i in range(1, 49):  # ceil(i * n / o) of a quotient that floats take for just above a number
        ones = np.ones((1, i * 49), np.uint8)
        counts = poolcore.adaptive_avg_pool1d(ones, 49, dtype=np.uint8)
        assert (counts == 1).all()
        values, indices = poolcore.adaptive_max_pool1d(ones, 49, True)
        assert indices[0].tolist() == [j * i for j in range(49)]


# --- memory ---------------------------------------------------------------------------------


@pytest.mark.failure(24)
def test_negative_and_zero_strides() -> None:
    x = np.arange(24.0).reshape(1, 4, 6)
    for view in (x[:, ::-1, ::-1], x[:, ::-1], np.broadcast_to(x[:, :1], (1, 4, 6))):
        want = poolcore.max_pool2d(view.copy(), 2).tolist()
        for _target, _ in configurations():
            assert poolcore.max_pool2d(view, 2).tolist() == want
    assert poolcore.max_pool2d(x[:, ::-1, ::-1], 2).tolist() == [[[23, 21, 19], [11, 9, 7]]]


@pytest.mark.failure(25)
def test_misaligned_data() -> None:
    raw = np.zeros(8 * 40 + 1, np.uint8)
    x = raw[1:].view(np.float64).reshape(1, 40)
    x[...] = np.arange(40)
    for _target, _ in configurations():
        assert poolcore.max_pool1d(x, 4).tolist() == [[3, 7, 11, 15, 19, 23, 27, 31, 35, 39]]


@pytest.mark.failure(26)
def test_byte_swapped_data() -> None:
    x = row(1, 2, 3, 4)
    with pytest.raises(TypeError, match="byte"):
        poolcore.max_pool1d(x.astype(x.dtype.newbyteorder()), 2)


def test_out_that_overlaps_the_input() -> None:
    x = row(1, 2, 3, 4)
    with pytest.raises(ValueError, match="overlap"):
        poolcore.max_pool1d(x, 2, out=x[:, :2])
    assert x.tolist() == [[1, 2, 3, 4]]


def test_order_of_fractional_samples() -> None:
    """In planes the first sample is for W and the second for H; in volumes D, H, W."""
    x = np.arange(49.0).reshape(1, 1, 7, 7)
    rows = poolcore.fractional_max_pool2d(x, 2, 3, random_samples=[[[0.0, 0.7]]])
    assert rows[0, 0, :, 0].tolist() == [8, 29, 43]
    assert rows[0, 0, 0].tolist() == [8, 10, 13]
    x = np.arange(343.0).reshape(1, 1, 7, 7, 7)
    values = poolcore.fractional_max_pool3d(x, 2, 3, random_samples=[[[0.7, 0.0, 0.0]]])
    assert values[0, 0, :, 0, 0].tolist() == [57, 204, 302]
    assert values[0, 0, 0, 0].tolist() == [57, 59, 62]


# --- norms ----------------------------------------------------------------------------------


def test_lp_takes_absolute_values() -> None:
    """And a window that hangs over the edge has the norm of what it covers, not scaled up."""
    x = row(-3, 4, -12, 1, -2.5)
    for p, want in ((1, [7, 13, 2.5]), (2, [5, 145**0.5, 2.5]), (3, [91, 1729, 2.5**3])):
        got = poolcore.lp_pool1d(x, p, 2, ceil_mode=True)[0]
        exact = [w ** (1 / 3) for w in want] if p == 3 else want
        assert got.tolist() == pytest.approx(exact, rel=1e-15)
    assert poolcore.lp_pool1d(x, INF, 2, ceil_mode=True).tolist() == [[4, 12, 2.5]]
    assert poolcore.global_lp_pool(row(-3, -4)[None], 2).item() == 5
    assert poolcore.gem_pool(row(-3, 2)[None], 1, 0).item() == 1  # there negative ones count as 0


# --- regions of interest ---------------------------------------------------------------------


def test_boxes_are_checked() -> None:
    """A box may lie anywhere and be of any size, but must be numbers and name an image."""
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    for function in (poolcore.roi_pool, poolcore.roi_align):
        for bad in (NAN, INF, -INF):
            for at in range(1, 5):
                box = np.zeros((1, 5))
                box[0, at] = bad
                with pytest.raises(ValueError, match=rf"boxes\[0\]\[{at}\]"):
                    function(x, box, 2)
        for number in (1, -1, 2**62, 0.5):
            with pytest.raises((IndexError, ValueError), match=r"boxes\[0\]\[0\]"):
                function(x, np.array([[number, 0, 0, 1, 1]]), 2)
        for far in (5, 1e10, 1e300):
            assert not function(x, np.array([[0, far, far, 2 * far, 2 * far]]), 2).any()
    everything = np.array([[0, -1e300, -1e300, 1e300, 1e300]])
    assert poolcore.roi_pool(x, everything, 3)[0, 0].tolist() == [[0, 0, 0], [0, 15, 0], [0, 0, 0]]
    around = np.array([[0, -50, -50, 50, 50]])
    assert poolcore.roi_align(x, around, 1, 1.0, 2**62, mode="max").item() == 15
    assert (
        poolcore.roi_align(x, everything, 3, 1.0, 2**62).tolist() == np.zeros((1, 1, 3, 3)).tolist()
    )


def test_roi_corners_are_rounded_and_both_included() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    # 0.5 to 1 and 1.5 to 2: columns 1 and 2
    assert poolcore.roi_pool(x, np.array([[0, 0.5, 0.0, 1.5, 0.0]]), 1).item() == 2
    assert poolcore.roi_pool(x, np.array([[0, 2.5, 0.0, 2.5, 0.0]]), 1).item() == 3
    assert poolcore.roi_pool(x, np.array([[0, 3, 3, 0, 0]]), 1).item() == 15  # reversed: one pixel
    values, indices = poolcore.roi_pool(x, np.array([[0, 4, 0, 9, 0]]), 1, return_indices=True)
    assert (values.item(), indices.item()) == (0, -1)
