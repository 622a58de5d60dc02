"""The rare paths of the compiled module that are clearer in Python.

`as_array` and `overlap` are called by ``_core``, with the public function's name and the
argument's name for messages.
"""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["as_array", "overlap", "whole"]

# Device types of the DLPack standard whose memory the CPU reads: kDLCPU and kDLCUDAHost.
_CPU_DEVICES = (1, 3)

# Candidate places np.shares_memory may try before the arrays count as overlapping.
_OVERLAP_WORK = 100_000


def as_array(x: Any, _: None, function: str, argument: str) -> npt.NDArray[Any]:
    """Give x as an exact ndarray, on the same memory wherever x has any.

    Raises
    ------
    TypeError
        x is a masked array, lies on a GPU, or cannot be read as an array.
    ValueError
        x is nested sequences of unequal lengths.
    """
    name = f"{function}: {argument}"
    if isinstance(x, np.ndarray):
        _refuse_masked(x, name)
        return x.view(np.ndarray) if type(x).view is np.ndarray.view else np.asarray(x)
    _refuse_gpu(x, name)
    try:
        if hasattr(x, "__dlpack__") and not _has_numpy_protocol(x):
            array = np.from_dlpack(x)
        else:
            array = np.asarray(x)
    except (TypeError, ValueError, AttributeError, BufferError) as error:
        # NumPy's and the protocols' own complaints; any other error is the provider's to explain.
        kind = ValueError if isinstance(error, ValueError) else TypeError
        message = f"{name} ({type(x).__name__}) cannot be read as an array: {error}"
        raise kind(message) from error
    return array


def overlap(a: npt.NDArray[Any], b: npt.NDArray[Any], function: str, argument: str) -> bool:
    """Whether two arrays share a byte; True also when that takes too long to tell."""
    shares: Any = np.shares_memory  # whose stubs allow two of its effort limits only
    try:
        return bool(shares(a, b, max_work=_OVERLAP_WORK))
    except RuntimeError:  # numpy's TooHardError, which has moved between its modules
        return True


def whole(value: Any, function: str, argument: str) -> int:
    """Give an argument of a function written in Python as an int, or TypeError that names it."""
    if not isinstance(value, bool | np.bool_ | type) and hasattr(value, "__index__"):
        try:
            return operator.index(value)
        except TypeError:  # an array, whose shape decides
            pass
    raise TypeError(f"{function}: {argument} must be an int, got {type(value).__name__}")


def _has_numpy_protocol(x: object) -> bool:
    return any(hasattr(x, name) for name in ("__array__", "__array_interface__"))


def _refuse_masked(x: npt.NDArray[Any], name: str) -> None:
    # Whoever made a masked array has imported numpy.ma; nobody else should have to.
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(x, masked.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask pooling cannot honour; "
            "use x.filled(...), or x.filled(np.nan) with nan_policy='omit'"
        )


def _refuse_gpu(x: object, name: str) -> None:
    device = getattr(x, "__dlpack_device__", None)
    on_gpu = hasattr(x, "__cuda_array_interface__")
    if not on_gpu and callable(device):
        try:
            on_gpu = int(device()[0]) not in _CPU_DEVICES
        except Exception as error:
            raise TypeError(f"{name} does not say which device it is on: {error}") from error
    if on_gpu:
        raise TypeError(
            f"{name} ({type(x).__name__}) is not in the CPU's memory; "
            "copy it there first, for example with x.cpu() or x.get()"
        )
