"""What the process around a call may do to it: no memory, no threads, small stacks, its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from support import assert_runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="written for Linux's limits")

CALLS = """
import ctypes, sys
import numpy as np, poolcore
rng = np.random.default_rng(0)
x = rng.random((2, 3, 20, 20), dtype=np.float32)
large = rng.random((4, 16, 96, 96), dtype=np.float32)
where = poolcore.max_pool2d(x, 2, return_indices=True)[1]
boxes = np.array([[1, 2.5, 0, 15, 19], [0, -3, 4, 30, 9.5]])
def out(): return np.full((2, 3, 10, 10), 7, np.float32)
CALLS = [
    lambda o: poolcore.max_pool2d(x, 2, out=o),
    lambda o: poolcore.max_pool2d(x[:, :, ::-1], 2, out=o),
    lambda o: poolcore.avg_pool2d(x, 3, 2, 1, out=o),
    lambda o: poolcore.min_pool2d(x, 11, 1, nan_policy="omit", out=o),
    lambda o: poolcore.adaptive_avg_pool2d(x, 10, out=o),
    lambda o: poolcore.median_pool2d(x, 2, out=o),
    lambda o: poolcore.pool(x, (2, 2), "sum", axes=(2, 3), out=o),
    lambda o: poolcore.max_pool2d(x, 2, return_indices=True),
    lambda o: poolcore.max_unpool2d(o, where, 2),
    lambda o: poolcore.max_unpool2d_backward(x, where, where.shape, out=o),
    lambda o: poolcore.max_pool2d_backward(o, where, x.shape),
    lambda o: poolcore.avg_pool2d_backward(o, x.shape, 2),
    lambda o: poolcore.adaptive_avg_pool2d_backward(o, x.shape),
    lambda o: poolcore.pyramid(x, 2),
    lambda o: poolcore.roi_pool(x, boxes, 10, out=o),
    lambda o: poolcore.roi_align(x, boxes, 10, out=o),
    lambda o: poolcore.roi_align_backward(o, boxes, x.shape),
    lambda o: poolcore.avg_pool2d(large, 3, threads=3),
    lambda o: poolcore.max_pool2d(large, 31, 1, threads=3),
]
def same(a, b):
    pairs = zip(a, b) if isinstance(a, (tuple, list)) else [(a, b)]
    return all(np.array_equal(p, q) for p, q in pairs)
"""


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """fail_nth.c as a library to be loaded first."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("a sanitizer has its own allocator")
    library = tmp_path_factory.mktemp("shim") / "fail_nth.so"
    source = Path(__file__).with_name("fail_nth.c")
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no shared library can be built: {done.stderr.decode()[:200]}")
    return str(library)


EVERY = f"""
import ctypes, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import calls
CALLS = calls.every()
shim = ctypes.CDLL(None)
"""
# NumPy 2.4 and Python 3.11 lose their own MemoryError in some places, as these errors.
FAIL_EACH = """
count = ctypes.c_long.in_dll(shim, "fail_nth_allocation")
want = got = options = error = left = None
refused = 0
sys.unraisablehook = lambda _: None  # generators that end without memory for it
for call in CALLS[{part}::{parts}]:
    want = call.run()
    for n in range(2000):
        options, error = call.options(want), None
        count.value = n
        try:
            got = call.run(**options)
        except (MemoryError, SystemError, RuntimeError) as caught:
            error = caught
        left, count.value = count.value, -1
        what = f"{{call.name}}, allocation {{n}}: {{error!r}}"
        if error is None:
            assert calls.same(got, want), what
        else:
            refused += 1
            assert left < 0, what
            assert call.in_python or isinstance(error, MemoryError), what
            outs = (a for out in options.values() for a in calls.parts(out))
            untouched = all((a == 1).all() for a in outs)
            assert untouched or call.in_python, what + ", out is written"
        if left >= 0:
            break
    else:
        raise AssertionError(f"{{call.name}} allocates without end")
    assert calls.same(call.run(**call.options(want)), want), call.name
assert len(CALLS) > 250
print(refused)
"""


@pytest.mark.failure(15, 32)
@pytest.mark.parametrize("part", range(4))
def test_every_allocation_may_fail(shim: str, part: int) -> None:
    """MemoryError or the result, `out` untouched, and the next call is right."""
    env = {"LD_PRELOAD": shim, "PYTHONMALLOC": "malloc", "POOLCORE_NUM_THREADS": "1"}
    code = EVERY + FAIL_EACH.format(part=part, parts=4)
    assert int(assert_runs(code, env=env, timeout=120)) > 500


# The threads of a forked child are new, so they have no scratch yet.
FAIL_IN_CHILDREN = """
import os
count = ctypes.c_long.in_dll(shim, "fail_nth_allocation")
def attempt(call, want, n):
    options, got, refused = call.options(want), None, False
    count.value = n
    try:
        got = call.run(**options)
    except MemoryError:
        refused = True
    left, count.value = count.value, -1
    right = not refused and calls.same(got, want)
    untouched = all((a == 1).all() for out in options.values() for a in calls.parts(out))
    if not (right or refused and untouched):
        return 1
    return 3 if left >= 0 else 2
ended = 0
for call in CALLS:
    if call.threads == 1 or not call.takes_out:
        continue
    want = call.run()
    for n in range(200):
        child = os.fork()
        if child == 0:
            os._exit(attempt(call, want, n))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (2, 3), f"{call.name}, allocation {n}: {status}"
        ended += 1
        if status == 3:
            break
    else:
        raise AssertionError(f"{call.name} allocates without end")
print(ended)
"""


