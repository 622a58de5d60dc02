"""The gradient of SoftPool: its exact shares, central differences, layouts, types, bits, memory."""

from __future__ import annotations

import itertools
import math
import sys
from typing import Any

import numpy as np
import pytest

import oracle
import oracle_soft
import poolcore
from cases import CASES, SHORT, Case
from layouts import LAYOUTS, name
from poolcore import nn
from support import FLOATS, assert_runs, assert_same, configurations, random_array
from test_guard import guard
from test_memory import MEASURE

# kernel_size, stride, padding, dilation, ceil_mode
WINDOWS: list[tuple[Any, ...]] = [
    (2, 2, 0, 1, False), (3, 1, 1, 1, False), (3, 2, 1, 2, True), (2, 3, 0, 1, True),
    (4, 2, [(1, 0)], 1, False), (1, 1, 0, 1, False),
]  # fmt: skip
LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def forward(nd: int) -> Any:
    return getattr(poolcore, f"soft_pool{nd}d")


def backward(nd: int) -> Any:
    return getattr(poolcore, f"soft_pool{nd}d_backward")


def of(window: tuple[Any, ...], nd: int) -> dict[str, Any]:
    kernel, stride, padding, dilation, ceil = window
    pads = padding * nd if isinstance(padding, list) else padding
    return {"kernel_size": kernel, "stride": stride, "padding": pads, "dilation": dilation,
            "ceil_mode": ceil}  # fmt: skip


def expected(grad: np.ndarray, x: np.ndarray, window: dict[str, Any]) -> np.ndarray:
    """Window by window, from the exact shares of the taps."""
    axes = oracle.geometries(
        x.shape, tuple(range(2, x.ndim)), window["kernel_size"], window["stride"],
        window["padding"], window["dilation"], window["ceil_mode"],
    )  # fmt: skip
    result = np.zeros(x.shape)
    for at in np.ndindex(grad.shape):
        places = []
        for tap in itertools.product(*(range(a.k) for a in axes)):
            place = [o * a.s - a.lo + t * a.d for o, t, a in zip(at[2:], tap, axes, strict=True)]
            if all(0 <= p < a.n for p, a in zip(place, axes, strict=True)):
                places.append((*at[:2], *place))
        taps = [float(x[p]) for p in places]
        if any(t != t for t in taps):
            for p in places:
                result[p] = math.nan
        elif taps and math.isfinite(max(taps)):
            held = [t for t in taps if t > -math.inf]
            shares = iter(oracle_soft.soft_shares(held))
            for p, t in zip(places, taps, strict=True):
                result[p] += float(grad[at]) * float(next(shares)) if t > -math.inf else 0.0
    return result


def close(got: np.ndarray, want: np.ndarray, scale: float = 1) -> None:
    eps = {2: 2.0**-7, 4: 2.0**-22, 8: 2.0**-48}[got.dtype.itemsize]
    wide = oracle.widen(got).astype(np.float64)
    assert np.array_equal(np.isnan(wide), np.isnan(want))
    with np.errstate(invalid="ignore"):
        wrong = np.abs(wide - want) > eps * (scale + np.abs(want))
    assert not wrong.any(), (wide[wrong][:3], want[wrong][:3])
    if got.dtype == np.float64:  # narrower types round to it
        assert not np.signbit(wide[wide == 0]).any()


@pytest.mark.parametrize("nd", [1, 2, 3])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_exact_shares(nd: int, window: tuple[Any, ...], rng: np.random.Generator) -> None:
    given = of(window, nd)
    for dtype in FLOATS:
        x = random_array(rng, dtype, (1, 2, *(7, 6, 5)[:nd]), "special")
        x = np.where(np.abs(oracle.widen(x)) < 100, x, np.ones((), dtype)).astype(dtype)
        special = rng.random(x.shape)
        x[special < 0.03] = np.nan
        x[(special > 0.03) & (special < 0.06)] = -np.inf
        x[special > 0.97] = np.inf
        grad = rng.standard_normal(forward(nd)(x, **given).shape).astype(dtype)
        want = expected(oracle.widen(grad), oracle.widen(x), given)
        first = None
        for _, threads in configurations():
            got = backward(nd)(grad, x, **given, threads=threads)
            assert got.dtype == dtype
            first = got if first is None else first
            assert_same(got, first)
        close(got, want, 300)


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_central_differences(nd: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 2, *(6, 5, 4)[:nd]))
    given = of((3, 2, 1, 1, False), nd)
    grad = rng.standard_normal(forward(nd)(x, **given).shape)
    got = backward(nd)(grad, x, **given)
    for at in np.ndindex(x.shape):
        sides = []
        for step in (1e-6, -1e-6):
            moved = x.copy()
            moved[at] += step
            sides.append((forward(nd)(moved, **given) * grad).sum())
        assert abs((sides[0] - sides[1]) / 2e-6 - got[at]) < 1e-6


