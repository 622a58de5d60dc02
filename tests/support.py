"""What the test files share: element types, random data, bit comparison, calls by name.

Holds no expectation of its own: those live in oracle.py and in the tests.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

import oracle

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype(np.float16), BFLOAT16, np.dtype(np.float32), np.dtype(np.float64)]
INTEGERS = [np.dtype(f"{sign}int{bits}") for bits in (8, 16, 32, 64) for sign in ("", "u")]
DTYPES = [np.dtype(np.bool_), *INTEGERS, *FLOATS]
OPS = ("max", "min", "avg", "sum")
THREADS = (1, 2, 7)

_UINT = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def bits(x: np.ndarray) -> np.ndarray:
    """The bit patterns of x as unsigned integers."""
    return np.ascontiguousarray(x).view(_UINT[x.dtype.itemsize])


def is_nan(x: np.ndarray) -> np.ndarray:
    return np.isnan(oracle.widen(x)) if oracle.is_float(x.dtype) else np.zeros(x.shape, bool)


def assert_same(got: Any, want: np.ndarray, note: str = "", *, nan_bits: bool = False) -> None:
    """Same type, shape and bits; a NaN matches any NaN unless nan_bits."""
    assert type(got) is np.ndarray, f"{note}: {type(got)}"
    assert got.dtype == want.dtype, f"{note}: dtype {got.dtype}, expected {want.dtype}"
    assert got.shape == want.shape, f"{note}: shape {got.shape}, expected {want.shape}"
    equal = (bits(got) == bits(want)).reshape(want.shape)
    if oracle.is_float(want.dtype) and not nan_bits:
        equal = equal | (is_nan(got) & is_nan(want))
    if not equal.all():
        where = tuple(int(i) for i in np.argwhere(~equal)[0])
        raise AssertionError(
            f"{note}: {int((~equal).sum())} of {equal.size} differ, first at {where}: "
            f"got {got[where]!r}, expected {want[where]!r}"
        )


def targets() -> list[str]:
    """Every instruction-set target that is built in and that this CPU can run."""
    from poolcore import _core

    supported = set(_core.targets_supported())
    return [name for name in _core.targets_built() if name in supported]


@contextlib.contextmanager
def use_target(name: str) -> Iterator[None]:
    from poolcore import _core

    before = _core.target_in_use()
    _core.set_target(name)
    try:
        yield
    finally:
        _core.set_target(before)


def configurations() -> Iterator[tuple[str, int]]:
    """Runs the loop body on every target with every thread count: yields (target, threads)."""
    for name in targets():
        with use_target(name):
            for threads in THREADS:
                yield name, threads


def function(op: str, nd: int) -> Any:
    """The public function, such as max_pool2d."""
    import poolcore

    return getattr(poolcore, f"{op}_pool{nd}d")


def random_array(
    rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...], kind: str = "plain"
) -> np.ndarray:
    """Data with full range, ties and signed zeros; kind "special" adds NaN and infinities."""
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, size=shape, dtype=dtype, endpoint=True)
        few = rng.integers(0, 4, size=shape).astype(dtype)
        edge = rng.choice(np.array([info.min, info.max], dtype), size=shape)
        pick = rng.random(shape)
        return np.where(pick < 0.5, x, np.where(pick < 0.8, few, edge))
    x = rng.standard_normal(shape) * 2.0 ** rng.integers(-6, 7, size=shape)
    pick = rng.random(shape)
    x = np.where(pick < 0.2, np.round(x), x)
    x = np.where(pick < 0.1, np.where(rng.random(shape) < 0.5, -0.0, 0.0), x)
    if kind == "special":
        pick = rng.random(shape)
        x = np.where(pick < 0.06, np.nan, x)
        x = np.where((pick > 0.9) & (pick < 0.95), np.inf, x)
        x = np.where(pick > 0.95, -np.inf, x)
    return oracle.narrow_to(np.asarray(x, np.float64), dtype)


def run_python(
    code: str, *, timeout: float = 60, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a fresh interpreter; a hang is a failure (TimeoutExpired)."""
    full = {**os.environ, "PYTHONFAULTHANDLER": "1", **(env or {})}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=full,
        check=False,
    )


def assert_runs(code: str, *, timeout: float = 60, env: dict[str, str] | None = None) -> str:
    """As run_python, and the code must end without an error; returns what it printed."""
    done = run_python(code, timeout=timeout, env=env)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
