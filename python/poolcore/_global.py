"""Pooling of whole planes: one value for each channel of each image."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, SupportsIndex, TypeVar, cast

import numpy as np
import numpy.typing as npt

from poolcore import _core
from poolcore._adapters import as_array
from poolcore._docs import complete_global
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    GlobalExtremumPool,
    Indices,
    Layout,
    NanPolicy,
    PerAxis,
    Real,
    Rounding,
)

__all__ = [
    "gem_pool",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "global_min_pool",
    "global_sum_pool",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Places of _core.pool's arguments.
_X, _LAYOUT, _AXES, _OUT = 1, 12, 13, 16


def _extremum(function: Callable[..., Any]) -> GlobalExtremumPool:
    return cast(GlobalExtremumPool, complete_global(function, function.__name__[7:10]))


def _total(function: _Function) -> _Function:
    return complete_global(function, function.__name__[7:10])


def _norm(function: _Function) -> _Function:
    return complete_global(function, "gem" if function.__name__ == "gem_pool" else "lp")


def _pooled_axes(ndim: int, axes: Any, layout: Any) -> tuple[int, ...]:
    """Give the axes that a call pools which is known to be legal."""
    if axes is not None:
        listed = axes if isinstance(axes, tuple | list | np.ndarray) else (axes,)
        return tuple(operator.index(axis) % ndim for axis in listed)
    if layout is None:
        return tuple(range(2, ndim))
    last = ndim - layout.endswith("C")
    return tuple(range(last - len(layout) + 2, last))


def _expanded(out: Any, shape: tuple[int, ...], axes: tuple[int, ...], name: str) -> Any:
    """Put the pooled axes back into a view of `out`; what is no array is left to the core."""
    if not isinstance(out, np.ndarray):
        return out
    wanted = tuple(n for axis, n in enumerate(shape) if axis not in axes)
    if out.shape != wanted:
        raise ValueError(f"{name} must have shape {wanted}, got {out.shape}")
    return np.expand_dims(out, axes)


def _without_axes(arguments: list[Any]) -> Any:
    """Make the call with ``keepdims=False``."""
    name, out = arguments[0], arguments[_OUT]
    x = arguments[_X] = as_array(arguments[_X], None, name, "x")
    if out is None:
        result = _core.pool(*arguments)
        axes = _pooled_axes(x.ndim, arguments[_AXES], arguments[_LAYOUT])
        if isinstance(result, tuple):
            return tuple(part.squeeze(axes) for part in result)
        return result.squeeze(axes)
    arguments[_OUT] = None
    _core.describe(*arguments)  # whatever else is wrong is told first
    axes = _pooled_axes(x.ndim, arguments[_AXES], arguments[_LAYOUT])
    if isinstance(out, tuple):
        arguments[_OUT] = tuple(
            _expanded(part, x.shape, axes, f"{name}: out[{i}]") for i, part in enumerate(out)
        )
    else:
        arguments[_OUT] = _expanded(out, x.shape, axes, f"{name}: out")
    _core.pool(*arguments)
    return out


def _pool(keepdims: Flag, *arguments: Any) -> Any:
    if keepdims is True:
        return _core.pool(*arguments)
    if not isinstance(keepdims, bool | np.bool_):
        raise TypeError(f"{arguments[0]}: keepdims must be a bool, got {type(keepdims).__name__}")
    return _core.pool(*arguments) if keepdims else _without_axes(list(arguments))


@_extremum
def global_max_pool(
    x: ArrayInput,
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    return_indices: Flag = False,
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of each whole plane.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(1, 2, 2, 3)
    >>> global_max_pool(x)
    array([[[[ 5.]],
    <BLANKLINE>
            [[11.]]]])
    >>> values, indices = global_max_pool(x, keepdims=False, return_indices=True)
    >>> indices
    array([[5, 5]])
    """
    return _pool(  # type: ignore[no-any-return]
        keepdims, "global_max_pool", x, None, None, 0, 1, False, True, None, return_indices, None,
        "half_even", layout, axes, None, nan_policy, out, threads,
    )  # fmt: skip


@_extremum
def global_min_pool(
    x: ArrayInput,
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    return_indices: Flag = False,
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the smallest value of each whole plane.

    Examples
    --------
    >>> global_min_pool([[3.0, 1.0, 2.0]], axes=1)
    array([[1.]])
    """
    return _pool(  # type: ignore[no-any-return]
        keepdims, "global_min_pool", x, None, None, 0, 1, False, True, None, return_indices, None,
        "half_even", layout, axes, None, nan_policy, out, threads,
    )  # fmt: skip


@_total
def global_avg_pool(
    x: ArrayInput,
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the mean of each whole plane.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(1, 2, 2, 3)
    >>> global_avg_pool(x, keepdims=False)
    array([[2.5, 8.5]])
    >>> global_avg_pool(np.full((4, 4, 3), 7, np.uint8), layout="NHWC", dtype=np.uint8)
    array([[[7, 7, 7]]], dtype=uint8)
    """
    return _pool(  # type: ignore[no-any-return]
        keepdims, "global_avg_pool", x, None, None, 0, 1, False, True, None, False, dtype,
        rounding, layout, axes, None, nan_policy, out, threads,
    )  # fmt: skip


@_total
def global_sum_pool(
    x: ArrayInput,
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    dtype: npt.DTypeLike | None = None,
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Add up each whole plane.

    Examples
    --------
    >>> import numpy as np
    >>> global_sum_pool(np.full((1, 2, 4, 4), 200, np.uint8), keepdims=False)
    array([[3200, 3200]], dtype=uint64)
    """
    return _pool(  # type: ignore[no-any-return]
        keepdims, "global_sum_pool", x, None, None, 0, 1, False, True, None, False, dtype,
        "half_even", layout, axes, None, nan_policy, out, threads,
    )  # fmt: skip


@_norm
def global_lp_pool(
    x: ArrayInput,
    p: Real = 2,
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the p-norm of each whole plane.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[3.0, -4.0], [0.0, 2.0]]])
    >>> global_lp_pool(x, keepdims=False)
    array([[5., 2.]])
    >>> global_lp_pool(x, 1, keepdims=False)
    array([[7., 2.]])
    """
    return _pool(  # type: ignore[no-any-return]
        keepdims, "global_lp_pool", x, None, None, 0, 1, False, True, None, False, None,
        "half_even", layout, axes, p, nan_policy, out, threads,
    )  # fmt: skip


@_norm
def gem_pool(
    x: ArrayInput,
    p: Real = 3.0,
    eps: Real = 1e-6,
    *,
    keepdims: Flag = True,
    axes: PerAxis | None = None,
    layout: Layout | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Array | None = None,
    threads: SupportsIndex | None = None,
) -> Array:
    """Take the generalised mean ``mean(max(x, eps) ** p) ** (1 / p)`` of each whole plane.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[1.0, 2.0, 3.0], [-1.0, 0.0, 0.0]]])
    >>> gem_pool(x, keepdims=False).round(6)
    array([[2.289428e+00, 1.000000e-06]])
    """
    return _pool(  # type: ignore[no-any-return]
        keepdims, "gem_pool", x, None, None, 0, 1, False, True, None, False, None, "half_even",
        layout, axes, (p, eps), nan_policy, out, threads,
    )  # fmt: skip