def test_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = rng.standard_normal((2, 3, 8, 8))
    t = torch.from_numpy(x).requires_grad_(True)
    windows = t.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    pooled = (windows * windows.softmax(-1)).sum(-1)
    grad = rng.standard_normal(pooled.shape)
    pooled.backward(torch.from_numpy(grad))
    np.testing.assert_allclose(poolcore.soft_pool2d_backward(grad, x, 2), t.grad, rtol=1e-12,
                               atol=1e-14)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_named_cases(case: Case, rng: np.random.Generator) -> None:
    """Both memory orders, every target, every number of threads: close to NumPy, and one result."""
    x = random_array(rng, np.dtype(np.float64), case.lead + case.shape, "special")
    grad = rng.standard_normal(forward(case.nd)(x, **case.window).shape)
    want = oracle_soft.gradient(grad, x, case.window)
    last_x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    last_grad = np.ascontiguousarray(np.moveaxis(grad, 1, -1))
    first = None
    for target, threads in configurations():
        got = backward(case.nd)(grad, x, **case.window, threads=threads)
        if first is None:
            first = got
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
        assert_same(got, first, f"{target} {threads}", nan_bits=True)
        last = backward(case.nd)(
            last_grad, last_x, **case.window, layout=LAST[case.nd], threads=threads
        )
        assert_same(np.moveaxis(last, -1, 1).copy(), first, f"{target} {threads} last")


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
@pytest.mark.parametrize("case", SHORT, ids=str)
def test_layouts(case: Case, maker: Any, rng: np.random.Generator) -> None:
    """Of x, grad and out: the bits of the contiguous copies."""
    for dtype in (FLOATS[0], FLOATS[3], np.dtype(np.uint16)):
        x = maker(random_array(rng, dtype, case.lead + case.shape))
        call = backward(case.nd)
        grad = maker(random_array(rng, FLOATS[2], forward(case.nd)(x, **case.window).shape))
        want = call(np.ascontiguousarray(grad), np.ascontiguousarray(x), **case.window)
        assert_same(np.ascontiguousarray(call(grad, x, **case.window)), want)
        assert_same(call(grad[0], x[0], **case.window).copy(), want[0])
        out = maker(np.full(x.shape, 3, want.dtype))
        if not out.flags.writeable or maker.__name__ == "overlapping":
            continue
        assert call(grad, x, **case.window, out=out, threads=2) is out
        assert_same(np.ascontiguousarray(out), want)


def test_out_of_a_larger_array(rng: np.random.Generator) -> None:
    """Nothing beside the result is written."""
    for nd in (1, 2, 3):
        x = rng.standard_normal((2, 3, *(9, 8, 7)[:nd])).astype(np.float32)
        grad = rng.standard_normal(forward(nd)(x, 3, 2, 1).shape).astype(np.float32)
        large = np.full((2, 3, *(2 * n for n in x.shape[2:])), 7, np.float32)
        out = large[(..., *(slice(None, None, 2),) * nd)]
        backward(nd)(grad, x, 3, 2, 1, out=out)
        assert_same(out.copy(), backward(nd)(grad, x, 3, 2, 1))
        assert (large == 7).sum() >= large.size - out.size


def test_integers_and_mixed_types(rng: np.random.Generator) -> None:
    x = rng.integers(-5, 5, (1, 2, 6, 6))
    grad = rng.standard_normal((1, 2, 3, 3))
    want = poolcore.soft_pool2d_backward(grad, x.astype(float), 2)
    assert_same(poolcore.soft_pool2d_backward(grad, x, 2), want)
    assert_same(poolcore.soft_pool2d_backward(grad, x.astype(np.int8), 2), want)
    whole = poolcore.soft_pool2d_backward(np.ones((1, 2, 3, 3), int), x, 2)
    assert_same(whole, poolcore.soft_pool2d_backward(np.ones((1, 2, 3, 3)), x, 2))


LARGE = [
    # Windows over the border of two tasks, and over the edge of a piece of lanes.
    Case("planes", "several tasks", (300, 250), 7, 3),
    Case("strips", "rows longer than a task", (2, 40_000), (1, 9), 2),
    Case("tall", "windows as wide as the plane", (400, 3), (90, 3), 1),
    Case("one_row_tasks", "overlapping in both axes", (5, 60_000), 3, 1, 1, lead=(1, 1)),
    Case("small", "several planes of a task", (9, 10), 3, 1, 1, lead=(30, 7)),
    # Windows that are measured beforehand: large ones, and those over many tasks.
    Case("one_window", "in several pieces", (500, 401), (500, 401), lead=(1, 1)),
    Case("large", "more taps than are kept", (300, 260), 100, 20, 50),
    Case("overlapping", "cut at every edge", (130, 131), 70, 5, 35, lead=(1, 2)),
    Case("volume", "three axes", (40, 30, 35), 17, (4, 5, 7), 3, lead=(1, 2)),
    Case("long", "many planes", (20_000,), 5000, 700, lead=(3, 5)),
    Case("far_apart", "few taps, over every task", (100_000,), 3, 1, 0, 30_000, lead=(1, 2)),
    Case("parts", "more windows than are remembered", (600_000,), 2, 1, 0, 30_000, lead=(1, 1)),
    Case("part_planes", "of several planes", (100_000,), 2, 1, 100, 30_000, lead=(1, 5)),
]  # fmt: skip


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_large_planes_are_cut(case: Case, rng: np.random.Generator) -> None:
    x = rng.standard_normal(case.lead + case.shape) * 3
    grad = rng.standard_normal(forward(case.nd)(x, **case.window).shape)
    got = backward(case.nd)(grad, x, **case.window)
    want = oracle_soft.gradient(grad, x, case.window)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    for threads in (1, 2, 7):
        assert_same(backward(case.nd)(grad, x, **case.window, threads=threads), got)


