"""The gradient of spatial pyramid pooling: those of its levels, added up block after block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from poolcore import _core
from poolcore._adapters import as_array, overlap, whole
from poolcore._spatial_pyramid import check_size, checked_out, place, sides_of
from poolcore._typing import Array, ArrayInput, IndexInput, Layout2d, Op

__all__ = ["spatial_pyramid_pool_backward"]

_NAME = "spatial_pyramid_pool_backward"
_BLOCK = 1 << 14  # elements that are worked on at a time


def _input_shape(given: Any) -> tuple[int, ...]:
    name = f"{_NAME}: input_shape"
    listed = isinstance(given, Sequence) or (isinstance(given, np.ndarray) and given.ndim == 1)
    if isinstance(given, str | bytes) or not listed:
        raise TypeError(f"{name} must be a sequence of 3 or 4 ints, got {type(given).__name__}")
    shape = tuple(whole(n, _NAME, f"input_shape[{i}]") for i, n in enumerate(given))
    if len(shape) not in (3, 4):
        raise ValueError(f"{name} must be a sequence of 3 or 4 ints, got {len(shape)}")
    for i, n in enumerate(shape):
        if n < 0 or n >= 2**63:
            raise ValueError(f"{name}[{i}]={n} must be at least 0 and less than 2**63")
    return shape


def _blocks(lead: int, channels: int, plane: int) -> Iterator[tuple[slice, slice]]:
    """Cut images and channels into parts of about as many elements as make a block."""
    images = max(1, _BLOCK // max(1, channels * plane))
    planes = channels if images > 1 else max(1, _BLOCK // max(1, plane))
    for i, c in itertools.product(range(0, lead, images), range(0, channels, max(1, planes))):
        yield slice(i, min(i + images, lead)), slice(c, min(c + planes, channels))


class _Levels:
    """One call, on images of rank 4; an unbatched one has been given its batch axis."""

    def __init__(self, sides: list[int], shape: tuple[int, ...], op: str, layout: Any) -> None:
        self.sides, self.op, self.layout = sides, op, layout
        self.last = isinstance(layout, str) and layout == "NHWC"
        self.channels = shape[-1 if self.last else -3]
        self.shape = shape if len(shape) == 4 else (1, *shape)
        self.length = self.channels * sum(side * side for side in sides)

    def parts(self, vectors: Array, images: slice, channels: slice) -> Iterator[Array]:
        """Give what each level has of some images' and channels' vectors, as planes."""
        start = 0
        for side in self.sides:
            level = place(vectors[images], start, self.channels, side, self.last)
            yield level[..., channels] if self.last else level[:, channels]
            start += self.channels * side * side

    def backward(self, grad: Array, indices: Array | None, threads: Any) -> Array:
        """Carry one level's gradients back."""
        n, rest = len(grad), list(self.shape[1:])
        rest[2 if self.last else 0] = grad.shape[3 if self.last else 1]
        how: tuple[Any, ...] = (self.layout, None, True, None, threads)
        if indices is not None:
            return _core.max_backward(  # type: ignore[no-any-return]
                _NAME, np.ascontiguousarray(grad), indices, (n, *rest), *how
            )
        return _core.window_backward(  # type: ignore[no-any-return]
            _NAME + (" of sums" if self.op == "sum" else ""), grad, (n, *rest), None, None, 0, 1,
            False, True, None, *how,
        )  # fmt: skip

    def find_wrong(self, indices: Array) -> None:
        """Raise IndexError for the first index outside its plane, in row-major order."""
        height, width = self.shape[1:3] if self.last else self.shape[2:]
        rows = indices.reshape(-1, self.length) if indices.ndim == 1 else indices
        for i, start in itertools.product(range(len(rows)), range(0, self.length, _BLOCK)):
            part = rows[i, start : start + _BLOCK]
            wrong = np.flatnonzero((part < -1) | (part >= height * width))
            if len(wrong):
                at = [*([i] if indices.ndim == 2 else []), start + int(wrong[0])]
                raise IndexError(
                    f"{_NAME}: indices{at}={part[wrong[0]]} must be -1 or at least 0 and less than "
                    f"{height * width}, the size of a plane of the result"
                )


def _check_types(grad: Array, indices: Array | None) -> None:
    """Let the core say what it thinks of the element types."""
    one = (0, 1, 1, 1)
    if indices is None:
        _core.window_backward(
            _NAME, np.empty(one, grad.dtype), one, None, None, 0, 1, False, True, None, "NCHW",
            None, True, None, None,
        )  # fmt: skip
    else:
        arrays = np.empty(one, grad.dtype), np.empty(one, indices.dtype)
        _core.max_backward(_NAME, *arrays, one, "NCHW", None, True, None, None)


