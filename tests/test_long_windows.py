"""Windows of eight taps and more: sums by pieces of the canonical tree, integers by what comes and
goes, extrema by overlapping pieces or running ones. On every target, bits are the oracle's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oracle
import poolcore
from support import (
    BFLOAT16,
    DTYPES,
    assert_runs,
    assert_same,
    configurations,
    function,
    random_array,
    targets,
    use_target,
)
from test_guard import guard

# Every digit to the base 4 in every place, and what lies beside powers of it.
KERNELS = [8, 9, 10, 11, 12, 14, 15, 16, 17, 20, 23, 31, 32, 33, 47, 60, 63, 64, 65]
OPS = ("max", "min", "sum", "avg")


def both(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def check(x: np.ndarray, op: str, kernel: Any, axes: tuple[int, ...], **how: Any) -> None:
    """The pooled axes of x are its last two, or those before the last one."""
    layout = "NHWC" if axes == (1, 2) else "NCHW"
    want = oracle.pool(x, kernel, op, axes, **how)
    for target in targets():
        with use_target(target):
            got = function(op, 2)(x, kernel, layout=layout, **how)
        assert_same(got, want, f"{op} {kernel} {how} {x.dtype} {x.shape} on {target}")


@pytest.mark.parametrize("kernel", KERNELS)
def test_lengths(kernel: int, rng: np.random.Generator) -> None:
    """Along rows and columns, near one edge and both; windows enough for every way."""
    for dtype in (np.float32, np.int32):
        along_rows, along_lanes = (2 * kernel + 9, 19), (3, 83 + kernel)
        for kernels, shape in (((kernel, 1), along_rows), ((1, kernel), along_lanes)):
            x = random_array(rng, np.dtype(dtype), (1, 2, *shape), "special")
            padding = tuple(k // 2 for k in kernels)
            for op in OPS:
                check(x, op, kernels, (2, 3), stride=1)
                check(x, op, kernels, (2, 3), stride=1, padding=padding)
            check(x, "avg", kernels, (2, 3), stride=1, padding=padding, count_include_pad=False)


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16], ids=str)
def test_types(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Integers over their whole range: what is added up may wrap on the way."""
    x = random_array(rng, dtype, (1, 2, 40, 71), "special")
    for kernel, stride in ((9, 1), ((12, 17), (2, 1)), ((31, 23), (1, 3))):
        for op in OPS:
            check(x, op, kernel, (2, 3), stride=stride, padding=4)
        if dtype != np.bool_:
            check(x, "avg", kernel, (2, 3), stride=stride, dtype=dtype)


@pytest.mark.parametrize("channels", [1, 3, 15, 16, 17, 40])
def test_channels_last(channels: int, rng: np.random.Generator) -> None:
    for dtype in (np.uint8, np.float32):
        x = random_array(rng, np.dtype(dtype), (2, 23, 30, channels), "special")
        for kernel in (9, (1, 21), (20, 1)):
            for op in OPS:
                check(x, op, kernel, (1, 2), stride=1, padding=(0, 0))
            check(x, "avg", kernel, (1, 2), stride=(1, 2), ceil_mode=True)


def test_strides_and_dilation(rng: np.random.Generator) -> None:
    for dtype in (np.int16, np.float64):
        x = random_array(rng, np.dtype(dtype), (1, 1, 90, 77), "special")
        for op in OPS:
            for stride in (2, 3, 7):
                check(x, op, (25, 33), (2, 3), stride=stride, padding=(12, 16), ceil_mode=True)
            for dilation in (2, 5):
                check(x, op, (9, 13), (2, 3), stride=1, padding=(4, 6), dilation=dilation)


