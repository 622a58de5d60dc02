"""Boxes of regions of interest: from what callers give to one checked array for the core."""

from __future__ import annotations

from typing import Any

import numpy as np

from poolcore._adapters import as_array, whole
from poolcore._typing import Array

__all__ = ["box_array", "image_shape"]


def image_shape(given: Any, name: str) -> tuple[int, ...]:
    """Give input_shape as ints, for the number of images; the rest is for the core to check."""
    listed = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim > 0)
    if not listed:
        raise TypeError(
            f"{name}: input_shape must be a sequence of 4 ints, got {type(given).__name__}"
        )
    if len(given) != 4:
        raise ValueError(f"{name}: input_shape must be a sequence of 4 ints, got {len(given)}")
    shape = tuple(whole(n, name, f"input_shape[{i}]") for i, n in enumerate(given))
    for i, n in enumerate(shape):
        if not 0 <= n < 2**63:
            size = f"={n}" if n.bit_length() < 512 else ""
            raise ValueError(
                f"{name}: input_shape[{i}]{size} must be at least 0 and less than 2**63"
            )
    return shape


def box_array(boxes: Any, shape: tuple[int, ...], name: str, of: str = "x") -> Array:
    """Give rows (image, x1, y1, x2, y2) in float64, checked, in an array that is nobody else's.

    `shape` is that of argument `of`; whether it is that of a batch is for the core to say.
    """
    if len(shape) != 4:
        return np.empty((0, 5))
    images = shape[0]
    if isinstance(boxes, list | tuple):
        rows = _listed(boxes, images, name, of)
    else:
        rows = _floats(boxes, 5, name, "")
        _check_images(rows[:, 0], images, name, of)
    return rows


def _floats(boxes: Any, columns: int, name: str, entry: str) -> Array:
    """Give a copy of the rows of one array as finite float64."""
    argument = f"boxes{entry}"
    given = as_array(boxes, None, name, argument)
    number = given.dtype.kind in "iuf" or given.dtype.name == "bfloat16"
    if given.size == 0 and entry and given.ndim == 1:  # an empty list, say
        return np.empty((0, columns))
    if not number:
        raise TypeError(f"{name}: {argument} must be real numbers, got dtype {given.dtype}")
    if given.ndim != 2 or given.shape[1] != columns:
        rows = "(L, 4)" if entry else "(K, 5), or a list of arrays (L, 4)"
        raise ValueError(f"{name}: {argument} must have shape {rows}, got {given.shape}")
    with np.errstate(over="ignore"):  # of long doubles
        result: Array = np.array(given, np.float64, order="C")
    finite = np.isfinite(result)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        at = f"{argument}[{row}][{column}]={result[row, column]}"
        raise ValueError(f"{name}: {at} must be finite")
    return result


def _listed(boxes: Any, images: int, name: str, of: str) -> Array:
    """Give the boxes of one array an image."""
    if len(boxes) != images:
        raise ValueError(
            f"{name}: boxes must be an array (K, 5) or a list of one array (L, 4) for each of the "
            f"{images} images of {of}, got a list of {len(boxes)}"
        )
    parts = [_floats(part, 4, name, f"[{i}]") for i, part in enumerate(tuple(boxes))]
    rows = np.empty((sum(len(part) for part in parts), 5))
    start = 0
    for i, part in enumerate(parts):
        rows[start : start + len(part), 0] = i
        rows[start : start + len(part), 1:] = part
        start += len(part)
    return rows


def _check_images(numbers: Array, images: int, name: str, of: str) -> None:
    whole = numbers == np.floor(numbers)
    if not whole.all():
        row = int(np.argmin(whole))
        raise ValueError(
            f"{name}: boxes[{row}][0]={numbers[row]}, the number of an image, must be whole"
        )
    inside = (numbers >= 0) & (numbers < images)
    if not inside.all():
        row = int(np.argmin(inside))
        raise IndexError(
            f"{name}: boxes[{row}][0]={int(numbers[row])} is the number of no image; {of} has "
            f"{images}"
        )
