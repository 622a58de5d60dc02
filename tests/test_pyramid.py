"""pyramid: every level against the definition, from the input's own elements."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layouts
import oracle
import oracle_select
import poolcore
from poolcore import _pyramid_levels
from support import BFLOAT16, DTYPES, FLOATS, INTEGERS, THREADS, assert_runs, assert_same
from support import random_array as random_values

OPS = ("avg", "max", "min", "sum", "mode")
SHAPES = ((1, 1), (1, 7), (5, 1), (8, 8), (7, 9), (13, 22))


def name(value: object) -> str:
    return str(value)


def most_levels(shape: tuple[int, ...], axes: tuple[int, ...], factors: tuple[int, ...]) -> int:
    level = 1
    while any(f > 1 and f**level < shape[a] for a, f in zip(axes, factors, strict=True)):
        level += 1
    return level


def result_type(x: np.dtype, op: str, dtype: Any) -> np.dtype:
    if dtype is None and op == "avg" and x.kind in "iu":
        return x
    return oracle.result_dtype(x, "max" if op == "mode" else op, dtype)


def float_levels(x: np.ndarray, levels: int, factors: Any, op: str, axes: Any, out: Any) -> Any:
    """The first two levels from x; then sums in float64, each level rounded once."""
    sums, start = x, 0
    for level in range(1, levels + 1):
        by = tuple(f ** (level - start) for f in factors)
        if op == "sum" or start == 0:
            options = {"count_include_pad": False} if op == "avg" else {}
            yield oracle.pool(sums, by, op, axes, ceil_mode=True, dtype=out, **options)
        else:
            total = oracle.pool(sums, by, "sum", axes, ceil_mode=True, dtype=np.float64)
            every = tuple(f**level for f in factors)
            ones = np.ones(x.shape, np.uint8)
            count = oracle.pool(ones, every, "sum", axes, ceil_mode=True)
            yield oracle.narrow_to(total / count + 0.0, out)
        if level >= 2:
            sums = oracle.pool(sums, by, "sum", axes, ceil_mode=True, dtype=np.float64)
            start = level


def expected(
    x: np.ndarray,
    levels: int,
    factors: tuple[int, ...] = (2, 2),
    op: str = "avg",
    axes: tuple[int, ...] = (-2, -1),
    dtype: Any = None,
    rounding: str = "half_even",
) -> list[np.ndarray]:
    out = result_type(x.dtype, op, dtype)
    if oracle.is_float(x.dtype) and op in ("avg", "sum"):
        return list(float_levels(x, levels, factors, op, axes, out))
    result = []
    for level in range(1, levels + 1):
        kernel = tuple(f**level for f in factors)
        if op == "mode":
            got = oracle_select.pool(x, kernel, op, axes, ceil_mode=True)
        else:
            options = {} if op in ("max", "min") else {"dtype": out}
            if op == "avg":
                options |= {"count_include_pad": False, "rounding": rounding}
            got = oracle.pool(x, kernel, op, axes, ceil_mode=True, **options)
        result.append(got)
    return result


def check(got: list[np.ndarray], want: list[np.ndarray]) -> None:
    assert len(got) == len(want)
    for level, (g, w) in enumerate(zip(got, want, strict=True), 1):
        assert_same(g, w, f"level {level}")


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("op", OPS)
def test_every_type_and_operation(op: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    if op == "mode" and dtype in FLOATS:
        with pytest.raises(TypeError, match="pyramid: x has dtype"):
            poolcore.pyramid(np.ones((2, 2), dtype), 1, op=op)
        return
    for shape in SHAPES:
        x = random_values(rng, dtype, (2, *shape), "special" if op in ("max", "min") else "plain")
        levels = most_levels(x.shape, (-2, -1), (2, 2))
        for threads in THREADS:
            check(poolcore.pyramid(x, levels, op=op, threads=threads),
                  expected(x, levels, op=op))  # fmt: skip


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor", "trunc"])
@pytest.mark.parametrize("dtype", INTEGERS, ids=name)
def test_means_of_integers(dtype: np.dtype, rounding: str, rng: np.random.Generator) -> None:
    """Not one rounding from level to level; any type of result."""
    x = random_values(rng, dtype, (11, 18))
    for out in (None, np.dtype(np.int8), np.dtype(np.uint16), np.dtype(np.float64), BFLOAT16):
        want = expected(x, 5, dtype=out, rounding=rounding)
        check(poolcore.pyramid(x, 5, dtype=out, rounding=rounding), want)


def test_no_rounding_from_level_to_level() -> None:
    x = np.array([[0, 1, 0, 1], [0, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 1]], np.uint8)
    first, second = poolcore.pyramid(x, 2, rounding="half_up")
    assert first.tolist() == [[1, 0], [1, 1]]
    assert second.tolist() == [[1]]  # 8 / 16
    assert poolcore.avg_pool2d(first[None], 2, dtype="u1", rounding="floor").tolist() == [[[0]]]
    assert poolcore.pyramid(x, 2, rounding="floor")[1].tolist() == [[0]]


@pytest.mark.parametrize("op", OPS)
def test_axes_and_factors(op: str, rng: np.random.Generator) -> None:
    for dtype in (np.dtype(np.uint8), np.dtype(np.float32)):
        if op == "mode" and dtype in FLOATS:
            continue
        x = random_values(rng, dtype, (9, 12, 3, 10))
        for axes, factor in (
            ((0, 1), (2, 2)), ((3, 1), (3, 2)), ((0, 1, 3), (2, 1, 3)), ((1,), (2,)),
            ((0, 3), (1, 2)), ((-1, -4), (4, 9)),
        ):  # fmt: skip
            levels = most_levels(x.shape, axes, factor)
            check(poolcore.pyramid(x, levels, factor, op, axes),
                  expected(x, levels, factor, op, axes))  # fmt: skip
        check(poolcore.pyramid(x, 2, 3, op, 1), expected(x, 2, (3,), op, (1,)))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("block", [1, 100, 1000])
def test_bands_do_not_show(
    op: str, block: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Blocks of any size, in one plane and in many: the same bits."""
    for dtype in (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.int64)):
        if op == "mode" and dtype in FLOATS:
            continue
        for shape, axes in (((37, 21), (0, 1)), ((3, 37, 21), (1, 2)), ((37, 5, 21), (0, 2))):
            x = random_values(rng, dtype, shape)
            for nodata in (None, x.ravel()[3]):
                monkeypatch.setattr(_pyramid_levels, "_BLOCK", 1 << 30)
                want = poolcore.pyramid(x, 6, op=op, axes=axes, nodata=nodata)
                monkeypatch.setattr(_pyramid_levels, "_BLOCK", block)
                monkeypatch.setattr(_pyramid_levels, "_LEAST_ROWS", 1 + block // 100)
                check(poolcore.pyramid(x, 6, op=op, axes=axes, nodata=nodata), want)


@pytest.mark.parametrize("maker", layouts.LAYOUTS, ids=layouts.name)
def test_layouts(maker: layouts.Maker, rng: np.random.Generator) -> None:
    for dtype in (np.dtype(np.uint8), np.dtype(np.float32)):
        view = maker(random_values(rng, dtype, (2, 13, 10)))
        copy = np.array(view, order="C")
        for op in ("avg", "max"):
            check(poolcore.pyramid(view, 3, op=op), expected(copy, 3, op=op))
        nodata = copy.ravel()[0]
        check(poolcore.pyramid(view, 3, nodata=nodata), poolcore.pyramid(copy, 3, nodata=nodata))


# ---------------------------------------------------------------------------------- nodata


def windows(x: np.ndarray, level: int) -> Any:
    size = 2**level
    for i, j in itertools.product(range(-(-x.shape[0] // size)), range(-(-x.shape[1] // size))):
        yield (i, j), x[i * size : (i + 1) * size, j * size : (j + 1) * size].ravel()


def without(x: np.ndarray, level: int, op: str, nodata: Any, out: np.dtype, rounding: str) -> Any:
    """Every window by itself, of Python numbers; floats must be sums that are exact."""
    result = np.empty([-(-n // 2**level) for n in x.shape], out)
    for place, taps in windows(x, level):
        values = [v.item() for v in taps if not (v == nodata or (v != v and nodata != nodata))]
        if not values:
            result[place] = nodata
        elif op == "mode":
            result[place] = oracle_select.mode_of(np.array(values, object))
        elif op in ("max", "min"):
            result[place] = (max if op == "max" else min)(values)
        elif oracle.is_float(out):
            total = sum(Fraction(v) for v in values)
            value = float(total) / (len(values) if op == "avg" else 1)
            result[place] = oracle.narrow_to(np.array([value]), out)[0]
        elif op == "sum":
            bits = 8 * out.itemsize
            low = np.iinfo(out).min
            result[place] = (sum(values) - low) % 2**bits + low
        else:
            info = np.iinfo(out)
            mean = oracle.round_mean(sum(values), len(values), rounding)
            result[place] = min(max(mean, info.min), info.max)
    return result


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", INTEGERS, ids=name)
def test_nodata_of_integers(dtype: np.dtype, op: str, rng: np.random.Generator) -> None:
    for share in (0.05, 0.7):
        x = random_values(rng, dtype, (13, 21))
        for nodata in (0, int(np.iinfo(dtype).max), int(np.iinfo(dtype).min)):
            x[rng.random(x.shape) < share] = nodata
            x[8:, :8] = nodata
            for out, rounding in (
                (None, "half_even"), (np.dtype(np.float64), "trunc"), (dtype, "trunc"),
                (dtype, "half_up"), (dtype, "floor"),
            ):  # fmt: skip
                if op not in ("avg", "sum") and out is not None:
                    continue
                kind = result_type(dtype, op, out)
                if not oracle.is_float(kind) and not _holds(kind, nodata):
                    continue
                if oracle.is_float(kind) and float(nodata) != nodata:
                    continue
                got = poolcore.pyramid(x, 4, 2, op, dtype=out, rounding=rounding, nodata=nodata)
                want = [without(x, n, op, nodata, kind, rounding) for n in range(1, 5)]
                check(got, want)


def _holds(dtype: np.dtype, value: int) -> bool:
    info = np.iinfo(dtype)
    return bool(info.min <= value <= info.max)


@pytest.mark.parametrize("op", ["avg", "max", "min", "sum"])
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_nodata_of_floats(dtype: np.dtype, op: str, rng: np.random.Generator) -> None:
    """Halves, so that sums are exact in every type; NaN and a number as nodata."""
    for nodata in (np.nan, -99.0):
        x = (rng.integers(0, 20, (13, 21)) / 2).astype(dtype)
        x[rng.random(x.shape) < 0.3] = nodata
        x[8:, :8] = nodata
        want = [without(x, n, op, nodata, dtype, "") for n in range(1, 5)]
        check(poolcore.pyramid(x, 4, 2, op, nodata=nodata), want)
    x = np.array([[np.nan, -1.0], [2.0, 3.0]])
    assert np.isnan(poolcore.pyramid(x, 1, nodata=-1)[0]).all()
    assert poolcore.pyramid(x, 1, op="max", nodata=np.nan)[0].tolist() == [[3]]


# ---------------------------------------------------------------------------------- the rest


@st.composite
def calls(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(1, 4))
    nd = draw(st.integers(1, min(3, rank)))
    axes = tuple(draw(st.permutations(range(rank)))[:nd])
    shape = tuple(draw(st.integers(1, 12)) if a in axes else draw(st.integers(0, 3))
                  for a in range(rank))  # fmt: skip
    factors = tuple(draw(st.integers(1, 4)) for _ in axes)
    op = draw(st.sampled_from(OPS))
    dtype = draw(st.sampled_from([np.dtype(np.bool_), *INTEGERS] if op == "mode" else DTYPES))
    options: dict[str, Any] = {}
    if op in ("avg", "sum"):
        types = FLOATS if dtype in FLOATS else [*FLOATS, *INTEGERS]
        options["dtype"] = draw(st.none() | st.sampled_from(types))
    if op == "avg":
        options["rounding"] = draw(st.sampled_from(["half_even", "half_up", "floor", "trunc"]))
    return {
        "shape": shape, "dtype": dtype, "op": op, "axes": axes, "factors": factors,
        "options": options, "seed": draw(st.integers(0, 2**32 - 1)),
        "layout": draw(st.sampled_from(layouts.LAYOUTS)), "threads": draw(st.sampled_from(THREADS)),
    }  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(calls())
def test_anything(call: dict[str, Any]) -> None:
    rng = np.random.default_rng(call["seed"])
    if 0 in call["shape"] and call["layout"].__name__.startswith(("broadcast", "overlapping")):
        return
    view = call["layout"](random_values(rng, call["dtype"], call["shape"]))
    copy = np.array(view, order="C")
    args = (call["factors"], call["op"], call["axes"])
    levels = most_levels(copy.shape, call["axes"], call["factors"])
    if max(call["factors"]) == 1:
        with pytest.raises(ValueError, match="factor=1 must be at least 2"):
            poolcore.pyramid(view, 1, *args)
        return
    got = poolcore.pyramid(view, levels, *args, **call["options"], threads=call["threads"])
    check(got, expected(copy, levels, *args, **call["options"]))


def test_memory_order_and_independence(rng: np.random.Generator) -> None:
    x = np.asfortranarray(rng.integers(0, 256, (16, 24), np.uint8))
    before = x.copy()
    for level in poolcore.pyramid(x, 3):
        assert level.flags.f_contiguous
        assert level.flags.writeable
        assert not np.shares_memory(level, x)
    assert np.array_equal(x, before)
    assert [p.shape for p in poolcore.pyramid(np.zeros((0, 9, 4), "u1"), 2)] == [
        (0, 5, 2), (0, 3, 1)]  # fmt: skip
    assert poolcore.pyramid([[1, 2], [3, 6]], 1)[0].tolist() == [[3]]


BAD_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"levels": 0}, "levels=0 must be at least 1"),
    ({"levels": -5}, "levels=-5 must be at least 1"),
    ({"levels": 4}, "levels=4 must be at most 3"),
    ({"levels": 2**63 - 1}, "must be at most 3"),
    ({"levels": 10**30}, "must be at most 3"),
    ({"factor": 0}, "factor=0 must be at least 1"),
    ({"factor": 1}, "factor=1 must be at least 2"),
    ({"factor": -(2**63)}, "must be at least 1"),
    ({"factor": 2**63 - 1}, "levels=2 must be at most 1"),
    ({"factor": 2**64}, "does not fit in 64 bits"),
    ({"factor": (2, 2, 2)}, "factor must be an int or 2 ints, got 3"),
    ({"op": "median"}, "op='median' must be"),
    ({"axes": (0, 0)}, "names an axis twice"),
    ({"axes": (0, 2)}, "is out of range"),
    ({"axes": ()}, "axes must be an int or 1 to 3 ints"),
    ({"threads": 0}, "threads=0 must be at least 1"),
    ({"rounding": "up"}, "rounding='up' must be"),
    ({"nodata": 256}, "nodata=256 is not a value of x, uint8"),
    ({"nodata": 1.5}, "nodata=1.5 is not a value of x, uint8"),
    ({"nodata": float("nan")}, "nodata=nan is not a value of x"),
    ({"nodata": 200, "dtype": "i1"}, "nodata=200 is not a value of the levels, int8"),
]
BAD_TYPES: list[tuple[dict[str, Any], str]] = [
    ({"levels": None}, "levels must be an int, got NoneType"),
    ({"levels": True}, "levels must be an int, got bool"),
    ({"levels": 1.5}, "levels must be an int, got float"),
    ({"factor": None}, "factor must be an int"),
    ({"factor": 2.0}, "factor must be an int"),
    ({"factor": True}, "factor must be an int"),
    ({"op": None}, "op=None must be"),
    ({"op": 3}, "op=3 must be"),
    ({"axes": 1.5}, "axes must be an int"),
    ({"threads": 1.5}, "threads must be an int"),
    ({"nodata": "0"}, "nodata must be a number, got str"),
    ({"nodata": True}, "nodata must be a number, got bool"),
    ({"nodata": [0]}, "nodata must be a number, got list"),
    ({"dtype": "f4", "op": "max"}, "dtype is for sums, averages and medians only"),
    ({"dtype": bool}, "dtype=bool cannot hold"),
    ({"x": np.ones((2, 2), complex)}, "which cannot be pooled"),
    ({"x": np.ma.masked_array(np.ones((8, 8)))}, "is a masked array"),
    ({"x": np.ones((8, 8), bool), "nodata": 1}, "nodata is not for x of dtype bool"),
]


@pytest.mark.parametrize(("change", "message"), BAD_VALUES, ids=name)
def test_values_that_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^pyramid: ") as caught:
        poolcore.pyramid(**{"x": np.zeros((8, 8), np.uint8), "levels": 2, **change})
    assert message in str(caught.value)


@pytest.mark.parametrize(("change", "message"), BAD_TYPES, ids=lambda v: repr(v)[:40])
def test_types_that_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=r"^pyramid: ") as caught:
        poolcore.pyramid(**{"x": np.zeros((8, 8), np.uint8), "levels": 2, **change})
    assert message in str(caught.value)


@pytest.mark.parametrize("nodata", [None, 7])
def test_memory_beyond_the_levels_is_small(nodata: int | None) -> None:
    assert_runs(
        "import numpy as np, poolcore, resource\n"
        "x = np.zeros((3, 8192, 8192), np.uint8)\n"
        "x += np.arange(8192, dtype=np.uint16).astype(np.uint8)\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"poolcore.pyramid(x[:, :512, :512].copy(), 9, nodata={nodata})\n"
        "before = peak()\n"
        f"levels = poolcore.pyramid(x, 13, nodata={nodata})\n"
        "grown = peak() - before - sum(p.nbytes for p in levels) // 1024\n"
        "assert grown < 40 * 1024, grown\n"
        "assert levels[-1].shape == (3, 1, 1)\n",
        timeout=120,
    )
