"""Boxes of regions of interest: from what callers give to arrays, which the core checks."""

from __future__ import annotations

from typing import Any

import numpy as np

from poolcore._adapters import as_array
from poolcore._typing import Array

__all__ = ["box_arrays", "kept_boxes"]


def box_arrays(boxes: Any, name: str) -> Array | tuple[Array, ...]:
    """Give an array of float64 or, of a list of one an image, a tuple of them."""
    if isinstance(boxes, list | tuple):
        return tuple(_floats(part, name, f"boxes[{i}]") for i, part in enumerate(tuple(boxes)))
    return _floats(boxes, name, "boxes")


def kept_boxes(boxes: Any, name: str) -> Array | tuple[Array, ...]:
    """Give the same in arrays that are nobody else's."""
    found = box_arrays(boxes, name)
    return tuple(part.copy() for part in found) if isinstance(found, tuple) else found.copy()


def _floats(boxes: Any, name: str, argument: str) -> Array:
    given: Array = as_array(boxes, None, name, argument)
    if given.ndim == 1 and given.size == 0:  # an empty list, say
        return np.empty((0, 4))
    if given.dtype.kind not in "iuf" and given.dtype.name != "bfloat16":
        raise TypeError(f"{name}: {argument} must be real numbers, got dtype {given.dtype}")
    with np.errstate(over="ignore"):  # of long doubles
        return given.astype(np.float64, copy=False)
