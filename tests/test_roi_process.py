"""Regions of interest: memory, Ctrl-C, the lock, and work that does not grow with boxes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import assert_runs
from test_memory import MEASURE

MEMORY = """
x = np.ones((2, 8, 1024, 1024), np.float32)
boxes = np.array([[0, -5, 3.5, 1100, 1000], [1, 100, 0, 400, 1023], [1, 5, 5, 5, 5.0]])
shape = x.shape
for threads in (1, 2):
    for view, layout in ((x, 'NCHW'), (x.reshape(2, 1024, 1024, 8), 'NHWC'),
                         (x[..., ::-1], 'NCHW'), (x.swapaxes(2, 3), 'NCHW')):
        how = dict(layout=layout, threads=threads)
        for call in (
            lambda v, **k: poolcore.roi_pool(v, boxes, 7, return_indices=True, **how, **k),
            lambda v, **k: poolcore.roi_align(v, boxes, 7, **how, **k),
            lambda v, **k: poolcore.roi_align(v, boxes, 7, 1.0, 2, True, 'max', **how, **k),
            lambda v, **k: poolcore.roi_align(v, boxes, 7, nan_policy='omit', **how, **k),
        ):
            call(view)
            grown = growth(lambda: call(view))
            assert grown <= threads * 1024, (threads, layout, grown)
        grad = poolcore.roi_align(view, boxes, 7, **how)
        out = np.ones_like(view)
        back = lambda: poolcore.roi_align_backward(grad, boxes, view.shape, out=out, **how)
        back()
        grown = growth(back)
        assert grown <= threads * 1024, (threads, layout, grown)
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc/self/clear_refs"
)
def test_peak_memory() -> None:
    assert_runs(MEASURE + MEMORY, timeout=240)


INTERRUPT = """
import faulthandler, os, signal, threading, time
import numpy as np
import poolcore
faulthandler.dump_traceback_later(50, exit=True)
signal.signal(signal.SIGINT, signal.default_int_handler)  # may come ignored from the shell
side = 2**20
x = np.broadcast_to(np.float32(1), (1, 1, side, side))
box = np.array([[0, 0, 0, side, side]])
boxes = np.repeat([[0, 0, 0, 250, 250.0]], 100_000, 0)
grad = np.broadcast_to(np.float32(1), (100_000, 4, 14, 14))
small = np.arange(16.0).reshape(1, 1, 4, 4)
whole = np.array([[0, 0, 0, 3, 3]])
want = poolcore.roi_align(small, whole, 2).tolist()
for threads in (1, 2):
    for call in (
        lambda: poolcore.roi_pool(x, box, 1, threads=threads),
        lambda: poolcore.roi_align(x, box, 1, threads=threads),
        lambda: poolcore.roi_align(x, box, 1, mode='max', threads=threads),
        lambda: poolcore.roi_align_backward(grad, boxes, (1, 4, 250, 250), threads=threads),
    ):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            call()
        except KeyboardInterrupt:
            print('stopped')
        assert poolcore.roi_align(small, whole, 2).tolist() == want
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signals as Linux has them")
@pytest.mark.failure(36)
def test_interrupt() -> None:
    assert assert_runs(INTERRUPT).split() == ["stopped"] * 8


BOUNDED = """
import faulthandler
import numpy as np
import poolcore
faulthandler.dump_traceback_later(50, exit=True)
x = np.ones((1, 1, 30, 40))
boxes = np.array([[0, -1e300, -1e300, 1e300, 1e300]] * 100)
boxes[50:] = [0, 10, 10, 20, 30]
for sampling in (-1, 2**40, 2**62, 2**63 - 1):
    for mode in ('avg', 'max'):
        for aligned in (False, True):
            how = (1.0, sampling, aligned, mode)
            y = poolcore.roi_align(x, boxes, 7, *how)
            assert (y >= 0).all() and (y <= 1 + 1e-12).all()
            g = poolcore.roi_align_backward(y, boxes, x.shape, *how, x)
            assert np.isfinite(g).all()
one = np.ones((1, 1, 1, 100_000))  # one axis has many bins, the other many elements
line = np.array([[0, 0, 0, 100_000, 1]])
for turned in (False, True):
    view = one.swapaxes(2, 3) if turned else one
    box = line[:, [0, 2, 1, 4, 3]] if turned else line
    for size in ((100_000, 1), (1, 100_000)):
        assert poolcore.roi_pool(view, box, size).shape == (1, 1, *size)
        assert (poolcore.roi_align(view, box, size, 1.0, 1) == 1).all()
        y = np.ones((1, 1, *size))
        assert poolcore.roi_align_backward(y, box, view.shape).sum() > 0
"""


def test_work_is_bounded_by_image_and_result() -> None:
    """Samples of 2**62 and more, boxes of 1e300, and image times result, would never end."""
    assert_runs(BOUNDED)
