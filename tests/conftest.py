"""Fixtures of the test-suite: targets, thread counts, random numbers.

Long sweeps are marked slow and left out by default: `pytest -m slow` runs them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import support


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        metafunc.parametrize("target", support.targets(), indirect=True)


def pytest_report_header() -> str:
    try:
        return f"poolcore targets: {', '.join(support.targets())}"
    except Exception as error:  # the tests themselves will say what is wrong
        return f"poolcore: {error}"


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
