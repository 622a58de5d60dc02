"""A run of the benchmark as plain data: what --json writes, and what the reports read.

A record is a dict: "format", "machine", "settings", "versions", "missing", "roofline" and "cases",
each case with its numbers, its timings in seconds by contender, and who was left out or dropped.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import poolcore
from bench.cases import describe
from bench.contender import PEERS
from bench.measure import MINE, MINE_OUT, ONE_THREAD, ROOF, Result, Settings

FORMAT = 1
OWN = (MINE, MINE_OUT, ROOF, ONE_THREAD, f"{ROOF} 1 thread")
LOOP = "Python loop"

Record = dict[str, Any]
CaseRecord = dict[str, Any]


def available_cpus() -> int:
    """Count the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def case_record(result: Result) -> CaseRecord:
    """Give a case's result as plain data."""
    case = result.case
    return {
        "name": case.name,
        "group": case.group,
        "intent": case.intent,
        "what": describe(case),
        "bytes_in": case.bytes_in,
        "bytes_out": case.bytes_out,
        "timings": {name: dataclasses.asdict(timing) for name, timing in result.timings.items()},
        "left_out": dict(result.left_out),
        "dropped": dict(result.dropped),
    }


def make_record(
    results: Iterable[Result], settings: Settings, peers: Sequence[str], roofline: str
) -> Record:
    """Give a whole run as plain data."""
    versions = {name: peer.version() for name, peer in PEERS.items()}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # before anything is measured
    return {
        "format": FORMAT,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cpus": available_cpus(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "poolcore": poolcore.__version__,
        "target": _target(),
        "load": round(load, 2),
        "settings": dataclasses.asdict(settings),
        "versions": {"NumPy": np.__version__, **{n: versions[n] for n in peers}},
        "missing": [name for name, version in versions.items() if version is None],
        "unasked": [n for n, v in versions.items() if v is not None and n not in peers],
        "roofline": roofline,
        "cases": [case_record(result) for result in results],
    }


def _target() -> str:
    from poolcore import _core

    return str(_core.target_in_use())


def save(record: Record, path: str) -> None:
    Path(path).write_text(json.dumps(record, indent=1) + "\n")


def load(path: str) -> Record:
    """Read a record. ValueError if the file is something else."""
    try:
        record = json.loads(Path(path).read_text())
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no result of this benchmark: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no result of this benchmark: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or "cases" not in record:
        raise ValueError(f"{path} is no result of this benchmark of format {FORMAT}")
    return record


# -------------------------------------------------------------------- numbers of one case


def seconds(case: CaseRecord, name: str) -> float:
    """Give the median of a contender, NaN if it took no part."""
    timing = case["timings"].get(name)
    return float(timing["median"]) if timing else math.nan


def ratio(case: CaseRecord, name: str) -> float:
    """Say how many times poolcore's time a contender takes; both give fresh results."""
    return seconds(case, name) / seconds(case, MINE)


def share(case: CaseRecord, name: str = MINE_OUT) -> float:
    """Give the roofline's time over a contender's."""
    return seconds(case, ROOF) / seconds(case, name)


def bandwidth(case: CaseRecord, name: str = MINE_OUT) -> float:
    """Give bytes in and out a nanosecond, that is GB/s."""
    return float((case["bytes_in"] + case["bytes_out"]) / seconds(case, name) / 1e9)


def best_peer(case: CaseRecord) -> str | None:
    """Give the fastest of the others; None if there is none."""
    others = [name for name in case["timings"] if name not in OWN and name != LOOP]
    return min(others, key=lambda name: seconds(case, name), default=None)


def geometric_mean(values: Iterable[float]) -> float:
    """Give the geometric mean of what is not NaN; NaN if nothing is."""
    logs = [math.log(value) for value in values if value == value and value > 0]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan
