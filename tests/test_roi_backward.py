"""Gradients of regions of interest: against the oracle, differences, layouts, threads, layers."""

from __future__ import annotations

import math
import pickle
import sys
from typing import Any

import numpy as np
import pytest

import layouts
import oracle_roi
import poolcore
from poolcore import nn
from support import FLOATS, INTEGERS, assert_runs, assert_same, bits, configurations, random_array
from test_guard import guard
from test_roi import BOXES, SOME, assert_close, boxes_of

SHAPE = (2, 2, 6, 7)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", [n for n in BOXES if n != "large"])
def test_align_against_the_oracle(name: str, aligned: bool, rng: np.random.Generator) -> None:
    boxes = boxes_of(name)
    if name == "reversed":
        boxes = boxes[:2]
    for dtype, sampling in ((np.float64, -1), (np.float32, 2), (np.int16, 1)):
        grad = random_array(rng, np.dtype(dtype), (len(boxes), 2, 2, 3))
        want = oracle_roi.align_gradient(grad, boxes, SHAPE, 0.7, sampling, aligned)
        got = poolcore.roi_align_backward(grad, boxes, SHAPE, 0.7, sampling, aligned)
        assert_close(got, want, f"{sampling}")


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=str)
def test_pool_against_the_oracle(dtype: np.dtype, rng: np.random.Generator) -> None:
    boxes = np.concatenate([boxes_of(n) for n in BOXES])
    rng.shuffle(boxes)
    x = rng.random(SHAPE)
    _, indices = poolcore.roi_pool(x, boxes, (2, 3), return_indices=True)
    grad = random_array(rng, dtype, indices.shape)
    want = oracle_roi.pool_gradient(grad, indices, boxes, SHAPE)
    for index_dtype in (np.int8, np.int64):
        got = poolcore.roi_pool_backward(grad, indices.astype(index_dtype), boxes, SHAPE)
        assert_same(got, want)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("aligned", [False, True])
def test_maxima_against_the_oracle(aligned: bool, channels: int, rng: np.random.Generator) -> None:
    boxes = np.concatenate([boxes_of(n) for n in ("inside", "overhanging", "tiny", "halves")])
    x = rng.standard_normal((2, channels, 6, 7))
    grad = rng.standard_normal((len(boxes), channels, 2, 3))
    for sampling in (-1, 1, 3, 7):
        want = oracle_roi.largest_gradient(grad, x, boxes, sampling, aligned)
        got = poolcore.roi_align_backward(
            grad, boxes, x.shape, 1.0, sampling, aligned, "max", x
        )  # fmt: skip
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
        moved = [np.ascontiguousarray(np.moveaxis(v, 1, -1)) for v in (grad, x)]
        last = poolcore.roi_align_backward(
            moved[0], boxes, moved[1].shape, 1.0, sampling, aligned, "max", moved[1],
            layout="NHWC",
        )  # fmt: skip
        assert_same(np.ascontiguousarray(np.moveaxis(last, -1, 1)), got)
    large = np.zeros((1, 1, 300, 300))
    large[0, 0, 7, 9] = 1  # in one of several parts of the plane
    box = np.array([[0, 0, 0, 299, 299]])
    got = poolcore.roi_align_backward(np.ones((1, 1, 1, 1)), box, large.shape, 1.0, 299, True,
                                      "max", large)  # fmt: skip
    assert got[0, 0, 7, 9] > 0.2
    assert got.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match=r"^roi_align_backward: x must be given with mode='max'"):
        poolcore.roi_align_backward(grad, boxes, x.shape, mode="max")
    with pytest.raises(ValueError, match=r"^roi_align_backward: x must have the shape input_sh"):
        poolcore.roi_align_backward(grad, boxes, x.shape, mode="max", x=x[:1])


