"""Spatial pyramid pooling: adaptive pools side by side, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layouts
import oracle_adaptive
import poolcore
from support import DTYPES, OPS, THREADS, assert_same, random_array, targets, use_target


def expect(x: np.ndarray, levels: tuple[int, ...], op: str, **how: Any) -> np.ndarray:
    """As the paper says, of x with N: every level flattened, one after another."""
    parts = [oracle_adaptive.pool(x, (side, side), op, (2, 3), **how) for side in levels]
    return np.concatenate([part.reshape(len(x), -1) for part in parts], axis=1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values(dtype: np.dtype, rng: np.random.Generator) -> None:
    for shape in [(2, 3, 13, 9), (1, 20, 7, 7), (1, 1, 3, 2)]:
        x = random_array(rng, dtype, shape, "special")
        for op in OPS:
            want = expect(x, (1, 2, 4), op)
            assert_same(poolcore.spatial_pyramid_pool(x, op=op), want, op)
            want = expect(x, (3,), op, nan_policy="omit")
            assert_same(poolcore.spatial_pyramid_pool(x, 3, op, nan_policy="omit"), want, op)


def test_targets_and_threads(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 30, 13, 13), "special")
    for op in OPS:
        want = expect(x, (1, 2, 3, 6), op)
        for target in targets():
            with use_target(target):
                for threads in THREADS:
                    got = poolcore.spatial_pyramid_pool(x, (1, 2, 3, 6), op, threads=threads)
                    assert_same(got, want, f"{op} {target} {threads}")


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=layouts.name)
def test_layouts(layout: layouts.Maker, rng: np.random.Generator) -> None:
    x = layout(random_array(rng, np.dtype(np.float32), (2, 5, 7, 9), "special"))
    want = expect(np.array(x, order="C"), (1, 2, 4), "avg")
    assert_same(poolcore.spatial_pyramid_pool(x, op="avg"), want)
    last = np.moveaxis(x, 1, -1)
    assert_same(poolcore.spatial_pyramid_pool(last, op="avg", layout="NHWC"), want)
    assert_same(poolcore.spatial_pyramid_pool(x[0], op="avg"), want[0])


def test_options(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.uint8), (2, 3, 9, 8))
    want = expect(x, (2, 3), "avg", dtype=np.uint8, rounding="half_up")
    got = poolcore.spatial_pyramid_pool(x, [2, 3], "avg", dtype=np.uint8, rounding="half_up")
    assert_same(got, want)
    assert_same(poolcore.spatial_pyramid_pool(x, np.array([2, 2])), expect(x, (2, 2), "max"))
    assert poolcore.spatial_pyramid_pool(x[:0]).shape == (0, 63)
    assert poolcore.spatial_pyramid_pool(x.tolist(), 1).shape == (2, 3)


def test_out(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 3, 9, 8))
    want = expect(x, (1, 2, 4), "max")
    for make in (layouts.contiguous, layouts.fortran, layouts.sliced, layouts.reversed_all):
        out = make(np.zeros((2, 63), np.float32))
        assert poolcore.spatial_pyramid_pool(x, out=out) is out
        assert_same(np.array(out), want, make.__name__)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"levels": ()}, ValueError, "levels must name at least one level"),
    ({"levels": (1, 0)}, ValueError, r"levels\[1\]=0 must be at least 1"),
    ({"levels": -1}, ValueError, r"levels\[0\]=-1 must be at least 1"),
    ({"levels": 2**63 - 1}, ValueError, r"levels\[0\] must be less than 2\*\*31"),
    (
        {"levels": 2**31 - 1, "out": None},
        MemoryError,
        r"the result would have more than 2\*\*63-1 bytes",
    ),
    ({"levels": (1, 1.5)}, TypeError, r"levels\[1\] must be an int, got float"),
    ({"levels": None}, TypeError, r"levels\[0\] must be an int, got NoneType"),
    ({"levels": (True,)}, TypeError, r"levels\[0\] must be an int, got bool"),
    ({"levels": "12"}, TypeError, r"levels\[0\] must be an int, got str"),
    ({"op": "median"}, ValueError, "op='median' must be"),
    ({"dtype": np.float32}, TypeError, "dtype is for sums, averages and medians only"),
    ({"layout": "NCW"}, ValueError, "layout='NCW' must be"),
    ({"threads": 0}, ValueError, "threads=0 must be at least 1"),
    ({"nan_policy": "raise"}, ValueError, r"x holds NaN at \[1, 2, 3, 4\]"),
    ({"out": [1]}, TypeError, "out must be a numpy.ndarray, got list"),
    ({"out": np.zeros((2, 62))}, ValueError, r"out must have shape \(2, 63\), got \(2, 62\)"),
    ({"out": np.zeros((2, 63), np.float32)}, ValueError, "out must have dtype float64"),
]


@pytest.mark.parametrize(("how", "error", "text"), WRONG, ids=lambda v: str(v)[:40])
def test_errors(how: dict[str, Any], error: type[Exception], text: str) -> None:
    x = np.ones((2, 3, 5, 5))
    x[1, 2, 3, 4] = np.nan
    out = np.full((2, 63), 7.0)
    with pytest.raises(error, match=f"spatial_pyramid_pool: {text}"):
        poolcore.spatial_pyramid_pool(x, **{"out": out, **how})
    assert (out == 7).all()


def test_bad_memory_of_out() -> None:
    memory = np.full(500, 7.0)
    x = memory[:100].reshape(2, 2, 5, 5)
    strided = np.lib.stride_tricks.as_strided
    for out, text in [
        (memory[60:144].reshape(2, 42), "overlaps x"),
        (memory[99:183].reshape(2, 42), "overlaps x"),
        (strided(memory[200:], (2, 42), (8 * 30, 8)), "overlaps itself"),
        (strided(memory[200:], (2, 42), (8 * 50, 0)), "overlaps itself"),
    ]:
        with pytest.raises(ValueError, match=text):
            poolcore.spatial_pyramid_pool(x, out=out)
    assert (memory == 7).all()
    frozen = np.full((2, 42), 7.0)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        poolcore.spatial_pyramid_pool(x, out=frozen)


def test_wrong_ranks() -> None:
    for shape in [(5,), (5, 5), (1, 1, 1, 5, 5)]:
        with pytest.raises(ValueError, match="spatial_pyramid_pool: x must have 3 or 4 dimensions"):
            poolcore.spatial_pyramid_pool(np.ones(shape))
