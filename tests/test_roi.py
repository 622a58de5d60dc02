"""Regions of interest: roi_pool and roi_align against the oracle, sample by sample."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import layouts
import oracle
import oracle_roi
import poolcore
from support import DTYPES, assert_same, bits, configurations, random_array

NAN = math.nan
# name: boxes (image, x1, y1, x2, y2) of an image 6 high and 7 wide.
BOXES: dict[str, list[list[float]]] = {
    "whole": [[0, 0, 0, 6, 5]],
    "inside": [[1, 1.3, 0.7, 4.6, 3.2]],
    "halves": [[0, 0.5, 1.5, 2.5, 3.5], [0, -0.5, -1.5, 2.5, 2.5]],
    "one_pixel": [[0, 2, 3, 2, 3], [1, 0, 0, 0, 0], [0, 6, 5, 6, 5]],
    "tiny": [[0, 2.2, 3.3, 2.2000001, 3.3000001], [1, 2, 3, 2.25, 3.25]],
    "outside": [[0, 100, 100, 110, 110], [0, -50, 0, -20, 5], [0, 0, 6, 6, 9], [0, 8, 0, 9, 5]],
    "overhanging": [[0, -3.5, -2.5, 3.1, 4.2], [1, 4.7, 3.9, 11.1, 12.3], [0, -9, -9, 19, 19]],
    "touching_minus_1": [[0, -1, -1, 1, 1], [0, -1.5, -1.5, -0.5, -0.5], [0, -2, -2, 0, 0]],
    "touching_the_end": [[0, 5, 4, 7, 6], [0, 6.5, 5.5, 7.5, 6.5], [0, 7, 6, 9, 8]],
    "reversed": [[0, 5, 4, 1, 1], [1, 3, 1, 2, 5], [0, 6, 5, -1e300, -1e300]],
    "empty": [[0, 3, 3, 3, 3], [1, 2.5, 1, 2.5, 4]],
    "large": [[0, -80, -70, 90, 100], [1, -1, -1, 60, 60]],
    "none": [],
}
SIZES: list[Any] = [1, 2, (3, 2), (2, 7)]


def image(dtype: Any, rng: np.random.Generator, kind: str = "plain") -> np.ndarray:
    return random_array(rng, np.dtype(dtype), (2, 2, 6, 7), kind)


def boxes_of(name: str) -> np.ndarray:
    return np.array(BOXES[name], np.float64).reshape(-1, 5)


def assert_close(got: np.ndarray, want: tuple[np.ndarray, np.ndarray], note: str = "") -> None:
    """Within some units of float64 at the magnitude of the terms, and one of the result's type."""
    exact, size = want
    values = np.asarray(oracle.widen(got), np.float64)
    with np.errstate(all="ignore"):
        rounded = np.asarray(oracle.widen(oracle.narrow_to(exact, got.dtype)), np.float64)
    both_nan = np.isnan(values) & np.isnan(exact)
    unit = {2: 2.0**-8, 4: 2.0**-24, 8: 0.0}[got.dtype.itemsize]
    with np.errstate(invalid="ignore"):
        near = np.abs(values - exact) <= 1e-14 * size + unit * np.abs(exact)
    good = both_nan | (values == rounded) | near
    assert got.shape == exact.shape, (note, got.shape, exact.shape)
    assert good.all(), (note, np.argwhere(~good)[0], values[~good][0], exact[~good][0])


# ------------------------------------------------------------------------------- named cases


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", BOXES)
def test_pool_against_the_oracle(name: str, size: Any, rng: np.random.Generator) -> None:
    boxes = boxes_of(name)
    for dtype in (np.int16, np.float32, np.float64):
        x = image(dtype, rng)
        for scale in (1.0, 0.5, 0.3):
            want, at = oracle_roi.roi_pool(x, boxes, size, scale)
            got, indices = poolcore.roi_pool(x, boxes, size, scale, return_indices=True)
            assert_same(got, want, f"{scale}")
            assert_same(indices, at, f"{scale}")
            assert_same(poolcore.roi_pool(x, boxes, size, scale), want)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("name", BOXES)
