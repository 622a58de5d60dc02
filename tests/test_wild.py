"""Arguments from the far ends of 64 bits, in child processes with a time and a memory limit.

Either the answer has the oracle's shape, or the call is refused: with ValueError when it is
illegal or leaves 64 bits, with MemoryError when the result is larger than memory.
"""

from __future__ import annotations

import pytest

from support import assert_runs

PRELUDE = """
import faulthandler, math, random, sys
sys.path.insert(0, {tests!r})
faulthandler.enable()
faulthandler.dump_traceback_later({limit}, exit=True)
import numpy as np
import poolcore
import matrix, oracle
np.ones(10) @ np.ones(10)
matrix.limit_memory()
TOP = 2**63 - 1
"""

RANDOM = """
WILD = [-TOP - 1, -2**32, -1, 0, 1, 2, 3, 5, 7, 8, 9, 1000, 2**16, 2**31 - 1, 2**31, 2**31 + 1,
        2**32 - 1, 2**32, 2**32 + 1, 2**40, 2**61, 2**62, TOP // 3, TOP // 2, TOP // 2 + 1, TOP - 8,
        TOP - 1, TOP]
rng = random.Random({seed})

def pick(positive):
    r = rng.random()
    if r < 0.55:
        return rng.randint(1 if positive else 0, 4)
    return rng.choice(WILD if r < 0.65 else WILD[4:])

counts = dict(result=0, refused=0, memory=0)
for _ in range({count}):
    nd = rng.randint(1, 3)
    op = rng.choice(["max", "min", "avg", "sum"])
    shape = [rng.randint(1, 9) for _ in range(nd)]
    k, s, d = ([pick(True) for _ in range(nd)] for _ in range(3))
    effective = [d[i] * (k[i] - 1) + 1 for i in range(nd)]
    pads = [tuple(rng.choice([pick(False), effective[i] // 2, effective[i] - 1, 0]) for _ in "lh")
            for i in range(nd)]
    if rng.random() < 0.2:
        pads = rng.choice(["same", "same_lower", "valid"])
    ceil = rng.random() < 0.5
    include = rng.random() < 0.5
    dtype = rng.choice(["float32", "float64", "int8", "int64"])
    x = np.ones(shape, dtype)
    wide = any(not -TOP - 1 <= p <= TOP for pair in pads if not isinstance(pads, str) for p in pair)
    try:
        axes = [oracle.axis_geometry(shape[i], k[i], s[i], d[i],
                                     pads if isinstance(pads, str) else pads[i], ceil)
                for i in range(nd)]
    except ValueError:
        axes = None
    what = (op, shape, k, s, d, pads, ceil, include, dtype)
    if axes:
        size = math.prod(a.o for a in axes)
        if 2**18 < size < 2**32:
            continue
        leaves_64_bits = wide or any(
            max(a.d * (a.k - 1) + 1, a.n + a.lo + a.hi, a.o * a.s) > TOP for a in axes
        ) or math.prod(a.k for a in axes) > TOP or size * 8 > TOP
    options = dict(count_include_pad=include) if op == "avg" else {{}}
    try:
        got = poolcore.pool(x, tuple(k), op, None, tuple(s), pads, tuple(d), ceil, **options)
    except ValueError as error:
        assert axes is None or leaves_64_bits, (what, str(error))
        assert str(error).startswith("pool: "), error
        counts["refused"] += 1
    except MemoryError:
        assert axes and size >= 2**32, what
        counts["memory"] += 1
    else:
        assert axes, what
        assert got.shape == tuple(a.o for a in axes), (what, got.shape)
        if op == "max":
            low = -np.inf if dtype.startswith("f") else np.iinfo(dtype).min
            assert set(np.unique(got).tolist()) <= {{1, low}}, (what, got)
        counts["result"] += 1
print(counts)
assert min(counts["result"], counts["refused"]) > {count} // 20, counts
"""

