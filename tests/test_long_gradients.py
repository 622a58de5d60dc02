"""Gradients of averages and sums where very many windows, one element apart, lie over an element:
the oracle's bits on every target.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import oracle
import oracle_spread
import poolcore
from cases import Case
from layouts import LAYOUTS, name
from support import DTYPES, FLOATS, assert_same, random_array, run_python, targets, use_target
from test_window_backward import LAYOUT_NAMES, backward, check_layout, out_shape, pooled_axes

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
CASES = [
    Case("line", "inside", (330,), 130, 1, lead=(2, 1)),
    Case("padded", "over both edges", (200,), 128, 1, [(99, 127)], lead=(1, 3)),
    Case("longer", "windows longer than the axis", (90,), 601, 1, [(580, 555)], lead=(1, 2)),
    Case("dilated", "taps three apart", (250,), 101, 1, [(160, 207)], 3, lead=(1, 2)),
    Case("one", "a single window", (150,), 150, 7, lead=(2, 2)),
    Case("far", "taps farther apart than the axis is long", (40,), 120, 1, [(4760, 4750)], 40,
         lead=(1, 2)),
    Case("double", "added in float64", (25,), 4200, 1, [(2140, 2120)], lead=(1, 2)),
    Case("plane", "both axes", (41, 50), (60, 45), 1, [(30, 41), (22, 9)], lead=(1, 3)),
    Case("rows", "along rows alone", (5, 150), (1, 120), 1, [(0, 0), (7, 60)], lead=(2, 2)),
    Case("columns", "along columns alone", (150, 5), (120, 1), 1, [(60, 7), (0, 0)], lead=(2, 2)),
    Case("bands", "one window high", (9, 130), (9, 110), (9, 1), [(0, 0), (30, 3)], lead=(1, 2)),
    Case("plane_double", "added in float64", (20, 23), (70, 80), 1, [(60, 52), (70, 66)],
         lead=(1, 2)),
    Case("plane_dilated", "far taps", (30, 28), (50, 60), 1, [(70, 80), (150, 3)], (2, 3),
         lead=(1, 2)),
    Case("volume", "three axes", (9, 12, 20), (40, 50, 30), 1, [(35, 38), (45, 41), (20, 25)],
         lead=(1, 2)),
    Case("strides", "a single window with a stride counts for less", (1, 20, 40), (37, 9, 20),
         (3, 1, 1), [(31, 5), (8, 8), (19, 19)], lead=(1, 1)),
]  # fmt: skip


def check(
    grad: np.ndarray, op: str, case: Case, want: np.ndarray, threads: int, **how: Any
) -> None:
    """With planes apart and, for the same gradient, channels last."""
    shape = grad.shape[:2] + case.shape
    got = backward(op, case.nd)(grad, shape, **case.window, **how, threads=threads)
    assert_same(got, want, f"{op} {how} {threads}", nan_bits=True)
    got = backward(op, case.nd)(
        np.ascontiguousarray(np.moveaxis(grad, 1, -1)), (shape[0], *case.shape, shape[1]),
        **case.window, **how, layout=LAYOUT_NAMES[case.nd][1], threads=threads,
    )  # fmt: skip
    got = np.moveaxis(got, -1, 1).copy()
    assert_same(got, want, f"{op} {how} {threads} last", nan_bits=True)


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), FLOAT32, FLOAT64], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_bits(case: Case, dtype: np.dtype, rng: np.random.Generator) -> None:
    grad = random_array(rng, dtype, case.lead + out_shape(case))
    if case.lead[1] > 1:  # in one plane of several, since most windows hold them
        grad[-1, -1].flat[[0, -1]] = np.nan, -np.inf
    shape = case.lead + case.shape
    axes = pooled_axes(case.nd, len(shape))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("sum", {}), ("avg", {}), ("avg", {"count_include_pad": False}),
        ("avg", {"divisor_override": -7}), ("avg", {"divisor_override": 2**53 + 1}),
    ]  # fmt: skip
    for op, how in calls:
        want = oracle_spread.backward(grad, op, shape, axes, case.window, **how)
        for target in targets():
            with use_target(target):
                for threads in (1, 2):
                    check(grad, op, case, want, threads, **how)


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_every_type(dtype: np.dtype, rng: np.random.Generator) -> None:
    for case in CASES[1], CASES[7]:
        grad = random_array(rng, dtype, case.lead + out_shape(case))
        shape = case.lead + case.shape
        for op in ("sum", "avg"):
            axes = pooled_axes(case.nd, len(shape))
            want = oracle_spread.backward(grad, op, shape, axes, case.window)
            check(grad, op, case, want, 2)


@pytest.mark.parametrize("maker", LAYOUTS, ids=name)
def test_layouts(maker: Any, rng: np.random.Generator) -> None:
    for case, dtype in ((CASES[1], FLOAT32), (CASES[7], FLOAT64), (CASES[8], FLOATS[0])):
        grad = random_array(rng, dtype, case.lead + out_shape(case))
        for op in ("avg", "sum"):
            check_layout(maker, grad, op, case)


def sums_of_shifts(x: np.ndarray, axis: int, n: int, k: int, pad: int, d: int) -> np.ndarray:
    """Element p of n takes the windows from p + pad - (k - 1) * d on, d apart."""
    edges = [(0, 0)] * x.ndim
    edges[axis] = ((k - 1) * d - pad,) * 2
    x = np.moveaxis(np.pad(x, edges), axis, 0)
    return np.moveaxis(oracle.tree_sum(lambda i: x[i * d : i * d + n], k), 0, axis)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("lead", "shape", "kernel", "padding", "dilation"),
    [
        ((1, 1), (700_000,), 300, (130,), 1),
        ((1, 40), (30_000,), 200, (0,), 2),
        ((1, 5), (9_001,), 9_000, (4_000,), 1),
        ((1, 3), (700, 520), (100, 90), (99, 30), 1),
        ((1, 2), (70, 90, 75), (40, 1, 80), (20, 0, 70), 1),
    ],
    ids=str,
)
def test_parts(
    lead: Any, shape: Any, kernel: Any, padding: Any, dilation: int, last: bool,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Planes whose windows are divided part after part, many lanes: as turned windows, pooled."""
    nd = len(shape)
    case = Case("", "", shape, kernel, 1, padding, dilation)
    grad = random_array(rng, FLOAT32, lead + out_shape(case))
    kernels = (kernel,) if nd == 1 else kernel
    taps = math.prod(kernels)
    work = np.float32 if taps <= 4096 else np.float64
    want = grad.astype(work) / work(taps)
    for where, (n, k, p) in enumerate(zip(shape, kernels, padding, strict=True), 2):
        want = sums_of_shifts(want, where, n, k, p, dilation)
    want = oracle.narrow_to(want + work(0), FLOAT32)
    if last:
        grad = np.ascontiguousarray(np.moveaxis(grad, 1, -1))
    whole = (lead[0], *shape, lead[1]) if last else lead + shape
    for threads in (1, 2):
        got = backward("avg", nd)(
            grad, whole, **case.window, layout=LAYOUT_NAMES[nd][last], threads=threads
        )
        assert_same(np.moveaxis(got, -1, 1).copy() if last else got, want, str(threads))


