"""mode_pool and median_pool: every type, geometry, layout and thread count against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layouts
import oracle
import oracle_select
import poolcore
from cases import CASES_2D, CASES_3D, SHORT, Case, skips_the_input
from support import (
    DTYPES,
    FLOATS,
    INTEGERS,
    THREADS,
    assert_runs,
    assert_same,
    random_array,
    targets,
    use_target,
)

LABELS = [np.dtype(np.bool_), *INTEGERS]
CASES = [c for c in [*CASES_2D, *CASES_3D] if np.prod(c.shape) < 5000]
SMALL = [c for c in SHORT if c.nd > 1]


def name(value: object) -> str:
    return str(value)


def few(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...], n: int = 5) -> Any:
    """Few labels, from both ends of the type, in patches."""
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    labels = np.array([info.min, info.max, 0, 1, 7, info.max // 2][:n], dtype)
    return np.where(rng.random(shape) < 0.5, rng.choice(labels, shape), labels[1])


def function(op: str, nd: int) -> Any:
    return getattr(poolcore, f"{op}_pool{nd}d")


def axes_of(case: Case) -> tuple[int, ...]:
    return tuple(range(-case.nd, 0))


@pytest.mark.parametrize("case", CASES, ids=name)
def test_every_geometry(case: Case, rng: np.random.Generator) -> None:
    for dtype in (np.dtype(np.uint8), np.dtype(np.int32)):
        x = few(rng, dtype, (*case.lead[:1], 2, *case.shape))
        if skips_the_input(case):
            with pytest.raises(ValueError, match="covers no element of x, so it has no majority"):
                function("mode", case.nd)(x, **case.window)
        else:
            want = oracle_select.pool(x, case.kernel, "mode", axes_of(case), *geometry(case))
            for threads in THREADS:
                got = function("mode", case.nd)(x, **case.window, threads=threads)
                assert_same(got, want)
    for dtype in (np.dtype(np.uint16), np.dtype(np.float32)):
        x = random_array(rng, dtype, (*case.lead[:1], 2, *case.shape))
        want = oracle_select.pool(x, case.kernel, "median", axes_of(case), *geometry(case))
        for threads in THREADS:
            got = function("median", case.nd)(x, **case.window, threads=threads)
            assert_same(got, want)


def geometry(case: Case) -> tuple[Any, ...]:
    return case.stride, case.padding, case.dilation, case.ceil_mode


@pytest.mark.parametrize("dtype", LABELS, ids=name)
@pytest.mark.parametrize("case", [c for c in SMALL if not skips_the_input(c)], ids=name)
def test_modes_of_every_type(case: Case, dtype: np.dtype, rng: np.random.Generator) -> None:
    for x in (few(rng, dtype, (1, 2, *case.shape)), random_array(rng, dtype, (2, *case.shape))):
        want = oracle_select.pool(x, case.kernel, "mode", axes_of(case), *geometry(case))
        assert_same(function("mode", case.nd)(x, **case.window), want)


@pytest.mark.parametrize("policy", ["propagate", "omit"])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("case", SMALL, ids=name)
def test_medians_of_every_type(
    case: Case, dtype: np.dtype, policy: str, rng: np.random.Generator
) -> None:
    x = random_array(rng, dtype, (1, 2, *case.shape), "special")
    want = oracle_select.pool(
        x, case.kernel, "median", axes_of(case), *geometry(case), nan_policy=policy
    )
    for name_of_target in targets():
        with use_target(name_of_target):
            got = function("median", case.nd)(x, **case.window, nan_policy=policy)
        assert_same(got, want, name_of_target, nan_bits=True)


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor", "trunc"])
@pytest.mark.parametrize("dtype", LABELS, ids=name)
def test_medians_in_every_result_type(
    dtype: np.dtype, rounding: str, rng: np.random.Generator
) -> None:
    x = random_array(rng, dtype, (2, 7, 21))
    for out in [*INTEGERS, *FLOATS]:
        want = oracle_select.pool(x, (2, 3), "median", (1, 2), dtype=out, rounding=rounding)
        got = poolcore.median_pool2d(x, (2, 3), dtype=out, rounding=rounding)
        assert_same(got, want, f"{out}")


FEW_TAPS: list[tuple[Any, ...]] = [
    (3, 1, 1), (2, 1, 1), (2, 2, 0), (5, 1, 2), (3, 2, 1, 2), ((1, 5), 1, (0, 2)),
    ((5, 1), 1, (2, 0)), ((3, 4), (2, 3), 1), (7, 1, 3), ((1, 9), 2, (0, 4), 3), (8, 4, 4),
]  # fmt: skip


@pytest.mark.parametrize("window", FEW_TAPS, ids=name)
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_windows_of_few_taps(
    dtype: np.dtype, window: tuple[Any, ...], rng: np.random.Generator
) -> None:
    """By networks: full windows and those over an edge, with and without NaN, in every layout."""
    kernel, stride, padding, dilation = (*window, 1)[:4]
    kinds = ("plain", "special") if dtype in FLOATS else ("plain",)
    for kind in kinds:
        x = random_array(rng, dtype, (17, 75), kind)
        if kind == "special":
            x[:, 40:] = np.where(np.isnan(x[:, 40:]), dtype.type(1), x[:, 40:])
        for policy in ("propagate", "omit")[: len(kinds)]:
            want = oracle_select.pool(
                x, kernel, "median", (0, 1), stride, padding, dilation, nan_policy=policy
            )
            options: Any = {"dilation": dilation, "nan_policy": policy}
            wide = np.repeat(x[:, :, None], 3, axis=2)
            for target in targets():
                with use_target(target):
                    for view in (x, np.asfortranarray(x), x[::-1, ::-1].copy()[::-1, ::-1],
                                 wide[:, :, 1]):  # fmt: skip
                        got = poolcore.pool(view, kernel, "median", (0, 1), stride, padding,
                                            threads=2, **options)  # fmt: skip
                        assert_same(got, want, target, nan_bits=True)
                    got = poolcore.pool(wide, kernel, "median", (0, 1), stride, padding, **options)
                    for channel in range(3):
                        assert_same(np.ascontiguousarray(got[:, :, channel]), want, target)


@pytest.mark.parametrize("dtype", [np.dtype(t) for t in ("u1", "i8", "f4")], ids=name)
def test_volumes_and_pixels_of_few_taps(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, (6, 7, 33))
    want = oracle_select.pool(x, 3, "median", (0, 1, 2), 1, 1)
    for target in targets():
        with use_target(target):
            assert_same(poolcore.median_pool3d(x[None], 3, 1, 1)[0], want, target)
    for kernel, stride, padding in ((3, 1, 1), (2, 2, 0), (5, 2, 2)):
        want = oracle_select.pool(x, kernel, "median", (0, 1), stride, padding)
        for target in targets():
            with use_target(target):
                got = poolcore.pool(x, kernel, "median", (0, 1), stride, padding)
                assert_same(got, want, target)


def test_medians_are_numpys(rng: np.random.Generator) -> None:
    x = rng.random((3, 8, 36)).astype(np.float32)
    blocks = x.reshape(3, 2, 4, 6, 6).swapaxes(2, 3)
    assert_same(poolcore.median_pool2d(x, (4, 6)), np.median(blocks, axis=(3, 4)))
    pixels = rng.integers(0, 256, (3, 8, 36), dtype=np.uint8)
    blocks = pixels.reshape(3, 2, 4, 6, 6).swapaxes(2, 3)
    assert_same(poolcore.median_pool2d(pixels, (4, 6)), np.median(blocks, axis=(3, 4)))
    huge = np.full((1, 2, 2), 1.7e308)
    assert poolcore.median_pool2d(huge, 2).tolist() == [[[1.7e308]]]
    tiny = np.full((1, 2, 2), 5e-324)
    assert poolcore.median_pool2d(tiny, 2).tolist() == [[[5e-324]]]
    ends = np.array([[[-np.inf, np.inf]]])
    assert np.isnan(poolcore.median_pool2d(ends, (1, 2))).all()
    assert np.signbit(poolcore.median_pool2d(-np.zeros((1, 2, 2)), 2)).sum() == 0


def test_medians_are_those_of_scipy(rng: np.random.Generator) -> None:
    """A second opinion, away from the edges, where SciPy pads otherwise."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
    for dtype in (np.uint8, np.int32, np.float32, np.float64):
        x = (rng.random((40, 50)) * 200).astype(dtype)
        for size in (3, 5, 9):
            want = ndimage.median_filter(x, size)
            edge = size // 2
            got = poolcore.median_pool2d(x[None], size, 1, dtype=dtype)[0]
            assert_same(got, want[edge:-edge, edge:-edge])


