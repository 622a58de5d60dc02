"""python -m bench: measure, report, compare."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.cases import Case

QUICK = {"rounds": 7, "seconds": 0.08}


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    top = argparse.ArgumentParser(prog="python -m bench", description="The benchmark of poolcore.")
    top.add_argument("--cases", metavar="GLOB", nargs="+", help="only these names or groups")
    top.add_argument("--peers", metavar="NAME", nargs="*", help="only these; none: poolcore alone")
    top.add_argument("--quick", action="store_true", help="fewer cases and rounds: 1 to 2 minutes")
    top.add_argument("--threads", type=int, help="for everybody; by default all CPUs")
    top.add_argument("--rounds", type=int, help="most rounds of a case (15)")
    top.add_argument("--seconds", type=float, help="for one contender in one case (0.25)")
    top.add_argument("--scaling", action="store_true", help="measure one thread too")
    top.add_argument("--json", metavar="FILE", help="where to write all numbers")
    top.add_argument("--chart", metavar="FILE", help="where to draw the chart (.png, .svg)")
    top.add_argument("--compare", metavar=("A", "B"), nargs=2, help="compare two --json files")
    top.add_argument(
        "--operations",
        action="store_true",
        help="the other operations: adaptive, norms, gradients, pyramids, medians",
    )
    top.add_argument("--list", action="store_true", help="list the cases and the peers")
    return top


def chosen_cases(patterns: Sequence[str] | None, quick: bool) -> list[Case]:
    """Give the cases that a name or group pattern fits. ValueError if a pattern fits none."""
    from bench.cases import CASES

    found = [case for case in CASES if case.quick or not quick]
    if patterns is None:
        return found
    # Whoever names cases wants them, quick or not.
    for pattern in patterns:
        if not any(fnmatch.fnmatch(c.name, pattern) or c.group == pattern for c in CASES):
            raise ValueError(f"--cases {pattern}: no such case; --list shows all")
    return [
        case
        for case in CASES
        if any(fnmatch.fnmatch(case.name, p) or case.group == p for p in patterns)
    ]


def chosen_peers(wanted: Sequence[str] | None) -> list[str]:
    """Give the installed peers that are asked for. ValueError if a name fits none."""
    from bench.contender import PEERS
    from bench.peers import installed

    for word in wanted or ():
        if not any(word.lower() in name.lower() for name in PEERS):
            raise ValueError(f"--peers {word}: no such peer; --list shows all")
    return [
        name
        for name in installed()
        if wanted is None or any(word.lower() in name.lower() for word in wanted)
    ]


@contextmanager
def progress_bar(total: int) -> Iterator[Any]:
    """Give a progress bar, or lines if tqdm is missing."""
    try:
        from tqdm import tqdm
    except ImportError:
        print("tqdm is not installed: no progress bar", file=sys.stderr)
        yield None
        return
    with tqdm(total=total, unit="case", dynamic_ncols=True, smoothing=0) as bar:
        yield bar


def _show(bar: Any, case: str, who: str) -> None:
    bar.set_postfix_str(f"{case}: {who}", refresh=False)
    bar.update(0)


def run(cases: Sequence[Case], peers: Sequence[str], settings: Any) -> Iterable[Any]:
    """Measure the cases one after the other; Ctrl-C keeps what is done."""
    from bench.measure import measure

    with progress_bar(len(cases)) as bar:
        for case in cases:
            show: Any = partial(_show, bar, case.name) if bar is not None else lambda text: None
            try:
                yield measure(case, peers, settings, show)
            except KeyboardInterrupt:
                print(f"\nstopped at {case.name}; what was measured follows", file=sys.stderr)
                return
            if bar is None:
                print(case.name, file=sys.stderr, flush=True)
            else:
                bar.update()


def bench(a: argparse.Namespace) -> None:
    """Measure and report."""
    from bench.measure import Settings
    from bench.record import available_cpus, make_record, save
    from bench.report import report
    from bench.roofline import library

    options: dict[str, Any] = dict(QUICK) if a.quick else {}
    options.update({name: value for name in ("rounds", "seconds")
                    if (value := getattr(a, name)) is not None})  # fmt: skip
    threads = available_cpus() if a.threads is None else a.threads
    if threads < 1 or options.get("rounds", 1) < 1 or options.get("seconds", 1) <= 0:
        raise ValueError("--threads, --rounds and --seconds must be positive")
    settings = Settings(threads=threads, scaling=a.scaling, **options)
    if a.operations:
        from bench import operations

        print(operations.report(operations.all_operations(), settings))
        return
    cases, peers = chosen_cases(a.cases, a.quick), chosen_peers(a.peers)
    record = make_record(run(cases, peers, settings), settings, peers, library()[1])
    print(report(record))
    if a.json:
        save(record, a.json)
    if a.chart:
        try:
            from bench.chart import draw

            draw(record, a.chart)
        except ImportError as error:
            print(f"no chart: {error}; pip install '.[bench]'", file=sys.stderr)


def show_list() -> None:
    """List the cases and the peers."""
    from bench.cases import CASES, describe
    from bench.contender import PEERS
    from bench.peers import installed
    from bench.report import table

    rows = [[c.name, c.group, "quick" if c.quick else "", describe(c), c.intent] for c in CASES]
    print("\n".join(table(("case", "group", "", "what", "why"), rows)))
    found = installed()
    print()
    print("\n".join(f"{name}: {PEERS[name].version() or 'not installed'}" for name in PEERS))
    print(f"{len(CASES)} cases, {len(found)} of {len(PEERS)} peers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; a mistake is one line on standard error."""
    a = parser().parse_args(arguments)
    try:
        import poolcore  # noqa: F401
    except ImportError as error:
        print(f"bench: {error}; pip install '.[bench]' first", file=sys.stderr)
        return 1
    try:
        if a.list:
            show_list()
        elif a.compare:
            from bench.compare import compare
            from bench.record import load

            print(compare(*map(load, a.compare)))
        else:
            bench(a)
    except (OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
