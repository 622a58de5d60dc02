"""The benchmark works: its cases, peers, turns, roofline and reports. No time is asserted."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import poolcore

ROOT = Path(__file__).parents[1]
if not (ROOT / "bench").exists():
    pytest.skip("the tests run without the source tree", allow_module_level=True)
sys.path.insert(0, str(ROOT))  # bench is run from the repository's root and never installed

from bench import measure, operations, record, report, roofline  # noqa: E402
from bench.__main__ import main  # noqa: E402
from bench.cases import CASES, VIEWS, Case, describe, make_input  # noqa: E402
from bench.contender import PEERS, Contender, Job, Peer, Unsupported, mismatch  # noqa: E402
from bench.measure import MINE, MINE_OUT, ROOF, Result, Settings, Timing  # noqa: E402
from bench.peers import installed  # noqa: E402

TINY = [case.tiny() for case in CASES]
BY_NAME = {case.name: case for case in CASES}
SETTINGS = Settings(threads=2, rounds=3, seconds=1e-4, sample=1e-6)


@pytest.fixture(autouse=True)
def _same_threads_after() -> Iterator[None]:
    before = poolcore.get_num_threads()
    yield
    poolcore.set_num_threads(before)


def input_of(case: Case) -> Any:
    if case.dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="bfloat16 comes from ml_dtypes")
    return make_input(case)


# ------------------------------------------------------------------------------------- cases


def test_names_are_unique_and_speakable() -> None:
    assert len(BY_NAME) == len(CASES)
    assert all(name.replace("_", "").isalnum() and name == name.lower() for name in BY_NAME)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_well_formed(case: Case) -> None:
    assert case.op in ("max", "avg")
    assert case.view in VIEWS
    assert len(case.kernel) == len(case.stride) == len(case.padding) == len(case.shape) - 2
    assert all(p < k for p, k in zip(case.padding, case.kernel, strict=True))
    assert not case.indices or case.op == "max"
    assert case.intent
    assert case.group
    assert str(case.shape[0]) in describe(case)


def test_every_group_has_a_quick_case() -> None:
    assert {case.group for case in CASES} == {case.group for case in CASES if case.quick}


def test_the_goals_name_cases() -> None:
    for label, kind, first, second in report.GOALS:
        assert {first, second} <= set(BY_NAME), label
        assert kind in ("time", "speed")


@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_a_case_runs_through_poolcore(case: Case) -> None:
    x = input_of(case)
    assert x.shape == case.shape
    assert x.flags.c_contiguous == (case.view == "contiguous")
    fresh = measure.poolcore_call(case, x)()
    values = fresh[0] if case.indices else fresh
    assert values.shape == case.out_shape
    assert values.dtype == x.dtype
    parts = fresh if case.indices else (fresh,)
    assert sum(part.nbytes for part in parts) == case.bytes_out
    out = tuple(np.zeros_like(part) for part in parts)
    measure.poolcore_call(case, x, out=out if case.indices else out[0])()
    assert all(np.array_equal(a, b) for a, b in zip(parts, out, strict=True))


@pytest.mark.parametrize("case", [c for c in TINY if c.op == "avg"], ids=lambda c: c.name)
def test_the_divisors_are_poolcores(case: Case) -> None:
    ones = dataclasses.replace(case, dtype="float64")
    mean = measure.poolcore_call(ones, np.ones(case.shape))()
    divisors = case.divisors()[..., None] if case.channels_last else case.divisors()
    taps = mean * divisors
    assert np.allclose(taps, np.rint(taps))
    assert taps.max() == np.prod(case.kernel)


# ------------------------------------------------------------------------------------- peers


@pytest.mark.parametrize("name", [*PEERS])
def test_a_peer_agrees_or_says_why_not(name: str) -> None:
    if PEERS[name].version() is None:
        pytest.skip(f"{PEERS[name].distribution} is not installed")
    took_part = 0
    for case in TINY[::4] if PEERS[name].module in ("torch", "openvino") else TINY:
        if case.dtype == "bfloat16":
            continue
        result = Result(case)
        x = make_input(case)
        contender = measure._peer(
            name, Job(case, x, 2), measure.poolcore_call(case, x)(), result
        )  # fmt: skip
        assert not result.dropped, case.name
        assert (contender is None) == (name in result.left_out), case.name
        took_part += contender is not None
    assert took_part


def test_a_peer_that_is_wrong_or_fails_is_dropped_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(job: Job) -> Contender:
        return Contender("wrong", lambda: measure.poolcore_call(job.case, job.x)() + 1)

    def broken(job: Job) -> Contender:
        raise RuntimeError("out\nof order")

    def unable(job: Job) -> Contender:
        raise Unsupported("has only one leg")

    found = {"wrong": wrong, "broken": broken, "unable": unable}
    for name, prepare in found.items():
        monkeypatch.setitem(PEERS, name, Peer(name, "numpy", "numpy", prepare))
    result = measure.measure(BY_NAME["lenet_2"].tiny(), list(found), SETTINGS)
    assert set(result.timings) == {MINE, MINE_OUT, ROOF}
    assert result.left_out == {"unable": "has only one leg"}
    assert result.dropped["broken"] == "RuntimeError: out of order"
    assert "values differ" in result.dropped["wrong"]


def test_mismatch_sees_shapes_values_and_indices() -> None:
    case = BY_NAME["vgg_1"]
    a = np.zeros((1, 1, 4, 4), np.float32)
    assert mismatch(case, a, a.copy(), False) is None
    assert "shape" in (mismatch(case, a, a[0], False) or "")
    assert "differ" in (mismatch(case, a, a + np.float32(1e-6), False) or "")
    assert mismatch(BY_NAME["vgg_1_avg"], a, a + np.float32(1e-6), False) is None
    assert "nan" in (mismatch(BY_NAME["vgg_1_avg"], a, a * np.float32(np.nan), False) or "")
    integers = np.full((1, 1, 2, 2), 7, np.uint8)
    assert mismatch(BY_NAME["vgg_1_u8_avg"], integers, integers + 1, False) is None
    assert mismatch(BY_NAME["vgg_1_u8_avg"], integers, integers + 2, False) is not None
    both = dataclasses.replace(case, indices=True)
    assert "indices" in (mismatch(both, (a, a), (a, a + 1), False) or "")


def test_mismatch_can_leave_the_border_out() -> None:
    case = BY_NAME["window_5_max"]
    a = np.zeros(case.shape, np.float32)
    b = a.copy()
    b[..., :2, :] = b[..., -2:] = 9
    assert mismatch(case, a, b, True) is None
    b[..., 2, 2] = 9
    assert mismatch(case, a, b, True) is not None


# ------------------------------------------------------------------------------------- turns


def test_contenders_take_turns_in_a_changing_order() -> None:
    turns: list[str] = []
    entered = [Contender(name, lambda: None) for name in "abc"]
    timings = measure.take_turns(entered, Settings(1, 3, 1.0, 1e-9), turns.append)
    assert turns == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert all(t.rounds == 3 and t.best <= t.median for t in timings.values())


def test_a_long_call_is_not_repeated() -> None:
    def call() -> None:
        raise AssertionError("called again")

    timing = measure.take_turns(
        [Contender("slow", call, first=7.0, part=0.5)], SETTINGS, lambda text: None
    )["slow"]
    assert (timing.median, timing.rounds, timing.notes) == (14.0, 1, ["one call"])


# ---------------------------------------------------------------------------------- roofline


@pytest.mark.parametrize("sizes", [(1, 1), (100_003, 7), (5_000, 1_500_001), (2_000_000, 499_999)])
@pytest.mark.parametrize("compiled", [True, False])
def test_the_roofline_writes_all_its_output(
    sizes: tuple[int, int], compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiled and roofline.library()[0] is None:
        pytest.skip(roofline.library()[1])
    if not compiled:
        monkeypatch.setattr(roofline, "library", lambda: (None, "no compiler"))
    buffers: list[Any] = []
    make = roofline._buffer
    monkeypatch.setattr(
        roofline, "_buffer", lambda size: buffers.append(make(size)) or buffers[-1]
    )  # fmt: skip
    for way in roofline.rooflines(*sizes, threads=3):
        source, target = buffers
        assert 0 <= source.size - sizes[0] < 64
        assert 0 <= target.size - sizes[1] < 64
        for _ in range(20):
            source.fill(1)
            target.fill(255)
            way.call()
            assert (source == 1).all(), way.name
            assert not (target.view(np.uint64) == 2**64 - 1).any(), way.name


# ----------------------------------------------------------------------------------- reports


def fake_result(name: str, mine: float, other: float) -> Result:
    def timing(seconds: float, *notes: str) -> Timing:
        return Timing(seconds, seconds, 5, 1, list(notes))

    return Result(
        BY_NAME[name],
        {
            MINE: timing(mine),
            MINE_OUT: timing(mine / 2),
            ROOF: timing(mine / 4),
            "NumPy": timing(other),
            "PyTorch NCHW": timing(8 * mine),
            "Python loop": timing(100 * mine, "extrapolated from 1% of the windows"),
        },
        left_out={"Pillow": "takes images only"},
        dropped={"OpenCV": "wrong result: 3 of 4 values differ"},
    )


def fake_record(mine: float = 1e-3) -> record.Record:
    results = [fake_result("vgg_1", mine, 4e-3), fake_result("vgg_5", mine, 0.5e-3)]
    made = record.make_record(results, SETTINGS, ["NumPy", "Python loop"], "made for a test")
    made["missing"], made["load"] = ["OpenVINO"], 0.0
    return made


def test_the_report_says_it_all() -> None:
    text = report.report(fake_record())
    row = next(line for line in text.splitlines() if line.startswith("vgg_1"))
    assert row.split() == [
        "vgg_1", "1,000", "500", "32.1", "50%", "NumPy", "4,000", "4.00", "8.00", "4.00", "100~",
    ]  # fmt: skip
    assert "slower than the best peer: 1 of 2\n    vgg_5: NumPy takes 0.50" in text
    assert "Not installed, so not measured: OpenVINO" in text
    assert "vgg_1: OpenCV: wrong result: 3 of 4 values differ" in text
    assert "Pillow: takes images only: vgg_1, vgg_5" in text
    assert "Roofline: made for a test" in text
    assert "extrapolated" in text


def test_goals_and_scaling_are_ratios() -> None:
    made = fake_record()
    extra = fake_result("index_vgg_1", 3e-3, 4e-3)
    extra.timings[measure.ONE_THREAD] = Timing(3e-3, 3e-3, 5, 1)
    extra.timings[f"{ROOF} 1 thread"] = Timing(3e-3, 3e-3, 5, 1)
    made["cases"].append(record.case_record(extra))
    lines = [line.split() for line in report.report(made).splitlines()]
    assert ["indices", "over", "none,", "vgg_1,", "time", "3.00", "3.00"] in lines
    assert ["index_vgg_1", "2.00", "4.00"] in lines


def test_a_busy_machine_is_told_of() -> None:
    made = fake_record()
    assert "busy" not in report.report(made)
    made["load"] = 64.0 * made["machine"]["cpus"]
    assert "Other programs kept the machine busy" in report.report(made)


def test_a_missing_peer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = Peer("Nobody", "no_such_module_at_all", "nothing", PEERS["NumPy"].prepare)
    monkeypatch.setitem(PEERS, "Nobody", nobody)
    assert "Nobody" not in installed()
    made = record.make_record([], SETTINGS, installed(), "")
    assert "Nobody" in made["missing"]
    assert "Nobody" in report.report(made)


def test_two_files_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(tmp_path / name) for name in ("a.json", "b.json")]
    for name, mine in zip(names, (1e-3, 2e-3), strict=True):
        record.save(fake_record(mine), name)
    assert record.load(names[0]) == fake_record() | {"date": record.load(names[0])["date"]}
    assert main(["--compare", *names]) == 0
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("vgg_1"))
    assert row.split()[1:] == ["1,000", "2,000", "500", "1,000", "2.00", "2.00", "2.00"]
    assert "after/before, out=: 2.00" in text
    assert "Slower by more than a tenth: vgg_1, vgg_5" in text


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the chart needs matplotlib")
    from bench.chart import draw

    draw(fake_record(), str(tmp_path / "chart.png"))
    assert (tmp_path / "chart.png").stat().st_size > 10_000


def test_a_run_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.json"
    options = ["--rounds", "2", "--seconds", "0.001", "--threads", "2", "--scaling"]
    status = main(
        ["--cases", "lenet_*", "--peers", "numpy", "loop", "--json", str(file), *options]
    )  # fmt: skip
    assert status == 0
    text = capsys.readouterr().out
    assert "lenet_1" in text
    assert "2 threads over 1" in text
    for case in record.load(str(file))["cases"]:
        assert {MINE, MINE_OUT, ROOF, "NumPy", "Python loop"} <= set(case["timings"])


def test_the_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n{name}" in f"\n{text}" for name in [*BY_NAME, *PEERS])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cases", "nothing_like_it"], "nothing_like_it: no such case"),
        (["--peers", "nobody"], "nobody: no such peer"),
        (["--threads", "0"], "must be positive"),
        (["--compare", __file__, __file__], "no result of this benchmark"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


# -------------------------------------------------------------------------------- operations


def test_operations_are_right_and_reported() -> None:
    """Every row runs, and every other library that is installed agrees within its tolerance."""
    names = []
    for row in operations.all_operations():
        notes: list[str] = []
        assert operations._entered(row, 2, notes)[0].name == MINE
        assert not notes
        names.append(row.name)
    assert len(set(names)) == len(names)
    text = operations.report([next(operations.all_operations())], SETTINGS)
    assert "geometric mean" in text
    assert names[0] in text


def test_operations_that_differ_are_left_out() -> None:
    wrong = operations.Operation(
        "row", lambda: np.ones(3), {"numpy": lambda _: lambda: np.zeros(3)}
    )
    text = operations.report([wrong], SETTINGS)
    assert "row: numpy is left out: differs by 1" in text
    assert operations.differs(np.ones(3), np.ones(4), 1e-5) == "shape (4,), not (3,)"
