"""`pyramid`: an array at ever smaller scales, each exact."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex

import numpy as np
import numpy.typing as npt

from poolcore import _core
from poolcore._adapters import as_array, overlap, whole
from poolcore._pyramid_levels import Plan, make_levels
from poolcore._spatial_pyramid import checked_out
from poolcore._typing import Array, ArrayInput, NanPolicy, PerAxis, Rounding

__all__ = ["pyramid"]


def pyramid(
    x: ArrayInput,
    levels: SupportsIndex,
    factor: PerAxis = 2,
    op: Literal["avg", "max", "min", "sum", "mode"] = "avg",
    axes: PerAxis = (-2, -1),
    dtype: npt.DTypeLike | None = None,
    rounding: Rounding = "half_even",
    *,
    nodata: float | np.generic | None = None,
    nan_policy: NanPolicy = "propagate",
    out: Sequence[Array] | None = None,
    threads: SupportsIndex | None = None,
) -> list[Array]:
    """Make all levels of an image pyramid.

    Every element of level L stands for a window of ``factor**L`` elements of x along each axis,
    and is computed from those, not from the rounded level below.

    Parameters
    ----------
    x : array_like, any shape
        bool, integers, float16, float32, float64 or ml_dtypes' bfloat16, in native byte order, of
        any strides.
    levels : int
        How many levels, at least 1 and no more than it takes until each pooled axis has length 1.
    factor : int or one int an axis
        How much smaller a level is than the one below, at least 2; with one an axis, some may be 1.
    op : "avg", "max", "min", "sum" or "mode"
        What to compute of each window. "mode" is the commonest label, the smallest of equally
        common ones, of bool or integers.
    axes : int or 1 to 3 ints
        The axes that become shorter; negative ones count from the end.
    dtype : dtype, optional
        "avg" and "sum" only: type of the levels. By default means have the type of x (float64 if
        that is bool), sums int64, uint64 for unsigned x, or the type of x if it is a float type.
    rounding : "half_even", "half_up", "floor" or "trunc"
        How exact means are rounded to an integer type.
    nodata : number, optional
        A value of x that marks missing elements, NaN perhaps: they are left out, and a window
        of nothing else gives nodata. It must be a value of the type of the levels, too.
    nan_policy : "propagate", "omit" or "raise"
        What a NaN in x does: make every window over it NaN, at every level; be left out, as
        ``nodata=nan`` is, so that a window of nothing else gives `nodata` if there is one and NaN
        if not; or be a ValueError. With ``nodata=nan``, which calls them missing, not "raise".
    out : sequence of ndarray, optional
        An array for each level, of its shape and dtype, written in place; none may overlap x,
        another or itself.
    threads : int, optional
        Threads for this call, at least 1. By default what `set_num_threads` says.

    Returns
    -------
    list of ndarray
        Levels 1 to `levels`, in the memory order of x, or those of `out`; x itself is level 0 and
        is neither copied nor included. The shape of level L is that of x with
        ``ceil(size / factor**L)`` along the axes: windows at the far edges hold what is left, and
        means are taken over that.

    Raises
    ------
    ValueError
        An argument's value, or an array of `out`, does not fit, or "raise" met a NaN; the message
        names it. Nothing has been written then.
    TypeError
        An argument's type or dtype does not fit, such as "mode" of floats.
    MemoryError
        There is not enough memory for the levels or for what is carried between them; the
        contents of `out` are undefined then.
    KeyboardInterrupt
        Ctrl-C during a long call; the contents of `out` are undefined then.

    Notes
    -----
    Integers: every level is the rounding of the exact mean of all elements of x under it. Floats:
    the first two levels are those of `avg_pool2d`; from there on sums are carried in float64, and
    each level is rounded once (docs/numerics.md). Results are the same bits whatever the layout and
    thread count.

    Memory beyond x and the levels stays within some megabytes: x is read in bands of rows. Sums and
    means by halves along the last two axes read x once, where its rows and those of the levels lie
    in one piece: all levels take half as long again as the first alone. Others take two to four
    times as long as that. "mode", and means of 64-bit integers, read x once for each level. With
    `nodata`, or NaN to omit, windows that hold some are mended one by one, except in maxima and
    minima that leave out NaN alone; sums and means of 64-bit integers with `nodata` are made of
    Python's integers, slowly.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(15, dtype=np.uint8).reshape(3, 5)
    >>> for level in pyramid(x, 2):
    ...     print(level.tolist())
    [[3, 5, 6], [10, 12, 14]]
    [[6, 9]]
    >>> pyramid([[1.0, -9.0, 4.0], [3.0, -9.0, -9.0]], 1, nodata=-9.0)[0]
    array([[2., 4.]])
    >>> pyramid([[1.0, np.nan], [3.0, np.nan]], 1, nan_policy="omit")[0]
    array([[2.]])
    >>> [level.tolist() for level in pyramid(x % 3, 2, op="mode")]
    [[[0, 2, 0], [1, 0, 2]], [[0, 0]]]
    """
    array = as_array(x, None, "pyramid", "x")
    count = whole(levels, "pyramid", "levels")
    if not isinstance(op, str) or op not in ("avg", "max", "min", "sum", "mode"):
        kind = ValueError if isinstance(op, str) else TypeError
        raise kind(f"pyramid: op={op!r} must be 'avg', 'max', 'min', 'sum' or 'mode'")
    if dtype is None and op == "avg" and array.dtype.kind in "iu":
        dtype = array.dtype
    # Names every other argument that does not fit.
    _core.describe(
        "pyramid", array, factor, None, 0, 1, True, False, None, False, dtype, rounding, None,
        axes, op, nan_policy, None, threads,
    )  # fmt: skip
    places, factors = _per_axis(array, axes, factor)
    _check_levels(count, [(array.shape[a], f) for a, f in zip(places, factors, strict=True)])
    result = _result_type(array.dtype, op, dtype)
    missing = _checked_nodata(array, nodata, result, nan_policy)
    omits = nan_policy == "omit" and array.dtype.kind not in "iub"
    if omits and missing is None:
        missing = array.dtype.type(np.nan)
    plan = Plan(
        op, places, factors, rounding, missing, omits,
        None if threads is None else operator.index(threads),
    )  # fmt: skip
    shapes = [tuple(plan.shape(array.shape, n)) for n in range(1, count + 1)]
    outs = _results(array, shapes, result, out)
    if array.size:
        if nan_policy == "raise":
            _refuse_nan(array, plan)
        make_levels(plan, count, array).run(array, [level.view(np.ndarray) for level in outs])
    return outs


def _results(
    x: Array, shapes: list[tuple[int, ...]], dtype: np.dtype[Any], out: Any
) -> list[Array]:
    """Give the arrays to fill: new ones, or those of `out` if all of them fit."""
    if out is None:
        return [np.empty_like(x, dtype=dtype, shape=shape) for shape in shapes]
    if not isinstance(out, Sequence) or isinstance(out, str | bytes):
        raise TypeError(
            f"pyramid: out must be a sequence of arrays, one for each level, "
            f"got {type(out).__name__}"
        )
    found = list(out)
    if len(found) != len(shapes):
        raise ValueError(f"pyramid: out must have {len(shapes)} arrays, got {len(found)}")
    for i, shape in enumerate(shapes):
        as_array(checked_out(found[i], shape, dtype, "pyramid", f"[{i}]"), None, "pyramid", "out")
        for other, name in [(x, "x"), *((found[j], f"out[{j}]") for j in range(i))]:
            if overlap(found[i], other, "pyramid", "out"):
                raise ValueError(f"pyramid: out[{i}] overlaps {name} in memory")
    return found


def _refuse_nan(x: Array, plan: Plan) -> None:
    """Raise ValueError if x holds a NaN: all of x is looked at, whatever the windows read."""
    strides = [x.shape[a] for a in plan.axes]
    _core.pool(
        "pyramid", x, [1] * len(strides), strides, 0, 1, False, True, None, False, None,
        "half_even", None, plan.axes, "max", "raise", None, plan.threads,
    )  # fmt: skip


def _per_axis(
    array: Array, axes: PerAxis, factor: PerAxis
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give the axes that become shorter, in ascending order, and their factors."""
    if axes is None:
        axes = tuple(range(-min(2, array.ndim), 0))
    places = [a % array.ndim for a in _ints(axes)]
    factors = _ints(factor)
    if np.ndim(factor) == 0:  # type: ignore[arg-type]
        factors *= len(places)
    pairs = sorted((a, f) for a, f in zip(places, factors, strict=True) if f > 1)
    if not pairs:
        raise ValueError("pyramid: factor=1 must be at least 2, along one axis or more")
    return tuple(a for a, _ in pairs), tuple(f for _, f in pairs)


