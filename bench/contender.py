"""What takes part in a case: a prepared call, and how to read its result.

A peer is a function from a job to a contender, entered in PEERS by the decorator. It prepares
everything outside the timed call (layouts, models, outputs), and raises Unsupported with the reason
when it cannot do the case. Peers import their library inside, so that none is required.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.cases import Case

# Threads of other libraries go on spinning after a call and would slow whoever comes next.
REST = 0.005


class Unsupported(Exception):
    """This peer cannot do this case; the text says why."""


@dataclass(frozen=True)
class Job:
    """A case with its input, and the number of threads for everybody."""

    case: Case
    x: np.ndarray
    threads: int


def _as_it_is(result: Any) -> Any:
    return result


@dataclass
class Contender:
    """A prepared call of one peer.

    `read` turns what the call returned into arrays shaped as poolcore's result: the values, and
    the indices if the case has them. `part` is the share of the work that one call does: times
    are divided by it. `inner_only`: at the border this peer computes something else.
    """

    name: str
    call: Callable[[], Any]
    read: Callable[[Any], Any] = _as_it_is
    part: float = 1.0
    inner_only: bool = False
    rest: float = 0.0
    first: float = 0.0  # seconds of the first call, if it has been made
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Peer:
    """A library's way to pool. `module` is what has to be importable for it."""

    name: str
    module: str
    distribution: str
    prepare: Callable[[Job], Contender]

    def version(self) -> str | None:
        """Give the version of the library, None if it is not installed."""
        if importlib.util.find_spec(self.module) is None:
            return None
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            found = getattr(importlib.import_module(self.module), "__version__", "unknown")
            return str(found)


PEERS: dict[str, Peer] = {}


def peer(name: str, module: str, distribution: str | None = None) -> Callable[[Any], Any]:
    """Enter the decorated function in PEERS."""

    def enter(prepare: Callable[[Job], Contender]) -> Callable[[Job], Contender]:
        PEERS[name] = Peer(name, module, distribution or module, prepare)
        return prepare

    return enter


def require(condition: bool, reason: str) -> None:
    """Raise Unsupported with the reason unless the condition holds."""
    if not condition:
        raise Unsupported(reason)


def channels_first(job: Job) -> np.ndarray:
    """Give the input as a contiguous array with the channels before the pooled axes."""
    x = np.moveaxis(job.x, -1, 1) if job.case.channels_last else job.x
    return np.ascontiguousarray(x)


def from_channels_first(case: Case, y: np.ndarray) -> np.ndarray:
    """Undo channels_first for a result."""
    return np.moveaxis(y, 1, -1) if case.channels_last else y


def mismatch(case: Case, mine: Any, theirs: Any, inner_only: bool) -> str | None:
    """Say how a peer's result differs from poolcore's; None if it does not."""
    both = (mine, theirs) if case.indices else ((mine,), (theirs,))
    for what, a, b in zip(("values", "indices"), *both, strict=False):
        text = _difference(case, what, np.asarray(a), np.asarray(b), inner_only)
        if text:
            return text
    return None


def _difference(
    case: Case, what: str, a: np.ndarray, b: np.ndarray, inner_only: bool
) -> str | None:
    if a.shape != b.shape:
        return f"its {what} have the shape {b.shape}, not {a.shape}"
    if inner_only:
        cut = [slice(None)] * a.ndim
        lengths = zip(case.axes, case.kernel, case.stride, case.padding, strict=True)
        for axis, k, s, p in lengths:
            n, first = case.shape[axis], -(-p // s)
            cut[axis] = slice(first, (n - k + p) // s + 1)
        a, b = a[tuple(cut)], b[tuple(cut)]
    rough = a.dtype.itemsize == 2 and a.dtype.kind not in "iu"
    if what == "indices" or (case.op == "max" and a.dtype == b.dtype):
        wrong = a != b
    else:  # integer means may be rounded in another way
        exact = a.dtype.kind in "iu"
        a, b = a.astype(np.float64), b.astype(np.float64)
        wrong = np.abs(a - b) > (1.0 if exact else (1e-2 if rough else 1e-5) * (1 + np.abs(a)))
        wrong |= np.isnan(a) != np.isnan(b)
    count = int(np.count_nonzero(wrong))
    if not count:
        return None
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    return f"{count} of {wrong.size} {what} differ, first at {place}: {b[place]}, not {a[place]}"