def test_memory_layouts(rng: np.random.Generator) -> None:
    base = random_array(rng, np.dtype(np.uint16), (3, 40, 60, 62))
    for x in (base[..., ::2], base[:, :, ::-1, ::-1], base.swapaxes(2, 3), base[:, ::7, 3:-3, 5:]):
        for op in OPS:
            want = oracle.pool(np.ascontiguousarray(x), (9, 15), op, (2, 3), stride=1, padding=4)
            assert_same(function(op, 2)(x, (9, 15), 1, 4), want, f"{op} {x.strides}")


def test_three_dimensions(rng: np.random.Generator) -> None:
    for dtype in (np.uint8, np.float32):
        x = random_array(rng, np.dtype(dtype), (2, 12, 14, 31), "special")
        for op in OPS:
            want = oracle.pool(x, (9, 8, 11), op, (1, 2, 3), stride=1, padding=(4, 3, 5))
            got = function(op, 3)(x, (9, 8, 11), 1, (4, 3, 5))
            assert_same(got, want, f"{op} {dtype}")


@pytest.mark.parametrize("op", OPS)
def test_threads_and_boxes(op: str, rng: np.random.Generator) -> None:
    """A plane that is cut into many boxes, whose seams must not show."""
    for dtype in (np.uint8, np.float32):
        x = random_array(rng, np.dtype(dtype), (1, 1, 170, 500))
        want = oracle.pool(x, (41, 63), op, (2, 3), stride=1, padding=(20, 31))
        for target, threads in configurations():
            got = function(op, 2)(x, (41, 63), 1, (20, 31), threads=threads)
            assert_same(got, want, f"{op} {dtype} on {target} with {threads} threads")


def test_sums_that_wrap() -> None:
    """Totals of a line pass every limit of their type; the windows' own sums do not."""
    x = np.full((1, 1, 3, 5000), 65535, np.uint16)
    assert (poolcore.avg_pool2d(x, (1, 9), 1) == 65535).all()
    assert (poolcore.sum_pool2d(x, (1, 9), 1) == 9 * 65535).all()
    signs = np.where(np.arange(300) % 2 == 0, 127, -128).astype(np.int8).reshape(1, 1, 300, 1)
    want = oracle.pool(signs, (201, 1), "sum", (2, 3), stride=1)
    assert_same(poolcore.sum_pool2d(signs, (201, 1), 1), want)


@pytest.mark.parametrize("rows", range(1, 11))
def test_planes_that_are_one_window(rows: int, rng: np.random.Generator) -> None:
    for dtype in (np.float32, np.float64, np.float16, np.uint8):
        for planes, columns in ((1, 8), (9, 7), (40, rows), (23, 3)):
            x = random_array(rng, np.dtype(dtype), (1, planes, rows, columns), "special")
            for op in ("sum", "avg"):
                check(x, op, (rows, columns), (2, 3))


@pytest.mark.parametrize("divisor", [1, 2, 3, 4, 5, 7, 8, 9])
def test_divisors_of_small_windows(divisor: int, rng: np.random.Generator) -> None:
    """Every sum of four bytes and more, every rounding; powers of two are shifts."""
    for dtype in (np.uint8, np.int8, np.uint16, np.int16):
        x = random_array(rng, np.dtype(dtype), (1, 4, 40, 66))
        for rounding in ("half_even", "half_up", "floor", "trunc"):
            how: dict[str, Any] = {"dtype": dtype, "rounding": rounding}
            check(x, "avg", 2, (2, 3), stride=2, divisor_override=divisor, **how)
            check(x, "avg", 3, (2, 3), stride=2, padding=1, divisor_override=divisor, **how)
            check(x, "avg", 2, (2, 3), stride=2, padding=1, count_include_pad=False, **how)


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (5, 16), (9, 17), (20, 40), (33, 129)], ids=str)
def test_means_that_count_no_padding(shape: tuple[int, int], rng: np.random.Generator) -> None:
    """Windows at the edges have divisors of their own, also where the last ones hang over."""
    for dtype in (np.float32, np.float64):
        x = random_array(rng, np.dtype(dtype), (2, 3, *shape), "special")
        for kernel, stride, padding, ceil in (
            (3, 1, 1, False), (3, 2, 1, False), (3, 2, 1, True), (2, 1, 1, False),
            (2, 2, 1, True), ((3, 2), (2, 1), (1, 1), True), ((2, 3), (1, 2), (0, 1), True),
            ((1, 3), 1, (0, 1), False), (3, (1, 2), 1, True),
        ):  # fmt: skip
            if any(
                n + 2 * p < k for n, p, k in zip(shape, both(padding), both(kernel), strict=True)
            ):
                continue
            for include in (False, True):
                check(x, "avg", kernel, (2, 3), stride=stride, padding=padding, ceil_mode=ceil,
                      count_include_pad=include)  # fmt: skip


