"""Adaptive pooling against its oracle: every type, layout, target and thread count."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import layouts
import oracle_adaptive
import poolcore
from poolcore import _core
from support import (
    DTYPES,
    FLOATS,
    INTEGERS,
    THREADS,
    assert_same,
    configurations,
    random_array,
    targets,
    use_target,
)

OPS = ("max", "min", "avg")


class Case(NamedTuple):
    name: str
    shape: tuple[int, ...]
    size: tuple[int | None, ...]
    lead: tuple[int, ...] = (2, 3)

    def __str__(self) -> str:
        return f"{len(self.shape)}d-{self.name}"


CASES = [
    Case("divides", (12,), (4,)),
    Case("coprime", (13,), (6,)),
    Case("lengths_differ", (5,), (3,)),
    Case("period_of_three", (20,), (12,)),
    Case("keeps", (7,), (None,)),
    Case("grows", (3,), (7,)),
    Case("grows_by_a_factor", (3,), (6,)),
    Case("repeats_one_element", (1,), (5,)),
    Case("whole", (9,), (1,)),
    Case("one_less", (17,), (16,)),
    Case("long_windows", (301,), (7,)),
    Case("long_windows_many_planes", (301,), (7,), (2, 11)),
    Case("alexnet", (13, 13), (6, 6), (1, 40)),
    Case("few_planes", (13, 13), (7, 6), (1, 2)),
    Case("few_planes_long_windows", (40, 150), (3, 7), (1, 2)),
    Case("few_planes_one_axis", (13, 13), (None, 6), (1, 2)),
    Case("vgg", (14, 14), (7, 7), (1, 9)),
    Case("one_axis_divides", (12, 13), (4, 5)),
    Case("one_axis_keeps", (9, 10), (None, 3)),
    Case("one_axis_grows", (4, 11), (9, 4), (1, 9)),
    Case("both_repeat", (1, 2), (3, 6)),
    Case("many_planes", (7, 5), (3, 4), (1, 150)),
    Case("wide_rows", (6, 131), (4, 90), (1, 1)),
    Case("windows_over_4096_taps", (131, 133), (2, 2), (1, 2)),
    Case("many_windows_over_4096_taps", (300, 40), (2, 7), (1, 1)),
    Case("video", (4, 9, 7), (3, 2, 5), (1, 9)),
    Case("voxels", (5, 6, 7), (None, 4, 3), (1, 2)),
    Case("all_grow", (2, 3, 4), (3, 5, 7), (1, 1)),
]
SHORT = [case for case in CASES if max(case.shape) < 50]


def run(x: np.ndarray, op: str, nd: int, size: Any, **how: Any) -> Any:
    return getattr(poolcore, f"adaptive_{op}_pool{nd}d")(x, size, **how)


def expect(x: np.ndarray, op: str, nd: int, size: Any, **how: Any) -> Any:
    return oracle_adaptive.pool(x, size, op, tuple(range(x.ndim - nd, x.ndim)), **how)


def check(got: Any, want: Any, note: str = "") -> None:
    got, want = (v if isinstance(v, tuple) else (v,) for v in (got, want))
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert_same(g, w, note)


def test_windows_of_the_oracle() -> None:
    assert oracle_adaptive.windows(5, 3) == [(0, 2), (1, 4), (3, 5)]
    assert oracle_adaptive.windows(2, 3) == [(0, 1), (0, 2), (1, 2)]
    assert oracle_adaptive.windows(6, 3) == [(0, 2), (2, 4), (4, 6)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases(case: Case, rng: np.random.Generator) -> None:
    nd = len(case.shape)
    x = random_array(rng, np.dtype(np.float32), case.lead + case.shape, "special")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("max", {}), ("max", {"return_indices": True}), ("min", {"return_indices": True}),
        ("avg", {}), ("avg", {"nan_policy": "omit"}), ("max", {"nan_policy": "omit"}),
        ("min", {"nan_policy": "omit", "return_indices": True}),
    ]  # fmt: skip
    for op, how in calls:
        want = expect(x, op, nd, case.size, **how)
        for target, threads in configurations():
            got = run(x, op, nd, case.size, threads=threads, **how)
            check(got, want, f"{op} {how} on {target} with {threads} threads")


@pytest.mark.parametrize("case", SHORT, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_types(dtype: np.dtype, case: Case, rng: np.random.Generator) -> None:
    nd = len(case.shape)
    x = random_array(rng, dtype, case.lead + case.shape, "special")
    for op in ("max", "min"):
        for indices in (False, True):
            want = expect(x, op, nd, case.size, return_indices=indices)
            check(run(x, op, nd, case.size, return_indices=indices), want, op)
    results = [None, *(FLOATS if dtype in FLOATS else [np.dtype("int8"), np.dtype("float16")])]
    for result in results:
        want = expect(x, "avg", nd, case.size, dtype=result)
        check(run(x, "avg", nd, case.size, dtype=result), want, f"avg as {result}")


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor", "trunc"])
def test_roundings(rounding: str, rng: np.random.Generator) -> None:
    for dtype in INTEGERS:
        x = random_array(rng, dtype, (2, 9, 7, 8))
        want = expect(x, "avg", 2, (3, 5), dtype=dtype, rounding=rounding)
        check(run(x, "avg", 2, (3, 5), dtype=dtype, rounding=rounding), want, str(dtype))


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=layouts.name)
def test_layouts(layout: layouts.Maker, rng: np.random.Generator) -> None:
    for case in (
        c
        for c in SHORT
        if c.name in ("alexnet", "few_planes", "few_planes_one_axis", "one_axis_grows", "video")
    ):
        nd = len(case.shape)
        plain = random_array(rng, np.dtype(np.float32), case.lead + case.shape, "special")
        x = layout(plain)
        copy = np.array(x, order="C")
        for op in OPS:
            how = {} if op == "avg" else {"return_indices": True}
            want = expect(copy, op, nd, case.size, **how)
            check(run(x, op, nd, case.size, threads=2, **how), want, f"{case} {op}")


def test_channels_last_and_unbatched(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 13, 11, 5))
    want = oracle_adaptive.pool(x, (6, 7), "avg", (1, 2))
    assert_same(run(x, "avg", 2, (6, 7), layout="NHWC"), want)
    assert_same(run(x[1], "avg", 2, (6, 7), layout="NHWC"), want[1])
    assert_same(run(x[0, 0], "max", 1, 4), expect(x[0, 0], "max", 1, (4,)))


def test_results_in_memory_of_any_order(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 9, 13, 10), "special")
    for op in OPS:
        want = expect(x, op, 2, (6, 7))
        for make in (layouts.fortran, layouts.sliced, layouts.reversed_all, layouts.misaligned):
            out = make(np.zeros((2, 9, 6, 7), np.float32))
            assert run(x, op, 2, (6, 7), out=out) is out
            assert_same(np.array(out), want, f"{op} {make.__name__}")
    pair = (np.zeros((2, 9, 6, 7), np.float32)[..., ::-1], np.zeros((7, 6, 9, 2), np.int64).T)
    assert run(x, "max", 2, (6, 7), return_indices=True, out=(pair[0], pair[1].swapaxes(0, 0)))
    values, indices = expect(x, "max", 2, (6, 7), return_indices=True)
    assert_same(np.array(pair[0]), values)
    assert_same(np.array(pair[1]), indices)


@pytest.mark.parametrize("size", [0, (0, 3), (3, 0), (None, 0)])
def test_no_windows(size: Any) -> None:
    x = np.ones((2, 3, 4, 5), np.float32)
    sizes = size if isinstance(size, tuple) else (size, size)
    shape = (2, 3, *(n if o is None else o for n, o in zip((4, 5), sizes, strict=True)))
    for op in OPS:
        assert run(x, op, 2, size).shape == shape
    values, indices = run(x, "max", 2, size, return_indices=True)
    assert values.shape == indices.shape == shape
    assert run(x, "avg", 2, size, out=np.empty(shape, np.float32)).shape == shape


def test_empty_batch() -> None:
    assert run(np.ones((0, 3, 4, 5)), "avg", 2, 3).shape == (0, 3, 3, 3)
    assert run(np.ones((2, 0, 5)), "max", 1, 3).shape == (2, 0, 3)


BASIC = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@BASIC
@given(st.data())
def test_random_calls(data: Any) -> None:
    draw = data.draw
    nd = draw(st.integers(1, 3))
    longest = {1: 60, 2: 14, 3: 7}[nd]
    shape = tuple(draw(st.integers(1, longest)) for _ in range(nd))
    size = tuple(draw(st.none() | st.integers(0, longest)) for _ in range(nd))
    lead = (draw(st.integers(0, 2)), draw(st.integers(1, 20)))
    dtype = draw(st.sampled_from(DTYPES))
    op = draw(st.sampled_from(OPS))
    how: dict[str, Any] = {"nan_policy": draw(st.sampled_from(["propagate", "omit"]))}
    if op == "avg":
        types = FLOATS if dtype in FLOATS else [*FLOATS, *INTEGERS]
        how["dtype"] = draw(st.none() | st.sampled_from(types))
    else:
        how["return_indices"] = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = random_array(rng, dtype, lead + shape, "special")
    if x.size:
        x = draw(st.sampled_from(layouts.LAYOUTS))(x)
    want = expect(np.array(x, order="C"), op, nd, size, **how)
    with use_target(draw(st.sampled_from(targets()))):
        check(run(x, op, nd, size, threads=draw(st.sampled_from(THREADS)), **how), want)


# ------------------------------------------------------------------------------------- errors

WRONG = [
    (-1, ValueError, r"output_size=-1 must not be negative"),
    ((2, -3), ValueError, r"output_size\[1\]=-3 must not be negative"),
    (-(2**63), ValueError, r"must not be negative"),
    (2**63, ValueError, r"does not fit in 64 bits"),
    ((1, 2, 3), ValueError, r"output_size must be an int or 2 ints"),
    ((), ValueError, r"output_size must be an int or 2 ints"),
    (True, TypeError, r"output_size must be an int or 2 ints or None, got bool"),
    (1.5, TypeError, r"got float"),
    (float("nan"), TypeError, r"got float"),
    ("3", TypeError, r"got str"),
    ((3, 1.5), TypeError, r"output_size\[1\] must be an int or None, got float"),
    ((3, True), TypeError, r"output_size\[1\] must be an int or None, got bool"),
    (2**63 - 1, MemoryError, r"more than 2\*\*63-1 bytes"),
    ((2**62, 2**62), MemoryError, r"more than 2\*\*63-1 bytes"),
]


@pytest.mark.parametrize(("size", "error", "text"), WRONG, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_wrong_sizes(op: str, size: Any, error: type[Exception], text: str) -> None:
    out = np.full((1, 2, 3, 3), 7.0)
    with pytest.raises(error, match=rf"adaptive_{op}_pool2d: .*{text}"):
        run(np.ones((1, 2, 5, 5)), op, 2, size, out=out)
    assert (out == 7).all()


def test_wrong_inputs() -> None:
    with pytest.raises(
        ValueError, match=r"adaptive_avg_pool2d: x has length 0 along pooled axis 3"
    ):
        run(np.ones((1, 2, 5, 0)), "avg", 2, 3)
    with pytest.raises(ValueError, match=r"adaptive_avg_pool2d: x must have 3 or 4 dimensions"):
        run(np.ones((5, 5)), "avg", 2, 3)
    with pytest.raises(TypeError, match=r"adaptive_max_pool1d: x has dtype complex128"):
        run(np.ones((5, 5), complex), "max", 1, 3)
    with pytest.raises(ValueError, match=r"out must have shape \(1, 2, 3, 4\)"):
        run(np.ones((1, 2, 5, 5)), "max", 2, (3, 4), out=np.empty((1, 2, 3, 3)))
    x = np.ones((1, 2, 5, 5))
    with pytest.raises(ValueError, match="overlaps x"):
        run(x, "max", 2, 3, out=x[:, :, :3, :3])


@pytest.mark.parametrize("shape", [(2, 3, 13, 13), (1, 1, 300, 40)])
def test_nan_refused_before_anything_is_written(shape: tuple[int, ...]) -> None:
    x = np.ones(shape)
    x[..., 5, 7] = np.nan
    out = np.full((*shape[:2], 2, 7), 5.0)
    with pytest.raises(ValueError, match=r"adaptive_avg_pool2d: x holds NaN at \[0, 0, 5, 7\]"):
        run(x, "avg", 2, (2, 7), nan_policy="raise", out=out)
    assert (out == 5).all()
    x[..., 5, 7] = 1
    assert (run(x, "avg", 2, (2, 7), nan_policy="raise", out=out) == 1).all()


def test_describe_names_the_path() -> None:
    def path(shape: tuple[int, ...], size: Any) -> str:
        return _core.describe(
            "adaptive_max_pool2d", np.ones(shape), size, None, 0, 1, False, True, None, False,
            None, "half_even", "NCHW", None, None, "propagate", None, 1,
        )  # fmt: skip

    assert path((1, 2, 12, 12), 4).startswith("path=box")
    assert path((1, 2, 13, 13), 4).startswith("path=adaptive")
    assert path((1, 2, 300, 300), 4).startswith("path=box")
    assert path((1, 2, 300, 300), 3).startswith("path=box")
    assert path((1, 2, 301, 301), 4).startswith("path=each_window")
    assert path((1, 2, 301, 301), 0).startswith("path=empty")