@pytest.mark.failure(15)
def test_memory_may_end_for_one_thread_of_several(shim: str) -> None:
    """The other threads do its tasks, or `out` is untouched."""
    env = {"LD_PRELOAD": shim, "PYTHONMALLOC": "malloc"}
    assert int(assert_runs(EVERY + FAIL_IN_CHILDREN, env=env, timeout=240)) > 200


@pytest.mark.failure(15, 38)
def test_threads_that_cannot_start(shim: str) -> None:
    assert_runs(
        EVERY + "failing = ctypes.c_int.in_dll(shim, 'fail_threads')\n"
        "failing.value = 1\n"
        "alone = [call.run() for call in CALLS]\n"
        "failing.value = 0\n"
        "for call, a in zip(CALLS, alone): assert calls.same(call.run(), a), call.name\n",
        env={"LD_PRELOAD": shim},
    )


@pytest.mark.failure(15)
def test_an_address_space_that_is_full() -> None:
    assert_runs(
        CALLS + "import resource\n"
        "for call in CALLS: call(out())\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + 2**25,) * 2)\n"
        "vast = np.broadcast_to(np.float32(1), (1, 1, 2**15, 2**15))\n"
        "for op in ('max', 'avg', 'sum'):\n"
        "    try: poolcore.pool(vast, (1, 1), op, axes=(2, 3), stride=1)\n"
        "    except MemoryError: continue\n"
        "    raise AssertionError(op)\n"
        "for call in CALLS: call(out())\n"
    )


DIGEST = (
    EVERY
    + """
import hashlib
digest = hashlib.sha256()
for call in CALLS:
    for array in calls.parts(call.run()):
        digest.update(array.tobytes())
print(digest.hexdigest())
"""
)


@pytest.mark.failure(23)
@pytest.mark.parametrize("perturb", ["1", "254"])
def test_fresh_memory_of_any_content(perturb: str) -> None:
    """Nothing of a result is what malloc left there."""
    plain = assert_runs(DIGEST, env={"PYTHONMALLOC": "malloc"})
    assert assert_runs(DIGEST, env={"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": perturb}) == plain


def _under(wrapper: list[str]) -> str:
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", DIGEST],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.failure(38)
def test_small_stacks() -> None:
    """Workers inherit the limit as the size of their stacks."""
    small = ["sh", "-c", 'ulimit -S -s 128 && exec "$@"', "sh"]
    assert _under(small) == _under([])


@pytest.mark.failure(38)
@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
def test_one_cpu_by_affinity() -> None:
    assert _under(["taskset", "-c", str(min(os.sched_getaffinity(0)))]) == _under([])


@pytest.mark.failure(36)
@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a global lock"
)
def test_free_threaded_python_stays_so() -> None:
    assert_runs("import sys, poolcore\nassert not sys._is_gil_enabled()")


@pytest.mark.failure(36)
def test_a_sub_interpreter_is_refused() -> None:
    """There pybind11 waits for ever before Python 3.12."""
    assert_runs(
        "import sys\n"
        "name = '_interpreters' if sys.version_info >= (3, 13) else '_xxsubinterpreters'\n"
        "interpreters = __import__(name)\n"
        "other = interpreters.create()\n"
        "code = '''\n"
        "import warnings; warnings.simplefilter('ignore')\n"
        "try: import poolcore\n"
        "except ImportError as error: assert 'interpreter' in str(error), error\n"
        "else: raise AssertionError\n"
        "'''\n"
        "try: assert not interpreters.run_string(other, code)\n"
        "finally: interpreters.destroy(other)\n"
    )


@pytest.mark.failure(36)
@pytest.mark.slow
def test_two_hundred_starts_and_ends() -> None:
    for _ in range(200):
        assert_runs(CALLS + "CALLS[-1](None)\n")


@pytest.mark.failure(32)
@pytest.mark.slow
def test_a_million_calls() -> None:
    assert_runs(
        CALLS + "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "o = out()\n"
        "def some(n):\n"
        "    for _ in range(n):\n"
        "        poolcore.max_pool2d(x, 2, out=o)\n"
        "        try: poolcore.max_pool2d(x, 0)\n"
        "        except ValueError: pass\n"
        "some(10**4); before = resident(); some(10**6)\n"
        "assert resident() - before < 2**20, resident() - before\n",
        timeout=600,
    )


@pytest.mark.failure(34)
@pytest.mark.slow
def test_a_hundred_forks_beside_running_calls() -> None:
    assert_runs(
        CALLS + "import os, threading, time, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "stop = False\n"
        "def work():\n"
        "    while not stop: poolcore.max_pool2d(large, 3, threads=3)\n"
        "worker = threading.Thread(target=work); worker.start()\n"
        "want = poolcore.avg_pool2d(large, 2, threads=3)\n"
        "for _ in range(100):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        start = time.monotonic()\n"
        "        ok = (poolcore.avg_pool2d(large, 2, threads=3) == want).all()\n"
        "        os._exit(0 if ok and time.monotonic() - start < 1 else 1)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
        "stop = True; worker.join()\n",
        timeout=180,
    )