ONE_BY_ONE = {
    "stride 2**63-1": "assert poolcore.pool(np.arange(9), (2,), stride=TOP).tolist() == [1]",
    "stride 2**63-1, ceil": (
        "assert poolcore.pool(np.arange(9), (2,), stride=TOP, ceil_mode=True).tolist() == [1]"
    ),
    "dilation 2**63-1 of one tap": (
        "assert poolcore.pool(np.arange(3), (1,), stride=1, dilation=TOP).tolist() == [0, 1, 2]"
    ),
    "a huge kernel in huge padding": (
        "k = 2**40\n"
        "got = poolcore.pool(np.arange(8.0), (k,), 'max', stride=1, padding=[(k - 1, 0)])\n"
        "assert got.tolist() == [0, 1, 2, 3, 4, 5, 6, 7], got\n"
        "got = poolcore.pool(np.ones(8), (k,), 'avg', stride=1, padding=[(k - 1, 0)])\n"
        "assert got.tolist() == [i / k for i in range(1, 9)], got\n"
        "got = poolcore.pool(np.ones(8), (k,), 'sum', None, TOP, [(k - 1, k - 1)])\n"
        "assert got.tolist() == [1], got"
    ),
    "huge kernels on a plane, with indices": (
        "x = np.random.default_rng(0).normal(size=(60, 70)).astype('f4')\n"
        "k = 2**20\n"
        "corner = [(k - 1, 0)] * 2\n"
        "got, at = poolcore.pool(x, (k, k), 'max', None, 1, corner, return_indices=True)\n"
        "want = np.maximum.accumulate(np.maximum.accumulate(x, 0), 1)\n"
        "assert (got == want).all() and (x.ravel()[at] == want).all()\n"
        "got = poolcore.pool(x, (k, k), 'min', None, 1, k // 2)\n"
        "assert got.shape == (61, 71) and (got == x.min()).all()"
    ),
    "two huge kernels": (
        "k = 2**40\n"
        "for op in ('max', 'min', 'sum'):\n"
        "    try: got = poolcore.pool(np.ones((3, 3)), k, op, None, 1, [(k - 1, 0)] * 2)\n"
        "    except ValueError: continue\n"
        "    assert got.shape == (3, 3)"
    ),
    "huge kernel, same": (
        "got = poolcore.pool(np.arange(4), (2**50,), 'max', stride=1, padding='same')\n"
        "assert got.tolist() == [3] * 4"
    ),
    "a result larger than memory": (
        "x = np.broadcast_to(np.int8(1), (2**20, 2**20))\n"
        "try: poolcore.pool(x, 1, stride=1)\n"
        "except MemoryError: pass\n"
        "else: raise SystemExit('no MemoryError')"
    ),
    "a result of more than 2**63 bytes": (
        "x = np.broadcast_to(np.int8(1), (2**30, 2**30))\n"
        "try: poolcore.pool(x, 1, 'sum', None, 1)\n"
        "except (MemoryError, ValueError): pass\n"
        "else: raise SystemExit('no MemoryError')"
    ),
    "2**31 threads": (
        "for n in (2**31, 2**31 - 1, 2**32 + 1, TOP):\n"
        "    got = poolcore.max_pool2d(np.ones((1, 64, 64, 64)), 2, threads=n)\n"
        "    assert got.shape == (1, 64, 32, 32) and (got == 1).all()"
    ),
    "set_num_threads": (
        "for n in (0, -1, 2**63, 2**100):\n"
        "    try: poolcore.set_num_threads(n)\n"
        "    except ValueError as error: assert str(n) in str(error), error\n"
        "    else: raise SystemExit(n)\n"
        "for n in (True, 1.5, None, '2', float('nan'), [1]):\n"
        "    try: poolcore.set_num_threads(n)\n"
        "    except TypeError as error: assert 'set_num_threads' in str(error), error\n"
        "    else: raise SystemExit(n)\n"
        "poolcore.set_num_threads(2**40)\n"
        "assert poolcore.max_pool1d(np.ones((2, 2**20)), 2).shape == (2, 2**19)"
    ),
    "rank 64": (
        "x = np.ones((1,) * 62 + (4, 4))\n"
        "assert poolcore.pool(x, 2).shape == (1,) * 62 + (2, 2)\n"
        "assert poolcore.pool(x, (1, 1, 1), axes=(0, 40, 63)).shape == x.shape"
    ),
    "a list that contains itself": (
        "loop = [1]; loop.append(loop)\n"
        "for options in (dict(kernel_size=loop), dict(kernel_size=1, padding=loop)):\n"
        "    try: poolcore.pool(np.ones((4, 4)), **options)\n"
        "    except (ValueError, TypeError): pass\n"
        "    else: raise SystemExit('accepted')\n"
        "try: poolcore.max_pool1d(loop, 1)\n"
        "except (ValueError, TypeError, RecursionError): pass\n"
        "else: raise SystemExit('accepted')"
    ),
    "a tuple of ten million entries": (
        "try: poolcore.pool(np.ones((4, 4)), (1,) * 10**7)\n"
        "except ValueError as error: assert len(str(error)) < 2000\n"
        "else: raise SystemExit('accepted')"
    ),
    "an integer of ten thousand digits": (
        "for name in ('kernel_size', 'stride', 'padding', 'dilation', 'threads'):\n"
        "    options = dict(dict(kernel_size=1), **{name: 10**10000})\n"
        "    try: poolcore.pool(np.ones((4, 4)), **options)\n"
        "    except ValueError as error: assert name in str(error), error\n"
        "    else: raise SystemExit('accepted')"
    ),
}


def prelude(limit: int) -> str:
    from pathlib import Path

    return PRELUDE.format(limit=limit, tests=str(Path(__file__).parent))


@pytest.mark.parametrize("seed", range(3))
def test_random_extremes(seed: int) -> None:
    assert_runs(prelude(100) + RANDOM.format(seed=seed, count=4000), timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_random_extremes(seed: int) -> None:
    assert_runs(prelude(900) + RANDOM.format(seed=seed, count=50_000), timeout=920)


@pytest.mark.parametrize("what", sorted(ONE_BY_ONE))
def test_one_extreme(what: str) -> None:
    assert_runs(prelude(25) + ONE_BY_ONE[what], timeout=30)


@pytest.mark.failure(14)
def test_work_is_bounded_by_the_data() -> None:
    """Kernels and padding far beyond the image cost no more than the image."""
    assert_runs(
        prelude(25)
        + "x = np.ones((64, 64), np.float32)\n"
        + "for k in (2**20, 2**40, 2**60):\n"
        + "    for op in ('max', 'sum', 'avg'):\n"
        + "        got = poolcore.pool(x, (k, 1), op, None, (1, 1), [(k - 1, 63), (0, 0)])\n"
        + "        assert got.shape == (127, 64), got.shape\n"
        + "        got = poolcore.pool(x, (1, k), op, None, (1, 1), [(0, 0), (k - 1, 63)])\n"
        + "        assert got.shape == (64, 127), got.shape\n",
        timeout=30,
    )
