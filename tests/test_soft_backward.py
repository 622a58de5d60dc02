"""The gradient of SoftPool: its exact shares, central differences, layouts, types, bits, memory."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import oracle
import oracle_soft
import poolcore
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


def laid_out(x: np.ndarray) -> list[np.ndarray]:
    """The same numbers in other strides, and misaligned."""
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    shifted[...] = x
    return [np.asfortranarray(x), np.repeat(x, 2, -1)[..., ::2], x[..., ::-1].copy()[..., ::-1],
            shifted]  # fmt: skip


def test_layouts_and_out(rng: np.random.Generator) -> None:
    for nd in (1, 2, 3):
        given = of((3, 2, 1, 1, False), nd)
        x = rng.standard_normal((2, 3, *(9, 8, 7)[:nd])).astype(np.float32)
        grad = rng.standard_normal(forward(nd)(x, **given).shape).astype(np.float32)
        want = backward(nd)(grad, x, **given)
        for given_x, given_grad in zip(laid_out(x), laid_out(grad), strict=True):
            assert_same(np.ascontiguousarray(backward(nd)(given_grad, given_x, **given)), want)
        last = backward(nd)(np.moveaxis(grad, 1, -1), np.moveaxis(x, 1, -1), **given,
                            layout=LAST[nd])  # fmt: skip
        assert_same(np.ascontiguousarray(np.moveaxis(last, -1, 1)), want)
        large = np.full((2, 3, *(2 * n for n in x.shape[2:])), 7, np.float32)
        out = large[(..., *(slice(None, None, 2),) * nd)]
        assert backward(nd)(grad, x, **given, out=out) is out
        assert_same(out.copy(), want)
        assert (large == 7).sum() >= large.size - out.size
        assert_same(backward(nd)(grad[0], x[0], **given), want[0])


def test_integers_and_mixed_types(rng: np.random.Generator) -> None:
    x = rng.integers(-5, 5, (1, 2, 6, 6))
    grad = rng.standard_normal((1, 2, 3, 3))
    want = poolcore.soft_pool2d_backward(grad, x.astype(float), 2)
    assert_same(poolcore.soft_pool2d_backward(grad, x, 2), want)
    assert_same(poolcore.soft_pool2d_backward(grad, x.astype(np.int8), 2), want)
    whole = poolcore.soft_pool2d_backward(np.ones((1, 2, 3, 3), int), x, 2)
    assert_same(whole, poolcore.soft_pool2d_backward(np.ones((1, 2, 3, 3)), x, 2))


def test_large_planes_are_cut(rng: np.random.Generator) -> None:
    """Windows over the border of two tasks are done for both, with the same bits."""
    for shape, kernel, stride in (((300, 250), 7, 3), ((2, 40_000), (1, 9), 2), ((400, 3), 90, 1)):
        x = rng.standard_normal((1, 1, *shape))
        k = kernel if isinstance(kernel, tuple) else (kernel, min(kernel, shape[1]))
        grad = rng.standard_normal(poolcore.soft_pool2d(x, k, stride).shape)
        got = poolcore.soft_pool2d_backward(grad, x, k, stride)
        small = np.zeros_like(x)
        for at in (
            np.ndindex(grad.shape[2:]) if grad.size < 300 else [(0, 0), (grad.shape[2] - 1,) * 2]
        ):
            if at[1] >= grad.shape[3]:
                continue
            part = tuple(slice(o * stride, o * stride + n) for o, n in zip(at, k, strict=True))
            small[(0, 0, *part)] += poolcore.soft_pool2d_backward(
                grad[:, :, at[0] : at[0] + 1, at[1] : at[1] + 1], x[(..., *part)], k
            )[0, 0]
        if grad.size < 300:
            np.testing.assert_allclose(got, small, rtol=1e-12, atol=1e-15)
        for threads in (2, 7):
            assert_same(poolcore.soft_pool2d_backward(grad, x, k, stride, threads=threads), got)


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


RANDOM = """
for turn in range({count}):
    dtype = support.FLOATS[rng.integers(4)]
    shape = (1, int(rng.integers(1, 4)), *(int(v) for v in rng.integers(2, 12, 2)))
    kernel = tuple(int(rng.integers(1, n + 1)) for n in shape[2:])
    stride = int(rng.integers(1, 4))
    x = inputs.place(shape, dtype, bool(rng.integers(2)))
    x[...] = support.random_array(rng, dtype, shape)
    copy = np.array(x)
    grad = poolcore.soft_pool2d(copy, kernel, stride)
    want = poolcore.soft_pool2d_backward(grad, copy, kernel, stride)
    out = outputs.place(want.shape, want.dtype, bool(rng.integers(2)))
    poolcore.soft_pool2d_backward(grad, x, kernel, stride, out=out)
    support.assert_same(out.copy(), want, str((shape, dtype, kernel, stride)))
    checked += 1
assert checked == {count}, checked
"""


@pytest.mark.failure(22)
def test_between_guard_pages() -> None:
    assert_runs(guard(5, 16) + "import poolcore\n" + RANDOM.format(count=300), timeout=100)
