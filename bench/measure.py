"""Measuring: contenders take turns, round by round, and the median of the rounds counts.

A sample is a batch of calls that lasts long enough for the clock. Every round begins with another
contender, every turn with one call that is not timed: it brings the contender's data and threads
back after the others. Whoever is slow takes part in fewer rounds, spread over the case.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import poolcore
from bench.cases import Case, dtype_of, make_input
from bench.contender import PEERS, Contender, Job, Unsupported, mismatch
from bench.roofline import rooflines

MINE, MINE_OUT, ROOF = "poolcore", "poolcore out=", "roofline"
ONE_THREAD = "poolcore out= 1 thread"
LONG = 1.0  # seconds: of a call that lasts longer the first one, which checks the result, counts


@dataclass(frozen=True)
class Settings:
    """How long to measure, with how many threads."""

    threads: int
    rounds: int = 15
    seconds: float = 0.25  # for one contender in one case
    sample: float = 200e-6  # the least a sample lasts
    scaling: bool = False


@dataclass
class Timing:
    """Seconds of one call."""

    median: float
    best: float
    rounds: int
    batch: int
    notes: list[str] = field(default_factory=list)


@dataclass
class Result:
    """What came out of a case: timings by contender, and why others are missing."""

    case: Case
    timings: dict[str, Timing] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # cannot do the case
    dropped: dict[str, str] = field(default_factory=dict)  # ought to, but failed or was wrong


Progress = Callable[[str], None]


def poolcore_call(case: Case, x: Any, **more: Any) -> Callable[[], Any]:
    """Give the call of poolcore that computes a case."""
    options: dict[str, Any] = {"ceil_mode": case.ceil, **more}
    if case.channels_last:
        options["layout"] = {1: "NWC", 2: "NHWC", 3: "NDHWC"}[case.nd]
    if case.indices:
        options["return_indices"] = True
    if case.op == "avg":
        options["count_include_pad"] = case.count_include_pad
        if dtype_of(case.dtype).kind in "iu":
            options["dtype"] = x.dtype
    function = getattr(poolcore, f"{case.op}_pool{case.nd}d")
    kernel, stride, padding = case.kernel, case.stride, case.padding
    return lambda: function(x, kernel, stride, padding, **options)


def _fresh_outputs(result: Any) -> Any:
    return tuple(y.copy() for y in result) if isinstance(result, tuple) else result.copy()


def contenders(job: Job, peers: Sequence[str], result: Result, settings: Settings) -> Any:
    """Prepare everybody who can do the case and whose result is right."""
    mine = poolcore_call(job.case, job.x)
    expected = mine()
    out = _fresh_outputs(expected)
    found = [
        Contender(MINE, mine),
        Contender(MINE_OUT, poolcore_call(job.case, job.x, out=out)),
        *rooflines(job.case.bytes_in, job.case.bytes_out, settings.threads),
    ]
    if settings.scaling and settings.threads > 1:
        found.append(Contender(ONE_THREAD, poolcore_call(job.case, job.x, out=out, threads=1)))
    for name in peers:
        contender = _peer(name, job, expected, result)
        if contender is not None:
            found.append(contender)
    return found


def _peer(name: str, job: Job, expected: Any, result: Result) -> Contender | None:
    """Prepare and check one peer; what it fails at is written down, and never ends the run."""
    try:
        contender = PEERS[name].prepare(job)
        start = time.perf_counter()
        returned = contender.call()
        contender.first = time.perf_counter() - start
        theirs = contender.read(returned)
    except Unsupported as reason:
        result.left_out[name] = str(reason)
        return None
    except NotImplementedError:  # PyTorch's word for a type it has no kernel for
        result.left_out[name] = f"not implemented for {job.case.dtype}"
        return None
    except Exception as error:
        text = " ".join(str(error).split())
        result.dropped[name] = f"{type(error).__name__}: {text[:150]}"
        return None
    if theirs is not None:
        wrong = mismatch(job.case, expected, theirs, contender.inner_only)
        if wrong:
            result.dropped[name] = f"wrong result: {wrong}"
            return None
    return contender


@dataclass
class _Runner:
    contender: Contender
    batch: int
    rounds: int
    warm: bool
    samples: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        call = self.contender.call
        if self.warm:
            call()
        repeats = range(self.batch)
        start = time.perf_counter()
        for _ in repeats:
            call()
        self.samples.append((time.perf_counter() - start) / self.batch)
        if self.contender.rest:
            time.sleep(self.contender.rest)

    def timing(self) -> Timing:
        part = self.contender.part
        return Timing(
            statistics.median(self.samples) / part, min(self.samples) / part, len(self.samples),
            self.batch, list(self.contender.notes),
        )  # fmt: skip


def _runner(contender: Contender, settings: Settings) -> _Runner:
    """Find out how many calls make a sample, and how many samples the time allows."""
    if contender.first >= LONG:
        contender.notes.append("one call")
        return _Runner(contender, 1, 0, False, [contender.first])
    if contender.first >= 4 * settings.seconds:
        return _Runner(contender, 1, 1, False)
    times = []
    while len(times) < 3 and sum(times) < settings.seconds / 2:
        start = time.perf_counter()
        contender.call()
        times.append(time.perf_counter() - start)
    once = max(min(times), 1e-8)
    time.sleep(contender.rest)
    if once >= settings.seconds:
        return _Runner(contender, 1, 1, False)
    batch = max(1, min(1000, round(settings.sample / once + 0.5)))
    rounds = max(3, int(settings.seconds / (once * (batch + 1))))
    return _Runner(contender, batch, min(rounds, settings.rounds), True)


def take_turns(
    entered: Sequence[Contender], settings: Settings, progress: Progress
) -> dict[str, Timing]:
    """Time all contenders of a case."""
    runners = [_runner(contender, settings) for contender in entered]
    for round_number in range(settings.rounds):
        first = round_number % len(runners)
        for runner in runners[first:] + runners[:first]:
            # Evenly spread: as often in the rounds up to this one as its share of rounds says.
            due = (round_number + 1) * runner.rounds // settings.rounds
            if len(runner.samples) < due:
                progress(runner.contender.name)
                runner.take_turn()
    return {runner.contender.name: runner.timing() for runner in runners}


def measure(
    case: Case, peers: Sequence[str], settings: Settings, progress: Progress = lambda text: None
) -> Result:
    """Measure one case from its input to its medians."""
    result = Result(case)
    progress("preparing")
    try:
        x = make_input(case)
    except ImportError as error:
        result.dropped[MINE] = f"the input cannot be made: {error}"
        return result
    poolcore.set_num_threads(settings.threads)
    entered = contenders(Job(case, x, settings.threads), peers, result, settings)
    timings = take_turns(entered, settings, progress)
    ways = {name: timings.pop(name) for name in list(timings) if name.startswith(ROOF)}
    result.timings = {**timings, ROOF: _limit(ways)}
    if settings.scaling and settings.threads > 1:
        single = {name: timing for name, timing in ways.items() if name.startswith(f"{ROOF}/1")}
        result.timings[f"{ROOF} 1 thread"] = _limit(single)
    return result


def _limit(ways: dict[str, Timing]) -> Timing:
    """Give the fastest way to pass over the bytes."""
    name, timing = min(ways.items(), key=lambda item: item[1].median)
    return dataclasses.replace(timing, notes=[name])
