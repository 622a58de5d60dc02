"""The operations beside plain windows, against the libraries that have them.

Each row is a call of poolcore and calls of other libraries that compute the same from the same
arrays; whoever is not installed is left out, and whose result differs is not timed. The rows are in
`rows_*.py`, by family.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import poolcore
from bench import rows_gradients, rows_images, rows_regions, rows_whole, rows_windows
from bench.contender import REST, Contender
from bench.measure import MINE, Settings, take_turns
from bench.record import geometric_mean
from bench.report import number, table
from bench.rows import Operation

GROUPS = (
    rows_whole.adaptive, rows_whole.adaptive_backward, rows_whole.whole_planes,
    rows_whole.whole_backward, rows_whole.spatial_pyramids, rows_windows.norms, rows_windows.soft,
    rows_windows.stochastic, rows_windows.fractional, rows_regions.regions,
    rows_gradients.gradients, rows_gradients.unpooling, rows_gradients.both_ways,
    rows_images.pyramids, rows_images.other_pyramids, rows_images.majorities, rows_images.medians,
)  # fmt: skip


def all_operations() -> Iterator[Operation]:
    """Give every row; arrays are made as one goes."""
    for group in GROUPS:
        yield from group()


def _lists(result: Any) -> list[np.ndarray]:
    several = isinstance(result, list | tuple)
    results = result if several else [result]
    return [np.asarray(r.detach() if hasattr(r, "detach") else r) for r in results]


def differs(mine: Any, theirs: Any, tolerance: float) -> str | None:
    """Say how two results differ."""
    for a, b in zip(_lists(mine), _lists(theirs), strict=True):
        if a.shape != b.shape:
            return f"shape {b.shape}, not {a.shape}"
        a, b = a.astype(np.float64), b.astype(np.float64)
        scale = max(1.0, float(np.abs(a).max(initial=0)) if tolerance < 1 else 1.0)
        worst = float(np.abs(a - b).max(initial=0))
        if not worst <= tolerance * scale:
            return f"differs by {worst:g}"
    return None


def _entered(row: Operation, threads: int, notes: list[str]) -> list[Contender]:
    found = [Contender(MINE, row.mine)]
    mine = row.mine()
    for module, prepare in row.others.items():
        try:
            library = importlib.import_module(module)
        except ImportError:
            continue
        if hasattr(library, "set_num_threads"):
            library.set_num_threads(threads)
        if hasattr(library, "setNumThreads"):
            library.setNumThreads(threads)
        call = prepare(library)
        wrong = differs(mine, call(), row.tolerance)
        if wrong:
            notes.append(f"{row.name}: {module} is left out: {wrong}")
        else:
            found.append(Contender(module, call, rest=REST))
    return found


def report(rows: Sequence[Operation] | Iterator[Operation], settings: Settings) -> str:
    """Measure all rows; give the table, the geometric mean, and where poolcore is slower."""
    poolcore.set_num_threads(settings.threads)
    lines, ratios, slower, notes = [], [], [], list[str]()
    for row in rows:
        timings = take_turns(_entered(row, settings.threads, notes), settings, lambda text: None)
        mine = timings.pop(MINE).median
        if not timings:
            lines.append([row.name, number(mine * 1e6), "-", "-", "-"])
            continue
        best = min(timings, key=lambda name: timings[name].median)
        ratio = timings[best].median / mine
        ratios.append(ratio)
        if ratio < 1:
            slower.append(f"{row.name} ({ratio:.2f})")
        lines.append([row.name, number(mine * 1e6), best, number(timings[best].median * 1e6),
                      number(ratio)])  # fmt: skip
    text = table(("operation", "poolcore us", "best peer", "us", "x"), lines)
    text += ["", f"geometric mean {number(geometric_mean(ratios))} of {len(ratios)}"]
    text += [f"slower than the best peer: {', '.join(slower) or 'none'}", *notes]
    return "\n".join(text)