def test_align_against_the_oracle(
    name: str, aligned: bool, mode: Any, rng: np.random.Generator
) -> None:
    boxes = boxes_of(name)
    many = {"large", "reversed"} & {name}
    for size in SIZES[1:3]:
        for sampling in (0, 1, 2) if many else (-1, 1, 2, 18):
            if name == "reversed" and sampling == 0 and not aligned:
                boxes = boxes[:2]  # an oracle cannot take 2**61 samples
            x = image(np.float32 if sampling == 1 else np.float64, rng)
            x = x[:, :1]
            for scale in (1.0, 0.3)[: 1 if name == "large" else 2]:
                want = oracle_roi.roi_align(x, boxes, size, scale, sampling, aligned, mode)
                got = poolcore.roi_align(x, boxes, size, scale, sampling, aligned, mode)
                assert_close(got, want, f"{size} {sampling} {scale}")


def test_a_whole_image_in_one_bin(rng: np.random.Generator) -> None:
    x = rng.random((1, 2, 5, 4))
    box = [[0, 0, 0, 3, 4]]
    assert (poolcore.roi_pool(x, np.array(box), 1) == x.max((2, 3), keepdims=True)).all()
    # Between the first and last elements all weigh alike but for the edges.
    flat = np.ones((1, 1, 5, 4))
    assert poolcore.roi_align(flat, np.array(box), 1).item() == 1
    got = poolcore.roi_align(flat, np.array(box), (3, 5), 1.0, 7)
    np.testing.assert_allclose(got, 1, rtol=1e-15)


def test_values_by_hand() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    box = np.array([[0.0, 0, 0, 2, 2]])
    # Not aligned, one sample at (1, 1): the element there.
    assert poolcore.roi_align(x, box, 1, 1.0, 1).item() == 5
    assert poolcore.roi_align(x, box, 1, 1.0, 1, True).item() == 2.5
    # Samples at 0.5 and 1.5 each way.
    assert poolcore.roi_align(x, box, 1, 1.0, 2).item() == 5
    assert poolcore.roi_align(x, box, 1, 1.0, 2, mode="max").item() == 7.5
    assert poolcore.roi_align(x, box, 2, 1.0, 1).tolist() == [[[[2.5, 3.5], [6.5, 7.5]]]]
    # Rows 0 .. 2 in two bins: 0, 1 and 1, 2.
    assert poolcore.roi_pool(x, box, 2).tolist() == [[[[5, 6], [9, 10]]]]
    # Halves are rounded away from zero: rows 1 .. 3.
    assert poolcore.roi_pool(x, np.array([[0, 0.5, 0.5, 2.5, 2.5]]), 1).item() == 15
    assert poolcore.roi_pool(x, np.array([[0, -0.5, -0.5, 0.25, 0.25]]), 2).tolist() == [
        [[[0, 0], [0, 0]]]
    ]


def test_samples_at_the_edges() -> None:
    """At -1 and H just so a sample still has the edge element; beyond it counts as 0."""
    x = np.full((1, 1, 3, 3), 6.0)
    for y, want in ((-1.0, 6), (np.nextafter(-1, -2), 0), (3.0, 6), (np.nextafter(3, 4), 0)):
        box = np.array([[0, 1, y, 1, y]])  # aligned, size 0: the sample is at y - 0.5
        moved = box + [0, 0.5, 0.5, 0.5, 0.5]
        if (moved[0, 2] - 0.5) == y:
            assert poolcore.roi_align(x, moved, 1, 1.0, 1, True).item() == want
    half = np.array([[0, 0, -2.0, 2, 0]])  # samples at -1.5 and -0.5
    assert poolcore.roi_align(x, half, 1, 1.0, 2).item() == 3
    assert poolcore.roi_align(-x, half, 1, 1.0, 2, mode="max").item() == 0


