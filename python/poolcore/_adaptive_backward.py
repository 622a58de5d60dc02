"""Gradients of adaptive pooling; the shape of the gradient says how many windows there were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import SupportsIndex, TypeVar

from poolcore._core import max_backward as _max_backward
from poolcore._core import window_backward as _window_backward
from poolcore._docs_inverse import complete_inverse
from poolcore._typing import Array, ArrayInput, IndexInput, Layout1d, Layout2d, Layout3d

__all__ = [
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d_backward",
]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _backward(function: _Function) -> _Function:
    name = function.__name__
    return complete_inverse(function, f"adaptive_{name[9:12]}_backward", int(name[17]))


@_backward
def adaptive_max_pool1d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout1d = "NCW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `adaptive_max_pool1d` or `adaptive_min_pool1d`.

    Examples
    --------
    >>> import poolcore
    >>> values, indices = poolcore.adaptive_max_pool1d([[1, 3, 5, 4, 2]], 2, return_indices=True)
    >>> adaptive_max_pool1d_backward([[1.0, 2.0]], indices, (1, 5))
    array([[0., 0., 3., 0., 0.]])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "adaptive_max_pool1d_backward", grad, indices, input_shape, layout, None, True, out, threads
    )


@_backward
def adaptive_max_pool2d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `adaptive_max_pool2d` or `adaptive_min_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import poolcore
    >>> x = np.arange(6.0).reshape(1, 1, 2, 3)
    >>> values, indices = poolcore.adaptive_max_pool2d(x, (1, 2), return_indices=True)
    >>> adaptive_max_pool2d_backward(np.ones_like(values), indices, x.shape)
    array([[[[0., 0., 0.],
             [0., 1., 1.]]]])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "adaptive_max_pool2d_backward", grad, indices, input_shape, layout, None, True, out, threads
    )


@_backward
def adaptive_max_pool3d_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `adaptive_max_pool3d` or `adaptive_min_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> import poolcore
    >>> x = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> values, indices = poolcore.adaptive_min_pool3d(x, 1, return_indices=True)
    >>> adaptive_max_pool3d_backward(np.ones_like(values), indices, x.shape)
    array([[[[1., 0.],
             [0., 0.]]]])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "adaptive_max_pool3d_backward", grad, indices, input_shape, layout, None, True, out, threads
    )


@_backward
def adaptive_avg_pool1d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout1d = "NCW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `adaptive_avg_pool1d`.

    Examples
    --------
    >>> adaptive_avg_pool1d_backward([[6.0, 12.0]], (1, 5))
    array([[2., 2., 6., 4., 4.]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "adaptive_avg_pool1d_backward", grad, input_shape, None, None, 0, 1, False, True, None,
        layout, None, True, out, threads,
    )  # fmt: skip


@_backward
def adaptive_avg_pool2d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout2d = "NCHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool2d_backward(np.full((1, 1, 1, 2), 4.0), (1, 1, 2, 3))
    array([[[[1., 2., 1.],
             [1., 2., 1.]]]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "adaptive_avg_pool2d_backward", grad, input_shape, None, None, 0, 1, False, True, None,
        layout, None, True, out, threads,
    )  # fmt: skip


@_backward
def adaptive_avg_pool3d_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    *,
    layout: Layout3d = "NCDHW",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `adaptive_avg_pool3d`.

    Examples
    --------
    >>> import numpy as np
    >>> adaptive_avg_pool3d_backward(np.full((1, 1, 1, 1), 8.0), (1, 1, 2, 2))
    array([[[[2., 2.],
             [2., 2.]]]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "adaptive_avg_pool3d_backward", grad, input_shape, None, None, 0, 1, False, True, None,
        layout, None, True, out, threads,
    )  # fmt: skip