@pytest.mark.parametrize("size", [3, 40, 90])
def test_no_weight_gets_nothing(size: int, rng: np.random.Generator) -> None:
    """Of an infinite gradient or a NaN neither; one window, several side by side, large ones."""
    for kernel, stride, padding in ((size, 1, 0), (size, 7, size // 2), (3, 1, 1), (2, 2, 0)):
        x = rng.standard_normal((1, 2, 97, 95))
        x[rng.random(x.shape) < 0.3] -= 1e4
        x[rng.random(x.shape) < 0.1] = -np.inf
        window = {"kernel_size": kernel, "stride": max(stride, size // 9), "padding": padding,
                  "dilation": 1, "ceil_mode": False}  # fmt: skip
        grad = rng.standard_normal(poolcore.soft_pool2d(x, **window).shape)
        pick = rng.random(grad.shape)
        grad[pick < 0.2] = np.inf
        grad[(pick > 0.2) & (pick < 0.4)] = -np.inf
        grad[pick > 0.95] = np.nan
        want = oracle_soft.gradient(grad, x, window)
        got = poolcore.soft_pool2d_backward(grad, x, **window)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    lone = poolcore.soft_pool1d_backward([[np.inf, np.nan]], [[0.0, -800.0, -np.inf, 1.0]], 2)
    np.testing.assert_array_equal(lone, [[np.inf, 0, 0, np.nan]])


def test_layers(rng: np.random.Generator) -> None:
    for nd in (1, 2, 3):
        x = rng.standard_normal((2, 3, *(7, 6, 5)[:nd]))
        layer = getattr(nn, f"SoftPool{nd}d")(3, 2, 1)
        values = layer(x)
        assert_same(values, forward(nd)(x, 3, 2, 1))
        kept = x.copy()
        x[...] = 0
        grad = rng.standard_normal(values.shape)
        assert_same(layer.backward(grad), backward(nd)(grad, kept, 3, 2, 1))


def test_peak_memory() -> None:
    """Some hundred KiB a thread, however large a plane."""
    assert_runs(
        MEASURE
        + "x = np.ones((1, 1, 4000, 4000), np.float32)\n"
        + "g = np.ones((1, 1, 1333, 1333), np.float32)\n"
        + "out = np.ones_like(x)\n"
        + "def call(g, x, out):\n"
        + "    poolcore.soft_pool2d_backward(g, x, 3, out=out, threads=2)\n"
        + "call(g[..., :30, :30], x[..., :90, :90], out[..., :90, :90])\n"
        + "grown = growth(lambda: call(g, x, out))\n"
        + "assert grown <= 1024, grown\n",
        timeout=240,
    )


NO_MEMORY = """
import numpy as np, poolcore, resource
x = np.ones((1, 5000), np.float32)
out = np.full_like(x, 7)
poolcore.soft_pool1d_backward(np.ones((1, 1)), x, 5000, threads=2)
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
for kernel in (2**26, 2**45, 2**60):
    grad = np.broadcast_to(np.float32(1), (1, 5000 + kernel - 1))
    try:
        poolcore.soft_pool1d_backward(grad, x, kernel, 1, kernel - 1, out=out)
    except MemoryError as error:
        assert str(error).startswith("soft_pool1d_backward: no memory for the sums of"), error
    else:
        raise SystemExit("there was memory")
assert (out == 7).all()
"""


@pytest.mark.failure(15)
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_more_windows_than_memory() -> None:
    assert_runs(NO_MEMORY, env={"OPENBLAS_NUM_THREADS": "1"})


INTERRUPT = """
import os, signal, threading, time
import numpy as np, poolcore
x = np.broadcast_to(np.float16(1), {shape})
size = tuple((n + 2 * {padding} - {dilation} * ({kernel} - 1) - 1) + 1 for n in {shape}[2:])
grad = np.broadcast_to(np.float16(1), (1, 1) + size)
sent = []
def send():
    time.sleep(0.3)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=send, daemon=True).start()
try:
    poolcore.soft_pool{nd}d_backward(grad, x, {kernel}, 1, {padding}, {dilation}, threads={threads})
except KeyboardInterrupt:
    print(time.monotonic() - sent[0])
else:
    raise SystemExit("ran to the end: the call was too short")
"""
# kernel_size, padding, dilation
INTERRUPTED = {
    "windows side by side": ((1, 1, 3), 2**40, 2**40 - 1, 1),
    "windows without a tap": ((1, 1, 3), 2, 2**40, 2**40 + 1),
    "many large windows": ((1, 1, 2000, 2000), 1000, 0, 1),
    "windows measured beforehand": ((1, 1, 2**25), 2, 0, 30_000),
}


@pytest.mark.failure(35)
@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("what", sorted(INTERRUPTED))
def test_ctrl_c(what: str, threads: int) -> None:
    """KeyboardInterrupt within a fifth of a second."""
    shape, kernel, padding, dilation = INTERRUPTED[what]
    code = INTERRUPT.format(shape=shape, kernel=kernel, padding=padding, dilation=dilation,
                            threads=threads, nd=len(shape) - 2)  # fmt: skip
    late = [float(assert_runs(code))]
    while late[-1] >= 0.2 and len(late) < 3:  # a busy machine
        late.append(float(assert_runs(code)))
    assert late[-1] < 0.2, late


RANDOM = """
def windows(shape):
    k, s, d = (tuple(int(v) for v in rng.integers(1, top, 2)) for top in (7, 4, 4))
    reach = [d[i] * (k[i] - 1) + 1 for i in range(2)]
    pads = [tuple(int(v) for v in rng.integers(0, r, 2)) for r in reach]
    k, d = (tuple(1 if sum(p) + n < r else v for v, p, n, r in zip(t, pads, shape, reach))
            for t in (k, d))
    pads = [p if sum(p) + n >= r else (0, 0) for p, n, r in zip(pads, shape, reach)]
    return dict(kernel_size=k, stride=s, padding=pads, dilation=d,
                ceil_mode=bool(rng.integers(2)))

for turn in range({count}):
    dtype = support.FLOATS[rng.integers(4)]
    shape = (1, int(rng.integers(1, 4)), *(int(v) for v in rng.integers(2, 12, 2)))
    window = windows(shape[2:])
    x = inputs.place(shape, dtype, bool(rng.integers(2)))
    x[...] = support.random_array(rng, dtype, shape)
    copy = np.array(x)
    grad = poolcore.soft_pool2d(copy, **window)
    want = poolcore.soft_pool2d_backward(grad, copy, **window)
    out = outputs.place(want.shape, want.dtype, bool(rng.integers(2)))
    poolcore.soft_pool2d_backward(grad, x, **window, out=out)
    support.assert_same(out.copy(), want, str((shape, dtype, window)))
    checked += 1
assert checked == {count}, checked
"""


@pytest.mark.failure(22)
def test_between_guard_pages() -> None:
    assert_runs(guard(5, 16) + "import poolcore\n" + RANDOM.format(count=300), timeout=100)
