"""The options that pyramid shares with its siblings: nan_policy, out and threads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import layouts
import oracle
import poolcore
from support import DTYPES, FLOATS, INTEGERS, THREADS, assert_same, random_array
from test_pyramid import check, most_levels, without

OPS = ("avg", "max", "min", "sum")
NAN = float("nan")


def name(value: object) -> str:
    return str(value)


def halves(rng: np.random.Generator, dtype: np.dtype, share: float) -> np.ndarray:
    """Numbers whose sums are exact in every type, some of them NaN, a corner of nothing else."""
    x = (rng.integers(-20, 20, (13, 21)) / 2).astype(dtype)
    x[rng.random(x.shape) < share] = NAN
    x[8:, :8] = NAN
    return x


def test_the_signature_is_that_of_its_siblings() -> None:
    parameters = inspect.signature(poolcore.pyramid).parameters
    assert list(parameters) == [
        "x", "levels", "factor", "op", "axes", "dtype", "rounding", "nodata", "nan_policy", "out",
        "threads",
    ]  # fmt: skip
    keyword = [n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
    assert keyword == ["nodata", "nan_policy", "out", "threads"]
    for other in ("nan_policy", "out", "threads"):
        theirs = inspect.signature(poolcore.max_pool2d).parameters[other]
        assert parameters[other].default == theirs.default


# ------------------------------------------------------------------------------ nan_policy


@pytest.mark.parametrize("share", [0.02, 0.6])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_omit_is_the_rule(dtype: np.dtype, op: str, share: float, rng: np.random.Generator) -> None:
    """Every window by itself, without its NaN; the same from every number of threads."""
    x = halves(rng, dtype, share)
    want = [without(x, n, op, NAN, dtype, "") for n in range(1, 6)]
    for threads in THREADS:
        check(poolcore.pyramid(x, 5, 2, op, nan_policy="omit", threads=threads), want)
    check(poolcore.pyramid(x, 5, 2, op, nodata=NAN), want)
    check(poolcore.pyramid(x, 5, 2, op, nan_policy="omit", nodata=NAN), want)
    # The first level is that of the pooling functions.
    pooled = poolcore.pool(
        x, (2, 2), op, axes=(0, 1), ceil_mode=True, count_include_pad=False, nan_policy="omit"
    )
    assert_same(want[0], pooled)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_omit_beside_a_number(dtype: np.dtype, op: str, rng: np.random.Generator) -> None:
    """Both are left out; what has nothing else is the number."""
    x = halves(rng, dtype, 0.3)
    x[rng.random(x.shape) < 0.3] = -99
    x[:4, :4] = -99
    both = np.where(np.asarray(x == -99), np.array(NAN, dtype), x)
    got = poolcore.pyramid(x, 5, 2, op, nodata=-99, nan_policy="omit")
    for level, n in zip(got, range(1, 6), strict=True):
        want = without(both, n, op, NAN, dtype, "")
        want[np.asarray(want != want)] = -99
        assert_same(level, want, f"level {n}")
    plain = poolcore.pyramid(x, 5, 2, op, nodata=-99)[0]
    assert np.isnan(plain.astype(float)).any(), "NaN is no -99"


@pytest.mark.parametrize("op", ["max", "min"])
def test_omit_of_extremes_that_look_missing(op: str) -> None:
    """Infinities and zeros of both signs are numbers."""
    low = -np.inf if op == "max" else np.inf
    x = np.array([[NAN, low, NAN, NAN, -0.0, 0.0], [NAN, NAN, NAN, NAN, NAN, 0.0]])
    got = poolcore.pyramid(x, 1, 2, op, nan_policy="omit")[0]
    assert_same(got, np.array([[low, NAN, -0.0]]))


@pytest.mark.parametrize("op", OPS)
def test_propagate_reaches_every_level(op: str, rng: np.random.Generator) -> None:
    x = rng.random((16, 16)).astype(np.float32)
    x[5, 9] = NAN
    for level, n in zip(poolcore.pyramid(x, 4, 2, op), range(1, 5), strict=True):
        where = np.argwhere(np.isnan(level)).tolist()
        assert where == [[5 >> n, 9 >> n]]


@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_raise_names_the_place_and_writes_nothing(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    for shape, axes in (((7, 9), (0, 1)), ((2, 7, 9), (1, 2)), ((7, 2, 9, 3), (3, 0, 2))):
        x = random_array(rng, dtype, shape)
        want = poolcore.pyramid(x, 2, axes=axes)
        check(poolcore.pyramid(x, 2, axes=axes, nan_policy="raise"), want)
        out = [np.full_like(level, 77) for level in want]
        place = tuple(int(rng.integers(n)) for n in shape)
        x[place] = NAN
        for op in OPS:
            for nodata in (None, 3):
                with pytest.raises(ValueError, match=r"^pyramid: x .*NaN") as caught:
                    poolcore.pyramid(
                        x, 2, op=op, axes=axes, nan_policy="raise", nodata=nodata, out=out
                    )
                assert str(list(place))[1:-1] in str(caught.value)
                assert all((level == 77).all() for level in out)


@pytest.mark.parametrize("dtype", [np.dtype(np.bool_), *INTEGERS], ids=name)
def test_integers_hold_no_nan(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, (9, 12))
    for op in (*OPS, "mode"):
        want = poolcore.pyramid(x, 3, op=op)
        for policy in ("omit", "raise"):
            check(poolcore.pyramid(x, 3, op=op, nan_policy=policy), want)


def test_policies_that_are_refused() -> None:
    x = np.zeros((4, 4))
    with pytest.raises(ValueError, match=r"^pyramid: nan_policy='raise' refuses the NaN"):
        poolcore.pyramid(x, 1, nodata=NAN, nan_policy="raise")
    with pytest.raises(ValueError, match=r"^pyramid: nan_policy='drop' must be"):
        poolcore.pyramid(x, 1, nan_policy="drop")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^pyramid: nan_policy"):
        poolcore.pyramid(x, 1, nan_policy=None)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------- out


@pytest.mark.parametrize("op", [*OPS, "mode"])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_out_is_written_and_returned(dtype: np.dtype, op: str, rng: np.random.Generator) -> None:
    if op == "mode" and oracle.is_float(dtype):
        return
    x = random_array(rng, dtype, (2, 13, 22))
    nodata = None if dtype == np.bool_ else x.ravel()[5]
    for missing in {None, nodata}:
        levels = most_levels(x.shape, (-2, -1), (2, 2))
        want = poolcore.pyramid(x, levels, op=op, nodata=missing)
        for kind in (list, tuple):
            out = kind(np.ones_like(level) for level in want)
            got = poolcore.pyramid(x, levels, op=op, nodata=missing, out=out, threads=2)
            assert isinstance(got, list)
            assert all(g is o for g, o in zip(got, out, strict=True))
            check(got, want)


@pytest.mark.parametrize("maker", layouts.ORDERED + [layouts.reversed_first], ids=layouts.name)
def test_out_of_any_layout(maker: layouts.Maker, rng: np.random.Generator) -> None:
    for dtype in (np.dtype(np.uint8), np.dtype(np.float32)):
        x = random_array(rng, dtype, (3, 18, 23))
        for op in ("avg", "min"):
            for nodata in (None, x.ravel()[3]):
                want = poolcore.pyramid(x, 4, op=op, nodata=nodata)
                out = [maker(np.ones_like(level)) for level in want]
                poolcore.pyramid(maker(x), 4, op=op, nodata=nodata, out=out)
                check([np.array(level, order="C") for level in out], want)


def test_out_of_a_subclass_and_of_interleaved_memory(rng: np.random.Generator) -> None:
    class Sub(np.ndarray):
        pass

    x = rng.random((8, 8))
    want = poolcore.pyramid(x, 2)
    block = np.full((4, 4, 2), 77.0)
    out = [block[..., 0].view(Sub), block[:2, :2, 1]]
    got = poolcore.pyramid(x, 2, out=out)
    assert got[0] is out[0]
    check([np.array(level) for level in got], want)
    assert (block[2:, :, 1] == 77).all()
    empty = [np.zeros((0, 4, 4)), np.zeros((0, 2, 2))]
    assert poolcore.pyramid(np.zeros((0, 8, 8)), 2, out=empty)[1] is empty[1]


def good() -> list[np.ndarray]:
    return [np.full((2, 4, 5), 7, np.float32), np.full((2, 2, 3), 7, np.float32)]


def changed(at: int, make: Callable[[np.ndarray], Any]) -> list[Any]:
    arrays: list[Any] = good()
    arrays[at] = make(arrays[at])
    return arrays


def frozen(level: np.ndarray) -> np.ndarray:
    level.flags.writeable = False
    return level


def overlapping_pair() -> list[np.ndarray]:
    block = np.full(46, 7, np.float32)
    return [block[:40].reshape(2, 4, 5), block[34:46].reshape(2, 2, 3)]


def refused() -> dict[str, tuple[type[Exception], Any]]:
    return {
        "out must have 2 arrays, got 1": (ValueError, good()[:1]),
        "out must have 2 arrays, got 3": (ValueError, [*good(), good()[0]]),
        "out must have 2 arrays, got 0": (ValueError, []),
        "sequence of arrays, one for each level, got ndarray": (TypeError, good()[0]),
        "one for each level, got str": (TypeError, "ab"),
        "one for each level, got dict": (TypeError, dict(enumerate(good()))),
        "out[1] must be a numpy.ndarray, got list": (TypeError, changed(1, np.ndarray.tolist)),
        "out[0] must be a numpy.ndarray, got NoneType": (TypeError, changed(0, lambda _: None)),
        "out[1] must have shape (2, 2, 3), got (2, 3, 2)":
            (ValueError, changed(1, lambda a: a.reshape(2, 3, 2))),
        "out[0] must have dtype float32, got float64":
            (ValueError, changed(0, lambda a: a.astype(np.float64))),
        "out[1] must have dtype float32, got >f4":
            (ValueError, changed(1, lambda a: a.astype(">f4"))),
        "out[1] is read-only": (ValueError, changed(1, frozen)),
        "is a masked array": (TypeError, changed(1, np.ma.masked_array)),
        "out[0] overlaps itself":
            (ValueError, changed(0, lambda a: np.lib.stride_tricks.as_strided(
                a, a.shape, (80, 0, 4)))),
        "out[1] overlaps out[0] in memory": (ValueError, overlapping_pair()),
    }  # fmt: skip


@pytest.mark.failure(29)
@pytest.mark.parametrize("message", refused())
def test_out_that_is_refused_untouched(message: str) -> None:
    error, out = refused()[message]
    arrays = [a for a in out if isinstance(a, np.ndarray)] if isinstance(out, list) else []
    before = [a.tobytes() for a in arrays]
    with pytest.raises(error) as caught:
        poolcore.pyramid(np.ones((2, 8, 10), np.float32), 2, out=out)
    assert str(caught.value).startswith("pyramid: out")
    assert message in str(caught.value)
    assert [a.tobytes() for a in arrays] == before


@pytest.mark.failure(29)
def test_out_in_x_is_refused() -> None:
    for at in (0, 1):
        x = np.arange(160, dtype=np.float32).reshape(2, 8, 10)
        out = good()
        out[at] = x[:, : out[at].shape[1], : out[at].shape[2]]
        with pytest.raises(ValueError, match=rf"^pyramid: out\[{at}\] overlaps x in memory"):
            poolcore.pyramid(x, 2, out=out)
        assert (x.ravel() == np.arange(160)).all()
        assert (out[1 - at] == 7).all()


@pytest.mark.failure(23)
@pytest.mark.parametrize("op", OPS)
def test_neighbours_of_out_are_not_touched(op: str, rng: np.random.Generator) -> None:
    for dtype in (np.uint8, np.float32):
        x = random_array(rng, np.dtype(dtype), (37, 29))
        for nodata in (None, x[0, 0]):
            want = poolcore.pyramid(x, 5, op=op, nodata=nodata)
            raw = [np.full([n + 6 for n in level.shape], 77, level.dtype) for level in want]
            out = [a[3:-3, 3:-3] for a in raw]
            poolcore.pyramid(x, 5, op=op, nodata=nodata, out=out)
            check([np.array(level) for level in out], want)
            for level, whole in zip(out, raw, strict=True):
                level[...] = 77
                assert (whole == 77).all()
