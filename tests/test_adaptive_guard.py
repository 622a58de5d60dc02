"""Adaptive and global pooling touch no byte outside their arrays, and agree with PyTorch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import poolcore
from support import assert_runs
from test_guard import guard

RANDOM = """
import oracle_adaptive
for _ in range({count}):
    dtype = support.DTYPES[rng.integers(len(support.DTYPES))]
    nd = int(rng.integers(1, 4))
    longest = (60, 14, 6)[nd - 1]
    shape = tuple(int(v) for v in rng.integers(1, (3, 12))) + tuple(
        int(v) for v in rng.integers(1, longest, nd))
    size = tuple(int(v) for v in rng.integers(1, longest, nd))
    at_end = bool(rng.integers(2))
    if int(np.prod(shape)) * dtype.itemsize > inputs.size: continue
    x = inputs.place(shape, dtype, at_end)
    x[...] = support.random_array(rng, dtype, shape, 'special')
    if rng.random() < 0.4: x = np.moveaxis(x, -1, 1)
    if rng.random() < 0.2: x = x[..., ::-1]
    axes = tuple(range(2, 2 + nd))
    op = ('max', 'min', 'avg')[rng.integers(3)]
    how = dict(return_indices=True) if op != 'avg' and rng.random() < 0.5 else {{}}
    want = oracle_adaptive.pool(np.array(x, order='C'), size, op, axes, **how)
    want = want if how else (want,)
    if want[0].size * 8 > outputs.size: continue
    out = [room.place(w.shape, w.dtype, at_end) for room, w in zip((outputs, indices), want)]
    with support.use_target(support.targets()[rng.integers(len(support.targets()))]):
        function = getattr(poolcore, f'adaptive_{{op}}_pool{{nd}}d')
        function(x, size, out=tuple(out) if how else out[0], **how)
    for o, w in zip(out, want):
        support.assert_same(o.copy(), w, str((x.shape, x.strides, dtype, op, size, how)))
    checked += 1
print(checked)
assert checked > {count} // 2
"""


@pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect as Linux has it")
@pytest.mark.parametrize("seed", [1, 2])
def test_between_guard_pages(seed: int) -> None:
    assert_runs(guard(seed, 16) + RANDOM.format(count=400), timeout=100)


def test_random_sizes_as_torch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functions: Any = torch.nn.functional
    for turn in range(300):
        nd = 1 + turn % 3
        longest = (80, 20, 8)[nd - 1]
        size = tuple(int(v) for v in rng.integers(1, longest, nd))
        lead = (int(rng.integers(1, 3)), int(rng.integers(1, 20)))
        x = rng.standard_normal((*lead, *(int(v) for v in rng.integers(1, longest, nd))))
        x = (np.round(x * 4) / 4).astype(np.float32 if turn % 2 else np.float64)  # with many ties
        t = torch.from_numpy(x)
        got = getattr(poolcore, f"adaptive_max_pool{nd}d")(x, size, True)
        want = getattr(functions, f"adaptive_max_pool{nd}d")(t, size, True)
        np.testing.assert_array_equal(got[0], want[0].numpy())
        np.testing.assert_array_equal(got[1], want[1].numpy())
        mean = getattr(functions, f"adaptive_avg_pool{nd}d")(t, size).numpy()
        got = getattr(poolcore, f"adaptive_avg_pool{nd}d")(x, size)
        np.testing.assert_allclose(got, mean, rtol=1e-5, atol=1e-6)


INTERRUPT = """
import os, signal, threading, numpy as np, poolcore
x = np.broadcast_to(np.float32(1), (1, 1, {side}, {side}))
signal.signal(signal.SIGINT, signal.default_int_handler)  # may come ignored from the shell
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    for _ in range(10_000): poolcore.adaptive_avg_pool2d(x, {size}, threads={threads})
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize(("side", "size"), [(9001, 2500), (30001, 2), (9001, 9), (2**21, 3)])
@pytest.mark.parametrize("threads", [1, 2])
def test_control_c(side: int, size: int, threads: int) -> None:
    code = INTERRUPT.format(side=side, size=size, threads=threads)
    assert "stopped" in assert_runs(code, timeout=30)


LARGE: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((1, 64, 70, 70), (45, 33)),
    ((1, 2, 500, 300), (123, 77)),
    ((2, 3, 224, 224), (9, 9)),
    ((1, 64, 150, 150), (4, 4)),
    ((1, 1, 97, 97), (1000, 401)),
    ((1, 700, 13, 13), (6, 7)),
    ((3, 1, 100_001), (777,)),
    ((3, 20, 10_001), (77,)),
    ((1, 5, 20, 61, 43), (7, 40, 13)),
]


@pytest.mark.parametrize(("shape", "size"), LARGE, ids=str)
def test_many_boxes_as_torch(
    shape: tuple[int, ...], size: tuple[int, ...], rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nd = len(size)
    x = np.round(rng.standard_normal(shape) * 64).astype(np.float32)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    t = torch.from_numpy(x)
    value, index = getattr(torch.nn.functional, f"adaptive_max_pool{nd}d")(t, size, True)
    mean = getattr(torch.nn.functional, f"adaptive_avg_pool{nd}d")(t.double(), size).numpy()
    first = None
    for a in (x, last):
        for threads in (1, 2, 7):
            maxima = getattr(poolcore, f"adaptive_max_pool{nd}d")
            got = maxima(a, size, True, threads=threads)
            np.testing.assert_array_equal(got[0], value.numpy())
            np.testing.assert_array_equal(got[1], index.numpy())
            np.testing.assert_array_equal(maxima(a, size, threads=threads), value.numpy())
            means = getattr(poolcore, f"adaptive_avg_pool{nd}d")(a, size, threads=threads)
            np.testing.assert_allclose(means, mean, rtol=1e-6, atol=1e-6)
            first = means if first is None else first
            np.testing.assert_array_equal(means, first)
