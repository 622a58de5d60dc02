"""No byte outside an array is read or written by norms, whose elements become powers in scratch."""

from __future__ import annotations

import sys

import pytest

from support import assert_runs
from test_guard import guard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect as Linux has it")

NORMS = """
for target in support.targets():
    with support.use_target(target):
        for dtype in support.DTYPES:
            lanes = 64 // dtype.itemsize
            for width in (1, 3, 7, 8, 9, lanes - 1, lanes, lanes + 1, 2 * lanes + 3):
                for at_end in (False, True):
                    x = inputs.place((1, 3, width), dtype, at_end)
                    x[...] = support.random_array(rng, dtype, (1, 3, width))
                    if dtype == np.float64 and at_end:
                        x *= 1e200  # windows are read again
                    views = [x, x[..., ::-1], x[..., ::2], x[..., (width - 1) % 3 :: 3]]
                    for view in views:
                        shape = (1, 2, view.shape[2])
                        out = dtype if dtype.name.startswith(('f', 'bf')) else np.dtype('f8')
                        y = outputs.place(shape, out, at_end)
                        for p in (1, 2, 2.5, np.inf):
                            want = poolcore.lp_pool2d(view.copy(), p, (2, 3), 1, padding=(0, 1))
                            poolcore.lp_pool2d(view, p, (2, 3), 1, padding=(0, 1), out=y)
                            support.assert_same(y.copy(), want, str((dtype, width, p)))
                        z = outputs.place((1, 3, 1), out, at_end)
                        poolcore.gem_pool(view, 3, out=z)
                        support.assert_same(z.copy(), poolcore.gem_pool(view.copy(), 3))
                        checked += 1
print(checked)
assert checked > 1000
"""


@pytest.mark.failure(22)
def test_norms_between_guard_pages() -> None:
    assert_runs(guard(5) + NORMS, timeout=200)
