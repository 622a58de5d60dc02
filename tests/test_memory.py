"""No input is copied: peak memory beyond input and output stays under 1 MiB a thread.

Measured in child processes by the kernel's own high-water mark, after a warm-up of the same
call on a small array and after every page of input and output has been touched.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import assert_runs

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc/self/clear_refs"
)

MEASURE = """
import numpy as np, poolcore

def high_water():
    for line in open('/proc/self/status'):
        if line.startswith('VmHWM'):
            return int(line.split()[1])

def reset():
    with open('/proc/self/clear_refs', 'w') as f:
        f.write('5')

def growth(call):
    reset()
    before = high_water()
    call()
    return high_water() - before

MIB = 256
LAYOUTS = {
    'contiguous': lambda x: x,
    'transposed': lambda x: x.transpose(0, 1, 3, 2),
    'channels last': lambda x: np.moveaxis(
        x.reshape(x.shape[0], x.shape[2], x.shape[3], -1), 3, 1),
    'rotated': lambda x: x.transpose(3, 0, 1, 2),
    'reversed': lambda x: x[:, :, ::-1, ::-1],
    'sliced': lambda x: x[:, :, 1:, 1:],
    'every second': lambda x: x[:, :, :, ::2],
    'overlapping': lambda x: np.lib.stride_tricks.as_strided(
        x, x.shape, (x.strides[0], x.strides[1], x.strides[2] // 2, x.strides[3])),
    'misaligned': lambda x: x.reshape(-1).view(np.uint8)
        [1:1 - x.itemsize or None].view(x.dtype)[:-1][:x.size // 2]
        .reshape(x.shape[0], x.shape[1], x.shape[2] // 2, x.shape[3]),
}
SHAPES = {'large planes': (1, 2), 'many planes': (64, 256)}
"""

CHECK = """
dtype, kind, threads = np.dtype({dtype!r}), {kind!r}, {threads}
n = MIB * 2**20 // dtype.itemsize
lead = SHAPES[kind]
side = 64 if kind == 'many planes' else 2048
width = n // (lead[0] * lead[1] * side)
base = np.ones((*lead, side, width), dtype)
assert base.nbytes == MIB * 2**20
limit = threads * 1024
for layout, view in LAYOUTS.items():
    x = view(base)
    for op, window in (('max', (3, 2, 1)), ('avg', (2, 2, 0)), ('sum', (7, 7, 3))):
        f = getattr(poolcore, op + '_pool2d')
        small = view(base[:, :, :16, :16].copy())
        options = dict(threads=threads)
        k, s, p = window
        size = [(x.shape[a] + 2 * p - k) // s + 1 for a in (2, 3)]
        out = np.empty_like(f(x[:, :, :8, :8], *window), shape=(*x.shape[:2], *size))
        out[...] = 1
        f(small, *window, **options)
        f(base[:, :2, :64, :64], *window, **options)
        grown = growth(lambda: f(x, *window, out=out, **options))
        print(layout, op, grown, 'KiB')
        assert grown <= limit, (layout, op, grown, limit)
        assert (out != 0).all()
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("dtype", "kind"), [("float32", "large planes"), ("uint8", "many planes")])
def test_peak_memory(dtype: str, kind: str, threads: int) -> None:
    assert_runs(MEASURE + CHECK.format(dtype=dtype, kind=kind, threads=threads), timeout=240)


def test_peak_memory_with_indices_and_omit() -> None:
    assert_runs(
        MEASURE
        + "x = np.ones((1, 2, 2048, 16384), np.float32)\n"
        + "out = np.ones((1, 2, 1024, 8192), np.float32), np.ones((1, 2, 1024, 8192), np.int64)\n"
        + "def call(x, out):\n"
        + "    options = dict(return_indices=True, nan_policy='omit', out=out, threads=2)\n"
        + "    poolcore.max_pool2d(x, 2, **options)\n"
        + "call(x[:, :, :64, :64], tuple(np.ones((1, 2, 32, 32), o.dtype) for o in out))\n"
        + "grown = growth(lambda: call(x, out))\n"
        + "assert grown <= 2048, grown\n",
        timeout=240,
    )


@pytest.mark.parametrize("planes", [2, 512])
def test_peak_memory_of_fractional_pooling(planes: int) -> None:
    assert_runs(
        MEASURE
        + f"x = np.ones((1, {planes}, 2**13, 2**11 // {planes}), np.float32)\n"
        + "size = (x.shape[2] // 2, x.shape[3] // 2)\n"
        + "out = [np.ones((*x.shape[:2], *size), t) for t in (np.float32, np.int64)]\n"
        + "def call(threads):\n"
        + "    poolcore.fractional_max_pool2d(x, 2, size, return_indices=True, rng=1,\n"
        + "                                   out=tuple(out), threads=threads)\n"
        + "poolcore.fractional_max_pool2d(x[:, :, :8, :4], 2, 2, return_indices=True, threads=2)\n"
        + "for threads in (1, 2):\n"
        + "    grown = growth(lambda: call(threads))\n"
        + "    assert grown <= 1024 * threads, (grown, threads)\n",
        timeout=240,
    )


@pytest.mark.parametrize(
    ("what", "kernel", "stride", "p", "limit"),
    [
        ("windows side by side", 2, 2, 2, 1024),
        ("windows over windows", 3, 1, 3, 1536),
        ("norms remembered", 99, 1, 1.5, 4096),
        ("one window", 2048, 2048, 2, 1024),
        ("the largest", 2, 2, "np.inf", 2560),
    ],
)
@pytest.mark.parametrize("shape", [(1, 1, 2048, 8192), (1, 8192, 2048, 1)])
def test_peak_memory_of_gradients_of_norms(
    what: str, shape: tuple[int, ...], kernel: int, stride: int, p: float, limit: int
) -> None:
    """However large x is: parts of 16 Ki elements; 256 Ki norms where each lies over many."""
    kernels, steps = ([v if n > 1 else 1 for n in shape[2:]] for v in (kernel, stride))
    assert_runs(
        MEASURE
        + f"x = np.ones({shape}, np.float32)\n"
        + f"window = {kernels}, {steps}\n"
        + f"grad = poolcore.lp_pool2d(x, {p}, *window)\n"
        + "out = np.ones(x.shape, np.float32)\n"
        + "for threads in (1, 2):\n"
        + "    call = lambda x, grad, out: poolcore.lp_pool2d_backward(\n"
        + f"        grad, x, {p}, *window, out=out, threads=threads)\n"
        + "    small = np.ones((1, 2, 64, 64), np.float32)\n"
        + "    poolcore.lp_pool2d_backward(poolcore.lp_pool2d(small, 2, 2), small, 2, 2,\n"
        + "                                threads=threads)\n"
        + "    grown = growth(lambda: call(x, grad, out))\n"
        + f"    print({what!r}, threads, grown)\n"
        + f"    assert grown <= {limit} * threads, (threads, grown)\n",
        timeout=240,
    )


@pytest.mark.parametrize(
    ("what", "shape", "kernel", "stride"),
    [
        ("one window over everything", (8192, 8192), (8192, 8192), None),
        ("one window, one row", (1, 2**26), (1, 2**26), None),
        ("one window, one column", (2**26, 1), (2**26, 1), None),
        ("long kernels", (2048, 32768), (3, 20000), (2, 64)),
        ("very wide rows", (16, 2**22), (2, 2), (2, 2)),
    ],
    ids=lambda v: v.replace(" ", "-") if isinstance(v, str) else "",
)
def test_scratch_does_not_grow_with_the_window(
    what: str, shape: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int] | None
) -> None:
    """The same bound for windows and rows of any length; more only for those that overlap, up to 40
    bytes an element of the longest axis."""
    assert_runs(
        MEASURE
        + f"shape, kernel, stride = {shape}, {kernel}, {stride}\n"
        + "x = np.ones(shape, np.float32)\n"
        + "for op in ('max', 'avg'):\n"
        + "    for threads in (1, 2):\n"
        + "        step = stride or kernel\n"
        + "        size = [(n - k) // s + 1 for n, k, s in zip(shape, kernel, step)]\n"
        + "        out = np.ones(size, 'f4')\n"
        + "        options = dict(out=out, threads=threads)\n"
        + "        poolcore.pool(x[:64, :64], (1, 1), op, threads=threads)\n"
        + "        call = lambda: poolcore.pool(x, kernel, op, None, stride, **options)\n"
        + "        grown = growth(call)\n"
        + "        overlap = any(s < k for s, k in zip(step, kernel))\n"
        + "        limit = 1024 + 40 * max(kernel) * overlap // 1024\n"
        + "        assert grown <= limit * threads, (op, threads, grown)\n"
        + "        assert (out == 1).all()\n",
        timeout=240,
    )


@pytest.mark.failure(32)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_from_call_to_call() -> None:
    assert_runs(
        MEASURE
        + "x = np.ones((2, 3, 32, 32), np.float32)\n"
        + "def rounds(n):\n"
        + "    for _ in range(n):\n"
        + "        poolcore.max_pool2d(x, 2, return_indices=True)\n"
        + "        poolcore.avg_pool2d(x, (2, 2), padding='same', threads=2)\n"
        + "        try: poolcore.sum_pool2d(x, 0)\n"
        + "        except ValueError: pass\n"
        + "rounds(2000)\n"
        + "grown = growth(lambda: rounds(30000))\n"
        + "assert grown < 1024, grown\n",
        timeout=240,
    )
