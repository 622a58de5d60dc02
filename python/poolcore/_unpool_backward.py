"""The gradient of max unpooling: back from where the values were put."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import SupportsIndex, TypeVar

from poolcore._core import unpool_backward as _unpool_backward
from poolcore._docs_inverse import complete_inverse
from poolcore._typing import Array, ArrayInput, IndexInput, Layout1d, Layout2d, Layout3d

__all__ = ["max_unpool1d_backward", "max_unpool2d_backward", "max_unpool3d_backward"]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _backward(function: _Function) -> _Function:
    return complete_inverse(function, "unpool_backward", int(function.__name__[10]))


@_backward
def max_unpool1d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout1d = "NCW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `max_unpool1d`.

    Examples
    --------
    >>> max_unpool1d_backward([[1.0, 2.0, 3.0, 4.0]], [[1, 2]], (1, 2))
    array([[2., 3.]])
    """
    return _unpool_backward(  # type: ignore[no-any-return]
        "max_unpool1d_backward", grad, indices, input_shape, layout, out, threads
    )


@_backward
def max_unpool2d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `max_unpool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import poolcore
    >>> x = np.arange(16.0).reshape(1, 4, 4)
    >>> values, indices = poolcore.max_pool2d(x, 2, return_indices=True)
    >>> grad = 10 * np.ones_like(poolcore.max_unpool2d(values, indices, 2)) + x
    >>> max_unpool2d_backward(grad, indices, values.shape)
    array([[[15., 17.],
            [23., 25.]]])
    >>> max_unpool2d_backward([[[1, 2]]], [[[1, 1]]], (1, 1, 2))  # the last one stayed
    array([[[0, 2]]])
    """
    return _unpool_backward(  # type: ignore[no-any-return]
        "max_unpool2d_backward", grad, indices, input_shape, layout, out, threads
    )


@_backward
def max_unpool3d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `max_unpool3d`.

    Examples
    --------
    >>> max_unpool3d_backward([[[[1.0, 2.0]], [[3.0, 4.0]]]], [[[[2]]]], (1, 1, 1, 1))
    array([[[[3.]]]])
    """
    return _unpool_backward(  # type: ignore[no-any-return]
        "max_unpool3d_backward", grad, indices, input_shape, layout, out, threads
    )