def test_where_nan_and_outside_are_the_largest() -> None:
    x = np.full((1, 1, 2, 2), -1.0)
    grad, box = np.ones((1, 1, 1, 1)), np.array([[0, 0, -2.0, 0, 0]])  # samples at -1.5 and -0.5
    assert not poolcore.roi_align_backward(grad, box, x.shape, 1.0, 2, mode="max", x=x).any()
    assert poolcore.roi_align_backward(grad, box, x.shape, 1.0, 2, mode="max", x=-x).sum() == 1
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    x[0, 0, 0, 1] = x[0, 0, 1, 2] = math.nan
    whole = np.array([[0, 0, 0, 3, 3]])
    got = poolcore.roi_align_backward(grad, whole, x.shape, 1.0, 3, True, "max", x)
    assert got[0, 0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("sampling", [-1, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_against_differences(sampling: int, aligned: bool, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 1, 5, 4))
    boxes = np.array([[0, -1.2, 0.3, 3.3, 4.1], [1, 1, 1, 2.5, 3], [0, 0.4, 0.2, 9, 9.5]])
    grad = rng.standard_normal((3, 1, 2, 3))
    how: dict[str, Any] = {"sampling_ratio": sampling, "aligned": aligned}
    got = poolcore.roi_align_backward(grad, boxes, x.shape, 1.0, **how)
    values, indices = poolcore.roi_pool(x, boxes, (2, 3), return_indices=True)
    assert values.shape == grad.shape
    pooled = poolcore.roi_pool_backward(grad, indices, boxes, x.shape)
    step = 1e-5
    for at in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[at] += sign * step
            aligned_sum = (poolcore.roi_align(moved, boxes, (2, 3), 1.0, **how) * grad).sum()
            pooled_sum = (poolcore.roi_pool(moved, boxes, (2, 3)) * grad).sum()
            ends.append((aligned_sum, pooled_sum))
        slopes = [(a - b) / (2 * step) for a, b in zip(*ends, strict=True)]
        assert slopes[0] == pytest.approx(got[at], abs=1e-8)
        assert slopes[1] == pytest.approx(pooled[at], abs=1e-8)


def test_planes_larger_than_a_task_holds(rng: np.random.Generator) -> None:
    """Parts of planes, by rows and by columns, give what whole ones would."""
    for shape in ((1, 2, 300, 200), (1, 1, 3, 60_000), (1, 1, 60_000, 2)):
        height, width = shape[2:]
        boxes = np.array(
            [[0, 0.3, 0.2, width - 1.7, height - 1.3], [0, width / 3, 0, width / 2, height / 2]]
        )
        grad = rng.standard_normal((2, shape[1], 4, 3))
        got = poolcore.roi_align_backward(grad, boxes, shape, 1.0, 2)
        # <grad, forward(x)> = <backward(grad), x>
        x = rng.standard_normal(shape)
        forward = poolcore.roi_align(x, boxes, (4, 3), 1.0, 2)
        assert (forward * grad).sum() == pytest.approx((got * x).sum(), rel=1e-10, abs=1e-10)
        dense = poolcore.roi_align_backward(grad, boxes, shape)
        forward = poolcore.roi_align(x, boxes, (4, 3))
        assert (forward * grad).sum() == pytest.approx((dense * x).sum(), rel=1e-10, abs=1e-10)
        values, indices = poolcore.roi_pool(x, boxes, (4, 3), return_indices=True)
        assert_same(
            poolcore.roi_pool_backward(values, indices, boxes, shape),
            oracle_roi.pool_gradient(values, indices, boxes, shape),
        )


@pytest.mark.parametrize("far", [1e5, 1e300])
def test_huge_boxes_and_many_samples(far: float) -> None:
    boxes = np.array([[0, -far, -far, far, far], [0, 0, 0, far, far], [0, 0.5, 0.5, 3.5, 2.5]])
    for sampling in (-1, 2**62):
        got = poolcore.roi_align_backward(np.ones((3, 1, 2, 2)), boxes, (1, 1, 3, 4), 1.0, sampling)
        assert np.isfinite(got).all()
        assert got.sum() == pytest.approx(4, rel=0.1 if far < 1e6 else 1e-12)


def both(x: np.ndarray, boxes: np.ndarray, indices: np.ndarray, **options: Any) -> Any:
    shape = (2, x.shape[1], 6, 7)
    if options.get("layout") == "NHWC":
        shape = (2, 6, 7, x.shape[3])
    yield poolcore.roi_pool_backward(x, indices, boxes, shape, **options)
    for sampling in (-1, 2):
        yield poolcore.roi_align_backward(x, boxes, shape, 0.7, sampling, True, **options)


@pytest.mark.parametrize("channels", [1, 5, 70])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8], ids=str)
def test_layouts_and_threads_give_the_same_bits(
    dtype: Any, channels: int, rng: np.random.Generator
) -> None:
    boxes = SOME
    grad = random_array(rng, np.dtype(dtype), (len(boxes), channels, 2, 3), "special")
    indices = rng.integers(-1, 42, grad.shape)
    want = list(both(grad, boxes, indices))
    last, last_indices = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (grad, indices))
    for _target, threads in configurations():
        for a, b in zip(both(grad, boxes, indices, threads=threads), want, strict=True):
            assert_same(a, b, nan_bits=True)
        got = both(last, boxes, last_indices, layout="NHWC", threads=threads)
        for a, b in zip(got, want, strict=True):
            assert_same(np.ascontiguousarray(np.moveaxis(a, -1, 1)), b, nan_bits=True)
    for maker in layouts.LAYOUTS:
        view, places = maker(grad), maker(indices)
        same = both(np.ascontiguousarray(view), boxes, np.ascontiguousarray(places))
        for a, b in zip(both(view, boxes, places), same, strict=True):
            assert (bits(a) == bits(b)).all(), maker.__name__


