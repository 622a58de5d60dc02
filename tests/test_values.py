"""Every operation x element type x named case, on every target and thread count: the oracle's
bits. NaN results of sums and means must be the canonical NaN; those of max and min any NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oracle
import poolcore
from cases import CASES, SHORT, Case, skips_the_input
from support import DTYPES, FLOATS, INTEGERS, assert_same, configurations, function, random_array

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("max", {"return_indices": True}),
    ("min", {"return_indices": True}),
    ("max", {}),
    ("min", {}),
    ("sum", {}),
    ("avg", {}),
    ("avg", {"count_include_pad": False}),
]


def name(value: object) -> str:
    return str(value)


def axes_of(case: Case) -> tuple[int, ...]:
    return tuple(range(2, 2 + case.nd))


def expected(case: Case, x: np.ndarray, op: str, options: dict[str, Any]) -> tuple[Any, ...]:
    want = oracle.pool(
        x, case.kernel, op, axes_of(case), case.stride, case.padding, case.dilation,
        case.ceil_mode, **options,
    )  # fmt: skip
    return want if isinstance(want, tuple) else (want,)


def check(case: Case, x: np.ndarray, op: str, options: dict[str, Any]) -> None:
    """The public function equals the oracle on every target with every thread count."""
    want = expected(case, x, op, options)
    pooling = function(op, case.nd)
    for target, threads in configurations():
        got = pooling(x, **case.window, threads=threads, **options)
        got = got if isinstance(got, tuple) else (got,)
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            note = f"{op} {options} {x.dtype} on {target}, {threads} threads"
            assert_same(g, w, note, nan_bits=op in ("sum", "avg"))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("case", CASES, ids=name)
def test_case(case: Case, dtype: np.dtype, rng: np.random.Generator) -> None:
    kinds = ("plain", "special") if oracle.is_float(dtype) else ("plain",)
    for kind in kinds:
        x = random_array(rng, dtype, case.lead + case.shape, kind)
        for op, options in VARIANTS:
            check(case, x, op, options)


@pytest.mark.parametrize("dtype", FLOATS, ids=name)
@pytest.mark.parametrize("case", SHORT, ids=name)
def test_omit(case: Case, dtype: np.dtype, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, case.lead + case.shape, "special")
    x[0, 0] = np.nan
    for op, options in [*VARIANTS, ("avg", {"divisor_override": 3})]:
        check(case, x, op, {"nan_policy": "omit", **options})


@pytest.mark.parametrize("divisor", [1, 3, -7, 2**24, 2**24 + 1, 2**53 + 1, -(2**62) - 1])
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_divisor_override(dtype: np.dtype, divisor: int, rng: np.random.Generator) -> None:
    for case in SHORT[::4]:
        x = random_array(rng, dtype, case.lead + case.shape)
        check(case, x, "avg", {"divisor_override": divisor})


@pytest.mark.parametrize("out", [*INTEGERS, *FLOATS], ids=name)
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d not in FLOATS], ids=name)
def test_result_type_of_integers(dtype: np.dtype, out: np.dtype, rng: np.random.Generator) -> None:
    for case in SHORT[::3]:
        if skips_the_input(case):
            continue
        x = random_array(rng, dtype, case.lead + case.shape)
        check(case, x, "sum", {"dtype": out})
        for rounding in ("half_even", "half_up", "floor", "trunc"):
            check(case, x, "avg", {"dtype": out, "rounding": rounding})
        check(case, x, "avg", {"dtype": out, "divisor_override": -6})


@pytest.mark.parametrize("out", FLOATS, ids=name)
@pytest.mark.parametrize("dtype", FLOATS, ids=name)
def test_result_type_of_floats(dtype: np.dtype, out: np.dtype, rng: np.random.Generator) -> None:
    for case in SHORT[::2]:
        x = random_array(rng, dtype, case.lead + case.shape)
        check(case, x, "sum", {"dtype": out})
        check(case, x, "avg", {"dtype": out})
        check(case, x, "avg", {"dtype": out, "divisor_override": 10, "nan_policy": "omit"})


@pytest.mark.parametrize("op", ["max", "min", "avg", "sum"])
@pytest.mark.parametrize("case", SHORT, ids=name)
def test_unbatched(case: Case, op: str, rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), case.lead + case.shape, "special")
    pooling = function(op, case.nd)
    assert_same(pooling(x[0], **case.window), pooling(x, **case.window)[0], nan_bits=True)


@pytest.mark.parametrize("op", ["max", "min", "avg", "sum"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((7,), (0,)),
        ((7, 9), (0,)),
        ((7, 9), (1, 0)),
        ((5, 6, 7), (0, 2)),
        ((5, 6, 7), (-1, 0, 1)),
        ((2, 5, 3, 6, 2), (3, 1)),
        ((2, 5, 3, 6, 4), (-1, 1, 3)),
        ((2, 1, 4, 1, 3, 1, 4, 2), (2, 6)),
    ],
    ids=name,
)
def test_any_axes(
    shape: tuple[int, ...], axes: tuple[int, ...], op: str, rng: np.random.Generator
) -> None:
    x = random_array(rng, np.dtype(np.float32), shape, "special")
    kernel = (2, 3, 4)[: len(axes)]
    stride = (2, 1, 2)[: len(axes)]
    padding = [(1, 0), (0, 2), (1, 1)][: len(axes)]
    want = oracle.pool(x, kernel, op, axes, stride, padding, 1, True)
    for _target, threads in configurations():
        got = poolcore.pool(x, kernel, op, axes, stride, padding, ceil_mode=True, threads=threads)
        assert_same(got, want, nan_bits=op in ("avg", "sum"))


def test_default_axes_of_pool(rng: np.random.Generator) -> None:
    x = rng.random((3, 4, 5, 6))
    assert_same(poolcore.pool(x, 2), oracle.pool(x, 2, "max", (2, 3)))
    assert_same(poolcore.pool(x, (2,)), oracle.pool(x, 2, "max", (3,)))
    assert_same(poolcore.pool(x, (2, 3)), oracle.pool(x, (2, 3), "max", (2, 3)))
    assert_same(poolcore.pool(x, (2, 3, 4), "min"), oracle.pool(x, (2, 3, 4), "min", (1, 2, 3)))
    assert_same(poolcore.pool(x[0, 0, 0], 2), oracle.pool(x[0, 0, 0], 2, "max", (0,)))
    assert_same(poolcore.pool(x, 2, layout="NHWC"), oracle.pool(x, 2, "max", (1, 2)))
    assert_same(poolcore.pool(x[0], 2, layout="NCW"), oracle.pool(x[0], 2, "max", (2,)))


@pytest.mark.parametrize("mode", ["max", "min", "avg", "sum"])
@pytest.mark.parametrize("size", [1, 2, (2, 3), [3, 1], np.array([2, 2])], ids=name)
def test_pool2d(mode: str, size: Any, rng: np.random.Generator) -> None:
    for rank in (2, 3, 4):
        x = random_array(rng, np.dtype(np.float32), (2, 3, 5, 6)[4 - rank :])
        kernel = size if isinstance(size, int) else tuple(int(k) for k in size)
        want = oracle.pool(x, kernel, mode, (rank - 2, rank - 1), 1)
        assert_same(poolcore.pool2d(x, size, mode), want)
        if rank > 2:
            last = np.moveaxis(x, -3, -1)
            got = poolcore.pool2d(last, size, mode, layout="NHWC")
            assert_same(np.moveaxis(got, -1, -3), want)


def test_pool2d_defaults_to_max() -> None:
    x = np.arange(9).reshape(3, 3)
    assert poolcore.pool2d(x, (2, 2)).tolist() == [[4, 5], [7, 8]]


@pytest.mark.parametrize("op", ["max", "min", "avg", "sum"])
def test_idle_axis_beside_whole_planes(op: str, target: str, rng: np.random.Generator) -> None:
    """An axis of windows of one, the two others a window each: no plane may be forgotten."""
    for shape in ((2, 2, 2), (3, 8, 8), (4, 3, 5, 7)):
        x = rng.random(shape)
        kernel, axes = (1, *shape[-2:]), tuple(range(len(shape) - 3, len(shape)))
        want = oracle.pool(x, kernel, op, axes)
        assert_same(poolcore.pool(x, kernel, op, axes), want)


@pytest.mark.parametrize("op", ["max", "avg"])
def test_single_windows_on_lines_far_apart(op: str, target: str, rng: np.random.Generator) -> None:
    """Windows that are their axis, on crops of wider arrays."""
    crops = [
        (rng.random((9, 12, 3, 3))[..., :2], (1, 2), (0, 3)),
        (rng.random((81, 4096))[:, :80], (81, 80), (0, 1)),
        (rng.random((5, 40, 4096))[:, :, :30], (40, 30), (1, 2)),
    ]
    for x, kernel, axes in crops:
        assert_same(poolcore.pool(x, kernel, op, axes), oracle.pool(x, kernel, op, axes))


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.uint8, np.int64, np.float16], ids=name
)
@pytest.mark.parametrize("policy", ["propagate", "omit"])
def test_long_windows_run(dtype: type, policy: str, target: str, rng: np.random.Generator) -> None:
    """Extrema of many taps: more than two windows' worth, strides, edges, both layouts."""
    x = (rng.random((2, 60, 37)) * 200).astype(dtype)
    if np.issubdtype(dtype, np.floating):
        x[rng.random(x.shape) < 0.02] = np.nan
        x[rng.random(x.shape) < 0.1] = -0.0
    for k, s, p in ((9, 1, 4), (11, 2, 0), (8, 1, 7), (13, 3, 5)):
        for op in ("max", "min"):
            want = oracle.pool(x, k, op, (1, 2), s, p, nan_policy=policy)
            got = poolcore.pool(x, k, op, axes=(1, 2), stride=s, padding=p, nan_policy=policy)
            assert_same(got, want)
            last = np.ascontiguousarray(np.moveaxis(x, 0, -1))
            got = poolcore.pool(last, k, op, axes=(0, 1), stride=s, padding=p, nan_policy=policy)
            assert_same(np.moveaxis(got, -1, 0), want)


@pytest.mark.parametrize("op", ["max", "min", "sum"])
@pytest.mark.parametrize("long", [0, 1, 2])
def test_long_windows_beside_windows_without_taps(
    op: str, long: int, target: str, rng: np.random.Generator
) -> None:
    """Dilated windows that hold padding alone along one axis, and long ones along another."""
    for empty in {0, 1, 2} - {long}:
        shape, kernel, dilation, padding = [2, 4, 4, 4], [1, 1, 1], [1, 1, 1], [0, 0, 0]
        shape[1 + long], kernel[long], padding[long] = 40, 9, 4
        shape[1 + empty], kernel[empty], dilation[empty], padding[empty] = 1, 2, 3, 2
        for dtype in (np.float32, np.uint8, np.float16):
            x = (rng.random(shape) * 50).astype(dtype)
            options = (kernel, op, (1, 2, 3), 1, padding, dilation)
            assert_same(poolcore.pool(x, *options), oracle.pool(x, *options))