GUARDED = """
for seed in range(4):
    rng = np.random.default_rng(seed)
    for dtype in (np.uint8, np.int16, np.int64, np.float32, np.float64):
        for at_end in (False, True):
            for shape, kernel in (((1, 2, 20, 37), (9, 1)), ((1, 2, 9, 70), (1, 21)),
                                  ((1, 3, 30, 40), (15, 12)), ((1, 19, 7, 7), 7),
                                  ((1, 20, 5, 3), (5, 3)), ((1, 9, 8, 6), (8, 6))):
                x = inputs.place(shape, np.dtype(dtype), at_end)
                x[...] = support.random_array(rng, np.dtype(dtype), shape)
                for op in ('max', 'sum', 'avg'):
                    want = oracle.pool(x, kernel, op, (2, 3), stride=1)
                    for target in support.targets():
                        with support.use_target(target):
                            out = outputs.place(want.shape, want.dtype, at_end)
                            support.function(op, 2)(x, kernel, 1, out=out)
                        support.assert_same(out, want, f'{op} {kernel} {dtype} {target}')
"""


def test_between_guard_pages() -> None:
    assert_runs(guard(3, pages=16) + GUARDED, timeout=300)


@pytest.mark.failure(18)
@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.float16, np.float64], ids=str)
@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [
        ((5, 30_000), (5, 30_000), (1, 1)),
        ((9, 20_000), (7, 19_000), (3, 999)),
        ((20_000, 5), (19_999, 5), (1, 2)),
        ((6, 5, 9000), (6, 5, 9000), (2, 1, 1)),
    ],
    ids=str,
)
def test_windows_larger_than_the_scratch(
    shape: Any, kernel: Any, padding: Any, dtype: Any, rng: np.random.Generator
) -> None:
    """Windows in pieces, of which those over an edge are filled up with the identity."""
    x = random_array(rng, np.dtype(dtype), shape)
    stride = tuple(max(1, n + 2 * p - k) for n, k, p in zip(shape, kernel, padding, strict=True))
    axes = tuple(range(len(shape)))
    for op in ("sum", "avg"):
        want = oracle.pool(x, kernel, op, axes, stride, padding)
        for target in targets():
            with use_target(target):
                got = poolcore.pool(x, kernel, op, axes, stride, padding)
            assert_same(got, want, f"{op} on {target}")


