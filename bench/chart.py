"""The chart: for every case the share of the roofline that poolcore and the others reach.

The right edge is the limit: memory passed over with no work. The longer poolcore's bar, and the
further left the others' marks, the better. matplotlib is needed here only.
"""

from __future__ import annotations

import math
from typing import Any

from bench.measure import MINE, MINE_OUT
from bench.record import CaseRecord, Record, best_peer, geometric_mean, ratio, share
from bench.report import TORCH, measured, number

BLUE, PALE, ORANGE, RED, GREY = "#2f6fbb", "#a9c6ea", "#e08a1e", "#b3261e", "#6b7280"
LEFT = 1e-3
ROW_INCHES = 0.2


def _rows(cases: list[CaseRecord]) -> tuple[list[tuple[float, CaseRecord]], list[Any]]:
    """Give every case a height, with a gap and a heading before each group."""
    rows, headings, at, group = [], [], 0.0, None
    for case in cases:
        if case["group"] != group:
            group = case["group"]
            headings.append((at + 0.4, group))
            at += 1.4
        rows.append((at, case))
        at += 1
    return rows, headings


def _visible(value: float) -> float:
    return max(value, LEFT * 1.08)


def _draw_case(axes: Any, height: float, case: CaseRecord) -> None:
    mine, best, torch = share(case), best_peer(case), share(case, TORCH)
    fresh = share(case, MINE)
    axes.barh(height, _visible(mine) - LEFT, left=LEFT, height=0.62, color=PALE, zorder=2)
    axes.barh(height, _visible(fresh) - LEFT, left=LEFT, height=0.62, color=BLUE, zorder=2)
    if best:
        value = share(case, best)
        slower = ratio(case, best) < 1
        axes.plot([_visible(value)], [height], "D", color=RED if slower else ORANGE, ms=5.2,
                  mec="white", mew=0.7, zorder=4)  # fmt: skip
        words = f"{number(ratio(case, best), 2)}x", best
        for place, word, side in zip((1.145, 1.16), words, ("right", "left"), strict=True):
            _beside(axes, (place, height), word, side, RED if slower else "black")
    _beside(axes, (1.065, height), f"{mine:.0%}", "right", "black")
    if not math.isnan(torch) and best != TORCH:
        axes.plot([_visible(torch)], [height], "o", color="white", mec="black", ms=4.6, mew=1,
                  zorder=3)  # fmt: skip


def _beside(axes: Any, at: tuple[float, float], text: str, side: str, colour: str) -> None:
    axes.text(*at, text, transform=axes.get_yaxis_transform(), va="center", ha=side,
              fontsize=7.5, color=colour)  # fmt: skip


def _legend(axes: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def mark(shape: str, colour: str, edge: str, label: str) -> Any:
        return Line2D([], [], ls="", marker=shape, color=colour, mec=edge, ms=6, label=label)

    axes.legend(
        handles=[
            Patch(color=BLUE, label="poolcore"),
            Patch(color=PALE, label="poolcore with out="),
            mark("D", ORANGE, "white", "best peer"),
            mark("D", RED, "white", "best peer, faster than poolcore"),
            mark("o", "white", "black", "PyTorch NCHW"),
        ],
        loc="lower left", bbox_to_anchor=(-0.3, 1.0), ncols=5, frameon=False, fontsize=8.5,
        borderaxespad=1.9, handletextpad=0.4, columnspacing=1.4,
    )  # fmt: skip


def _title(record: Record, cases: list[CaseRecord]) -> tuple[str, str]:
    best = geometric_mean(ratio(case, name) for case in cases if (name := best_peer(case)))
    torch = geometric_mean(ratio(case, TORCH) for case in cases)
    parts = [f"{geometric_mean(map(share, cases)):.0%} of the roofline"]
    parts += [f"{number(best, 2)}x the best peer"] if best == best else []
    parts += [f"{number(torch, 2)}x PyTorch NCHW"] if torch == torch else []
    threads = record["settings"]["threads"]
    where = f"{threads} threads, {record['machine']['cpu']}, {record['date'][:10]}"
    return f"{MINE} {record['poolcore']}: {', '.join(parts)}", f"{where}; geometric means"


def draw(record: Record, path: str) -> None:
    """Write the chart as an image. ImportError if matplotlib is missing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cases = [case for case in measured(record) if MINE_OUT in case["timings"]]
    rows, headings = _rows(cases)
    length = rows[-1][0] + 1 if rows else 1
    height = 1.7 + length * ROW_INCHES
    figure = Figure(figsize=(11, height))
    FigureCanvasAgg(figure)
    left, right, top, bottom = 0.165, 0.715, 1 - 1.05 / height, 0.55 / height
    axes = figure.add_axes((left, bottom, right - left, top - bottom))
    axes.set_xscale("log")
    axes.set_xlim(LEFT, 1)
    axes.set_ylim(length - 0.4, -0.3)
    axes.set_xticks([1e-3, 1e-2, 0.1, 0.5, 1], ["0.1%", "1%", "10%", "50%", "100%"])
    axes.minorticks_off()
    axes.set_xlabel(
        "share of the roofline: the same bytes, without work (marks at the left edge: less)",
        fontsize=9,
    )
    axes.grid(axis="x", color="#d6d9de", lw=0.8, zorder=0)
    axes.tick_params(axis="x", labelsize=8.5)
    axes.tick_params(axis="y", length=0, labelsize=8)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.axvline(1, color=GREY, lw=2.5, clip_on=False)
    for place, case in rows:
        _draw_case(axes, place, case)
    axes.set_yticks([place for place, _ in rows], [case["name"] for _, case in rows])
    for place, group in headings:
        axes.text(0.003, place, group, transform=axes.get_yaxis_transform(), fontsize=9,
                  weight="bold", va="center", color=GREY)  # fmt: skip
    axes.text(1.02, 1, "of roofline, times the best peer's speed",
              fontsize=7.5, color=GREY, transform=axes.transAxes, va="bottom")  # fmt: skip
    title, subtitle = _title(record, cases)
    figure.text(0.02, 1 - 0.32 / height, title, fontsize=13, weight="bold", va="center")
    figure.text(0.02, 1 - 0.56 / height, subtitle, fontsize=9, color=GREY, va="center")
    _legend(axes)
    figure.savefig(path, dpi=110)
