"""Indices: flat in the plane of the pooled axes, int64, the first of the best."""

from __future__ import annotations

import math

import numpy as np
import pytest

import oracle
import poolcore
from cases import CASES, Case, skips_the_input
from support import DTYPES, assert_same, configurations, function, random_array


def name(value: object) -> str:
    return str(value)


@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("case", [c for c in CASES if not skips_the_input(c)], ids=name)
def test_index_leads_to_the_value(case: Case, op: str, rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), case.lead + case.shape)
    value, index = function(op, case.nd)(x, **case.window, return_indices=True)
    assert index.dtype == np.int64
    assert index.shape == value.shape
    assert index.min() >= 0
    assert index.max() < math.prod(case.shape)
    planes = x.reshape(*case.lead, -1)
    flat = index.reshape(*case.lead, -1)
    assert_same(np.take_along_axis(planes, flat, -1).reshape(value.shape), value)
    assert_same(value, function(op, case.nd)(x, **case.window))


@pytest.mark.failure(20)
@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_ties_go_to_the_first_in_row_major_order(
    dtype: np.dtype, op: str, rng: np.random.Generator
) -> None:
    for shape in ((3, 5, 7), (2, 9, 40), (1, 6, 133)):
        x = rng.integers(0, 2, shape).astype(dtype)
        for k, s, p in ((2, 1, 0), (3, 2, 1), (2, 2, 0), (5, 1, 2)):
            want = oracle.pool(x, k, op, (1, 2), s, p, return_indices=True)
            for target, threads in configurations():
                got = poolcore.pool(x, k, op, (1, 2), s, p, return_indices=True, threads=threads)
                for g, w in zip(got, want, strict=True):
                    assert_same(g, w, f"{shape} k {k} s {s} on {target}, {threads} threads")


def test_all_equal_gives_the_first_real_tap() -> None:
    x = np.zeros((1, 1, 4, 4))
    for op in ("max", "min"):
        _, index = function(op, 2)(x, 3, 1, 1, return_indices=True)
        assert index[0, 0].tolist() == [[0, 0, 1, 2], [0, 0, 1, 2], [4, 4, 5, 6], [8, 8, 9, 10]]


@pytest.mark.failure(16)
def test_a_window_without_a_tap_has_index_minus_1() -> None:
    """The one documented case of -1; a window of -inf or NaN alone has an index."""
    x = np.array([[1.0, 2.0]])
    value, index = poolcore.max_pool1d(x, 2, 1, 4, 5, return_indices=True)
    assert value.tolist() == [[2, -np.inf, -np.inf, -np.inf, 1]]
    assert index.tolist() == [[1, -1, -1, -1, 0]]
    value, index = poolcore.min_pool1d(x, 2, 1, 4, 5, return_indices=True)
    assert value.tolist() == [[2, np.inf, np.inf, np.inf, 1]]
    for bad in (-np.inf, np.nan):
        for policy in ("propagate", "omit"):
            _, index = poolcore.max_pool1d(
                np.full((1, 20), bad), 3, 2, 1, return_indices=True, nan_policy=policy
            )
            assert index.tolist() == [[0, 1, 3, 5, 7, 9, 11, 13, 15, 17]]


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (-1, -2)], ids=name)
def test_indices_count_in_array_order_whatever_the_order_of_axes(
    axes: tuple[int, int], rng: np.random.Generator
) -> None:
    x = rng.random((4, 5, 6))
    value, index = poolcore.pool(x, (2, 3), axes=axes, stride=(1, 2), return_indices=True)
    want = oracle.pool(x, (2, 3), "max", axes, (1, 2), return_indices=True)
    assert_same(value, want[0])
    assert_same(index, want[1])
    pooled = sorted(a % 3 for a in axes)
    plane = tuple(x.shape[a] for a in pooled)
    positions = np.unravel_index(index, plane)
    places = list(np.indices(index.shape))
    for axis, position in zip(pooled, positions, strict=True):
        places[axis] = position
    assert_same(x[tuple(places)], value)


@pytest.mark.failure(2)
def test_indices_past_32_bits() -> None:
    x = np.broadcast_to(np.zeros((), np.int8), (3, 2**31))
    _, index = poolcore.pool(x, (1, 2), stride=(1, 2**30), return_indices=True)
    assert index.tolist() == [[r * 2**31, r * 2**31 + 2**30] for r in range(3)]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64], ids=name)
def test_index_counts_beyond_the_narrow_types(dtype: type, rng: np.random.Generator) -> None:
    """Planes of more than 2**8 and 2**16 elements: no counter of the element's width."""
    x = rng.integers(0, 200, (1, 1, 300, 400)).astype(dtype)
    for k, s in ((3, 2), (300, 1), (17, 16)):
        got = poolcore.max_pool2d(x, k, s, return_indices=True)
        if k < 50:
            want = oracle.pool(x, k, "max", (2, 3), s, return_indices=True)
            assert_same(got[1], want[1])
        else:
            want = [int(np.argmax(x[0, 0, :, c : c + k])) for c in range(400 - k + 1)]
            rows, columns = np.divmod(want, k)
            assert got[1].ravel().tolist() == (rows * 400 + columns + np.arange(len(want))).tolist()


