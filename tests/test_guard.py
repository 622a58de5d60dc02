"""No byte outside an array is read or written: inputs and outputs flush against forbidden pages.

Runs in child processes, since a stray access kills the process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import assert_runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect as Linux has it")

GUARD = """
import ctypes, mmap, sys
sys.path.insert(0, {tests!r})
import faulthandler; faulthandler.enable()
import numpy as np
import poolcore
import oracle, support
libc = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE
keep = []

class Guarded:
    '''Room for an array between two pages that no one may touch.'''
    def __init__(self, pages):
        self.map = mmap.mmap(-1, (pages + 2) * PAGE)
        self.size = pages * PAGE
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        for page in (self.base, self.base + PAGE + self.size):
            assert libc.mprotect(ctypes.c_void_p(page), PAGE, 0) == 0
        keep.append(self)

    def place(self, shape, dtype, at_end):
        nbytes = int(np.prod(shape)) * dtype.itemsize
        start = self.base + PAGE + (self.size - nbytes if at_end else 0)
        buffer = (ctypes.c_char * nbytes).from_address(start)
        return np.frombuffer(buffer, dtype).reshape(shape)

rng = np.random.default_rng({seed})
inputs, outputs, indices = Guarded({pages}), Guarded({pages}), Guarded({pages})
checked = 0

def run(x, op, kernel, stride, padding, dilation, at_end, with_index, layout_axes):
    global checked
    axes = layout_axes
    both = dict(return_indices=True) if op in ('max', 'min') else {{}}
    want = oracle.pool(x, kernel, op, axes, stride, padding, dilation, True, **both)
    want = want if both else (want,)
    if want[0].size * 8 > outputs.size: return
    out = outputs.place(want[0].shape, want[0].dtype, at_end)
    options = dict(out=out)
    if with_index and len(want) == 2:
        index = indices.place(want[1].shape, want[1].dtype, at_end)
        options = dict(out=(out, index), return_indices=True)
    got = poolcore.pool(x, kernel, op, axes, stride, padding, dilation, True, **options)
    support.assert_same(out.copy(), want[0], str((x.shape, x.dtype, op, kernel, stride, padding)))
    if 'return_indices' in options:
        support.assert_same(index.copy(), want[1])
    checked += 1
"""

ROWS = """
WINDOWS = (
    (1, 1, 0), (2, 1, 0), (2, 2, 0), (3, 1, 1), (3, 2, 1), (4, 3, 2),
    (1, 4, 0), (2, 5, 0), (4, 4, 0), (5, 5, 2),
)
for target in support.targets():
    with support.use_target(target):
        for dtype in {dtypes}:
            lanes = 64 // dtype.itemsize
            for width in sorted({{1, 2, 3, 5, lanes // 2 + 1, lanes - 1, lanes, lanes + 1,
                                 2 * lanes - 1, 2 * lanes + 1, 3 * lanes + 2, 4 * lanes + 3}}):
                for at_end in (False, True):
                    x = inputs.place((3, width), dtype, at_end)
                    x[...] = support.random_array(rng, dtype, (3, width), 'special')
                    for op in support.OPS:
                        for k, s, p in WINDOWS:
                            if k > width: continue
                            pads = [(p, p)]
                            run(x, op, (k,), (s,), pads, 1, at_end, True, (1,))
                            if k > 3: continue
                            run(x, op, (k,), (s,), pads, 1, at_end, False, (0,))
                            run(x, op, (k, k), (s, s), pads * 2, 1, at_end, False, (0, 1))
                        for step in (2, 3, 4):
                            view = x[:, (width - 1) % step :: step]  # up to the very last element
                            if view.shape[1] > 1:
                                run(view, op, (2,), (1,), [(0, 0)], 1, at_end, False, (1,))
