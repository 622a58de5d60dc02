"""Two runs side by side: what became faster, what became slower.

Times change with the machine's mood too, so the change of the roofline is shown beside that of
poolcore: where both moved, the machine did.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.measure import MINE, MINE_OUT, ROOF
from bench.record import Record, geometric_mean, seconds
from bench.report import measured, number, table

WORTH_A_WORD = 1.1


def compare(before: Record, after: Record) -> str:
    """Give the comparison of two records as text."""
    return "\n".join(_lines(before, after))


def _lines(before: Record, after: Record) -> Iterator[str]:
    for label, record in (("before", before), ("after", after)):
        yield (
            f"{label}: poolcore {record['poolcore']} ({record['target']}), {record['date']}, "
            f"{record['settings']['threads']} threads, {record['machine']['cpu']}, "
            f"load {record['load']} at the start"
        )
    for key in ("machine", "settings"):
        if before[key] != after[key]:
            yield f"The two differ in their {key}: {before[key]} and {after[key]}"
    old = {case["name"]: case for case in measured(before)}
    new = {case["name"]: case for case in measured(after)}
    both = [name for name in old if name in new]
    yield ""
    rows, changes = [], {}
    for name in both:
        a, b = old[name], new[name]
        if a["what"] != b["what"]:
            yield f"{name} is another case now: {a['what']}, {b['what']}"
            continue
        changes[name] = seconds(b, MINE_OUT) / seconds(a, MINE_OUT)
        cells = [seconds(x, n) * 1e6 for n in (MINE, MINE_OUT) for x in (a, b)]
        moved = [seconds(b, n) / seconds(a, n) for n in (MINE, MINE_OUT, ROOF)]
        rows.append([name, *map(number, cells), *(f"{value:.2f}" for value in moved)])
    yield from table(
        ("case", "us", "-> us", "out= us", "-> us", "after/before", "out=", "roofline"), rows
    )
    yield ""
    yield f"Geometric mean of after/before, out=: {number(geometric_mean(changes.values()))}"
    for word, chosen in (
        ("Slower", {n: c for n, c in changes.items() if c > WORTH_A_WORD}),
        ("Faster", {n: c for n, c in changes.items() if c < 1 / WORTH_A_WORD}),
    ):
        names = sorted(chosen, key=lambda name: -abs(1 - chosen[name]))
        yield f"{word} by more than a tenth: " + (", ".join(names) or "none")
    for word, names in (("before", set(old) - set(new)), ("after", set(new) - set(old))):
        if names:
            yield f"Only {word}: {', '.join(sorted(names))}"