@pytest.mark.parametrize("maker", layouts.LAYOUTS, ids=layouts.name)
def test_layouts(maker: layouts.Maker, rng: np.random.Generator) -> None:
    for dtype in (np.dtype(t) for t in ("u1", "i2", "u4", "f4", "f8")):
        ops = ("median",) if dtype.kind == "f" else ("mode", "median")
        view = maker(random_array(rng, dtype, (2, 4, 6, 19)))
        copy = np.array(view, order="C")
        for op in ops:
            for axes in ((2, 3), (1, 2), (0,), (3, 1, 2)):
                want = oracle_select.pool(copy, 2, op, axes, 1, 1)
                for threads in THREADS:
                    got = poolcore.pool(view, 2, op, axes, 1, 1, threads=threads)
                    assert_same(got, want, f"{op} {axes}")
        assert np.array_equal(copy, view)


def test_channels_last(rng: np.random.Generator) -> None:
    for channels in (3, 17):
        x = few(rng, np.dtype(np.uint8), (2, 6, 7, channels))
        want = poolcore.mode_pool2d(np.moveaxis(x, -1, 1), 3, 2, 1)
        got = poolcore.mode_pool2d(x, 3, 2, 1, layout="NHWC")
        assert_same(np.moveaxis(got, -1, 1), want)
        assert_same(poolcore.mode_pool2d(x[0], 3, 2, 1, layout="NHWC"), got[0])