def _ints(value: PerAxis) -> list[int]:
    if isinstance(value, int):
        return [value]
    if isinstance(value, tuple):
        return [operator.index(v) for v in value]
    return [operator.index(v) for v in np.atleast_1d(np.asarray(value))]


def _check_levels(levels: int, sizes: list[tuple[int, int]]) -> None:
    if levels < 1:
        raise ValueError(f"pyramid: levels={levels} must be at least 1")
    if levels <= 64 and any(f ** (levels - 1) < size for size, f in sizes):
        return
    most = 1
    while any(f**most < size for size, f in sizes):
        most += 1
    if levels > most:
        raise ValueError(
            f"pyramid: levels={levels} must be at most {most}, "
            "after which no pooled axis becomes shorter"
        )


def _result_type(x: np.dtype[Any], op: str, dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    if dtype is not None:
        return np.dtype(dtype)
    if op == "sum" and x.kind in "iub":
        return np.dtype(np.uint64 if x.kind == "u" else np.int64)
    return np.dtype(np.float64) if op == "avg" and x.kind == "b" else x


def _checked_nodata(array: Array, nodata: Any, result: np.dtype[Any], nan_policy: str) -> Any:
    if nodata is None:
        return None
    wrong = (bool, np.bool_, str, bytes, complex, list, tuple)
    if isinstance(nodata, wrong) or np.ndim(nodata) != 0:
        raise TypeError(f"pyramid: nodata must be a number, got {type(nodata).__name__}")
    if array.dtype.kind == "b":
        raise TypeError("pyramid: nodata is not for x of dtype bool; use x.view('uint8')")
    for dtype, what in ((array.dtype, "x"), (result, "the levels")):
        if not _holds(dtype, nodata):
            raise ValueError(f"pyramid: nodata={nodata!r} is not a value of {what}, {dtype}")
    if nan_policy == "raise" and nodata != nodata:
        raise ValueError("pyramid: nan_policy='raise' refuses the NaN that nodata calls missing")
    return array.dtype.type(nodata)


def _holds(dtype: np.dtype[Any], value: Any) -> bool:
    try:
        if dtype.kind in "iu":
            return bool(int(value) == value) and int(value) in range(
                np.iinfo(dtype).min, np.iinfo(dtype).max + 1
            )
        with np.errstate(all="ignore"):
            return bool(value != value or float(dtype.type(value)) == value)
    except (OverflowError, ValueError, TypeError):
        return False
