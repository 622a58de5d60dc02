"""Threads: ours inside a call, Python's around it; interrupts, forks, settings."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import poolcore
from support import (
    OPS,
    assert_runs,
    assert_same,
    function,
    random_array,
    run_python,
    targets,
    use_target,
)


@pytest.mark.failure(33)
def test_large_arrays_on_any_number_of_threads(target: str, rng: np.random.Generator) -> None:
    """Enough work for every thread, in shapes that split in different ways."""
    for shape in ((1, 1, 700, 900), (64, 32, 28, 28), (3, 5, 7, 20000), (1, 700, 900, 1)):
        x = random_array(rng, np.dtype(np.float32), shape, "special")
        for op in OPS:
            kernel, stride = ((3, 3), (2, 2)) if shape[-1] > 1 else ((3, 1), (2, 1))
            want = function(op, 2)(x, kernel, stride, threads=1)
            for threads in (2, 3, 7, 64):
                got = function(op, 2)(x, kernel, stride, threads=threads)
                assert_same(got, want, f"{op} {shape} {threads}", nan_bits=True)


def test_large_arrays_agree_with_numpy(target: str, rng: np.random.Generator) -> None:
    x = rng.integers(-1000, 1000, (2, 16, 256, 258)).astype(np.float32)
    blocks = x.reshape(2, 16, 128, 2, 129, 2)
    for threads in (1, 2, 7):
        assert_same(poolcore.max_pool2d(x, 2, threads=threads), blocks.max(axis=(3, 5)))
        assert_same(poolcore.min_pool2d(x, 2, threads=threads), blocks.min(axis=(3, 5)))
        assert_same(poolcore.sum_pool2d(x, 2, threads=threads), blocks.sum(axis=(3, 5)))
        assert_same(poolcore.avg_pool2d(x, 2, threads=threads), blocks.mean(axis=(3, 5)))


def test_the_lock_is_released() -> None:
    """While a long call runs, another Python thread counts; it would stand still otherwise."""
    x = np.broadcast_to(np.float32(1), (2**12, 2**10, 2**10))
    running, counts = threading.Event(), []

    def count() -> None:
        n = 0
        while running.is_set():
            n += 1
            if n % 1000 == 0:
                counts.append(n)

    running.set()
    thread = threading.Thread(target=count)
    thread.start()
    try:
        seen = len(counts)
        poolcore.pool(x, (2**10, 2**10), "sum", threads=1)
        progress = len(counts) - seen
    finally:
        running.clear()
        thread.join(30)
    assert progress > 2, progress


INTERRUPT = """
import faulthandler, os, signal, sys, threading, time
import numpy as np
import poolcore
faulthandler.dump_traceback_later(50, exit=True)
x = np.broadcast_to(np.float32(1), {shape})
sent = []

def send():
    time.sleep(0.4)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # may come ignored from the shell
small = np.arange(64.0).reshape(1, 1, 8, 8)
want = poolcore.max_pool2d(small, 2)
threading.Thread(target=send, daemon=True).start()
try:
    poolcore.pool(x, {kernel}, {op!r}, threads={threads}{more})
except KeyboardInterrupt:
    late = time.monotonic() - sent[0]
    print(late)
else:
    raise SystemExit('ran to the end: the call was too short')