def _read_indices(given: Any, op: Any, grad: Array) -> Array | None:
    if not isinstance(op, str):
        raise TypeError(
            f"{_NAME}: op must be 'max', 'min', 'avg' or 'sum', got {type(op).__name__}"
        )
    if op in ("avg", "sum"):
        if given is not None:
            raise ValueError(f"{_NAME}: indices are for op='max' and 'min', not for op={op!r}")
        return None
    if op not in ("max", "min"):
        raise ValueError(f"{_NAME}: op={op[:50]!r} must be 'max', 'min', 'avg' or 'sum'")
    if given is None:
        raise TypeError(f"{_NAME}: indices must be those of the pooling for op={op!r}, got None")
    indices = as_array(given, None, _NAME, "indices")
    _check_types(grad, indices)
    if indices.shape != grad.shape:
        raise ValueError(
            f"{_NAME}: indices must have the shape of grad, {grad.shape}, got {indices.shape}"
        )
    return indices


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the type in which levels are added: that of sums of two-byte floats is wider."""
    narrow = dtype.kind not in "iu" and dtype.itemsize == 2
    return np.dtype(np.float32) if narrow else dtype


@np.errstate(all="ignore")
def spatial_pyramid_pool_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    levels: SupportsIndex | Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]] = (1, 2, 4),
    op: Op = "max",
    *,
    indices: IndexInput | None = None,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `spatial_pyramid_pool`.

    Parameters
    ----------
    grad : array_like, shape (N, C * L) or (C * L,), where L is the sum of the levels' squares
        The gradient of the results, of floats or integers; never copied.
    input_shape : sequence of int
        Shape of the array that was pooled: (N, C, H, W) or (C, H, W), or as `layout` says.
    levels, op
        Those of the pooling.
    indices : array_like of integers, shape of `grad`
        "max" and "min" only, and needed there: the indices that the pooling gave. -1 adds nothing.
    layout : "NCHW" or "NHWC"
        Order of the axes of `input_shape` and of the result.
    out : ndarray, optional
        Array of the result's shape and dtype, written in place and returned; it must not overlap
        the inputs or itself.
    threads : int, optional
        Threads for this call. By default what `set_num_threads` says.

    Returns
    -------
    ndarray, shape `input_shape`
        In the dtype of `grad` if that is a float type. Of integers, "max" and "min" keep the
        dtype, "avg" gives float64, "sum" int64 or uint64.

    Raises
    ------
    ValueError
        A value, a shape or `out` does not fit; the message names the argument. Nothing has been
        written then.
    TypeError
        An argument's type or dtype does not fit.
    IndexError
        An index lies outside its plane and is not -1; the message names the first. Nothing has
        been written then, unless another thread changes the indices meanwhile.
    MemoryError
        There is not enough memory for the result.
    KeyboardInterrupt
        Ctrl-C during a long call; the contents of `out` are undefined then.

    Notes
    -----
    The gradients of the levels, each as `adaptive_max_pool2d_backward` or
    `adaptive_avg_pool2d_backward` gives it, are added in the order of `levels`: those of float16
    and bfloat16 in float32, rounded once. Some planes are worked on at a time, or one where it is
    large, which takes scratch memory of two of them.

    Examples
    --------
    >>> import numpy as np
    >>> spatial_pyramid_pool_backward(np.ones((1, 5)), (1, 1, 2, 2), (1, 2), "avg")
    array([[[[1.25, 1.25],
             [1.25, 1.25]]]])
    """
    shape = _input_shape(input_shape)
    sides = sides_of(levels, _NAME)
    grad = as_array(grad, None, _NAME, "grad")
    _check_types(grad, None)
    call = _Levels(sides, shape, op, layout)
    if grad.shape != (*shape[:-3], call.length):
        raise ValueError(
            f"{_NAME}: grad must have shape {(*shape[:-3], call.length)}, that of the results "
            f"for input_shape {shape}, got {grad.shape}"
        )
    given = _read_indices(indices, op, grad)
    check_size(shape, 1, _NAME)
    vectors = grad if grad.ndim == 2 else grad[None]
    places = given if given is None or given.ndim == 2 else given[None]
    # Of no images: everything else is checked, and the result's type is known.
    nothing = slice(0, 0), slice(None)
    at = None if places is None else next(call.parts(places, *nothing))
    dtype = call.backward(next(call.parts(vectors, *nothing)), at, threads).dtype
    if out is not None:
        checked_out(out, shape, dtype, _NAME)
        for name, other in (("grad", grad), ("indices", given)):
            if other is not None and overlap(out, other, _NAME, "out"):
                raise ValueError(f"{_NAME}: out overlaps {name} in memory")
    if given is not None:
        call.find_wrong(given)
    result: Array = np.empty(shape, dtype) if out is None else out
    view = result if result.ndim == 4 else result[None]
    plane = view.size // max(1, len(view) * call.channels)
    for images, channels in _blocks(len(view), call.channels, plane):
        where = None if places is None else call.parts(places, images, channels)
        block: Array | None = None
        for part in call.parts(vectors, images, channels):
            wide = part.astype(_wide(part.dtype), copy=False)
            found = call.backward(wide, None if where is None else next(where), threads)
            block = found if block is None else np.add(block, found, out=block)
        view[(images, ..., channels) if call.last else (images, channels)] = block
    return result