@pytest.mark.parametrize("far", [1e5, 1e18, 1e300, 1.7e308])
def test_huge_boxes(far: float) -> None:
    """Where the image lies in one bin, that is what the bin has; time does not grow."""
    x = np.arange(1.0, 31).reshape(1, 1, 5, 6)
    boxes = np.array([[0, -far, -far, far, far], [0, 0, 0, far, far], [0, far, far, far, far]])
    got, at = poolcore.roi_pool(x, boxes, 3, return_indices=True)
    assert got[0, 0].tolist() == [[0, 0, 0], [0, 30, 0], [0, 0, 0]]
    assert at[0, 0].tolist() == [[-1, -1, -1], [-1, 29, -1], [-1, -1, -1]]
    assert got[1, 0].tolist() == [[30, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert not got[2].any()
    for sampling in (-1, 2**62):
        most = poolcore.roi_align(x, boxes, 3, 1.0, sampling, mode="max")
        assert ((most[0, 0] > 0) == (got[0, 0] > 0)).all() or far > 1e6
        mean = poolcore.roi_align(x, boxes, 3, 1.0, sampling)
        assert (mean >= 0).all()
        assert mean[0, 0, 1, 1] <= 30
    scaled = poolcore.roi_pool(x, boxes, 3, 2.0**900)  # beyond the largest double
    assert scaled[0, 0, 1, 1] == 30


def test_samples_without_number_are_an_integral() -> None:
    """2**62 samples a bin: the mean of the interpolated plane over the bin."""
    x = np.array([[0.0, 1, 4, 9, 16]])[None, None]
    for lo, hi in ((0.0, 4.0), (0.25, 3.5), (1.2, 1.7), (-1.0, 6.0), (2.0, 9.0), (-5.0, 9.0)):
        box = np.array([[0, lo + 0.5, 0.5, hi + 0.5, 0.5]])
        edges = np.clip(np.arange(-1, 7), lo, hi)
        knots = np.concatenate(([0], x[0, 0, 0], [16]))  # at -1 .. 5, constant beyond the ends
        knots[0] = knots[1]
        total = 0.0
        for i in range(6):
            a, b = edges[i], edges[i + 1]
            if b > a:
                both = np.interp([a, b], np.arange(-1, 6), knots)
                total += (b - a) * both.mean()
        got = poolcore.roi_align(x, box, 1, 1.0, 2**62, True).item()
        assert got == pytest.approx(total / (hi - lo), rel=1e-12), (lo, hi)


@pytest.mark.parametrize("aligned", [False, True])
def test_many_samples_against_each_of_them(aligned: bool, rng: np.random.Generator) -> None:
    """Runs of more samples than are added one by one."""
    x = rng.standard_normal((1, 2, 9, 11))
    boxes = np.array([[0, 1.3, 0.2, 8.1, 7.7], [0, -4, -3, 17, 13], [0, 3, 2, 3.5, 2.25]])
    for sampling in (17, 100, 1000):
        got = poolcore.roi_align(x, boxes, (2, 3), 1.0, sampling, aligned)
        want = rendered(x, boxes, (2, 3), sampling, aligned)
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


def rendered(
    x: np.ndarray, boxes: np.ndarray, size: tuple[int, int], sampling: int, aligned: bool
) -> np.ndarray:
    """roi_align in NumPy, every sample gathered."""

    def axis(lo: float, hi: float, bins: int, length: int) -> np.ndarray:
        where = np.array(
            [oracle_roi.samples(lo, hi, j, bins, sampling, aligned) for j in range(bins)]
        )
        inside = (where >= -1) & (where <= length)
        where = np.clip(where, 0, length - 1)
        at = np.minimum(where.astype(int), length - 1)
        part = where - at
        weights = np.zeros((bins, length))
        for j in range(bins):
            np.add.at(weights[j], at[j], inside[j] * (1 - part[j]))
            np.add.at(weights[j], np.minimum(at[j] + 1, length - 1), inside[j] * part[j])
        return weights / sampling

    found = []
    for image_number, x1, y1, x2, y2 in boxes:
        down = axis(y1, y2, size[0], x.shape[2])
        over = axis(x1, x2, size[1], x.shape[3])
        found.append(np.einsum("ar,bq,crq->cab", down, over, x[int(image_number)]))
    return np.array(found)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_long_axes_and_many_bins(mode: Any, rng: np.random.Generator) -> None:
    """More places than a window holds, more weights and bins than are kept."""
    x = rng.standard_normal((1, 1, 2, 30_000))
    box = np.array([[0, 0.0, 0.0, 29_999, 1]])
    got = poolcore.roi_align(x, box, (1, 2), 1.0, 1000 if mode == "max" else -1, mode=mode)
    turned = poolcore.roi_align(
        np.swapaxes(x, 2, 3), box[:, [0, 2, 1, 4, 3]], (2, 1), 1.0,
        1000 if mode == "max" else -1, mode=mode,
    )  # fmt: skip
    np.testing.assert_allclose(turned.ravel(), got.ravel(), rtol=1e-12, atol=1e-12)
    if mode == "avg":
        want = rendered(x, box, (1, 2), 15_000, False)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)
    wide = poolcore.roi_align(x[..., :4], np.array([[0, 0, 0, 3, 1.0]]), (1, 5000), 1.0, 1,
                              mode=mode)  # fmt: skip
    at = (np.arange(5000) + 0.5) * 3 / 5000
    rows = x[0, 0, :, :4].mean(0)  # the sample lies half-way
    np.testing.assert_allclose(wide[0, 0, 0], np.interp(at, np.arange(4), rows), atol=1e-12)
    for bins in (3, 200, 1000, 2500):  # samples far apart: of many few elements in all are read
        apart = poolcore.roi_align(x, box, (1, bins), 1.0, 1, mode=mode)
        at = (np.arange(bins) + 0.5) * 29_999 / bins
        want = np.interp(at, np.arange(30_000), x[0, 0].mean(0))
        np.testing.assert_allclose(apart[0, 0, 0], want, atol=1e-10)
    values, indices = poolcore.roi_pool(x, box, (1, 3), return_indices=True)
    for j in range(3):
        part = x[0, 0, :, j * 10_000 : (j + 1) * 10_000]
        assert values[0, 0, 0, j] == part.max()
        row, column = np.unravel_index(part.argmax(), part.shape)
        assert indices[0, 0, 0, j] == row * 30_000 + j * 10_000 + column


def test_far_more_bins_than_elements(rng: np.random.Generator) -> None:
    """The axis that is reduced first is the other one then; ties are still the first in rows."""
    x = rng.integers(0, 3, (1, 2, 3, 40)).astype(np.int32)
    box = np.array([[0, 0, 0, 39, 2.0]])
    got, at = poolcore.roi_pool(x, box, (500, 2), return_indices=True)
    want, where = oracle_roi.roi_pool(x, box, (500, 2))
    assert_same(got, want)
    assert_same(at, where)
    aligned = poolcore.roi_align(x, box, (500, 2), 1.0, 1)
    assert_close(aligned, oracle_roi.roi_align(x, box, (500, 2), 1.0, 1))
    few = poolcore.roi_align(rng.random((1, 1, 50, 4000)), box * 100, (2, 3), 1.0, 1)
    assert np.isfinite(few).all()


# ------------------------------------------------------------- every type, layout and thread


def calls(x: np.ndarray, boxes: np.ndarray, **options: Any) -> Iterator[tuple[str, np.ndarray]]:
    values, indices = poolcore.roi_pool(x, boxes, (2, 3), 0.7, return_indices=True, **options)
    yield "pool", values
    yield "indices", indices
    for mode in ("avg", "max"):
        for sampling in (-1, 2):
            yield (
                f"{mode} {sampling}",
                poolcore.roi_align(x, boxes, (2, 3), 0.7, sampling, True, mode, **options),
            )


SOME = np.concatenate([boxes_of(n) for n in ("inside", "overhanging", "halves", "reversed")])


@pytest.mark.parametrize("policy", ["propagate", "omit"])
@pytest.mark.parametrize("kind", ["plain", "special"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(dtype: np.dtype, kind: str, policy: Any, rng: np.random.Generator) -> None:
    x = image(dtype, rng, kind)
    omit = policy == "omit"
    boxes = SOME[:-1]
    want, at = oracle_roi.roi_pool(x, boxes, (2, 3), 0.7, omit=omit)
    got, indices = poolcore.roi_pool(
        x, boxes, (2, 3), 0.7, return_indices=True, nan_policy=policy
    )  # fmt: skip
    assert_same(got, want)
    assert_same(indices, at)
    for mode in ("avg", "max"):
        for sampling in (-1, 2):
            y = poolcore.roi_align(
                x, boxes, (2, 3), 0.7, sampling, True, mode, nan_policy=policy
            )  # fmt: skip
            assert y.dtype == (dtype if oracle.is_float(dtype) else np.float64)
            assert_close(
                y, oracle_roi.roi_align(x, boxes, (2, 3), 0.7, sampling, True, mode, omit=omit)
            )


@pytest.mark.parametrize("channels", [1, 3, 5, 70])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint64], ids=str)
def test_layouts_give_the_same_bits(
    dtype: Any, channels: int, rng: np.random.Generator
) -> None:  # fmt: skip
    x = random_array(rng, np.dtype(dtype), (2, channels, 6, 7), "special")
    want = dict(calls(x, SOME))
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for note, got in calls(last, SOME, layout="NHWC"):
        assert got.shape == (len(SOME), 2, 3, channels)
        assert_same(np.ascontiguousarray(np.moveaxis(got, -1, 1)), want[note], note, nan_bits=True)
    for maker in layouts.LAYOUTS:
        view = maker(x)
        same = dict(calls(np.ascontiguousarray(view), SOME))
        for note, got in calls(view, SOME):
            assert_same(got, same[note], f"{maker.__name__} {note}", nan_bits=True)
    for maker in layouts.REFUSED:
        if np.dtype(dtype).itemsize > 1:
            with pytest.raises(TypeError, match="byte"):
                poolcore.roi_align(maker(x), SOME, 2)


@pytest.mark.parametrize("policy", ["propagate", "omit"])
def test_targets_and_threads_give_the_same_bits(policy: Any, rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 9, 40, 37), "special")
    boxes = np.concatenate(
        [rng.integers(0, 2, (40, 1)), rng.uniform(-5, 30, (40, 2)), rng.uniform(5, 60, (40, 2))], 1
    )
    want = None
    for target, threads in configurations():
        for layout in ("NCHW", "NHWC"):
            source = x if layout == "NCHW" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
            options = {"threads": threads, "layout": layout, "nan_policy": policy}
            got = {
                note: np.moveaxis(y, -1, 1) if layout == "NHWC" else y
                for note, y in calls(source, boxes, **options)
            }
            want = want or got
            for note in got:
                equal = bits(got[note]) == bits(want[note])
                assert equal.all(), (target, threads, layout, note)


def test_one_large_plane_is_shared_by_threads(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 1, 500, 600))
    box = np.array([[0, 3.3, 4.4, 560, 480]])
    for function in (poolcore.roi_pool, poolcore.roi_align):
        want = function(x, box, 7, threads=1)
        for threads in (2, 7):
            assert_same(function(x, box, 7, threads=threads), want)
