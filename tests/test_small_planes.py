"""Planes with rows shorter than a vector, which are pooled as one line: every edge, type, target.

The windows, strides and paddings are those that path takes and their neighbours that it does not.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import oracle
from support import (
    BFLOAT16,
    assert_runs,
    assert_same,
    configurations,
    function,
    random_array,
    targets,
    use_target,
)
from test_guard import guard

# kernel_size, stride, padding
WINDOWS = [
    (3, 1, 1), (3, 2, 1), (3, 1, 0), (3, 2, 0), (2, 1, 0), (2, 2, 0), (2, 2, 1),
    (3, 1, "same"), (2, 1, "same"), (2, 1, "same_lower"), (3, 2, "same"), (3, 1, (1, 0)),
    ((2, 3), (1, 2), (0, 1)), ((3, 2), (2, 1), (1, 0)), (3, 1, [(0, 1), (1, 0)]), (3, 3, 1),
    ((1, 3), 1, (0, 1)), (3, 1, 2),
]  # fmt: skip
SHAPES = [(7, 7), (14, 14), (6, 5), (13, 9), (3, 28), (5, 33)]
DTYPES = [
    np.dtype(t) for t in (np.uint8, np.int8, np.uint16, np.int32, np.float16, np.float32, float)
]


def expect(x: np.ndarray, op: str, window: Any, **how: Any) -> Any:
    kernel, stride, padding = window
    return oracle.pool(x, kernel, op, (2, 3), stride=stride, padding=padding, **how)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(window: Any, rng: np.random.Generator) -> None:
    """Float maxima, with NaN and zeros of both signs, and sums and means: bits of the oracle."""
    for shape in SHAPES:
        x = random_array(rng, np.dtype(np.float32), (1, 9, *shape), "special")
        for op, policy in itertools.product(("max", "sum", "avg"), ("propagate", "omit")):
            want = expect(x, op, window, nan_policy=policy)
            for target in targets():
                with use_target(target):
                    got = function(op, 2)(x, *window, nan_policy=policy)
                assert_same(got, want, f"{op} {policy} {shape} on {target}")


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16], ids=str)
def test_types(dtype: np.dtype, rng: np.random.Generator) -> None:
    for shape, window in itertools.product(SHAPES[:4], (*WINDOWS[:6], WINDOWS[12])):
        x = random_array(rng, dtype, (2, 3, *shape), "special")
        for op in ("max", "min", "avg"):
            want = expect(x, op, window)
            for target in targets():
                with use_target(target):
                    assert_same(function(op, 2)(x, *window), want, f"{op} {shape} on {target}")


@pytest.mark.parametrize("planes", [1, 3, 4, 5, 40, 41, 170])
def test_numbers_of_planes(planes: int, rng: np.random.Generator) -> None:
    """Groups of planes of all sizes; the first and the last may not read their neighbours."""
    x = random_array(rng, np.dtype(np.float32), (1, planes, 7, 8), "special")
    for window, op in itertools.product(((3, 1, 1), (3, 2, 1), (2, 1, 0)), ("max", "avg")):
        want = expect(x, op, window)
        for target, threads in configurations():
            got = function(op, 2)(x, *window, threads=threads)
            assert_same(got, want, f"{op} {window} on {target} with {threads} threads")


def test_rows_up_to_the_longest(rng: np.random.Generator) -> None:
    for width, dtype in itertools.product((15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129), DTYPES):
        x = random_array(rng, dtype, (1, 5, 6, width), "special")
        for window in ((3, 1, 1), (3, 2, 1), (2, 1, 0)):
            want = expect(x, "max", window)
            assert_same(function("max", 2)(x, *window), want, f"{width} {dtype} {window}")
    tall = random_array(rng, np.dtype(np.uint8), (1, 6, 130, 5))
    for window in WINDOWS[:2]:
        assert_same(function("max", 2)(tall, *window), expect(tall, "max", window))


RANDOM = """
import oracle
for turn in range({count}):
    dtype = support.DTYPES[rng.integers(len(support.DTYPES))]
    shape = (1, int(rng.integers(1, 120)), *(int(v) for v in rng.integers(1, 20, 2)))
    kernel = tuple(int(v) for v in rng.choice([1, 2, 3], 2, p=[0.1, 0.4, 0.5]))
    stride = tuple(int(v) for v in rng.integers(1, 4, 2)) if turn % 3 == 0 else (1, 1)
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    if any(n + 2 * p < k for n, p, k in zip(shape[2:], padding, kernel)): continue
    if int(np.prod(shape)) * dtype.itemsize > inputs.size: continue
    x = inputs.place(shape, dtype, bool(rng.integers(2)))
    x[...] = support.random_array(rng, dtype, shape, 'special')
    op = ('max', 'min', 'sum')[rng.integers(3)]
    want = oracle.pool(np.array(x), kernel, op, (2, 3), stride=stride, padding=padding)
    if want.nbytes > outputs.size: continue
    out = outputs.place(want.shape, want.dtype, bool(rng.integers(2)))
    with support.use_target(support.targets()[rng.integers(len(support.targets()))]):
        support.function(op, 2)(x, kernel, stride, padding, out=out)
    support.assert_same(out.copy(), want, str((shape, dtype, op, kernel, stride, padding)))
    checked += 1
assert checked > {count} // 2, checked
"""


@pytest.mark.failure(22)
@pytest.mark.parametrize("seed", [1, 2])
def test_between_guard_pages(seed: int) -> None:
    assert_runs(guard(seed, 16) + RANDOM.format(count=1500), timeout=100)