# Kernel, stride, padding, dilation, ceil_mode: every way the kernel for small windows takes, and
# the way of large ones.
WINDOWS = [
    (2, 2, 0, 1, False),
    (2, 1, 1, 1, False),
    (3, 1, 1, 1, False),
    (3, 2, 1, 1, True),
    (3, 3, 0, 1, False),
    (3, (1, 2), 1, 1, False),
    (3, (2, 1), 0, 1, True),
    (4, 3, 2, 1, True),
    (5, 1, 2, 1, False),
    (5, 2, (4, 1), 1, False),
    (5, 5, 2, 1, True),
    (3, 1, 2, 2, False),
    (3, 2, 3, 3, False),
    ((1, 5), (1, 2), 0, 1, False),
    ((7, 1), (2, 1), (3, 0), 1, False),
    ((9, 4), (2, 2), (8, 3), 1, True),
    ((2, 8), (1, 2), 1, 1, False),
    (15, 1, 7, 1, False),
    (17, (1, 2), 8, 1, False),
    ((40, 2), 1, 0, 1, False),
]


def hard_array(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Full of ties, zeros of both signs, NaN and the least and greatest values."""
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = np.array([info.min, info.max, 0, 1, info.min], dtype)
    else:
        values = np.array([-np.inf, np.inf, 0.0, -0.0, np.nan, 1, -1, -np.inf]).astype(dtype)
    chosen = rng.choice(values, shape)
    noise = rng.integers(0, 100, shape).astype(dtype)
    return np.where(rng.random(shape) < rng.choice([0.02, 0.5, 1.0]), chosen, noise)


@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_every_window_and_width(dtype: np.dtype, op: str, rng: np.random.Generator) -> None:
    lanes = 64 // dtype.itemsize
    for k, s, p, d, ceil in WINDOWS:
        for wide in (rng.integers(1, 9), lanes // 4, lanes, lanes + 1, 2 * lanes + rng.integers(9)):
            width = int(wide) * (s if isinstance(s, int) else s[1]) + int(rng.integers(2))
            height = int(rng.integers(1, 20)) + (40 if k == (40, 2) else 0)
            x = hard_array(rng, dtype, (int(rng.integers(1, 3)), height, width))
            policy = str(rng.choice(["propagate", "omit"]))
            args = (x, k, op, (1, 2), s, p, d)
            options = {"ceil_mode": ceil, "nan_policy": policy, "return_indices": True}
            try:
                want = oracle.pool(*args, **options)
            except ValueError:
                continue  # the window is larger than the plane
            for target, threads in configurations():
                got = poolcore.pool(*args, **options, threads=threads)
                for g, w in zip(got, want, strict=True):
                    assert_same(g, w, f"{x.shape} {k, s, p, d, policy} on {target}, {threads}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3, 70), (1,)),
        ((70, 3), (0,)),
        ((2, 9, 11, 19), (1, 2)),
        ((2, 9, 11, 3), (1, 2)),
        ((2, 6, 7, 70), (1, 2, 3)),
        ((6, 7, 9, 20), (0, 1, 2)),
        ((40, 9, 9), (1, 2)),
        ((40, 5, 3, 3), (1, 2, 3)),
    ],
    ids=name,
)
def test_axes_and_strides(
    dtype: np.dtype, shape: tuple[int, ...], axes: tuple[int, ...], rng: np.random.Generator
) -> None:
    for k, s, p, d in ((2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), (2, 1, 1, 2), (3, 5, 2, 1)):
        whole = hard_array(rng, dtype, tuple(2 * n for n in shape))
        steps = tuple(int(i) for i in rng.choice([1, 1, 2, -1, -2], len(shape)))
        x = whole[tuple(slice(None, None, i) for i in steps)]
        x = x[tuple(slice(0, n) for n in shape)]
        if rng.random() < 0.3:
            x = np.asfortranarray(x)
        op = str(rng.choice(["max", "min"]))
        policy = str(rng.choice(["propagate", "omit"]))
        options = {"nan_policy": policy, "return_indices": True}
        want = oracle.pool(x, k, op, axes, s, p, d, **options)
        apart = tuple(2 * n for n in want[0].shape)
        half = (slice(None, None, 2),) * len(shape)
        for target, threads in configurations():
            out = np.zeros(apart, dtype), np.zeros(apart, np.int64)
            views = out[0][half], out[1][half]
            poolcore.pool(x, k, op, axes, s, p, d, **options, threads=threads, out=views)
            got = poolcore.pool(x, k, op, axes, s, p, d, **options, threads=threads)
            for g, v, w in zip(got, views, want, strict=True):
                note = f"{x.shape} {x.strides} {k, s, p, d, op, policy} on {target}"
                assert_same(g, w, note)
                assert_same(np.ascontiguousarray(v), w, note + ", out")
