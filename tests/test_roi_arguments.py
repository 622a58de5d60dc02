"""Regions of interest: boxes in every form, out=, NaN, what is refused, and guard pages."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

import poolcore
from support import FLOATS, assert_runs, assert_same
from test_guard import guard

NAN = math.nan


def test_boxes_as_a_list(rng: np.random.Generator) -> None:
    x = rng.random((3, 2, 8, 8))
    parts: list[Any] = [
        [[0, 0, 3, 3], [1, 2, 5, 6]], np.zeros((0, 4)), np.array([[2, 2, 7, 7]], np.float16)
    ]  # fmt: skip
    rows = np.array([[0, 0, 0, 3, 3], [0, 1, 2, 5, 6], [2, 2, 2, 7, 7]])
    for function in (poolcore.roi_pool, poolcore.roi_align):
        want = function(x, rows, 2)
        for listed in (parts, tuple(parts), [parts[0], [], parts[2]]):
            assert_same(function(x, listed, 2), want)
        for dtype in (np.int8, np.uint64, np.float32, np.longdouble):
            assert_same(function(x, rows.astype(dtype), 2), want)
        assert function(x, [[], [], []], 2).shape == (0, 2, 2, 2)
        assert function(x, np.zeros((0, 5)), (0, 3)).shape == (0, 2, 0, 3)
        assert function(x, rows, 0).shape == (3, 2, 0, 0)
        assert function(x[:, :0], rows, 2).shape == (3, 0, 2, 2)


def test_boxes_are_not_changed_nor_kept(rng: np.random.Generator) -> None:
    boxes = np.array([[0, 1.5, 1.5, 4, 4]])
    before = boxes.copy()
    boxes.flags.writeable = False
    poolcore.roi_pool(rng.random((1, 1, 6, 6)), boxes, 2)
    assert (boxes == before).all()


BAD_BOXES: list[tuple[Any, type[Exception], str]] = [
    (np.array([[0, 0, 0, 1, NAN]]), ValueError, r"boxes\[0\]\[4\]=nan must be finite"),
    (np.array([[0, 0, 0, 1, 1], [0, -math.inf, 0, 1, 1]]), ValueError, r"boxes\[1\]\[1\]=-inf"),
    (np.array([[NAN, 0, 0, 1, 1]]), ValueError, r"boxes\[0\]\[0\]=nan"),
    (np.array([[0.5, 0, 0, 1, 1]]), ValueError, r"boxes\[0\]\[0\]=0.5.*whole"),
    (np.array([[2, 0, 0, 1, 1]]), IndexError, r"boxes\[0\]\[0\]=2.0 .*2$"),
    (np.array([[0, 0, 0, 1, 1], [-1, 0, 0, 1, 1]]), IndexError, r"boxes\[1\]\[0\]=-1"),
    (np.array([[1e300, 0, 0, 1, 1]]), IndexError, r"boxes\[0\]\[0\]=1e\+300 is"),
    (np.zeros((2, 4)), ValueError, r"boxes must have shape \(K, 5\).*\(2, 4\)"),
    (np.zeros(5), ValueError, r"boxes must have shape .*\(5,\)"),
    (np.zeros((1, 5), bool), TypeError, "boxes must be real numbers, got dtype bool"),
    (np.zeros((1, 5), complex), TypeError, "boxes must be real numbers"),
    (np.zeros((1, 5), object), TypeError, "boxes must be real numbers"),
    (None, TypeError, "boxes"),
    ("ab", TypeError, "boxes"),
]  # fmt: skip
BAD_LISTS: list[tuple[Any, type[Exception], str]] = [
    ([], ValueError, r"boxes must be an array .* each of the 2 images of x, got a list of 0"),
    ([np.zeros((1, 4))] * 3, ValueError, "boxes .* got a list of 3"),
    ([np.zeros((1, 4)), np.zeros((1, 5))], ValueError, r"boxes\[1\] must have shape \(L, 4\)"),
    ([np.zeros((1, 4)), [[0, 0, NAN, 0]]], ValueError, r"boxes\[1\]\[0\]\[2\]=nan"),
    ([np.zeros((1, 4)), [[0, 0, "a", 0]]], TypeError, r"boxes\[1\]"),
    ([None, np.zeros((1, 4))], TypeError, r"boxes\[0\]"),
]


@pytest.mark.parametrize("function", [poolcore.roi_pool, poolcore.roi_align])
@pytest.mark.parametrize(("boxes", "error", "message"), [*BAD_BOXES, *BAD_LISTS])
def test_bad_boxes(function: Any, boxes: Any, error: type[Exception], message: str) -> None:
    x = np.ones((2, 1, 4, 4))
    out = np.full((2, 1, 2, 2), 7.0)
    with pytest.raises(error, match=rf"^{function.__name__}: {message}"):
        function(x, boxes, 2, out=out)
    assert (out == 7).all()


NUMBERS = [0, 5e-324, 1e-310, 0.5, 7, 2**31, 2**53, 2.0**63, 1e30, 1e300, 1.79e308]


@pytest.mark.failure(13)
def test_a_million_boxes_of_any_numbers(rng: np.random.Generator) -> None:
    """Corners from denormals to the largest: what comes out is in the image, or 0 beside it."""
    x = rng.random((2, 1, 5, 7)) + 1
    count = 10**6
    corners = rng.standard_normal((count, 4)) * 10.0 ** rng.integers(-320, 308, (count, 4))
    some = rng.choice(NUMBERS, (count, 4)) * rng.choice([-1, 1], (count, 4))
    corners = np.where(rng.random((count, 4)) < 0.4, some, corners)
    boxes = np.column_stack([rng.integers(0, 2, count), corners])
    assert np.isfinite(boxes).all()
    values, indices = poolcore.roi_pool(x, boxes, 1, return_indices=True)
    assert ((indices >= -1) & (indices < 35)).all()
    image = x.reshape(2, 35)[boxes[:, 0].astype(int)]
    at = indices.reshape(count, 1)
    found = np.where(at < 0, 0, np.take_along_axis(image, np.maximum(at, 0), 1))
    assert (found == values.reshape(count, 1)).all()
    for how in ((1.0, 0), (1.0, 2, True), (0.25, 2**62, True), (1.0, 3, False, "max")):
        values = poolcore.roi_align(x, boxes, 1, *how)
        assert ((values >= 0) & (values <= x.max() * (1 + 1e-14))).all(), how
    for bad in (NAN, math.inf, -math.inf):
        for column in range(5):
            row = int(rng.integers(count))
            before, boxes[row, column] = boxes[row, column], bad
            match = rf"boxes\[{row}\]\[{column}\]={bad} "
            for function in (poolcore.roi_pool, poolcore.roi_align):
                with pytest.raises(ValueError, match=match):
                    function(x, boxes, 1)
            boxes[row, column] = before


def test_other_bad_arguments() -> None:
    x, box = np.ones((1, 2, 4, 4)), np.array([[0, 0, 0, 1, 1]])
    for function in (poolcore.roi_pool, poolcore.roi_align):
        name = function.__name__
        for scale in (0, -1.0, math.inf, NAN):
            with pytest.raises(ValueError, match=rf"^{name}: spatial_scale={scale} must be"):
                function(x, box, 2, scale)
        with pytest.raises(ValueError, match=rf"^{name}: output_size\[1\]=-1 must not"):
            function(x, box, (1, -1))
        with pytest.raises(ValueError, match=rf"^{name}: x must have 4 dimensions, got 3"):
            function(x[0], box, 2)
        with pytest.raises(ValueError, match=rf"^{name}: x of shape .* empty planes"):
            function(x[:, :, :0], box, 2)
        with pytest.raises(MemoryError, match=name):
            function(x, box, 2**40)
        y = x.copy()
        y[0, 1, 2, 3] = NAN
        with pytest.raises(ValueError, match=rf"^{name}: x holds NaN at \[0, 1, 2, 3\]"):
            function(y, box, 2, nan_policy="raise")
    with pytest.raises(ValueError, match="roi_align: mode='sum' must be 'avg' or 'max'"):
        poolcore.roi_align(x, box, 2, mode="sum")  # type: ignore[arg-type]


def test_out() -> None:
    x, box = np.arange(32.0).reshape(1, 2, 4, 4), np.array([[0, 0, 0, 3, 3]])
    want, at = poolcore.roi_pool(x, box, 2, return_indices=True)
    out, indices = np.empty((1, 2, 2, 2)), np.empty((1, 2, 2, 2), int)
    pair = poolcore.roi_pool(x, box, 2, return_indices=True, out=(out, indices))
    assert pair[0] is out
    assert pair[1] is indices
    assert_same(out, want)
    assert_same(indices, at)
    strided = np.zeros((1, 2, 4, 6))[..., ::2, ::-3]
    assert poolcore.roi_align(x, box, 2, out=strided) is strided
    assert_same(strided.copy(), poolcore.roi_align(x, box, 2))
    for wrong, match in (
        (np.empty((1, 2, 2, 2), np.float32), "dtype"), (np.empty((1, 2, 2, 3)), "shape"),
        (x[:, :, :2, :2], "overlaps x"), (np.broadcast_to(0.0, (1, 2, 2, 2)), "read-only"),
    ):  # fmt: skip
        for function in (poolcore.roi_pool, poolcore.roi_align):
            with pytest.raises(ValueError, match=rf"^{function.__name__}: out.*{match}"):
                function(x, box, 2, out=wrong)
    with pytest.raises(TypeError, match=r"roi_pool: out must be a tuple \(values, indices\)"):
        poolcore.roi_pool(x, box, 2, return_indices=True, out=out)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"roi_pool: out\[1\] overlaps out\[0\]"):
        poolcore.roi_pool(x, box, 2, return_indices=True, out=(out, out.view(int)))


def test_nan_without_weight_is_not_read() -> None:
    """An element next to a sample that lies on another, or between bins, does not leak."""
    x = np.ones((1, 1, 5, 5))
    x[0, 0, 2:, :] = NAN
    x[0, 0, :, 3:] = math.inf
    box = np.array([[0, 0, 0, 2, 2]])  # one sample, at (1, 1)
    assert poolcore.roi_align(x, box, 1, 1.0, 1).item() == 1
    assert poolcore.roi_align(x, box, 1, 1.0, 1, mode="max").item() == 1
    x = np.full((1, 1, 1, 40), NAN)
    x[..., 5], x[..., 15] = 3, 5
    far = np.array([[0, 0.5, 0.5, 20.5, 0.5]])  # samples at 5 and 15
    assert poolcore.roi_align(x, far, 1, 1.0, 2, True).item() == 4
    assert poolcore.roi_align(x, far, 1, 1.0, 2, True, "max").item() == 5
    assert math.isnan(poolcore.roi_align(x, far, 1, 1.0, 3, True).item())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_nan_left_out(dtype: np.dtype) -> None:
    x = np.array([[1, NAN, 3], [NAN, NAN, NAN], [4, 5, NAN]]).astype(dtype)[None, None]
    box = np.array([[0, 0, 0, 2, 2]])
    values, at = poolcore.roi_pool(x, box, 3, return_indices=True, nan_policy="omit")
    assert at[0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert np.isnan(values.astype(float)).sum() == 5
    values, at = poolcore.roi_pool(x, box, 1, return_indices=True, nan_policy="omit")
    assert (values.item(), at.item()) == (5, 7)
    values, at = poolcore.roi_pool(x, box, 1, return_indices=True)
    assert np.isnan(values.astype(float)).all()
    assert at.item() == 1
    # Weights at (0.5, 0.5): a quarter of 1 and three NaN.
    near = np.array([[0, 0, 0, 1, 1]])
    assert poolcore.roi_align(x, near, 1, 1.0, 1, nan_policy="omit").item() == 1
    assert math.isnan(poolcore.roi_align(x, near, 1, 1.0, 1, mode="max", nan_policy="omit").item())
    beyond = np.array([[0, 0, -2, 1, 0]])  # two samples at -1.5 count as 0, two at -0.5
    assert poolcore.roi_align(x, beyond, 1, 1.0, 2, nan_policy="omit").item() > 0
    alone = np.full((1, 1, 2, 2), NAN).astype(dtype)
    assert math.isnan(poolcore.roi_align(alone, near, 1, nan_policy="omit").item())
    assert poolcore.roi_align(alone, beyond, 1, 1.0, 2, nan_policy="omit").item() == 0


# ------------------------------------------------------------------------------------- memory

ROI = """
for dtype in support.DTYPES:
    for width in (1, 2, 7, 17, 65):
        for at_end in (False, True):
            x = inputs.place((2, 3, 5, width), dtype, at_end)
            x[...] = support.random_array(rng, dtype, x.shape, 'special')
            w = x.shape[3]
            boxes = np.array([[0, 0, 0, w, 5], [1, -3, -3, w + 3, 9], [1, w - 1, 4, w - 1, 4],
                              [1, w / 3, 1.5, w / 2, 3.5], [0, -1e300, 0, 1e300, 2]])
            for view, layout in ((x, 'NCHW'), (x[..., ::-1], 'NCHW'), (x[:, :, ::2], 'NCHW'),
                                 (x.transpose(0, 2, 3, 1), 'NHWC'), (x, 'NHWC')):
                copy = np.ascontiguousarray(view)
                for call in (poolcore.roi_pool, poolcore.roi_align,
                             lambda *a, **k: poolcore.roi_align(*a, 1.0, 3, True, 'max', **k)):
                    for policy in ('propagate', 'omit'):
                        how = dict(layout=layout, nan_policy=policy)
                        want = call(copy, boxes, (3, 2), **how)
                        out = outputs.place(want.shape, want.dtype, at_end)
                        call(view, boxes, (3, 2), out=out, **how)
                        support.assert_same(out.copy(), want, nan_bits=True)
                        checked += 1
