"""Calls of every kind from many Python threads at once, each compared with the same call alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import calls
import poolcore

THREADS = 16


@pytest.fixture
def settings_that_change() -> Iterator[None]:
    """A thread that sets another number of threads all the while."""
    before = poolcore.get_num_threads()
    stop = threading.Event()

    def meddle() -> None:
        n = 0
        while not stop.wait(0.0001):
            n += 1
            poolcore.set_num_threads(1 + n % 5)

    thread = threading.Thread(target=meddle)
    thread.start()
    yield
    stop.set()
    thread.join(30)
    poolcore.set_num_threads(before)


@pytest.mark.failure(33)
@pytest.mark.parametrize("each", [200, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("settings_that_change")
def test_sixteen_python_threads(each: int) -> None:
    every = calls.every()
    alone = [call.run() for call in every]
    barrier = threading.Barrier(THREADS)

    def work(seed: int) -> int:
        order = np.random.default_rng(seed)
        barrier.wait(30)
        for at in order.integers(len(every), size=each):
            assert calls.same(every[at].run(), alone[at]), every[at].name
        return each

    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(work, seed) for seed in range(THREADS)]
        assert sum(d.result(900) for d in done) == THREADS * each
