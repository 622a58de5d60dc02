"""Random calls, made from bytes as the fuzzer of the bindings makes them: see fuzz/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import assert_runs

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"

CALLS = """
import sys, warnings
import numpy as np
sys.path.insert(0, {folder!r})
warnings.simplefilter("ignore", RuntimeWarning)
import fuzz_bindings
fuzz_bindings.matrix.limit_memory()
for seed in range({first}, {first} + 5000):
    try:
        fuzz_bindings.one_input(np.random.default_rng(seed).bytes(200))
    except BaseException as error:
        raise AssertionError(f"input of seed {{seed}}") from error
print("done")
"""


@pytest.mark.failure(40)
@pytest.mark.parametrize("first", [0, 5000, 10000])
def test_random_calls(first: int) -> None:
    """No crash, no unknown error, and what is compared agrees."""
    assert assert_runs(CALLS.format(folder=str(FUZZ), first=first), timeout=200).strip() == "done"
