"""The allocator that the arrays of these tests come from (guarded.py) does guard them."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import guarded
import poolcore
from support import assert_runs, run_python

pytestmark = [
    pytest.mark.failure(22),
    pytest.mark.skipif(not guarded.possible(), reason="needs Linux, a C compiler, no sanitizer"),
]
START = f"""
import ctypes, mmap, os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
import guarded
assert guarded.start()
"""


def test_arrays_and_results_are_guarded() -> None:
    name = guarded.numpy_core().multiarray.get_handler_name
    x = np.ones((1, 1, 4, 4))
    for array in (x, poolcore.max_pool2d(x, 2), *poolcore.max_pool2d(x, 2, return_indices=True)):
        assert name(array) == "between_guard_pages"
    before = guarded.arrays()
    poolcore.max_pool2d(x, 2)
    assert guarded.arrays() > before


@pytest.mark.parametrize("access", ["ctypes.string_at(place, 1)", "ctypes.memset(place, 0, 1)"])
@pytest.mark.parametrize("size", [1, 100, 4096, 5000, 3_000_001])
@pytest.mark.parametrize("side", ["before", "behind"])
def test_an_access_beside_an_array_ends_the_process(side: str, size: int, access: str) -> None:
    code = START + (
        f"made = [np.zeros({size}, np.uint8) for _ in range(8)]\n"
        f"ends = [a.ctypes.data + {size} for a in made]\n"
        "behind = [place for place in ends if place % mmap.PAGESIZE == 0]\n"
        f"before = [e - {size} - 1 for e in ends if (e - {size}) % mmap.PAGESIZE == 0]\n"
        "assert len(behind) >= 6 and len(before) >= 2\n"
        "ctypes.string_at(made[0].ctypes.data, made[0].size)\n"
        f"place = {side}[-1]\n"
        "print('so far', flush=True)\n"
        f"{access}\n"
        "print('alive')\n"
    )
    done = run_python(code)
    assert done.returncode == -signal.SIGSEGV, done.stderr
    assert done.stdout == "so far\n"


def test_contents() -> None:
    """Zeros where they are asked for, 0xff where nothing is; what is resized keeps its bytes."""
    assert_runs(
        START + "for turn in range(3):\n"
        "    for size in (1, 7, 512, 513, 70_000):\n"
        "        some = [np.full(size, turn) for _ in range(9)]\n"
        "        zeros = [np.zeros(size) for _ in range(9)]\n"
        "        assert all((z == 0).all() for z in zeros)\n"
        "        assert all((s == turn).all() for s in some)\n"
        "        if size < 8000: assert np.isnan(np.empty(size)).all()\n"
        "        for s in some: s.resize(3 * size, refcheck=False)\n"
        "        assert all((s[:size] == turn).all() and (s[size:] == 0).all() for s in some)\n"
        "        del some, zeros\n"
        "many = [np.full(3, i) for i in range(20_000)]  # more than are mapped\n"
        "assert all((a == i).all() for i, a in enumerate(many))\n"
    )


def test_without_a_compiler_the_header_says_so() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import conftest; print(conftest.pytest_report_header())\n"
    )
    here = str(Path(sys.executable).parent)
    assert "arrays between guard pages" in assert_runs(code)
    assert "arrays unguarded" in assert_runs(code, env={"PATH": f"{here}/nowhere"})
