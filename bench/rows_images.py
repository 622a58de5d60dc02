"""Rows of pyramids, medians and majorities of pictures and volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import poolcore
from bench.rows import Call, Operation, by_numpy, by_torch, random_array

# Which of tied labels is left open elsewhere, or the border is another: shapes alone are compared.
ANYTHING = 300


def _rising(step: Callable[[Any], Any], start: Any, levels: int) -> list[Any]:
    """Give each level from the one below."""
    found = [start]
    for _ in range(levels):
        found.append(step(found[-1]))
    return found[1:]


def _resized(picture: np.ndarray, levels: int) -> Callable[[Any], Call]:
    def prepare(cv2: Any) -> Call:
        def step(last: Any) -> Any:
            half = (last.shape[1] // 2, last.shape[0] // 2)
            return cv2.resize(last, half, interpolation=cv2.INTER_AREA)

        return lambda: _rising(step, picture, levels)

    return prepare


def _halved(transform: Any, picture: np.ndarray, levels: int) -> list[np.ndarray]:
    """By scikit-image; bytes are rounded from level to level."""

    def step(last: np.ndarray) -> np.ndarray:
        mean = transform.downscale_local_mean(last, (2, 2))
        if picture.dtype.kind == "f":
            return mean.astype(picture.dtype)  # type: ignore[no-any-return]
        return (mean + 0.5).astype(picture.dtype)  # type: ignore[no-any-return]

    return _rising(step, picture, levels)


def pyramids() -> Iterator[Operation]:
    """Four levels of means of bytes and of floats."""
    picture = random_array(4096, 4096, dtype="uint8")
    how: dict[str, Any] = {"dtype": np.uint8, "rounding": "half_up"}
    yield Operation(
        "pyramid 4 levels of 4096x4096 uint8",
        lambda: poolcore.pyramid(picture, 4, **how),
        {
            "cv2": _resized(picture, 4),
            "skimage.transform": lambda transform: lambda: _halved(transform, picture, 4),
            "tinybrain": lambda tinybrain: lambda: [
                y.reshape(y.shape[:2]) for y in tinybrain.downsample_with_averaging(
                    picture[..., np.newaxis], (2, 2, 1), num_mips=4)],
        },
        4,  # they round from level to level
    )  # fmt: skip
    real = random_array(2048, 2048)

    def means(torch: Any, t: Any) -> list[Any]:
        levels = _rising(lambda y: torch.nn.functional.avg_pool2d(y, 2), t[None], 4)
        return [level[0] for level in levels]

    yield Operation(
        "pyramid 4 levels of 2048x2048 float32",
        lambda: poolcore.pyramid(real, 4),
        {
            "cv2": _resized(real, 4),
            "skimage.transform": lambda transform: lambda: _halved(transform, real, 4),
            "torch": by_torch(means, real),
        },
    )


def _blocks(x: np.ndarray, factor: int = 2) -> np.ndarray:
    return x.reshape(x.shape[0] // factor, factor, x.shape[1] // factor, factor)


def _without(numpy: Any, picture: np.ndarray, levels: int) -> list[np.ndarray]:
    """Means of what is not 0, from sums and counts that are carried up."""

    def step(below: Any) -> Any:
        return tuple(_blocks(part).sum((1, 3), dtype=numpy.uint32) for part in below)

    found = _rising(step, (picture, (picture != 0).astype(numpy.uint8)), levels)
    return [
        ((2 * total + count) // numpy.maximum(2 * count, 1)).astype(numpy.uint8)
        for total, count in found
    ]


def other_pyramids() -> Iterator[Operation]:
    """Maxima, sums, majorities, and means with missing elements."""
    picture = random_array(2048, 2048, dtype="uint8")
    real = random_array(2048, 2048)

    def maxima(torch: Any, t: Any) -> list[Any]:
        levels = _rising(lambda y: torch.nn.functional.max_pool2d(y, 2), t[None], 4)
        return [level[0] for level in levels]

    yield Operation(
        "pyramid max 4 levels of 2048x2048 float32",
        lambda: poolcore.pyramid(real, 4, op="max"),
        {
            "torch": by_torch(maxima, real),
            "numpy": by_numpy(
                lambda numpy, x: _rising(lambda y: _blocks(y).max((1, 3)), x, 4), real
            ),
        },
    )
    yield Operation(
        "pyramid sum 4 levels of 2048x2048 uint8",
        lambda: poolcore.pyramid(picture, 4, op="sum"),
        {
            "numpy": by_numpy(
                lambda numpy, x: _rising(
                    lambda y: _blocks(y).sum((1, 3), dtype=numpy.int64), x, 4
                ), picture,
            )
        },
    )  # fmt: skip
    holed = np.where(picture < 10, 0, picture).astype(np.uint8)
    yield Operation(
        "pyramid nodata 4 levels of 2048x2048 uint8",
        lambda: poolcore.pyramid(holed, 4, nodata=0, rounding="half_up"),
        {"numpy": by_numpy(_without, holed, 4)},
    )
    labels = (picture >> 5).astype(np.uint8)
    yield Operation(
        "pyramid mode 4 levels of 2048x2048 labels",
        lambda: poolcore.pyramid(labels, 4, op="mode"),
        {
            "tinybrain": lambda tinybrain: lambda: [
                y.reshape(y.shape[:2]) for y in tinybrain.downsample_segmentation(
                    labels[..., np.newaxis], (2, 2, 1), num_mips=4)],
            "numpy": by_numpy(
                lambda numpy, x: [_commonest(numpy, x, 2**n, 7) for n in range(1, 5)], labels),
        },
        ANYTHING,
    )  # fmt: skip


def _commonest(numpy: Any, labels: np.ndarray, factor: int, most: int) -> np.ndarray:
    """Majorities of few labels, counted one label after the other; ties to the smallest."""
    blocks = _blocks(labels, factor)
    counts = numpy.stack([(blocks == label).sum((1, 3)) for label in range(most + 1)])
    return counts.argmax(0).astype(labels.dtype)  # type: ignore[no-any-return]


def majorities() -> Iterator[Operation]:
    """Windows of several sizes, of few labels and of many."""
    labels = (random_array(2048, 2048, dtype="uint8") >> 5).astype(np.uint8)
    yield Operation(
        "mode_pool2d 2x2 of 2048x2048 labels",
        lambda: poolcore.mode_pool2d(labels[np.newaxis], 2),
        {
            "tinybrain": lambda tinybrain: lambda: tinybrain.downsample_segmentation(
                labels[..., np.newaxis], (2, 2, 1), num_mips=1)[0].reshape(1, 1024, 1024),
            "numpy": by_numpy(lambda numpy, x: _commonest(numpy, x, 2, 7)[None], labels),
        },
        ANYTHING,
    )  # fmt: skip
    for factor in (4, 8, 32):
        yield Operation(
            f"mode_pool2d {factor}x{factor} of 2048x2048 labels",
            lambda n=factor: poolcore.mode_pool2d(labels[np.newaxis], n),
            {"numpy": by_numpy(lambda numpy, x, n=factor: _commonest(numpy, x, n, 7)[None],
                               labels)},
        )  # fmt: skip
    segments = np.random.default_rng(3).integers(0, 1000, (64, 256, 256), np.uint32)
    yield Operation(
        "mode_pool3d 2x2x2 of 64x256x256 segments",
        lambda: poolcore.mode_pool3d(segments[np.newaxis], 2),
        {"tinybrain": lambda tinybrain: lambda: tinybrain.downsample_segmentation(
            segments, (2, 2, 2), num_mips=1)[0][np.newaxis]},
        1e9,
    )  # fmt: skip


def medians() -> Iterator[Operation]:
    """Of bytes and floats, in two and three dimensions."""
    small = random_array(1024, 1024, dtype="uint8")
    real = random_array(1024, 1024)
    for k in (3, 5):
        others = {
            "cv2": lambda cv2, x, k: cv2.medianBlur(x, k),
            "scipy.ndimage": lambda ndimage, x, k: ndimage.median_filter(x, k),
        }
        ranks = {
            "skimage.filters": lambda filters, x, k: filters.median(
                x, np.ones((k, k)), behavior="rank"
            )
        }
        for x, kind, peers in ((small, "uint8", {**others, **ranks}), (real, "float32", others)):
            yield Operation(
                f"median_pool2d {k}x{k} s1 of 1024x1024 {kind}",
                lambda k=k, x=x: poolcore.median_pool2d(x[np.newaxis], k, 1, k // 2, dtype=x.dtype),
                {
                    name: lambda library, call=call, x=x, k=k: (
                        lambda: call(library, x, k)[np.newaxis]
                    )
                    for name, call in peers.items()
                },
                ANYTHING,
            )
    volume = random_array(32, 128, 128)
    for x, kind in ((volume, "float32"), ((volume * 255).astype(np.uint8), "uint8")):
        yield Operation(
            f"median_pool3d 3x3x3 s1 of 32x128x128 {kind}",
            lambda x=x: poolcore.median_pool3d(x[np.newaxis], 3, 1, 1, dtype=x.dtype),
            {"scipy.ndimage": lambda ndimage, x=x: lambda: ndimage.median_filter(x, 3)[np.newaxis]},
            ANYTHING,
        )
