"""Older CPUs, emulated: the module picks the target that each has, and gives the same bits as here.

Not part of the default run: `pytest -m emulated`. Needs qemu-x86_64 (qemu-user).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

QEMU = shutil.which("qemu-x86_64")

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not installed"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates x86 for x86"),
]

DIGEST = """
import hashlib, sys
sys.path[:0] = {path!r}
import numpy as np, poolcore
from poolcore import _core
digest = hashlib.sha256()
def add(*arrays):
    for a in arrays: digest.update(np.ascontiguousarray(a).tobytes())
rng = np.random.default_rng(0)
base = rng.random((2, 9, 14, 15)) * 200 - 50
for dtype in 'f4 f8 f2 u1 i2 i4 i8'.split():
    x = base.astype(np.int64).astype(dtype) if dtype[0] in 'ui' else base.astype(dtype)
    for window in ((2, 2, 0), (3, 1, 1), (3, 2, 1), (9, 1, 4)):
        for op in ('max', 'min', 'avg', 'sum'):
            add(getattr(poolcore, op + '_pool2d')(x, *window))
        add(*poolcore.max_pool2d(x, *window, return_indices=True))
    add(poolcore.adaptive_avg_pool2d(x, (5, 6)), poolcore.global_avg_pool(x))
    add(poolcore.lp_pool2d(x, 2.5, 3), poolcore.median_pool2d(x, 3, 1, 1))
    add(poolcore.avg_pool2d_backward(x, (2, 9, 28, 30), 2))
    add(poolcore.max_pool2d(np.moveaxis(x, 1, -1), 2, layout='NHWC'))
print(digest.hexdigest(), _core.target_in_use())
"""


def digest_and_target(*before: str) -> list[str]:
    # OpenBLAS must not be told what CPU this is.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS", "POOLCORE"))}
    python = str(Path(sys.executable).resolve())
    done = subprocess.run(
        [*before, python, "-c", DIGEST.format(path=sys.path[1:])],
        capture_output=True,
        text=True,
        timeout=600,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.failure(37)
@pytest.mark.parametrize(
    ("cpu", "wanted"),
    [("Nehalem", "x86-64-v2"), ("SandyBridge", "x86-64-v2"), ("Haswell", "x86-64-v3")],
)
def test_older_cpus(cpu: str, wanted: str) -> None:
    assert QEMU is not None
    here, _ = digest_and_target()
    assert digest_and_target(QEMU, "-cpu", cpu) == [here, wanted]