assert (poolcore.max_pool2d(small, 2) == want).all()
big = np.ones((8, 64, 128, 128), np.float32)
assert (poolcore.avg_pool2d(big, 2, threads={threads}) == 1).all()
"""
MANY = ((2**20, 2**10, 2**10), (2**10, 2**10))
INTERRUPTED = {
    "many windows, max": (*MANY, "max", ""),
    "many windows, avg": (*MANY, "avg", ""),
    "many windows, indices": (*MANY, "max", ", return_indices=True"),
    "many windows, omit": (*MANY, "avg", ", nan_policy='omit'"),
    "one huge window": ((2**20, 2**21), (2**20, 2**21), "sum", ""),
    "one huge window, max": ((2**20, 2**21), (2**20, 2**21), "max", ""),
    "one long row": ((2**42,), (2**42,), "max", ""),
    "one long row, sum": ((2**42,), (2**42,), "sum", ""),
    "a scan for NaN": ((2**20, 2**21), (1, 1), "max", ", stride=2**20, nan_policy='raise'"),
    "axes that are not the last": (
        (2**10, 2**10, 2**20), (2**10, 2**10), "max", ", axes=(0, 1)"
    ),
}  # fmt: skip


@pytest.mark.failure(35)
@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("what", sorted(INTERRUPTED))
def test_ctrl_c(what: str, threads: int) -> None:
    """KeyboardInterrupt within a fifth of a second, and the next call is right."""
    shape, kernel, op, more = INTERRUPTED[what]
    code = INTERRUPT.format(shape=shape, kernel=kernel, op=op, threads=threads, more=more)
    late = [float(assert_runs(code, timeout=60))]
    while late[-1] >= 0.2 and len(late) < 3:  # a busy machine
        late.append(float(assert_runs(code, timeout=60)))
    assert late[-1] < 0.2, late


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_a_signal_handler_that_returns_does_not_stop_the_call() -> None:
    assert_runs(
        "import os, signal, threading, time\n"
        "import numpy as np, poolcore\n"
        "seen = []\n"
        "signal.signal(signal.SIGUSR1, lambda *a: seen.append(1))\n"
        "x = np.broadcast_to(np.float32(1), (2**13, 2**10, 2**10))\n"
        "def send():\n"
        "    for _ in range(5):\n"
        "        time.sleep(0.05); os.kill(os.getpid(), signal.SIGUSR1)\n"
        "t = threading.Thread(target=send); t.start()\n"
        "got = poolcore.pool(x, (2**10, 2**10), 'sum', threads=2)\n"
        "assert (got == 2**20).all(); t.join(); assert seen\n"
    )


REENTERED = """
import signal
import numpy as np, poolcore
x = np.random.default_rng(0).random((8, 4, 256, 256), dtype=np.float32)
labels = (x * 9).astype(np.uint8)
ones = np.ones((2, 4, 250, 250), np.float32)
CALLS = {{
    "huge": lambda: poolcore.pool(x, (8, 4, 256), "max", axes=(0, 1, 2), threads={threads}),
    "lp": lambda: poolcore.lp_pool2d(x, 2.5, 7, 1, threads={threads}),
    "median": lambda: poolcore.median_pool2d(x, 7, 1, threads={threads}),
    "mode": lambda: poolcore.mode_pool2d(labels, 7, 1, threads={threads}),
}}

kernels = iter(range(65, 249, 8))

def handler(*_):
    kernel = next(kernels)  # larger from time to time, and the scratch with it
    assert (poolcore.median_pool2d(ones, kernel, 60) == 1).all()
    assert (poolcore.mode_pool2d(ones.astype(np.uint8), kernel, 60) == 1).all()
    assert (poolcore.avg_pool2d(ones, kernel, 1) == 1).all()
    assert poolcore.avg_pool2d_backward(ones, (2, 4, 256, 256), 7, 1).max() > 0.99
    handled.append(1)

signal.signal(signal.SIGALRM, handler)
for name, call in CALLS.items():
    got = []
    for after in (0.002, 0.005, 0.01):
        handled = []
        signal.setitimer(signal.ITIMER_REAL, after)
        while not handled:
            got.append(call())
    want = call()
    assert all(np.array_equal(g, want) for g in got), f"{{name}}, in which others were made"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_handler_that_pools(threads: int) -> None:
    """A call that a handler makes in the middle of another has memory of its own."""
    unmap = {"MALLOC_MMAP_THRESHOLD_": "4096"}  # memory that is freed too early is gone at once
    assert_runs(REENTERED.format(threads=threads), env=unmap)


def test_set_and_get() -> None:
    before = poolcore.get_num_threads()
    assert before >= 1
    try:
        for n in (1, 3, np.int64(2)):
            assert poolcore.set_num_threads(n) is None
            assert poolcore.get_num_threads() == n
        with poolcore.num_threads(5):
            assert poolcore.get_num_threads() == 5
            with poolcore.num_threads(1):
                assert poolcore.get_num_threads() == 1
            assert poolcore.get_num_threads() == 5
        assert poolcore.get_num_threads() == 2
        with pytest.raises(KeyError), poolcore.num_threads(4):
            raise KeyError
        assert poolcore.get_num_threads() == 2
    finally:
        poolcore.set_num_threads(before)