@pytest.mark.parametrize("dtype", LABELS, ids=name)
def test_large_windows_of_labels(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Counted, not sorted: more taps than the scratch holds, few labels and many."""
    for n in (2, 5):
        x = few(rng, dtype, (1, 300, 401), n)
        values, counts = np.unique(x, return_counts=True)
        assert poolcore.mode_pool2d(x, (300, 401))[0, 0, 0] == values[counts.argmax()]
    if dtype == np.bool_:
        return
    x = random_array(rng, dtype, (1, 300, 401))
    values, counts = np.unique(x, return_counts=True)
    assert poolcore.mode_pool2d(x, (300, 401))[0, 0, 0] == values[counts.argmax()]
    info = np.iinfo(dtype)
    spread = rng.integers(info.min, info.max, (1, 300, 401), dtype, endpoint=True)
    values, counts = np.unique(spread, return_counts=True)
    assert poolcore.mode_pool2d(spread, (300, 401))[0, 0, 0] == values[counts.argmax()]


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_large_windows_of_numbers(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, (2, 301, 401))
    for shape in ((301, 401), (300, 401)):
        pair = [oracle_select.middles(oracle.widen(p[: shape[0]].ravel()), "omit") for p in x]
        want = [oracle_select.float_median(p) for p in pair]
        got = poolcore.median_pool2d(x, shape, nan_policy="omit")
        out = dtype if dtype in FLOATS else np.dtype(np.float64)
        assert_same(got.ravel(), oracle.narrow_to(np.array(want), out))
    if dtype in FLOATS:
        x[0, 150, 17] = np.nan
        got = poolcore.median_pool2d(x, (301, 401)).ravel()
        assert np.isnan(got.astype(np.float64)).tolist() == [True, False]
        omitted = poolcore.median_pool2d(x, (301, 401), nan_policy="omit").ravel()
        assert not np.isnan(omitted.astype(np.float64)).any()


@st.composite
def calls(draw: Any) -> dict[str, Any]:
    rank = draw(st.integers(2, 4))
    nd = draw(st.integers(1, min(3, rank)))
    axes = tuple(draw(st.permutations(range(rank)))[:nd])
    longest = draw(st.sampled_from([5, 9, 40 if nd == 1 else 9]))
    shape = tuple(draw(st.integers(1, longest)) for _ in range(rank))
    op = draw(st.sampled_from(["mode", "median"]))
    dtype = draw(st.sampled_from(LABELS if op == "mode" else DTYPES))
    kernel = tuple(draw(st.integers(1, 9)) for _ in axes)
    options: dict[str, Any] = {}
    if op == "median":
        types = FLOATS if dtype in FLOATS else [*FLOATS, *INTEGERS]
        options["dtype"] = draw(st.none() | st.sampled_from(types))
        options["rounding"] = draw(st.sampled_from(["half_even", "half_up", "floor", "trunc"]))
        options["nan_policy"] = draw(st.sampled_from(["propagate", "omit"]))
    return {
        "shape": shape, "dtype": dtype, "options": options,
        "layout": draw(st.sampled_from(layouts.LAYOUTS)), "seed": draw(st.integers(0, 2**32 - 1)),
        "args": (kernel, op, axes, draw(st.none() | st.tuples(*[st.integers(1, 4) for _ in axes])),
                 tuple(draw(st.integers(0, k - 1)) for k in kernel),
                 draw(st.sampled_from([1, 1, 2])), draw(st.booleans())),
        "threads": draw(st.sampled_from(THREADS)),
    }  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(calls())
def test_anything(call: dict[str, Any]) -> None:
    rng = np.random.default_rng(call["seed"])
    shape, dtype = call["shape"], call["dtype"]
    labels = dtype not in FLOATS and rng.random() < 0.5
    x = few(rng, dtype, shape) if labels else random_array(rng, dtype, shape, "special")
    view = call["layout"](x)
    try:
        want = oracle_select.pool(np.array(view, order="C"), *call["args"], **call["options"])
    except ValueError:
        with pytest.raises(ValueError, match=r"^pool: "):
            poolcore.pool(view, *call["args"], **call["options"])
        return
    got = poolcore.pool(view, *call["args"], **call["options"], threads=call["threads"])
    assert_same(got, want)


def test_out_is_written_in_place(rng: np.random.Generator) -> None:
    x = few(rng, np.dtype(np.uint8), (2, 3, 20, 31))
    out = np.zeros((2, 3, 10, 30), np.uint8)[..., ::2]
    assert poolcore.mode_pool2d(x, 2, out=out) is out
    assert_same(np.ascontiguousarray(out), poolcore.mode_pool2d(x, 2))
    with pytest.raises(ValueError, match="mode_pool2d: out overlaps x in memory"):
        poolcore.mode_pool2d(x, 2, out=x[:, :, :10, :15])
    with pytest.raises(ValueError, match="median_pool2d: out must have dtype float64, got uint8"):
        poolcore.median_pool2d(x, 2, out=out)


@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_majorities_of_floats_are_refused(dtype: np.dtype) -> None:
    for nd in (2, 3):
        match = rf"mode_pool{nd}d: x has dtype {dtype}.*astype\('int32'\)"
        with pytest.raises(TypeError, match=match):
            function("mode", nd)(np.ones((1, 2, 2, 2), dtype), 2)


def test_errors() -> None:
    x = np.zeros((1, 4, 4), np.uint8)
    for op in ("mode", "median"):
        f = function(op, 2)
        for bad in (0, -1, 2**63 - 1, 5):
            with pytest.raises(ValueError, match=f"{op}_pool2d: kernel_size="):
                f(x, bad)
        for bad in (None, True, 1.5, float("nan")):
            with pytest.raises(TypeError, match=f"{op}_pool2d: kernel_size must be an int"):
                f(x, bad)
        with pytest.raises(ValueError, match="padding=2 must be smaller"):
            f(x, 2, padding=2)
        with pytest.raises(ValueError, match="threads=0 must be at least 1"):
            f(x, 2, threads=0)
        with pytest.raises(ValueError, match="divisor_override=3 is for averages only"):
            poolcore.pool(x, 2, op, divisor_override=3)
        with pytest.raises(ValueError, match="return_indices is for max and min only"):
            poolcore.pool(x, 2, op, return_indices=True)
    with pytest.raises(TypeError, match="dtype is for sums, averages and medians only"):
        poolcore.pool(x, 2, "mode", dtype="f4")
    with pytest.raises(TypeError, match="dtype=bool cannot hold"):
        poolcore.median_pool2d(x, 2, dtype=bool)
    with pytest.raises(TypeError, match="needs integer input"):
        poolcore.median_pool2d(x.astype("f4"), 2, dtype="i4")
    with pytest.raises(ValueError, match="so its median does not exist in dtype=uint8"):
        poolcore.median_pool2d(x, 2, 1, 4, 5, dtype="u1")
    nan = np.full((1, 2, 2), np.nan)
    with pytest.raises(ValueError, match=r"median_pool2d: x holds NaN at \[0, 0, 0\]"):
        poolcore.median_pool2d(nan, 2, nan_policy="raise")


def test_empty_batch() -> None:
    x = np.zeros((0, 3, 4, 4), np.int16)
    assert poolcore.mode_pool2d(x, 2).shape == (0, 3, 2, 2)
    assert poolcore.median_pool2d(x, 2).dtype == np.float64


def test_memory_of_large_windows_is_bounded() -> None:
    """2**40 taps without memory behind them: nothing is allocated for them; Ctrl-C gets through."""
    assert_runs(
        "import numpy as np, poolcore, resource, signal\n"
        "x = np.broadcast_to(np.uint32(3), (2**20, 2**20))\n"
        "small = poolcore.pool(x[:1000, :1000], 1000, 'mode')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.3)\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "for op in ('mode', 'median'):\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.3)\n"
        "    try: poolcore.pool(x, 2**20, op)\n"
        "    except KeyboardInterrupt: pass\n"
        "    else: raise SystemExit('not interrupted')\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "assert grown < 3 * 1024, grown\n"
    )