print(checked)
assert checked > 3000
"""


@pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect as Linux has it")
@pytest.mark.failure(22)
def test_between_guard_pages() -> None:
    assert_runs(guard(9) + ROI, timeout=120)


FAR_OFF = [  # x1, x2, bins, samples: those of a bin begin before the last of the bin before
    ("-0x1.b5d64544a8f15p+57", "0x1.b5d64544a8f79p+57", 2, 6162007890778374),
    ("-0x1.f34d47654c48ap+59", "0x1.f34d47654c48ap+59", 2, 11243278593290580),
    ("-0x1.98828b7428054p+58", "0x1.98828b7428060p+59", 9, 3832844198626421),
    ("-0x1.d7f933189f4b8p+58", "0x1.9cfa0cb58b638p+60", 9, 6642435594123018),
]


@pytest.mark.parametrize(("lo", "hi", "bins", "grid"), FAR_OFF)
def test_samples_that_step_back(lo: str, hi: str, bins: int, grid: int) -> None:
    """Corners so far off that float64 misses whole elements; few samples are on the image."""
    start, end = float.fromhex(lo), float.fromhex(hi)
    step = (end - start) / bins

    def at(j: int, i: int) -> float:
        return start + j * step + (i + 0.5) * step / grid

    want = []
    for j in range(bins):
        first, last = 0, grid
        while first < last:
            middle = (first + last) // 2
            first, last = (first, middle) if at(j, middle) >= -1 else (middle + 1, last)
        total = 0.0
        while first < grid and at(j, first) <= 2000:
            total += 1 + min(max(at(j, first), 0.0), 1999.0)
            first += 1
        want.append(total / grid)
    line = np.arange(1.0, 2001)
    for turned in (False, True):
        x = line.reshape((1, 1, 2000, 1) if turned else (1, 1, 1, 2000))
        box = np.array([[0, 0, start, 1, end] if turned else [0, start, 0, end, 1]])
        size = (bins, 1) if turned else (1, bins)
        narrow = poolcore.roi_align(x, box, size, 1.0, grid)
        np.testing.assert_allclose(narrow.ravel(), want, rtol=1e-12)
        back = poolcore.roi_align_backward(np.ones_like(narrow), box, x.shape, 1.0, grid)
        assert (back * x).sum() == pytest.approx(sum(want), rel=1e-12)
