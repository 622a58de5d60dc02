"""Window arithmetic, against the oracle's taps.

A sum over x[i] = 2**i is a bit mask of the taps that were read, so one integer per window tells
whether the right elements, and each once, were in it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import oracle
import poolcore
from poolcore import _core
from support import use_target

Parameters = tuple[int, int, int, int, Any, bool]  # n, k, s, d, padding, ceil


def everything() -> Iterator[Parameters]:
    """n <= 12, k <= 5, s <= 4, d <= 5, every pad of each side below the effective kernel and one
    beyond; 300,000 geometries and more, legal and illegal."""
    for n, k, s, d in itertools.product(range(1, 13), range(1, 6), range(1, 5), range(1, 6)):
        e = d * (k - 1) + 1
        for lo, hi in itertools.product(range(e + 1), repeat=2):
            if lo == e and hi not in (0, e):
                continue
            for ceil in (False, True):
                yield n, k, s, d, (lo, hi), ceil
        for mode in ("valid", "same", "same_lower"):
            for ceil in (False, True):
                yield n, k, s, d, mode, ceil


def masks(axis: oracle.Axis) -> list[int]:
    """Per window, the sum of 2**position over the taps inside the input."""
    taps = [[i * axis.s - axis.lo + j * axis.d for j in range(axis.k)] for i in range(axis.o)]
    return [sum(1 << p for p in row if 0 <= p < axis.n) for row in taps]


def check(parameters: Parameters) -> None:
    n, k, s, d, padding, ceil = parameters
    x = 1 << np.arange(n, dtype=np.int64)
    pads: Any = padding if isinstance(padding, str) else [padding]
    window: dict[str, Any] = {
        "axes": (0,), "stride": s, "padding": pads, "dilation": d, "ceil_mode": ceil,
    }  # fmt: skip
    try:
        axis = oracle.axis_geometry(n, k, s, d, padding, ceil)
    except ValueError:
        with pytest.raises(ValueError, match="pool: "):
            poolcore.pool(x, (k,), "sum", **window)
        return
    want = masks(axis)
    assert poolcore.pool(x, (k,), "sum", **window).tolist() == want, parameters
    highest, index = poolcore.pool(x, (k,), "max", return_indices=True, **window)
    assert index.tolist() == [m.bit_length() - 1 for m in want], parameters
    lowest = np.iinfo(np.int64).min
    assert highest.tolist() == [1 << (m.bit_length() - 1) if m else lowest for m in want]
    for include, low, high in ((True, -axis.lo, n + axis.hi), (False, 0, n)):
        counts = axis.count(low, high)
        mean = poolcore.pool(x, (k,), "avg", count_include_pad=include, **window)
        exact = [m / c if m else np.nan for m, c in zip(want, counts, strict=True)]
        np.testing.assert_array_equal(mean, exact, err_msg=str(parameters))


def sample(count: int, seed: int) -> list[Parameters]:
    return random.Random(seed).sample(list(everything()), count)


def test_the_sweep_is_as_large_as_promised() -> None:
    legal = 0
    for n, k, s, d, padding, ceil in sample(2000, 1):
        try:
            oracle.axis_geometry(n, k, s, d, padding, ceil)
        except ValueError:
            continue
        legal += 1
    assert sum(1 for _ in everything()) * legal / 2000 > 50_000


@pytest.mark.failure(7)
@pytest.mark.parametrize("seed", range(4))
def test_sampled_geometries(seed: int) -> None:
    with use_target(_core.targets_built()[0]):
        for parameters in sample(3000, seed):
            check(parameters)


@pytest.mark.failure(7)
@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_geometry(part: int) -> None:
    for number, parameters in enumerate(everything()):
        if number % 8 == part:
            check(parameters)


def test_two_axes_are_the_product(rng: np.random.Generator) -> None:
    """A 2-D window is the product of two 1-D windows: bit h*8+w tells of element (h, w)."""
    x = np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64)).reshape(8, 8)
    for _ in range(500):
        k, s, d = (tuple(int(v) for v in rng.integers(1, 5, 2)) for _ in range(3))
        pads = [tuple(int(v) for v in rng.integers(0, d[a] * (k[a] - 1) + 1, 2)) for a in (0, 1)]
        ceil = bool(rng.integers(2))
        try:
            want = oracle.pool(x, k, "sum", (0, 1), s, pads, d, ceil)
        except ValueError:
            with pytest.raises(ValueError, match="pool: "):
                poolcore.pool(x, k, "sum", (0, 1), s, pads, d, ceil)
            continue
        got = poolcore.pool(x, k, "sum", (0, 1), s, pads, d, ceil)
        assert got.tolist() == want.tolist(), (k, s, d, pads, ceil)


def test_padding_forms_agree(rng: np.random.Generator) -> None:
    x = rng.random((1, 1, 9, 10))
    want = poolcore.max_pool2d(x, 3, 1, [(1, 1), (2, 2)])
    for form in ((1, 2), [1, 2], np.array([1, 2]), ((1, 1), (2, 2)), np.array([[1, 1], [2, 2]])):
        assert poolcore.max_pool2d(x, 3, 1, form).tolist() == want.tolist()
    assert poolcore.max_pool2d(x, 3, 1, 0).shape == poolcore.max_pool2d(x, 3, 1, "valid").shape


def test_default_stride_is_the_kernel(rng: np.random.Generator) -> None:
    x = rng.random((2, 3, 11, 13))
    assert poolcore.avg_pool2d(x, (2, 3)).shape == (2, 3, 5, 4)
    assert poolcore.pool(x, (2, 3), "sum").shape == (2, 3, 5, 4)
    assert poolcore.pool2d(x, (2, 3)).shape == (2, 3, 10, 11)  # the lesson's: stride 1


@pytest.mark.failure(2)
def test_sizes_past_32_bits() -> None:
    """Zero-stride views: more elements than int32 and uint32 can count, no memory behind them."""
    for n in (2**31 + 1, 2**32 + 3):
        x = np.broadcast_to(np.int8(3), (n,))
        got = poolcore.pool(x, (1,), "max", stride=2**30)
        assert got.shape == ((n - 1) // 2**30 + 1,)
        assert (got == 3).all()
        value, index = poolcore.pool(
            x, (2,), "max", stride=2**30, dilation=2**29, return_indices=True
        )
        assert index.tolist() == [i * 2**30 for i in range(len(value))]
    x = np.broadcast_to(np.uint8(1), (2**17, 2**17))
    _, index = poolcore.pool(x, (1, 1), "min", stride=2**16, return_indices=True)
    assert index.tolist() == [[0, 2**16], [2**33, 2**33 + 2**16]]


@pytest.mark.slow
def test_a_window_of_2_to_the_32_elements() -> None:
    x = np.broadcast_to(np.uint8(1), (2**32 + 5,))
    assert poolcore.pool(x, (2**32 + 5,), "sum").tolist() == [2**32 + 5]


@pytest.mark.failure(2)
@pytest.mark.slow
def test_an_array_of_more_than_2_to_the_31_bytes(rng: np.random.Generator) -> None:
    """2.2 GiB in memory, for which no 32-bit number of bytes or elements will do."""
    window = 2**16
    x = np.zeros((36_045, window), np.uint8)
    x[:, 0] = rng.integers(1, 256, len(x))
    line = x.reshape(-1)
    assert line.nbytes > 2.2 * 2**30
    want = x[:, 0].copy()
    for threads in (1, 2):
        got, at = poolcore.pool(line, (window,), "max", return_indices=True, threads=threads)
        assert (got == want).all()
        assert (at == np.arange(len(x)) * window).all()
        assert (poolcore.pool(line, (window,), "sum", threads=threads) == want).all()