@pytest.mark.parametrize("reach", [2**40, 2**61, 2**62])
def test_far_beyond_the_gradient(reach: int) -> None:
    """Element p lies in all windows but the first p - 100."""
    grad = np.arange(200.0)[None, None]
    window = {"kernel_size": reach, "stride": 1, "padding": [(reach - 101, 0)]}
    sums = np.cumsum(grad[..., ::-1], axis=-1)[..., ::-1]
    want = np.concatenate([np.repeat(sums[..., :1], 100, axis=-1), sums], axis=-1)
    for threads in (1, 2):
        got = poolcore.sum_pool1d_backward(grad, want.shape, **window, threads=threads)
        np.testing.assert_array_equal(got, want)
        got = poolcore.avg_pool1d_backward(
            grad, want.shape, **window, divisor_override=2, threads=threads
        )
        np.testing.assert_array_equal(got, want / 2)


@pytest.mark.parametrize("op", ["sum", "avg"])
@pytest.mark.parametrize(
    ("elements", "windows", "kernel"),
    [
        (3, 2**40, 2**40),  # more than memory is taken for
        (2**25, 2**25, 2**22 + 1),  # few long parts
        (2**25, 2**25, 1001),  # parts that are done in a moment
    ],
)
def test_interrupts_are_heard(op: str, elements: int, windows: int, kernel: int) -> None:
    code = f"""
import signal, numpy as np, poolcore
g = np.broadcast_to(np.float32(1), (4, 1, {windows}))
out = np.zeros((4, 1, {elements}), np.float32)
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
pads = [({kernel} - 1, {kernel} - 3) if {elements} == 3 else ({kernel} // 2,) * 2]
try:
    poolcore.{op}_pool1d_backward(g, out.shape, {kernel}, 1, pads, out=out, threads=2)
except KeyboardInterrupt:
    print("heard", out[-1].any())
"""
    assert run_python(code).stdout == "heard False\n"