@pytest.mark.parametrize("kernel", [(2**61, 2**31, 2**62), (2**20, 7, 5000), (4, 2**32 - 1, 3)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_windows_far_larger_than_the_image(
    dtype: np.dtype, kernel: tuple[int, ...], rng: np.random.Generator
) -> None:
    """Window i reaches from far before the image to element i."""
    x = random_array(rng, dtype, (2, 4, 6, 3))
    for pixels in (x, np.stack([x] * 5, axis=-1)):
        wide = oracle.widen(pixels) if oracle.is_float(dtype) else pixels
        for op, ufunc in (("max", np.maximum), ("min", np.minimum), ("sum", np.add)):
            if op == "sum" and (oracle.is_float(dtype) or kernel[0] > 2**40):
                continue
            padding = [(k - 1, 0) for k in kernel]
            got = poolcore.pool(pixels, kernel, op, (1, 2, 3), 1, padding)
            want = wide.astype(got.dtype) if op == "sum" else wide
            for axis in (1, 2, 3):
                want = ufunc.accumulate(want, axis=axis)
            values = oracle.widen(got) if oracle.is_float(dtype) else got
            assert (values == want).all(), op


@pytest.mark.failure(14, 18)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float64], ids=str)
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((30_000,), (9_000,), (1,), (0,)),
        ((40_000,), (33_333,), (7,), (5_000,)),
        ((70_001,), (5_001,), (130,), (1,)),
        ((3, 26_000), (2, 17_000), (1, 1), (1, 0)),
        ((20_000, 3), (9_999, 1), (3, 1), (100, 0)),
    ],
    ids=str,
)
def test_long_windows_that_overlap(
    shape: Any, kernel: Any, stride: Any, padding: Any, dtype: Any, rng: np.random.Generator
) -> None:
    """They have more scratch than others, so that neighbours share their sums and extrema: each is
    what it is alone."""
    x = random_array(rng, np.dtype(dtype), shape)
    axes = tuple(range(len(shape)))
    for op in OPS:
        for target, threads in configurations():
            got = poolcore.pool(x, kernel, op, axes, stride, padding, threads=threads)
            for share in (0, 0.3, 0.71, 1):
                place = tuple(int(share * (n - 1)) for n in got.shape)
                starts = [o * s - p for o, s, p in zip(place, stride, padding, strict=True)]
                ends = [a + k for a, k in zip(starts, kernel, strict=True)]
                part = x[tuple(slice(max(a, 0), b) for a, b in zip(starts, ends, strict=True))]
                beside = [
                    (max(-a, 0), max(b - n, 0)) for a, b, n in zip(starts, ends, shape, strict=True)
                ]
                want = poolcore.pool(part, kernel, op, axes, 1, beside)
                assert want.size == 1
                what = f"{op} at {place} on {target} with {threads} threads"
                assert_same(got[place].reshape(want.shape), want, what)


def tree(taps: dict[int, np.float64], first: int, count: int) -> np.float64 | None:
    """The canonical sum of the taps in [first, first + count); None where there is none."""
    held = [tap for tap in taps if first <= tap < first + count]
    if len(held) <= 1:
        return taps[held[0]] if held else None
    half = 1 << (count - 1).bit_length() - 1
    left, right = tree(taps, first, half), tree(taps, first + half, count - half)
    if left is None or right is None:
        return left if right is None else right
    return left + right


@pytest.mark.failure(14)
@pytest.mark.parametrize("dilation", [1, 3])
def test_means_far_larger_than_the_image(dilation: int, rng: np.random.Generator) -> None:
    """The order of a sum depends on all its taps; most of them need not be looked at."""
    x = rng.standard_normal(29)
    for kernel in (2**20, 2**20 + 37, 3 * 2**18 - 1, 2**40 + 12345):
        reach = dilation * (kernel - 1)
        for low in (reach, reach // 2, 2**12 + 3):
            padding = [(low, min(reach, reach + 40 - low))]
            got = poolcore.pool(x, (kernel,), "sum", (0,), 1, padding, (dilation,))
            mean = poolcore.pool(x, (kernel,), "avg", (0,), 1, padding, (dilation,))
            for o in {0, len(got) // 3, len(got) - 1}:
                first = max(0, -((o - low) // dilation) - 40)
                at = {t: t * dilation + o - low for t in range(first, min(kernel, first + 120))}
                taps = {t: x[i] for t, i in at.items() if 0 <= i < len(x)}
                want = tree(taps, 0, kernel)
                assert got[o] == (0 if want is None else want), (kernel, low, o)
                assert mean[o] == got[o] / kernel, (kernel, low, o)
