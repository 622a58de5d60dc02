"""The levels that one call of the core makes: the bits of those that Python puts together."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest

import layouts
import poolcore
from poolcore import _core, _pyramid_levels
from support import BFLOAT16, DTYPES, FLOATS, THREADS, assert_runs, configurations, random_array
from test_pyramid import check, expected, most_levels

WIDE = (np.dtype(np.int64), np.dtype(np.uint64))
NARROW = [dtype for dtype in DTYPES if dtype not in WIDE]
TILES = (1, 500, 1 << 13, 1 << 17)
SHAPES = ((1, 300), (300, 1), (2, 5, 9), (67, 130), (2, 128, 257), (3, 2, 16, 31))


def name(value: object) -> str:
    return str(value)


def by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pyramid_levels, "_LEAST_PLANE", 1 << 62)
    monkeypatch.setattr(_pyramid_levels, "_ONE_CALL", 0)


def by_the_core(monkeypatch: pytest.MonkeyPatch, tile: int = 1 << 17) -> None:
    monkeypatch.setattr(_pyramid_levels, "_LEAST_PLANE", 0)
    monkeypatch.setattr(_pyramid_levels, "_TILE", tile)


@pytest.mark.parametrize("op", ["avg", "sum"])
@pytest.mark.parametrize("dtype", NARROW, ids=name)
def test_the_bits_of_level_by_level(
    op: str, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Every target, parts of any size, any type of result, NaN, infinities, zeros of both signs."""
    for shape in SHAPES:
        levels = most_levels(shape, (-2, -1), (2, 2))
        for kind in ("special", "plain") if dtype in FLOATS else ("plain",):
            x = random_array(rng, dtype, shape, kind)
            for out in (None, np.dtype(np.float64), np.dtype(np.float32), BFLOAT16):
                by_python(monkeypatch)
                want = poolcore.pyramid(x, levels, op=op, dtype=out)
                for (_, threads), tile in zip(configurations(), itertools.cycle(TILES)):
                    by_the_core(monkeypatch, tile)
                    got = poolcore.pyramid(x, levels, op=op, dtype=out, threads=threads)
                    check(got, want)


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor", "trunc"])
def test_roundings_in_parts(
    rounding: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    for dtype in ("u1", "i1", "u2", "i2", "i4"):
        x = random_array(rng, np.dtype(dtype), (2, 61, 83))
        for out in (None, "i1", "u2", "i8"):
            want = expected(x, 7, dtype=out and np.dtype(out), rounding=rounding)
            for tile in (1, 900, 1 << 17):
                by_the_core(monkeypatch, tile)
                check(poolcore.pyramid(x, 7, dtype=out, rounding=rounding, threads=2), want)


def test_more_parts_than_threads(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Several rows and columns of parts, and more levels than one of them makes."""
    for dtype in ("u1", "f4"):
        x = random_array(rng, np.dtype(dtype), (1100, 1302))
        by_python(monkeypatch)
        want = poolcore.pyramid(x, 11)
        for tile in (1 << 12, 1 << 15, 1 << 17):
            by_the_core(monkeypatch, tile)
            for threads in THREADS:
                check(poolcore.pyramid(x, 11, threads=threads), want)


@pytest.mark.parametrize("maker", layouts.LAYOUTS, ids=layouts.name)
def test_layouts_of_both(
    maker: layouts.Maker, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Rows of any strides; where elements do not lie side by side Python does it."""
    for dtype in (np.dtype(np.uint8), np.dtype(np.float32)):
        x = random_array(rng, dtype, (2, 21, 34))
        by_the_core(monkeypatch)
        view = maker(x)
        want = expected(np.array(view, order="C"), 5)
        check(poolcore.pyramid(view, 5), want)
        out = [
            np.ones((2, level.shape[1], 2, level.shape[2]), level.dtype)[:, :, 0] for level in want
        ]
        check(poolcore.pyramid(view, 5, out=out), want)


def test_small_planes_go_either_way(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    for dtype in ("u1", "f4"):
        x = random_array(rng, np.dtype(dtype), (300, 9, 14))
        by_the_core(monkeypatch)
        got = poolcore.pyramid(x, 4, threads=2)
        by_python(monkeypatch)
        check(poolcore.pyramid(x, 4), got)


@pytest.mark.failure(35)
@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c(threads: int) -> None:
    """Seconds of work end soon after the signal, and the next call is right."""
    code = (
        "import signal, time\n"
        "import numpy as np, poolcore\n"
        "x = np.broadcast_to(np.ones(65536, 'u1'), (60000, 65536))\n"
        "def handler(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGALRM, handler)\n"
        "poolcore.pyramid(x[:64], 2)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        "start = time.perf_counter()\n"
        "try:\n"
        f"    poolcore.pyramid(x, 4, threads={threads})\n"
        "    raise SystemExit('was not stopped')\n"
        "except KeyboardInterrupt:\n"
        "    print(time.perf_counter() - start - 0.1)\n"
        "assert (poolcore.pyramid(x[:64], 2)[1] == 1).all()\n"
    )
    late = [float(assert_runs(code, timeout=60))]
    while late[-1] >= 0.2 and len(late) < 3:  # a busy machine
        late.append(float(assert_runs(code, timeout=60)))
    assert late[-1] < 0.2, late


def good() -> dict[str, Any]:
    out = [np.zeros((2, 4), np.uint8), np.zeros((1, 2), np.uint8)]
    return {"x": np.ones((4, 8), np.uint8), "op": "avg", "rounding": "floor", "tile": 1, "out": out,
            "threads": 1}  # fmt: skip


BAD: list[tuple[str, Any, type[Exception], str]] = [
    ("x", np.ones(8, np.uint8), ValueError, "two axes"),
    ("x", np.ones((4, 16), np.uint8)[:, ::2], ValueError, "side by side"),
    ("x", np.ones((0, 8), np.uint8), ValueError, "empty axis"),
    ("x", np.ones((4, 8), np.int64), ValueError, "more than 62 bits"),
    ("x", np.ones((4, 8), complex), TypeError, "cannot be pooled"),
    ("op", "max", ValueError, "op="),
    ("rounding", "up", ValueError, "rounding="),
    ("tile", 1.5, TypeError, "tile"),
    ("threads", 0, ValueError, "threads"),
    ("out", None, TypeError, "must be a list"),
    ("out", [], ValueError, "levels is out of range"),
    ("out", [1], TypeError, "out[0] must be a numpy.ndarray"),
    ("out", [np.zeros((2, 4), ">u2")], ValueError, "out[0] has a dtype"),
    ("out", [np.zeros((2, 4), "u1"), np.zeros((1, 2), "u2")], ValueError, "out[1] must have dtype"),
    ("out", [np.zeros((2, 4), "u1"), np.zeros((2, 2), "u1")], ValueError, "out[1] must have shape"),
    ("out", [np.zeros((2, 8), "u1")[:, ::2]], ValueError, "out[0] must have the elements"),
]


@pytest.mark.parametrize(("argument", "value", "error", "message"), BAD, ids=name)
def test_the_core_checks_what_it_is_given(
    argument: str, value: Any, error: type[Exception], message: str
) -> None:
    _core.halve(*good().values())
    with pytest.raises(error, match=r"^pyramid: ") as caught:
        _core.halve(*{**good(), argument: value}.values())
    assert message in str(caught.value)
