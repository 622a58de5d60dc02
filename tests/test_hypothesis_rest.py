"""Random calls of what is no operation of `pool`: each against its own oracle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import layouts
import oracle
import oracle_adaptive
import oracle_powers
import oracle_roi
import oracle_soft
import poolcore
import test_soft
import test_soft_backward
import test_spatial_pyramid
import test_spatial_pyramid_backward
import test_stochastic
from support import (
    DTYPES,
    FLOATS,
    INTEGERS,
    OPS,
    assert_same,
    function,
    random_array,
    targets,
    use_target,
)
from test_roi import assert_close

BASIC = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


@st.composite
def runs(draw: Any) -> dict[str, Any]:
    """What no result may depend on, and a seed for the data."""
    return {
        "target": draw(st.sampled_from(targets())), "threads": draw(st.sampled_from([1, 2, 7])),
        "layout": draw(st.sampled_from(layouts.LAYOUTS)), "last": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }  # fmt: skip


@st.composite
def windows(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Sizes of the pooled axes, and windows of which at least one fits."""
    nd = draw(st.integers(1, 3))
    sizes = tuple(draw(st.integers(1, (12, 6, 4)[nd - 1])) for _ in range(nd))
    kernel = tuple(draw(st.integers(1, 4)) for _ in sizes)
    dilation = tuple(draw(st.sampled_from([1, 1, 2, 5])) for _ in sizes)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    pads = [(draw(st.integers(0, r)), draw(st.integers(0, r))) for r in reach]
    window = {
        "kernel_size": kernel, "stride": tuple(draw(st.integers(1, 3)) for _ in sizes),
        "padding": draw(st.sampled_from([pads, pads, "same", "same_lower"])),
        "dilation": dilation, "ceil_mode": draw(st.booleans()),
    }  # fmt: skip
    return sizes, window


def fits(shape: tuple[int, ...], window: dict[str, Any], call: Any) -> bool:
    """Whether the windows are legal; if not, the call has to say so."""
    try:
        oracle.geometries(shape, tuple(range(2, len(shape))), *(window[n] for n in (
            "kernel_size", "stride", "padding", "dilation", "ceil_mode")))  # fmt: skip
    except ValueError:
        with pytest.raises(ValueError, match=r"^\w+_pool\dd: "):
            call()
        return False
    return True


def with_channels(do: Any, run: dict[str, Any], nd: int, *arrays: np.ndarray, **how: Any) -> Any:
    """Make the call with the channels first or last, on the run's target and threads."""
    with use_target(run["target"]):
        if not run["last"]:
            return do(*arrays, **how, threads=run["threads"])
        moved = [np.moveaxis(a, 1, -1) for a in arrays]
        found = do(*moved, **how, layout=LAST[nd], threads=run["threads"])
    several = isinstance(found, tuple)
    parts = [np.ascontiguousarray(np.moveaxis(f, -1, 1)) for f in (found if several else [found])]
    return tuple(parts) if several else parts[0]


@BASIC
@given(runs(), windows(), st.sampled_from(DTYPES), st.sampled_from(["propagate", "omit"]))
def test_any_soft(run: dict[str, Any], shaped: Any, dtype: np.dtype, policy: str) -> None:
    sizes, window = shaped
    rng = np.random.default_rng(run["seed"])
    x = run["layout"](random_array(rng, dtype, (1, 2, *sizes), "special"))
    soft = function("soft", len(sizes))
    if not fits(x.shape, window, lambda: soft(x, **window)):
        return
    want = oracle_powers.pool(
        x, lambda taps: oracle_soft.soft(taps, policy), tuple(range(2, x.ndim)), window
    )
    got = with_channels(soft, run, len(sizes), x, **window, nan_policy=policy)
    assert got.dtype == (dtype if oracle.is_float(dtype) else np.float64)
    test_soft.assert_near(got, want, test_soft.magnitude(x), str(window))


@BASIC
@given(runs(), windows(), st.sampled_from(FLOATS))
def test_any_soft_backward(run: dict[str, Any], shaped: Any, dtype: np.dtype) -> None:
    sizes, window = shaped
    nd = len(sizes)
    rng = np.random.default_rng(run["seed"])
    x = run["layout"](random_array(rng, dtype, (2, 1, *sizes)))
    x = np.clip(oracle.widen(x), -50, 50).astype(dtype)
    if not fits(x.shape, window, lambda: function("soft", nd)(x, **window)):
        return
    grad = rng.standard_normal(function("soft", nd)(x, **window).shape).astype(dtype)
    back = getattr(poolcore, f"soft_pool{nd}d_backward")
    got = with_channels(back, run, nd, grad, x, **window)
    want = test_soft_backward.expected(oracle.widen(grad), oracle.widen(x), window)
    test_soft_backward.close(got, want, 300)