def test_arguments() -> None:
    boxes, grad = np.array([[0, 0, 0, 1, 1]]), np.ones((1, 2, 2, 2))
    shape, indices = (1, 2, 4, 4), np.zeros((1, 2, 2, 2), int)
    for name, call in (
        ("roi_pool_backward", lambda g, b, s, **k: poolcore.roi_pool_backward(
            g, indices[: len(g)], b, s, **k)),
        ("roi_align_backward", poolcore.roi_align_backward),
    ):  # fmt: skip
        out = np.empty(shape)
        assert call(grad, boxes, shape, out=out) is out
        assert_same(out, call(grad, [boxes[:, 1:]], np.array(shape)))
        assert not call(grad[:0], boxes[:0], shape).any()
        for bad, message in (
            ((1, 2, 4), "input_shape must be a sequence of 4 ints, got 3"),
            ((1, 3, 4, 4), r"input_shape\[1\]=3 must be 2"),
            ((1, 2, 0, 4), r"input_shape\[2\]=0 must be at least 1"),
            ((1, 2, -4, 4), r"input_shape\[2\]=-4"),
        ):
            with pytest.raises(ValueError, match=rf"^{name}: {message}"):
                call(grad, boxes, bad)
        with pytest.raises(ValueError, match=rf"^{name}: grad of shape .* 2, the number of boxes"):
            call(grad, np.zeros((2, 5)), shape)
        with pytest.raises(TypeError, match=rf"^{name}: grad has dtype bool"):
            call(grad > 0, boxes, shape)
        with pytest.raises(IndexError, match=rf"^{name}: boxes\[0\]\[0\]=1"):
            call(grad, boxes + 1, shape)
        with pytest.raises(ValueError, match=rf"^{name}: out overlaps grad"):
            call(grad, boxes, (1, 2, 2, 2), out=grad)
        with pytest.raises(MemoryError, match=name):
            call(grad, boxes, (1, 2, 2**31, 2**31))
    assert poolcore.roi_align_backward(np.ones((1, 2, 0, 2)), boxes, shape).shape == shape


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64])
def test_bad_indices_are_refused_untouched(dtype: Any) -> None:
    boxes, grad = np.array([[0, 0, 0, 1, 1]] * 2), np.ones((2, 2, 2, 2))
    out = np.full((1, 2, 4, 4), 7.0)
    for at in np.ndindex(grad.shape):
        indices = np.zeros(grad.shape, dtype)
        indices[at] = 16
        where = ", ".join(map(str, at))
        with pytest.raises(IndexError, match=rf"^roi_pool_backward: indices\[{where}\]=16 must"):
            poolcore.roi_pool_backward(grad, indices, boxes, out.shape, out=out)
        assert (out == 7).all()


