"""Planes with rows too short for their windows, which are turned: lanes lie across planes.

Windows, planes and types that path takes, and their neighbours that it does not; on every target,
bits are the oracle's.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import oracle
import poolcore
from poolcore import _core
from support import (
    BFLOAT16,
    DTYPES,
    assert_runs,
    assert_same,
    configurations,
    function,
    random_array,
    targets,
    use_target,
)
from test_guard import guard

# kernel_size, stride, padding
WINDOWS = [
    (5, 1, 2), (5, 2, 2), (4, 2, 1), (4, 4, 0), (3, 3, 1), (7, 7, 0), (9, 1, 4), (6, 4, 3),
    (2, 2, 0), (3, 2, 1), (5, 1, "same"), ((2, 5), (1, 3), (0, 2)), ((5, 1), (2, 1), (1, 0)),
    ((1, 4), (1, 2), 0), ((9, 4), 9, 1),
]  # fmt: skip
SHAPES = [(7, 7), (10, 9), (16, 20), (9, 33), (32, 32)]
LAYOUTS = {1: "NCW", 2: "NCHW", 3: "NCDHW"}


def fits(shape: tuple[int, ...], window: Any) -> bool:
    kernel, _, padding = window
    if padding == "same":
        return True
    both = [[v] * len(shape) if isinstance(v, int) else v for v in (kernel, padding)]
    return all(n + 2 * p >= k and 2 * p <= k for n, k, p in zip(shape, *both, strict=True))


def expect(x: np.ndarray, op: str, window: Any, **how: Any) -> Any:
    kernel, stride, padding = window
    axes = tuple(range(2, x.ndim))
    return oracle.pool(x, kernel, op, axes, stride=stride, padding=padding, **how)


def path(x: np.ndarray, op: str, window: Any, out: Any = None) -> str:
    kernel, stride, padding = window
    nd = x.ndim - 2
    return _core.describe(
        f"{op}_pool{nd}d", x, kernel, stride, padding, 1, False, True, None, False, None,
        "half_even", LAYOUTS[nd], None, None, "propagate", out, 1,
    )  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(window: Any, rng: np.random.Generator) -> None:
    """NaN, infinities and zeros of both signs among them; values and indices."""
    for shape in SHAPES:
        if not fits(shape, window):
            continue
        x = random_array(rng, np.dtype(np.float32), (1, 35, *shape), "special")
        for op, policy in itertools.product(("max", "min", "sum", "avg"), ("propagate", "omit")):
            want = expect(x, op, window, nan_policy=policy)
            for target in targets():
                with use_target(target):
                    got = function(op, 2)(x, *window, nan_policy=policy)
                assert_same(got, want, f"{op} {policy} {shape} on {target}")
        for op, policy in itertools.product(("max", "min"), ("propagate", "omit")):
            wants = expect(x, op, window, nan_policy=policy, return_indices=True)
            for target in targets():
                with use_target(target):
                    gots = function(op, 2)(x, *window, return_indices=True, nan_policy=policy)
                for got, want in zip(gots, wants, strict=True):
                    assert_same(got, want, f"{op} {policy} indices {shape} on {target}")


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16], ids=str)
def test_types(dtype: np.dtype, rng: np.random.Generator) -> None:
    for shape, window in itertools.product(((7, 7), (12, 10)), WINDOWS[:7]):
        if not fits(shape, window):
            continue
        x = random_array(rng, dtype, (2, 35, *shape), "special")
        calls: list[tuple[str, dict[str, Any]]] = [
            ("max", {}), ("min", {}), ("avg", {}), ("avg", {"count_include_pad": False}),
            ("sum", {}),
        ]  # fmt: skip
        if dtype != np.bool_:
            calls.append(("avg", {"dtype": dtype}))
        for op, how in calls:
            want = expect(x, op, window, **how)
            for target in targets():
                with use_target(target):
                    got = function(op, 2)(x, *window, **how)
                assert_same(got, want, f"{op} {how} {shape} {window} on {target}")


@pytest.mark.parametrize("planes", [1, 7, 8, 15, 16, 17, 31, 33, 64, 65, 130, 1121])
def test_numbers_of_planes(planes: int, rng: np.random.Generator) -> None:
    """Blocks of all sizes: a last one of a single plane, planes that fill no vector."""
    for dtype, window in itertools.product((np.uint8, np.float32), WINDOWS[:4]):
        x = random_array(rng, np.dtype(dtype), (1, planes, 8, 9), "special")
        for op in ("max", "avg"):
            want = expect(x, op, window)
            for target, threads in configurations():
                got = function(op, 2)(x, *window, threads=threads)
                assert_same(got, want, f"{op} {window} on {target} with {threads} threads")


def test_memory_layouts(rng: np.random.Generator) -> None:
    """Planes within larger ones, every second one, and in another order; results likewise."""
    base = random_array(rng, np.dtype(np.float32), (2, 70, 14, 15), "special")
    views = {
        "crop": base[:, :40, 2:12, 3:13],
        "every second plane": base[:, ::2, :10, :10],
        "planes reversed": base[::-1, ::-1, 4:, 5:],
        "axes exchanged": base.swapaxes(0, 1)[:, :, :10, :10],
        "one row": base[:, :, 3:4, :10],
        "columns reversed": base[..., ::-1],
        "a plane repeated": np.broadcast_to(base[:1, :1, :10, :10], (2, 40, 10, 10)),
        "row repeated": np.broadcast_to(base[:, :, :1, :10], (2, 70, 10, 10)),
    }
    for name, x in views.items():
        for window in ((5, 2, 2), (5, 1, 2), ((1, 5), (1, 2), (0, 2))):
            if not fits(x.shape[2:], window):
                continue
            want = expect(np.ascontiguousarray(x), "avg", window)
            assert_same(poolcore.avg_pool2d(x, *window), want, f"{name} {window}")
            large = np.full((*want.shape[:2], want.shape[2] + 3, 2 * want.shape[3]), 7, np.float32)
            for out in (large[:, :, 1:-2, ::2], large[:, :, 1:-2, : want.shape[3]]):
                large[...] = 7
                poolcore.avg_pool2d(x, *window, out=out)
                assert_same(out.copy(), want, f"{name} {window} out")
                untouched = large.size - want.size
                assert (large == 7).sum() >= untouched


def test_other_dimensions(rng: np.random.Generator) -> None:
    line = random_array(rng, np.dtype(np.uint16), (3, 50, 23))
    assert path(line, "max", (5, 2, 2)).startswith("path=turned")
    assert_same(poolcore.max_pool1d(line, 5, 2, 2), expect(line, "max", (5, 2, 2)))
    volume = random_array(rng, np.dtype(np.float32), (2, 20, 5, 6, 7), "special")
    for window in ((3, 3, 1), (5, 2, 2), ((1, 5, 4), (1, 1, 2), (0, 2, 1)), ((5, 1, 3), 3, 0)):
        for op in ("max", "avg"):
            want = expect(volume, op, window)
            for target in targets():
                with use_target(target):
                    assert_same(function(op, 3)(volume, *window), want, f"{op} {window} {target}")
        got = poolcore.max_pool3d(volume, *window, return_indices=True)
        for a, b in zip(got, expect(volume, "max", window, return_indices=True), strict=True):
            assert_same(a, b, f"indices {window}")


def test_dilation(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (1, 40, 17, 18), "special")
    for op, dilation in itertools.product(("max", "sum"), (2, 3)):
        want = oracle.pool(x, 4, op, (2, 3), stride=2, padding=2, dilation=dilation)
        assert_same(function(op, 2)(x, 4, 2, 2, dilation=dilation), want, f"{op} {dilation}")


def test_describe_names_the_path() -> None:
    x = np.ones((1, 64, 14, 14), np.float32)
    turned = ["max", "avg"]
    for op, target in itertools.product(turned, targets()):
        with use_target(target):
            found = path(x, op, (5, 2, 2))
        assert found.startswith("path=box" if target == "scalar" else "path=turned"), found
    assert path(x[:, :3], "max", (5, 2, 2)).startswith("path=box")  # too few planes
    assert path(x[..., ::2], "max", (5, 2, 2)).startswith("path=box")
    wide = np.ones((1, 64, 200, 200), np.float32)
    assert path(wide, "max", (5, 2, 2)).startswith("path=box")


RANDOM = """
import oracle
for turn in range({count}):
    dtype = support.DTYPES[rng.integers(len(support.DTYPES))]
    shape = (1, int(rng.integers(4, 80)), *(int(v) for v in rng.integers(3, 14, 2)))
    kernel = tuple(int(v) for v in rng.integers(1, 8, 2))
    stride = tuple(int(v) for v in rng.integers(1, 6, 2))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    if any(n + 2 * p < k for n, p, k in zip(shape[2:], padding, kernel)): continue
    if int(np.prod(shape)) * dtype.itemsize > inputs.size: continue
    x = inputs.place(shape, dtype, bool(rng.integers(2)))
    x[...] = support.random_array(rng, dtype, shape, 'special')
    op = ('max', 'min', 'sum')[rng.integers(3)]
    want = oracle.pool(np.array(x), kernel, op, (2, 3), stride=stride, padding=padding)
    if want.nbytes > outputs.size: continue
    out = outputs.place(want.shape, want.dtype, bool(rng.integers(2)))
    with support.use_target(support.targets()[rng.integers(len(support.targets()))]):
        support.function(op, 2)(x, kernel, stride, padding, out=out)
    support.assert_same(out.copy(), want, str((shape, dtype, op, kernel, stride, padding)))
    checked += 1
assert checked > {count} // 2, checked
"""


@pytest.mark.failure(22)
@pytest.mark.parametrize("seed", [1, 2])
def test_between_guard_pages(seed: int) -> None:
    assert_runs(guard(seed, 16) + RANDOM.format(count=1200), timeout=100)