@BASIC
@given(runs(), windows(), st.sampled_from(DTYPES), st.sampled_from(["propagate", "omit"]))
def test_any_stochastic(run: dict[str, Any], shaped: Any, dtype: np.dtype, policy: str) -> None:
    sizes, window = shaped
    nd = len(sizes)
    rng = np.random.default_rng(run["seed"])
    x = test_stochastic.weights(rng, dtype, (1, 2, *sizes))
    if oracle.is_float(dtype):
        x[rng.random(x.shape) < 0.1] = np.nan
    x = run["layout"](x)
    draw = function("stochastic", nd)
    if not fits(x.shape, window, lambda: draw(x, **window, rng=0)):
        return
    how = {**window, "nan_policy": policy}
    means = with_channels(draw, run, nd, x, **how, training=False)
    samples = rng.random(means.shape)
    given = np.moveaxis(samples, 1, -1) if run["last"] else samples
    got = with_channels(draw, run, nd, x, **how, random_samples=given, return_indices=True)
    listed = tuple(window.values())
    for a, b in zip(got, test_stochastic.expected(x, nd, listed, samples, policy), strict=True):
        assert_same(a, b, str(window))
    exact, _ = test_stochastic.expected(x, nd, listed, None, policy)
    test_stochastic.close(means, exact, dtype)


@st.composite
def regions(draw: Any) -> tuple[tuple[int, int], tuple[int, int], float]:
    """Sizes of the image and of the result, and a scale."""
    image = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    size = (draw(st.integers(0, 4)), draw(st.integers(0, 4)))
    return image, size, draw(st.sampled_from([1.0, 0.5, 0.3, 1.7]))


def some_boxes(rng: np.random.Generator) -> tuple[np.ndarray, Any]:
    """Boxes of two images, sorted by image, and the same in one of the two forms."""
    corners = rng.uniform(-7, 13, (int(rng.integers(0, 5)), 4))
    if rng.random() < 0.4:
        corners = np.round(corners * 2) / 2
    image = np.sort(rng.integers(0, 2, len(corners)))
    boxes = np.concatenate([image[:, None], corners], axis=1)
    listed = [boxes[image == i, 1:] for i in range(2)]
    return boxes, listed if rng.random() < 0.5 else boxes


@BASIC
@given(runs(), regions(), st.sampled_from(DTYPES), st.booleans())
def test_any_roi_pool(run: dict[str, Any], sizes: Any, dtype: np.dtype, omit: bool) -> None:
    image, size, scale = sizes
    rng = np.random.default_rng(run["seed"])
    x = run["layout"](random_array(rng, dtype, (2, 2, *image), "special"))
    boxes, given = some_boxes(rng)

    def call(x: np.ndarray, **how: Any) -> Any:
        return poolcore.roi_pool(x, given, size, scale, True, **how)

    policy = "omit" if omit else "propagate"
    got = with_channels(call, run, 2, x, nan_policy=policy)
    for a, b in zip(got, oracle_roi.roi_pool(x, boxes, size, scale, omit=omit), strict=True):
        assert_same(a, b, nan_bits=False)
    grad = random_array(rng, np.dtype(np.float32), got[1].shape)

    def back(grad: np.ndarray, indices: np.ndarray, **how: Any) -> Any:
        shape = (2, *image, 2) if run["last"] else x.shape
        return poolcore.roi_pool_backward(grad, indices, given, shape, **how)

    want = oracle_roi.pool_gradient(grad, got[1], boxes, x.shape)
    assert_same(with_channels(back, run, 2, grad, got[1]), want)