@pytest.mark.parametrize("bad", [0, -1, 2**63, 2**100])
def test_bad_thread_counts(bad: int) -> None:
    before = poolcore.get_num_threads()
    for setter in (poolcore.set_num_threads, lambda n: poolcore.num_threads(n).__enter__()):
        with pytest.raises(ValueError, match=str(bad)):
            setter(bad)
    assert poolcore.get_num_threads() == before


@pytest.mark.parametrize("bad", [True, 1.5, None, "2", [1], float("nan")])
def test_thread_counts_that_are_no_integers(bad: Any) -> None:
    for setter in (poolcore.set_num_threads, lambda n: poolcore.num_threads(n).__enter__()):
        with pytest.raises(TypeError, match="num_threads"):
            setter(bad)


def test_environment_sets_the_number_of_threads() -> None:
    code = "import poolcore; print(poolcore.get_num_threads())"
    for n in (1, 3):
        assert assert_runs(code, env={"POOLCORE_NUM_THREADS": str(n)}).strip() == str(n)
    # nonsense is named, not guessed around
    use = "import numpy, poolcore; poolcore.max_pool1d(numpy.ones((1, 2)), 2)"
    for text in ("0", "-1", "1.5", "many", "9" * 30):
        done = run_python(use, env={"POOLCORE_NUM_THREADS": text})
        assert done.returncode == 1, text
        assert "POOLCORE_NUM_THREADS" in done.stderr, (text, done.stderr)


@pytest.mark.failure(37)
def test_environment_names_the_target() -> None:
    code = (
        "import numpy, poolcore\n"
        "from poolcore import _core\n"
        "assert poolcore.max_pool1d(numpy.ones((1, 2)), 2) == 1\n"
        "print(_core.target_in_use())\n"
    )
    for name in targets():
        assert assert_runs(code, env={"POOLCORE_TARGET": name}).strip() == name
    missing = [name for name in ("x86-64-v4", "neon") if name not in targets()]
    assert missing  # no CPU has both
    for text in ("nonsense", "x86-64-v9", *missing):
        done = run_python(code, env={"POOLCORE_TARGET": text})
        assert done.returncode == 1, text
        assert "POOLCORE_TARGET" in done.stderr, (text, done.stderr)
        assert "Error" in done.stderr
        assert "scalar" in done.stderr


def test_switching_targets() -> None:
    from poolcore import _core

    before = _core.target_in_use()
    for name in targets():
        with use_target(name):
            assert _core.target_in_use() == name
    assert _core.target_in_use() == before
    with pytest.raises(ValueError, match="nonsense"):
        _core.set_target("nonsense")
    assert _core.target_in_use() == before


@pytest.mark.failure(34)
@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_fork() -> None:
    """A warm pool, then fork: parent, child and grandchild all pool on."""
    assert_runs(
        "import os, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "import numpy as np, poolcore\n"
        "x = np.random.default_rng(0).random((8, 32, 64, 64), dtype=np.float32)\n"
        "def run(): return poolcore.avg_pool2d(x, 2, threads=4)\n"
        "want = run()\n"
        "def check(): assert (run() == want).all()\n"
        "for _ in range(20):\n"
        "    check()\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        check(); inner = os.fork()\n"
        "        if inner == 0:\n"
        "            check(); os._exit(0)\n"
        "        os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n",
        timeout=60,
    )


@pytest.mark.failure(36)
def test_exit_with_a_thread_inside_a_call() -> None:
    code = (
        "import threading, time, numpy as np, poolcore\n"
        "x = np.broadcast_to(np.float32(1), (2**20, 2**10, 2**10))\n"
        "run = lambda: poolcore.pool(x, (2**10, 2**10), threads=2)\n"
        "threading.Thread(target=run, daemon=True).start()\n"
        "time.sleep(0.3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