# ------------------------------------------------------------------------------------- layers


LAYERS: list[Any] = [
    nn.RoIPool(2), nn.RoIPool((2, 3), 0.5), nn.RoIAlign((2, 3), 0.5, 2, True),
    nn.RoIAlign(2, mode="max"),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_layers_are_the_functions(layer: Any, rng: np.random.Generator) -> None:
    x, boxes = rng.random((2, 3, 6, 7)), SOME.copy()
    name = type(layer).__name__
    size, scale = layer.output_size, layer.spatial_scale
    layer = pickle.loads(pickle.dumps(layer))
    got = layer(x, boxes)
    grad = rng.random(got.shape)
    if name == "RoIPool":
        want, at = poolcore.roi_pool(x, boxes, size, scale, return_indices=True)
        back = poolcore.roi_pool_backward(grad, at, boxes, x.shape)
    else:
        how = (layer.sampling_ratio, layer.aligned, layer.mode)
        want = poolcore.roi_align(x, boxes, size, scale, *how)
        back = poolcore.roi_align_backward(grad, boxes, x.shape, scale, *how, x.copy())
    assert_same(got, want)
    boxes[:] = 0
    x[:] = 0  # what the caller changes is no longer the layer's
    assert_same(layer.backward(grad), back)
    with pytest.raises(ValueError, match=rf"^{name}.backward: grad must have shape"):
        layer.backward(grad[:1])
    text = pickle.dumps(layer)
    assert len(text) < 1000
    other = pickle.loads(text)
    assert repr(other) == repr(layer)
    with pytest.raises(RuntimeError, match=rf"^{name}.backward: .* call the layer first"):
        other.backward(grad)
    assert layer.eval()(x, boxes).shape == got.shape
    with pytest.raises(RuntimeError, match="evaluation mode"):
        layer.backward(grad)


def test_how_layers_look() -> None:
    assert repr(nn.RoIPool((3, 2), 0.25)) == "RoIPool(output_size=(3, 2), spatial_scale=0.25)"
    assert repr(nn.RoIAlign(7, 0.5, 2, True, layout="NHWC")) == (
        "RoIAlign(output_size=7, spatial_scale=0.5, sampling_ratio=2, aligned=True, layout='NHWC')"
    )


BACK = """
for dtype in (*support.FLOATS, np.dtype(np.int8)):
    for width in (1, 3, 17):
        for at_end in (False, True):
            grad = inputs.place((3, 2, 2, width), dtype, at_end)
            grad[...] = support.random_array(rng, dtype, grad.shape)
            boxes = np.array([[0, -3, -3, 9, 9], [1, 1.5, 1.5, 4, 3], [1, 5, 4, 6, 4]])
            at = indices.place(grad.shape, np.dtype(np.int64), at_end)
            at[...] = rng.integers(-1, 35, at.shape)
            for view, places, layout, shape in (
                (grad, at, 'NCHW', (2, 2, 5, 7)),
                (grad[..., ::-1], at[..., ::-1], 'NCHW', (2, 2, 5, 7)),
                (grad.transpose(0, 2, 3, 1), at.transpose(0, 2, 3, 1), 'NHWC', (2, 5, 7, 2)),
            ):
                for call in (lambda *a, **k: poolcore.roi_pool_backward(a[0], places, *a[1:], **k),
                             poolcore.roi_align_backward):
                    want = call(view.copy(), boxes, shape, layout=layout)
                    out = outputs.place(shape, want.dtype, at_end)
                    call(view, boxes, shape, layout=layout, out=out)
                    support.assert_same(out.copy(), want, nan_bits=True)
                    checked += 1
print(checked)
assert checked > 100
"""


@pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect as Linux has it")
@pytest.mark.failure(22)
def test_between_guard_pages() -> None:
    assert_runs(guard(9) + BACK, timeout=120)