print(checked)
assert checked > 1000
"""


def guard(seed: int, pages: int = 4) -> str:
    return GUARD.format(tests=str(Path(__file__).parent), seed=seed, pages=pages)


@pytest.mark.failure(22)
@pytest.mark.parametrize(
    "names", [("?", "i1", "u2"), ("f4",), ("f8", "i8"), ("f2", "bfloat16")], ids=str
)
def test_rows_between_guard_pages(names: tuple[str, ...]) -> None:
    dtypes = ", ".join("support.BFLOAT16" if n == "bfloat16" else f"np.dtype({n!r})" for n in names)
    assert_runs(guard(1) + ROWS.format(dtypes=f"[{dtypes}]"), timeout=200)


RANDOM = """
for _ in range({count}):
    dtype = support.DTYPES[rng.integers(len(support.DTYPES))]
    shape = tuple(int(v) for v in rng.integers(1, (4, 5, 8, 40)))
    if rng.random() < 0.3: shape = shape[:2] + (1, int(rng.integers(1, 200)))
    at_end = bool(rng.integers(2))
    x = inputs.place(shape, dtype, at_end)
    x[...] = support.random_array(rng, dtype, shape, 'special')
    if rng.random() < 0.5: x = x.transpose(rng.permutation(4))
    if rng.random() < 0.3: x = x[..., ::-1]
    if rng.random() < 0.3: x = x[::-1]
    nd = int(rng.integers(1, 4))
    axes = tuple(int(a) for a in rng.permutation(4)[:nd])
    k, s, d = (tuple(int(v) for v in rng.integers(1, top, nd)) for top in (5, 4, 3))
    pads = [tuple(int(v) for v in rng.integers(0, d[i] * (k[i] - 1) + 1, 2)) for i in range(nd)]
    op = support.OPS[rng.integers(4)]
    with support.use_target(support.targets()[rng.integers(len(support.targets()))]):
        try:
            run(x, op, k, s, pads, d, at_end, bool(rng.integers(2)), axes)
        except ValueError as error:
            try: oracle.pool(x, k, op, axes, s, pads, d, True)
            except ValueError: continue
            raise
print(checked)
assert checked > {count} // 4
"""


@pytest.mark.failure(22)
@pytest.mark.parametrize("seed", range(2))
def test_random_calls_between_guard_pages(seed: int) -> None:
    assert_runs(guard(seed, 64) + RANDOM.format(count=2500), timeout=120)


@pytest.mark.failure(22)
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 108))
def test_many_random_calls_between_guard_pages(seed: int) -> None:
    assert_runs(guard(seed, 64) + RANDOM.format(count=50_000), timeout=1200)


SELECT = """
import oracle_select
WINDOWS = (2, 2, 0), (3, 1, 1), (3, 3, 0), (9, 8, 4)
for dtype in support.DTYPES:
    for op in ('mode', 'median')[support.oracle.is_float(dtype):]:
        for width in (3, 9, 17, 64, 65, 133):
            for at_end in (False, True):
                x = inputs.place((9, width), dtype, at_end)
                x[...] = support.random_array(rng, dtype, x.shape, 'special')
                for view in (x, x.T, x[:, ::-1], x[:, ::2]):
                    for k, s, p in WINDOWS:
                        if k > min(view.shape): continue
                        want = oracle_select.pool(view, k, op, (0, 1), s, p)
                        out = outputs.place(want.shape, want.dtype, at_end)
                        poolcore.pool(view, k, op, (0, 1), s, p, out=out)
                        support.assert_same(out.copy(), want)
                        checked += 1
print(checked)
assert checked > 1000
"""


def test_majorities_and_medians_between_guard_pages() -> None:
    assert_runs(guard(7) + SELECT, timeout=120)


SOFT = """
for dtype in support.DTYPES:
    for width in (3, 17, 64, 65, 133):
        for at_end in (False, True):
            x = inputs.place((9, width), dtype, at_end)
            x[...] = support.random_array(rng, dtype, x.shape, 'special')
            for view in (x, x.T, x[:, ::-1], x[:, ::2]):
                copy = np.ascontiguousarray(view)
                for k, s, p in (2, 2, 0), (3, 1, 1), (9, 8, 4):
                    if k > min(view.shape): continue
                    want = poolcore.soft_pool2d(copy[None], k, s, p)
                    out = outputs.place(want.shape, want.dtype, at_end)
                    poolcore.soft_pool2d(view[None], k, s, p, out=out)
                    support.assert_same(out.copy(), want, nan_bits=True)
                    checked += 1
print(checked)
assert checked > 500
"""


@pytest.mark.failure(22)
def test_soft_pooling_between_guard_pages() -> None:
    assert_runs(guard(8) + SOFT, timeout=120)


@pytest.mark.failure(22)
def test_an_input_that_may_only_be_read() -> None:
    """Pages without write permission: no kernel writes to its input, not even the same value."""
    assert_runs(
        guard(0, 64)
        + "for dtype in support.DTYPES:\n"
        + "    x = inputs.place((2, 3, 9, 70), dtype, True)\n"
        + "    x[...] = support.random_array(rng, dtype, x.shape)\n"
        + "    want = {op: oracle.pool(x, 3, op, (2, 3), 2, 1) for op in support.OPS}\n"
        + "    libc.mprotect(ctypes.c_void_p(inputs.base + PAGE), inputs.size, 1)\n"
        + "    for op in support.OPS:\n"
        + "        for target, threads in support.configurations():\n"
        + "            got = poolcore.pool(x, 3, op, None, 2, 1, threads=threads)\n"
        + "            support.assert_same(got, want[op])\n"
        + "    libc.mprotect(ctypes.c_void_p(inputs.base + PAGE), inputs.size, 3)\n",
    )
