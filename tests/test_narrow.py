"""Types narrower than what they are added in: small windows without packing, and what follows when
a window, a divisor, a result type or a layout is not of the easy kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oracle
import poolcore
from support import (
    BFLOAT16,
    INTEGERS,
    assert_same,
    random_array,
    targets,
    use_target,
)

HALVES = [np.dtype(np.float16), BFLOAT16]
NARROW = [np.dtype(np.bool_), *INTEGERS[:6], *HALVES]
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130]
ROUNDINGS = ["half_even", "half_up", "floor", "trunc"]


def name(value: object) -> str:
    return str(value)


def ops_of(dtype: np.dtype) -> list[tuple[str, dict[str, Any]]]:
    """Each operation with each kind of result that has a path of its own."""
    if oracle.is_float(dtype):
        wide: list[dict[str, Any]] = [{}, {"dtype": np.float32}, {"dtype": np.float64}]
        return [("max", {}), ("min", {}), *[(op, o) for op in ("sum", "avg") for o in wide]]
    kinds = [{}, {"dtype": np.float32}, {"dtype": np.uint8}, {"dtype": np.int64}]
    found: list[tuple[str, dict[str, Any]]] = [("max", {}), ("min", {})]
    found += [(op, o) for op in ("sum", "avg") for o in kinds]
    if dtype != np.bool_:
        found += [("avg", {"dtype": dtype, "rounding": r}) for r in ROUNDINGS]
    return found


def check(
    x: np.ndarray, op: str, axes: tuple[int, ...], window: tuple[Any, ...], options: dict[str, Any]
) -> None:
    want = oracle.pool(x, window[0], op, axes, *window[1:], **options)
    note = f"{op} {x.dtype}{x.shape} {axes} {window} {options}"
    for target in targets():
        with use_target(target):
            got = poolcore.pool(x, window[0], op, axes, *window[1:], **options)
            assert_same(got, want, f"{note} on {target}", nan_bits=op in ("sum", "avg"))


WINDOWS: list[tuple[Any, ...]] = [
    (2, 2),
    (3, 1, 1),
    (3, 2, 1),
    ((1, 3), (1, 2)),
    ((3, 2), (2, 1), (1, 0)),
    (2, 1, 1, (1, 2)),
]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", NARROW, ids=name)
def test_small_windows(dtype: np.dtype, width: int, rng: np.random.Generator) -> None:
    for window in WINDOWS:
        stride = window[1] if isinstance(window[1], int) else window[1][1]
        for kind in ("plain", "special") if oracle.is_float(dtype) else ("plain",):
            x = random_array(rng, dtype, (2, 5, stride * width + 2), kind)
            for op, options in ops_of(dtype):
                check(x, op, (1, 2), window, options)
                if op == "avg" and window == (3, 2, 1):
                    check(x, op, (1, 2), window, {**options, "count_include_pad": False})


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 17, 33, 64, 65])
@pytest.mark.parametrize("dtype", NARROW, ids=name)
def test_channels_last(dtype: np.dtype, channels: int, rng: np.random.Generator) -> None:
    for window in (*WINDOWS, (3, 3), (2, (1, 4)), (2, 2, 1, 2)):
        x = random_array(rng, dtype, (7, 9, channels))
        for op, options in ops_of(dtype):
            check(x, op, (0, 1), window, options)
            if op == "avg":
                check(x, op, (0, 1), window, {**options, "count_include_pad": False})


@pytest.mark.parametrize("dtype", NARROW, ids=name)
def test_one_axis_and_three(dtype: np.dtype, rng: np.random.Generator) -> None:
    line = random_array(rng, dtype, (3, 150))
    block = random_array(rng, dtype, (3, 4, 5, 70))
    for op, options in ops_of(dtype):
        for window in ((2,), (3, 1, 1), (3, 2), (3, 2, 2, 2), (1, 3)):
            check(line, op, (1,), window, options)
            check(line, op, (0,), window[:2], options)
        check(block, op, (1, 2, 3), (2, 2), options)
        check(block, op, (1, 2, 3), ((1, 3, 3), 1, (0, 1, 1)), options)


@pytest.mark.parametrize("divisor", [-3, -1, 1, 2, 7, 9, 10, 300, 2**24, 2**24 + 1, 2**40])
@pytest.mark.parametrize("dtype", NARROW[1:], ids=name)
def test_any_divisor(dtype: np.dtype, divisor: int, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, (2, 6, 80))
    x[..., :2] = 1  # no sum of zero: the sign of zero has tests of its own
    for op, options in ops_of(dtype):
        if op != "avg":
            continue
        for window in ((2, 2), (5, 3)):
            taken = np.maximum(x, np.ones((), dtype)) if divisor < 0 else x
            check(taken, op, (1, 2), window, {**options, "divisor_override": divisor})


@pytest.mark.parametrize("dtype", NARROW, ids=name)
def test_results_out_of_line(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Results that do not lie side by side, and sources that do not."""
    for shape, axes in (((2, 9, 131), (1, 2)), ((9, 11, 40), (0, 1))):
        x = random_array(rng, dtype, shape)
        for op, options in ops_of(dtype):
            want = oracle.pool(x, 3, op, axes, 2, 1, **options)
            for target in targets():
                with use_target(target):
                    room = np.zeros((*want.shape[:-1], 2 * want.shape[-1]), want.dtype)
                    poolcore.pool(x, 3, op, axes, 2, 1, out=room[..., ::2], **options)
                    assert_same(room[..., ::2].copy(), want, f"{op} {options} on {target}")
                    assert not oracle.widen(room[..., 1::2]).any()
                    for view in (x[..., ::-1], np.repeat(x, 2, axis=-1)[..., ::2]):
                        got = poolcore.pool(view, 3, op, axes, 2, 1, **options)
                        again = oracle.pool(view, 3, op, axes, 2, 1, **options)
                        assert_same(got, again, f"{op} {options} of a view on {target}")


@pytest.mark.parametrize("k", [4, 7, 8, 16, 17])
@pytest.mark.parametrize("dtype", NARROW, ids=name)
def test_larger_windows(dtype: np.dtype, k: int, rng: np.random.Generator) -> None:
    """Packed, pooled and finished, with the same divisor everywhere and with several."""
    for shape, axes in (((1, k + 3, 75), (1, 2)), ((k + 3, k + 4, 5), (0, 1))):
        x = random_array(rng, dtype, shape)
        for op, options in ops_of(dtype):
            check(x, op, axes, (k, k // 2), options)
            check(x, op, axes, (k, 1, k // 2), {**options, "ceil_mode": True})
            if op == "avg":
                more = {**options, "count_include_pad": False}
                check(x, op, axes, (k, 1, k // 2), more)


@pytest.mark.parametrize("dtype", HALVES, ids=name)
def test_omit_of_halves(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, (2, 8, 70), "special")
    for op, options in ops_of(dtype):
        for window in ((2, 2), (3, 1, 1)):
            check(x, op, (1, 2), window, {**options, "nan_policy": "omit"})
