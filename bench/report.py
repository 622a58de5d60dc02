"""The report a person reads: the table, the goals, the summary, and who was missing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from bench.measure import MINE, MINE_OUT, ONE_THREAD, ROOF
from bench.record import (
    LOOP,
    CaseRecord,
    Record,
    bandwidth,
    best_peer,
    geometric_mean,
    ratio,
    seconds,
    share,
)

TORCH = "PyTorch NCHW"
BUSY = 0.4  # load for each CPU at which a run deserves a warning
NUMBER = re.compile(r"[\d.,]+[%~]?|-|inf")

HEADERS = ("case", "poolcore us", "out= us", "GB/s", "of roofline", "best peer", "us", "x",
           "x PyTorch NCHW", "x NumPy", "x Python loop")  # fmt: skip


def number(value: float, digits: int = 3) -> str:
    """Write a number with few digits, and nothing for NaN."""
    if math.isnan(value):
        return "-"
    if value == 0 or math.isinf(value):
        return str(value)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 4)}f}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows under headers: words to the left, numbers to the right."""
    columns = list(zip(headers, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    words = [any(not NUMBER.fullmatch(cell) for cell in column[1:]) for column in columns]

    def line(cells: Sequence[str]) -> str:
        laid = [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(cells, widths, words, strict=True)
        ]
        return "  ".join(laid).rstrip()

    return [line(headers), "  ".join("-" * width for width in widths), *map(line, rows)]


def _extrapolated(case: CaseRecord) -> bool:
    notes = case["timings"].get(LOOP, {"notes": []})["notes"]
    return any(note.startswith("extrapolated") for note in notes)


def _row(case: CaseRecord) -> list[str]:
    best = best_peer(case)
    return [
        case["name"],
        number(seconds(case, MINE) * 1e6),
        number(seconds(case, MINE_OUT) * 1e6),
        number(bandwidth(case)),
        f"{share(case):.0%}",
        best or "-",
        number(seconds(case, best) * 1e6) if best else "-",
        number(ratio(case, best)) if best else "-",
        number(ratio(case, TORCH)),
        number(ratio(case, "NumPy")),
        number(ratio(case, LOOP)) + ("~" if _extrapolated(case) else ""),
    ]


def measured(record: Record) -> list[CaseRecord]:
    """Give the cases that have times."""
    return [case for case in record["cases"] if MINE in case["timings"]]


def case_table(record: Record) -> Iterator[str]:
    """Lay out the cases."""
    cases = measured(record)
    yield from table(HEADERS, [_row(case) for case in cases])
    yield ""
    yield "x: times poolcore's time, both with fresh results. GB/s and roofline: of out=."
    if any(map(_extrapolated, cases)):
        yield "~: extrapolated from the first part of the windows."


# What to divide by what: label, contender, number of the first case, of the second.
GOALS: tuple[tuple[str, str, str, str], ...] = (
    ("window 3 -> 63, max, time", "time", "window_63_max", "window_3_max"),
    ("window 3 -> 63, avg, time", "time", "window_63_avg", "window_3_avg"),
    ("window 3 -> 63, max of uint8, time", "time", "window_63_max_u8", "window_3_max_u8"),
    ("float64 max, GB/s over float32", "speed", "vgg_1_f64", "vgg_1"),
    ("float16 max, GB/s over float32", "speed", "vgg_1_f16", "vgg_1"),
    ("bfloat16 max, GB/s over float32", "speed", "vgg_1_bf16", "vgg_1"),
    ("uint8 max, GB/s over float32", "speed", "vgg_1_u8", "vgg_1"),
    ("float16 avg, GB/s over float32", "speed", "vgg_1_f16_avg", "vgg_1_avg"),
    ("bfloat16 avg, GB/s over float32", "speed", "vgg_1_bf16_avg", "vgg_1_avg"),
    ("uint8 avg, GB/s over float32", "speed", "vgg_1_u8_avg", "vgg_1_avg"),
    ("uint8 image max, GB/s over float32", "speed", "image_4k_u8_max", "image_4k_f32_max"),
    ("NHWC over NCHW, vgg_1, time", "time", "nhwc_vgg_1", "vgg_1"),
    ("NHWC over NCHW, resnet, time", "time", "nhwc_resnet_b1", "resnet_b1"),
    ("indices over none, vgg_1, time", "time", "index_vgg_1", "vgg_1"),
    ("indices over none, resnet, time", "time", "index_resnet_b1", "resnet_b1"),
    ("indices over none, inception, time", "time", "index_inception", "inception_s1"),
    ("every second column over contiguous, time", "time", "view_columns", "vgg_1"),
    ("transposed over contiguous, time", "time", "view_transposed", "vgg_1"),
    ("crop over contiguous, time", "time", "view_crop", "vgg_1"),
)


def goals(record: Record) -> Iterator[str]:
    """Compare cases with each other: poolcore's ratio, and the roofline's own beside it."""
    by_name = {case["name"]: case for case in measured(record)}
    rows = []
    for label, kind, first, second in GOALS:
        if first in by_name and second in by_name:
            a, b = by_name[first], by_name[second]
            value = seconds if kind == "time" else bandwidth
            mine, limit = (value(a, n) / value(b, n) for n in (MINE_OUT, ROOF))
            rows.append([label, number(mine), number(limit)])
    call = by_name.get("call_4x4")
    if call and TORCH in call["timings"]:
        rows.append(["PyTorch's 4x4 call over poolcore's, time", number(ratio(call, TORCH)), "-"])
    if rows:
        yield from table(("goal", "poolcore", "roofline"), rows)


def scaling(record: Record) -> Iterator[str]:
    """Say how much faster all threads are than one."""
    rows = []
    for case in measured(record):
        if ONE_THREAD in case["timings"]:
            mine = seconds(case, ONE_THREAD) / seconds(case, MINE_OUT)
            limit = seconds(case, f"{ROOF} 1 thread") / seconds(case, ROOF)
            rows.append([case["name"], number(mine), number(limit)])
    if rows:
        threads = record["settings"]["threads"]
        yield from table((f"{threads} threads over 1", "poolcore", "roofline"), rows)


def _slower(cases: Sequence[CaseRecord]) -> list[tuple[CaseRecord, str]]:
    peers = [(case, best_peer(case)) for case in cases]
    return [(case, peer) for case, peer in peers if peer and ratio(case, peer) < 1]


def summary(record: Record) -> Iterator[str]:
    """Sum the run up."""
    cases = measured(record)
    best = [ratio(case, name) for case in cases if (name := best_peer(case))]
    torch = [ratio(case, TORCH) for case in cases]
    torch = [value for value in torch if value == value]
    for text, values in (("the best peer's", best), ("PyTorch NCHW's", torch)):
        if values:
            mean = number(geometric_mean(values))
            yield f"Geometric mean of {text} time over poolcore's: {mean} ({len(values)} cases)"
    yield f"Geometric mean of the share of the roofline: {geometric_mean(map(share, cases)):.0%}"
    slower = _slower(cases)
    yield f"Cases where poolcore is slower than the best peer: {len(slower)} of {len(best)}"
    for case, peer in sorted(slower, key=lambda item: ratio(*item)):
        yield f"    {case['name']}: {peer} takes {ratio(case, peer):.2f} of poolcore's time"


def notes(record: Record) -> Iterator[str]:
    """Say who was missing, who was dropped and why, and what the roofline is."""
    yield f"Roofline: {record['roofline']}"
    if record["load"] > BUSY * record["machine"]["cpus"]:
        yield (
            f"Other programs kept the machine busy (load {record['load']} at the start): peers "
            "whose threads wait by spinning can be slowed down a thousand times"
        )
    if record["missing"]:
        yield f"Not installed, so not measured: {', '.join(record['missing'])}"
    if record["unasked"]:
        yield f"Installed, but not asked for: {', '.join(record['unasked'])}"
    dropped = [(case["name"], *item) for case in record["cases"]
               for item in case["dropped"].items()]  # fmt: skip
    if dropped:
        yield "Dropped, because it failed or its result differs from poolcore's:"
        for name, peer, reason in dropped:
            yield f"    {name}: {peer}: {reason}"
    reasons: dict[tuple[str, str], list[str]] = {}
    for case in record["cases"]:
        for peer, reason in case["left_out"].items():
            reasons.setdefault((peer, reason), []).append(case["name"])
    if reasons:
        yield "Not able to do a case (names in the JSON):"
        for (peer, reason), names in sorted(reasons.items()):
            shown = ", ".join(names) if len(names) <= 4 else f"{len(names)} cases"
            yield f"    {peer}: {reason}: {shown}"


def heading(record: Record) -> Iterator[str]:
    """Say what was measured where."""
    machine, settings = record["machine"], record["settings"]
    yield (
        f"poolcore {record['poolcore']} ({record['target']}), {settings['threads']} threads, "
        f"{machine['cpu']} with {machine['cpus']} CPUs, {machine['system']}, {record['date']}"
    )
    yield ", ".join(f"{name} {version}" for name, version in record["versions"].items())


def report(record: Record) -> str:
    """Give the whole report."""
    parts = [heading(record)]
    if measured(record):
        parts += [case_table(record), goals(record), scaling(record), summary(record)]
    texts = ["\n".join(part) for part in (*parts, notes(record))]
    return "\n\n".join(text for text in texts if text)
