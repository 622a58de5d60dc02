"""Max unpooling: values back to where their indices say they were found."""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsIndex, TypeVar

from poolcore._core import max_unpool as _max_unpool
from poolcore._docs_inverse import complete_inverse
from poolcore._typing import (
    Array,
    ArrayInput,
    IndexInput,
    Layout1d,
    Layout2d,
    Layout3d,
    PadPairs,
    PerAxis,
)

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _unpooling(function: _Function) -> _Function:
    return complete_inverse(function, "unpool", int(function.__name__[-2]))


@_unpooling
def max_unpool1d(
    x: ArrayInput,
    indices: IndexInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PadPairs = 0,
    output_size: PerAxis | None = None,
    *,
    layout: Layout1d = "NCW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Put values back along W, to where `max_pool1d` found them, with zeros elsewhere.

    Examples
    --------
    >>> import poolcore
    >>> values, indices = poolcore.max_pool1d([[1, 3, 2, 5, 4, 0]], 2, return_indices=True)
    >>> max_unpool1d(values, indices, 2)
    array([[0, 3, 0, 5, 4, 0]])
    """
    return _max_unpool(  # type: ignore[no-any-return]
        "max_unpool1d", x, indices, kernel_size, stride, padding, output_size, layout, out, threads
    )


@_unpooling
def max_unpool2d(
    x: ArrayInput,
    indices: IndexInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PadPairs = 0,
    output_size: PerAxis | None = None,
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Put values back in planes of H and W, to where `max_pool2d` found them, with zeros elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> import poolcore
    >>> x = np.arange(1.0, 17).reshape(1, 1, 4, 4)
    >>> values, indices = poolcore.max_pool2d(x, 2, return_indices=True)
    >>> max_unpool2d(values, indices, 2)
    array([[[[ 0.,  0.,  0.,  0.],
             [ 0.,  6.,  0.,  8.],
             [ 0.,  0.,  0.,  0.],
             [ 0., 14.,  0., 16.]]]])
    >>> max_unpool2d(values, indices, 2, output_size=(4, 5)).shape
    (1, 1, 4, 5)
    """
    return _max_unpool(  # type: ignore[no-any-return]
        "max_unpool2d", x, indices, kernel_size, stride, padding, output_size, layout, out, threads
    )


@_unpooling
def max_unpool3d(
    x: ArrayInput,
    indices: IndexInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PadPairs = 0,
    output_size: PerAxis | None = None,
    *,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Put values back in volumes, to where `max_pool3d` found them, with zeros elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> import poolcore
    >>> x = np.arange(8).reshape(1, 2, 2, 2)
    >>> values, indices = poolcore.max_pool3d(x, 2, return_indices=True)
    >>> max_unpool3d(values, indices, 2)
    array([[[[0, 0],
             [0, 0]],
    <BLANKLINE>
            [[0, 0],
             [0, 7]]]])
    """
    return _max_unpool(  # type: ignore[no-any-return]
        "max_unpool3d", x, indices, kernel_size, stride, padding, output_size, layout, out, threads
    )
