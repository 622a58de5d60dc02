"""The generated table of bad and extreme calls (matrix.py), made in child processes.

A signal or a hang is a failure whatever was expected, and so are an error of another kind, one that
does not name its argument, and a number below the lowest allowed that is taken.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrix

SHARES = 4
FUNCTIONS = matrix.functions()


@pytest.mark.failure(40)
def test_every_public_callable_and_parameter_is_known() -> None:
    import poolcore
    from poolcore import nn

    public = {n for n in poolcore.__all__ if callable(getattr(poolcore, n))}
    public |= {f"nn.{n}" for n in nn.__all__}
    assert {f.name for f in FUNCTIONS} == public
    for function in FUNCTIONS:
        for name in function.parameters:
            assert matrix.parameter(name, function.name)


@pytest.mark.failure(40)
def test_an_unknown_parameter_fails_with_advice() -> None:
    with pytest.raises(LookupError, match="entry in PARAMETERS"):
        matrix.parameter("colour", "max_pool2d")


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_the_legal_call_is_legal(function: matrix.Function) -> None:
    """Else TOGETHER in matrix.py must say what this function needs."""
    function.call(**function.legal())


def run_share(share: int, tmp_path: Path) -> tuple[list[str], int]:
    """Complaints of one share of the table, and how many calls it has."""
    note = tmp_path / "at"
    np.zeros(1, np.int64).tofile(note)
    calls = matrix.table()
    script = str(Path(matrix.__file__))
    complaints: list[str] = []
    start = 0
    while start < len(calls):
        done = subprocess.run(
            [sys.executable, script, str(share), str(SHARES), str(start), str(note)],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "POOLCORE_NUM_THREADS": "2"},
            check=False,
        )
        complaints += done.stdout.splitlines()
        reached = int(np.fromfile(note, np.int64)[0])
        if done.returncode != 0:
            function, name, value = calls[min(reached, len(calls) - 1)]
            complaints.append(
                f"{reached}: {function}({name}={value!r:.80}) ended with {done.returncode}: "
                f"{done.stderr[-300:]}"
            )
        start = reached + 1
        if len(complaints) > 100:
            break
    return complaints, len(range(share, len(calls), SHARES))


@pytest.mark.skipif(sys.platform != "linux", reason="limits and alarms as Linux has them")
@pytest.mark.failure(1, 2, 4, 5, 6, 7, 8, 9, 10, 13, 14, 40)
@pytest.mark.parametrize("share", range(SHARES))
def test_matrix(share: int, tmp_path: Path) -> None:
    complaints, calls = run_share(share, tmp_path)
    assert not complaints, "\n".join(complaints[:100])
    assert calls > 5000


WITH_X = [f for f in FUNCTIONS if {"x", "X", "grad"} & set(f.parameters)]


@pytest.mark.failure(9)
@pytest.mark.parametrize("function", WITH_X, ids=str)
def test_axes_of_length_0(function: matrix.Function) -> None:
    """Batches and channels may be empty, pooled axes not; all arrays of a call shrink alike."""
    first = next(iter(function.parameters))
    legal = function.legal()
    for at in range(2 + function.nd):
        shrunk: dict[str, Any] = {}
        for name, value in legal.items():
            if isinstance(value, np.ndarray) and value.ndim == 2 + function.nd:
                shrunk[name] = value[(slice(None),) * at + (slice(0),)]
            elif isinstance(value, np.ndarray) and "spatial_pyramid" in function.name and at < 2:
                shrunk[name] = value[(slice(None),) * at + (slice(0),)]  # vectors of all channels
            if name == "input_shape":
                shrunk[name] = (*value[:at], 0, *value[at + 1 :])
            if name == "boxes" and at == 0:
                shrunk[name] = value[:0]
        arguments = {**legal, **shrunk}
        if at < 2:
            result = function.call(**arguments)
            assert all(r.size == 0 for r in (result if type(result) is list else [result]))
        elif function.name != "pyramid":
            with pytest.raises(ValueError, match=rf"(?i)\b({first}|x)\b|input_shape"):
                function.call(**arguments)


@pytest.mark.failure(10)
@pytest.mark.parametrize("function", WITH_X, ids=str)
def test_every_rank_is_taken_or_refused(function: matrix.Function) -> None:
    first = next(iter(function.parameters))
    taken = 0
    for rank in range(9):
        for size in (0, 1, 4):
            try:
                function.call(**{**function.legal(), first: np.ones((size,) * rank, np.int16)})
                taken += 1
            except (ValueError, TypeError, IndexError) as error:
                if not str(error).startswith(f"{function.name}: "):
                    raise
    if len([v for v in function.legal().values() if isinstance(v, np.ndarray)]) == 1:
        assert 0 < taken < 27 or "grad" in function.parameters


def resized(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """One axis changed at a time: by -1 and +1, to 0, to double; one axis less and one more."""
    changes = [
        (*shape[:at], n, *shape[at + 1 :])
        for at in range(len(shape))
        for n in {shape[at] - 1, shape[at] + 1, 0, 2 * shape[at]}
    ]
    return [*changes, shape[1:], shape[:-1], (1, *shape), (*shape, 1)]


@pytest.mark.failure(11, 29)
@pytest.mark.parametrize("function", [f for f in WITH_X if "out" in f.parameters], ids=str)
def test_out_of_another_shape_is_refused_untouched(function: matrix.Function) -> None:
    legal = function.legal()
    right = function.call(**legal)
    several = isinstance(right, list)  # the one level of a pyramid
    right = right[0] if several else right
    good = np.empty_like(right)
    got = function.call(**legal, out=[good] if several else good)
    assert (got[0] if several else got) is good
    assert np.array_equal(good, right)
    for shape in resized(right.shape):
        out = np.full(shape, 77, right.dtype)
        with pytest.raises(ValueError, match=rf"{function.name}: out(\[0\])? must have"):
            function.call(**legal, out=[out] if several else out)
        assert (out == 77).all()


INVERSES = [f for f in WITH_X if "indices" in f.parameters or "input_shape" in f.parameters]


@pytest.mark.failure(11)
@pytest.mark.parametrize("function", INVERSES, ids=str)
def test_partners_of_another_shape_are_refused(function: matrix.Function) -> None:
    """Whatever one partner's shape says that the other's does not, before anything is read."""
    legal = function.legal()
    result = function.call(**legal)
    nd = function.nd
    for name, value in legal.items():
        if isinstance(value, np.ndarray) and len(legal) > 2:
            shapes = resized(value.shape)
            if name == "grad" and function.name.startswith(("roi_align", "max_unpool")):
                # Results of any size.
                shapes = [s for s in shapes if len(s) != 2 + nd or s[:2] != value.shape[:2]]
            changes: list[Any] = [np.ones(s, value.dtype) for s in shapes]
        elif name == "input_shape":  # the windows need not cover every element of the input
            changes = [s for s in resized(value) if len(s) != 2 + nd or s[:2] != value[:2]]
            changes += [(*value[:2], *s) for s in resized(value[2:]) if 0 in s]
        else:
            continue
        for change in changes:
            out = np.full_like(result, 77)
            with pytest.raises((ValueError, IndexError), match=rf"{function.name}: "):
                function.call(**{**legal, name: change}, out=out)
            assert (out == 77).all()


@pytest.mark.failure(12)
@pytest.mark.parametrize("function", [f for f in FUNCTIONS if "indices" in f.parameters], ids=str)
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("values", ["f2", "f4", "f8", "i2"])
def test_every_index_in_turn_out_of_range(
    function: matrix.Function, dtype: str, values: str
) -> None:
    legal = function.legal()
    legal[next(iter(function.parameters))] = np.ones(legal["indices"].shape, values)
    indices = np.zeros(legal["indices"].shape, dtype)
    plane = 4**function.nd
    wild = [-1, -2, plane, plane + 1, 2**31, 2**32 + 3, 2**62, 2**63 - 1, -(2**63), 2**64 - 1]
    limits = np.iinfo(dtype)
    for layout in (False, True):
        out = np.full(function.call(**legal).shape, 77, values)
        given = np.asfortranarray(indices) if layout else indices
        for at in np.ndindex(indices.shape):
            value = wild[sum(at) * 7 % len(wild)]
            if not limits.min <= value <= limits.max or value == -1:
                value = limits.max if limits.max >= plane else -2
            given[at] = value
            with pytest.raises(IndexError, match=rf"{function.name}: indices.*={value} ") as caught:
                function.call(**{**legal, "indices": given}, out=out)
            assert str(list(at))[1:-1] in str(caught.value)
            assert (out == 77).all()
            given[at] = 0