@BASIC
@given(
    runs(), regions(), st.sampled_from(DTYPES), st.booleans(), st.sampled_from([-1, 0, 1, 2, 5]),
    st.sampled_from(["avg", "max"]), st.sampled_from(["propagate", "omit"]),
)  # fmt: skip
def test_any_roi_align(
    run: dict[str, Any], sizes: Any, dtype: np.dtype, aligned: bool, ratio: int, mode: Any,
    policy: Any,
) -> None:  # fmt: skip
    image, size, scale = sizes
    rng = np.random.default_rng(run["seed"])
    x = run["layout"](random_array(rng, dtype, (2, 2, *image), "special"))
    boxes, given = some_boxes(rng)

    def call(x: np.ndarray, **how: Any) -> Any:
        return poolcore.roi_align(x, given, size, scale, ratio, aligned, mode, **how)

    got = with_channels(call, run, 2, x, nan_policy=policy)
    want = oracle_roi.roi_align(
        x, boxes, size, scale, ratio, aligned, mode, omit=policy == "omit"
    )  # fmt: skip
    assert_close(got, want)
    grad = random_array(rng, np.dtype(np.float32), got.shape)

    def back(grad: np.ndarray, **how: Any) -> Any:
        shape = (2, *image, 2) if run["last"] else x.shape
        return poolcore.roi_align_backward(grad, given, shape, scale, ratio, aligned, **how)

    wanted = oracle_roi.align_gradient(grad, boxes, x.shape, scale, ratio, aligned)
    assert_close(with_channels(back, run, 2, grad), wanted)


@BASIC
@given(
    runs(), st.tuples(st.integers(1, 9), st.integers(1, 9)), st.sampled_from(DTYPES),
    st.lists(st.integers(1, 6), min_size=1, max_size=3), st.sampled_from(OPS),
)  # fmt: skip
def test_any_spatial_pyramid(
    run: dict[str, Any], image: Any, dtype: np.dtype, levels: Any, op: Any
) -> None:
    rng = np.random.default_rng(run["seed"])
    x = run["layout"](random_array(rng, dtype, (2, 3, *image), "special"))
    levels = tuple(levels)
    given, how = (np.moveaxis(x, 1, -1), {"layout": "NHWC"}) if run["last"] else (x, {})
    with use_target(run["target"]):
        got = poolcore.spatial_pyramid_pool(given, levels, op, threads=run["threads"], **how)
    copy = np.array(x, order="C")
    assert_same(got, test_spatial_pyramid.expect(copy, levels, op))
    if op == "min" or dtype not in (*FLOATS, *INTEGERS):
        return
    grad = random_array(rng, dtype, got.shape)
    if op == "sum":  # whose order of adding does not matter then
        grad = rng.integers(0, 4, got.shape).astype(dtype)
    indices = rng.integers(-1, math.prod(image), got.shape) if op == "max" else None
    with use_target(run["target"]):
        back = poolcore.spatial_pyramid_pool_backward(
            grad, given.shape, levels, op, indices=indices, threads=run["threads"], **how
        )
    back = np.moveaxis(back, -1, 1) if run["last"] else back
    want = test_spatial_pyramid_backward.expect(grad, indices, x.shape, levels, op)
    assert_same(np.ascontiguousarray(back), want)


@BASIC
@given(
    runs(), st.integers(1, 3), st.sampled_from(DTYPES), st.sampled_from(OPS), st.booleans(),
    st.sampled_from(["propagate", "omit"]),
)  # fmt: skip
def test_any_global(
    run: dict[str, Any], nd: int, dtype: np.dtype, op: str, keepdims: bool, policy: str
) -> None:
    """A global pool is an adaptive one with a single window, its axes kept or not."""
    rng = np.random.default_rng(run["seed"])
    sizes = tuple(int(n) for n in rng.integers(1, (90, 12, 6)[nd - 1], nd))
    x = run["layout"](random_array(rng, dtype, (2, 3, *sizes), "special"))
    axes = tuple(range(2, 2 + nd))
    how: dict[str, Any] = {"nan_policy": policy}
    if op in ("max", "min"):
        how["return_indices"] = True
    want = oracle_adaptive.pool(np.array(x, order="C"), (1,) * nd, op, axes, **how)
    given, where = (np.moveaxis(x, 1, -1), {"layout": LAST[nd]}) if run["last"] else (x, {})
    with use_target(run["target"]):
        got = getattr(poolcore, f"global_{op}_pool")(
            given, keepdims=keepdims, threads=run["threads"], **where, **how
        )
    pairs = zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]
    for a, b in pairs:
        ones = (1,) * nd if keepdims else ()
        assert a.shape == ((2, *ones, 3) if run["last"] else (2, 3, *ones))
        assert_same(a.reshape(2, 3), b.reshape(2, 3), nan_bits=op in ("sum", "avg"))
