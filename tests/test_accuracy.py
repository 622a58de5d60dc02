"""Sums and means stay within 3 ulp of the mean of |x| at any window size."""

from __future__ import annotations

import math

import numpy as np
import pytest

import oracle
import poolcore
from support import BFLOAT16, FLOATS, configurations

ULPS = 3
MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
LEAST = {"float16": -24, "bfloat16": -133, "float32": -149, "float64": -1074}


def name(value: object) -> str:
    return str(value)


def ulp(value: float, dtype: np.dtype) -> float:
    """The distance between neighbours of that type at `value`."""
    if value == 0:
        return 2.0 ** LEAST[dtype.name]
    return 2.0 ** max(math.frexp(value)[1] - 1 - MANTISSA[dtype.name], LEAST[dtype.name])


def assert_accurate(x: np.ndarray, got: float, what: str) -> None:
    """`got` is the mean of all of x, compared with the correctly rounded sum."""
    values = oracle.widen(x).astype(np.float64).ravel().tolist()
    mean = math.fsum(values) / len(values)
    scale = math.fsum(map(abs, values)) / len(values)
    assert abs(float(got) - mean) <= ULPS * ulp(scale, x.dtype), f"{what}: {got} for {mean}"


@pytest.mark.failure(18)
@pytest.mark.parametrize("size", [1, 2, 64, 1024, 2048, 3000, 4096])
def test_mean_of_constants(size: int) -> None:
    """0.1f everywhere: elsewhere 2048x2048 gives 0.0960 and 4096x4096 is off by 15 %."""
    x = np.broadcast_to(np.float32(0.1), (size, size))
    for target, _ in configurations():
        got = poolcore.pool(x, (size, size), "avg")
        assert got[0, 0] == np.float32(0.1), f"{got[0, 0]!r} on {target}"


@pytest.mark.failure(18)
def test_mean_of_constants_in_memory() -> None:
    x = np.full((1, 1, 4096, 4096), np.float32(0.1))
    assert poolcore.avg_pool2d(x, 4096)[0, 0, 0, 0] == np.float32(0.1)
    x = np.full((2**22,), np.float32(0.1))
    assert poolcore.pool(x, (2**22,), "avg")[0] == np.float32(0.1)


@pytest.mark.failure(18)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
@pytest.mark.parametrize("k", [3, 7, 10, 31, 63, 64, 65, 101])
def test_mean_of_constants_of_any_window(dtype: np.dtype, k: int) -> None:
    for value in (0.1, 1 / 3, -7.7, 1000.1):
        x = oracle.narrow_to(np.full((k, k), value), dtype)
        assert_accurate(x, poolcore.pool(x, (k, k), "avg")[0, 0], f"{value}")


def windows(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {
        "normal": rng.standard_normal(n),
        "uniform": rng.random(n),
        "offset": rng.random(n) + 1000,
        "linspace": np.linspace(0.0, 1.0, n),
        "falling": np.linspace(1.0, 0.0, n),
        "tiled": np.resize([0.1, 0.2, 0.3, -0.15, 7.0, 1e-3, 0.7], n),
        "alternating": np.resize([1e3, -1e3, 0.1], n),
        "many scales": rng.standard_normal(n) * 10.0 ** rng.integers(-4, 4, n),
        "one large": np.where(np.arange(n) == 0, 1e4, 1e-4),
    }


@pytest.mark.failure(18)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
@pytest.mark.parametrize("n", [2, 9, 100, 1000, 4095, 4096, 4097, 65536, 300_000])
def test_windows_of_one_axis(dtype: np.dtype, n: int, rng: np.random.Generator) -> None:
    for what, values in windows(rng, n).items():
        x = oracle.narrow_to(values, dtype)
        assert_accurate(x, poolcore.pool(x, (n,), "avg")[0], what)


@pytest.mark.failure(18)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
@pytest.mark.parametrize(
    "shape", [(3, 3), (7, 7), (20, 31), (64, 64), (128, 500), (600, 512)], ids=name
)
def test_windows_of_two_axes(
    dtype: np.dtype, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    for what, values in windows(rng, math.prod(shape)).items():
        x = oracle.narrow_to(values, dtype).reshape(shape)
        assert_accurate(x, poolcore.pool(x, shape, "avg")[0, 0], what)
        turned = np.ascontiguousarray(x.T)
        assert_accurate(x, poolcore.pool(turned, shape[::-1], "avg")[0, 0], f"{what} turned")


@pytest.mark.parametrize("shape", [(3, 3, 3), (16, 16, 16), (20, 30, 40)], ids=name)
def test_windows_of_three_axes(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    for what, values in windows(rng, math.prod(shape)).items():
        x = values.astype(np.float32).reshape(shape)
        assert_accurate(x, poolcore.pool(x, shape, "avg")[0, 0, 0], what)


def test_a_running_sum_would_drift() -> None:
    """A large value must not poison the windows after it."""
    x = np.full((10_000,), np.float32(0.1))
    x[5] = 1e30
    mean = poolcore.pool(x, (4,), "avg", stride=1)
    assert (mean[10:] == np.float32(0.1)).all()


def test_narrow_floats_do_not_overflow_inside() -> None:
    x = np.full((1, 1, 64, 64), 60000, np.float16)
    assert poolcore.avg_pool2d(x, 64)[0, 0, 0, 0] == 60000
    big = oracle.narrow_to(np.full((1, 1, 128, 64), 1e38), BFLOAT16)
    got = poolcore.avg_pool2d(big, (128, 64))
    assert got[0, 0, 0, 0] == big[0, 0, 0, 0]
