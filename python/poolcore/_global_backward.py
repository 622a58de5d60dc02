"""Gradients of global pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import SupportsIndex, TypeVar

from poolcore._core import max_backward as _max_backward
from poolcore._core import window_backward as _window_backward
from poolcore._docs_inverse import complete_inverse
from poolcore._typing import Array, ArrayInput, Flag, IndexInput, Layout, PerAxis

__all__ = [
    "global_avg_pool_backward",
    "global_max_pool_backward",
    "global_sum_pool_backward",
]

_Function = TypeVar("_Function", bound=Callable[..., Array])


def _backward(function: _Function) -> _Function:
    return complete_inverse(function, function.__name__.replace("_pool", ""), 2)


@_backward
def global_max_pool_backward(
    grad: ArrayInput,
    indices: IndexInput,
    input_shape: Sequence[SupportsIndex],
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    layout: Layout | None = None,
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `global_max_pool` or `global_min_pool`.

    Examples
    --------
    >>> import poolcore
    >>> x = [[[3.0, 1.0], [4.0, 2.0]]]
    >>> values, indices = poolcore.global_max_pool(x, axes=(1, 2), return_indices=True)
    >>> global_max_pool_backward([[[5.0]]], indices, (1, 2, 2), axes=(1, 2))
    array([[[0., 0.],
            [5., 0.]]])
    """
    return _max_backward(  # type: ignore[no-any-return]
        "global_max_pool_backward", grad, indices, input_shape, layout, axes, keepdims, out,
        threads,
    )  # fmt: skip


@_backward
def global_avg_pool_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    layout: Layout | None = None,
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `global_avg_pool`.

    Examples
    --------
    >>> global_avg_pool_backward([[8.0]], (1, 1, 2, 2), keepdims=False)
    array([[[[2., 2.],
             [2., 2.]]]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "global_avg_pool_backward", grad, input_shape, None, None, 0, 1, False, True, None, layout,
        axes, keepdims, out, threads,
    )  # fmt: skip


@_backward
def global_sum_pool_backward(
    grad: ArrayInput,
    input_shape: Sequence[SupportsIndex],
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    layout: Layout | None = None,
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Carry gradients back through `global_sum_pool`.

    Examples
    --------
    >>> global_sum_pool_backward([[8.0, 3.0]], (1, 2, 2), keepdims=False)
    array([[[8., 8.],
            [3., 3.]]])
    """
    return _window_backward(  # type: ignore[no-any-return]
        "global_sum_pool_backward", grad, input_shape, None, None, 0, 1, False, True, None, layout,
        axes, keepdims, out, threads,
    )  # fmt: skip
