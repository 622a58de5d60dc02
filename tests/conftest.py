"""Fixtures of the test-suite: targets, thread counts, random numbers; the allocator of its arrays.

Arrays that tests make lie between guard pages (guarded.py) wherever that can be.
Long sweeps are marked slow and left out by default: `pytest -m slow` runs them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import guarded
import support

GUARDED = guarded.start()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        metafunc.parametrize("target", support.targets(), indirect=True)


def pytest_report_header() -> str:
    try:
        pages = "between guard pages" if GUARDED else "unguarded"
        return f"poolcore targets: {', '.join(support.targets())}; arrays {pages}"
    except Exception as error:  # the tests themselves will say what is wrong
        return f"poolcore: {error}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if GUARDED:
        terminalreporter.write_line(f"{guarded.arrays():,} arrays lay between guard pages")


@pytest.fixture
def target(request: Any) -> Iterator[str]:
    """Each built and supported target in turn, in use while the test runs."""
    with support.use_target(request.param):
        yield request.param


@pytest.fixture(params=support.THREADS, ids=lambda n: f"{n}threads")
def threads(request: Any) -> int:
    """Each thread count in turn, for the threads= argument."""
    return int(request.param)


@pytest.fixture
def rng(request: Any) -> np.random.Generator:
    """Random numbers that depend on the test's name only."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
