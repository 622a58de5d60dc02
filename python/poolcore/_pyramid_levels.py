"""How the levels of a pyramid are made: in blocks of the input, each for several levels at once.

A block is a whole number of windows of its top level, so no window crosses its border. What one
level hands to the next (`carried`) is exact: integer sums, extremes, counts of valid elements. The
arguments have been checked by `_pyramid`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from poolcore import _core
from poolcore._typing import Array

__all__ = ["Levels", "Plan", "make_levels"]

# Bytes of a block: what stays in the cache while it is read for several levels.
_BLOCK = 4 << 20
# A block is at least so many windows high, so that what is carried beyond it is small.
_LEAST_ROWS = 16
# Elements of x that one task of the core turns into several levels at a time.
_TILE = 1 << 17
# Planes of fewer elements are better pooled many at once, as the other way does; but a call of the
# core costs less than several, which shows where x has no more elements than the second number.
_LEAST_PLANE = 1 << 12
_ONE_CALL = 1 << 14

Carried = list[Array]


@dataclass(frozen=True)
class Plan:
    """What was asked: `axes` ascending, `factors` of 2 and more, `nodata` of the type of x.

    With `omit_nan` elements that are NaN are missing, too; `nodata` is set then.
    """

    op: str
    axes: tuple[int, ...]
    factors: tuple[int, ...]
    rounding: str
    nodata: Any
    omit_nan: bool
    threads: int | None

    def pool(self, x: Array, kernel: Sequence[int], op: str, **options: Any) -> Array:
        """Pool windows side by side, the last ones cut at the edge."""
        function = options.get("function", "pyramid")
        return _core.pool(  # type: ignore[no-any-return]
            function, x, kernel, None, 0, 1, True, False, options.get("divisor"), False,
            options.get("dtype"), self.rounding, None, self.axes, op,
            options.get("nan_policy", "propagate"), options.get("out"), self.threads,
        )  # fmt: skip

    def kernel(self, x: Array, levels: int) -> list[int]:
        """Give the window that covers `levels` levels, no longer than x."""
        return [min(f**levels, x.shape[a]) for f, a in zip(self.factors, self.axes, strict=True)]

    def shape(self, shape: Sequence[int], level: int) -> list[int]:
        """Give the shape of a level above an array of this shape."""
        result = list(shape)
        for axis, factor in zip(self.axes, self.factors, strict=True):
            result[axis] = -(-shape[axis] // factor**level)
        return result

    def cut(self, x: Array, where: Sequence[tuple[int, int]]) -> Array:
        """Give the part of x between these bounds along the axes."""
        index: list[slice] = [slice(None)] * x.ndim
        for axis, (lo, hi) in zip(self.axes, where, strict=True):
            index[axis] = slice(lo, hi)
        return x[tuple(index)]


class Region(NamedTuple):
    """A part of a level whose windows all hold the same number of elements of x."""

    where: tuple[tuple[int, int], ...]
    elements: int


def regions(plan: Plan, lengths: Sequence[int], level: int) -> Iterator[Region]:
    """Cut a level into its whole windows and those at the odd edges."""
    parts = []
    for length, factor in zip(lengths, plan.factors, strict=True):
        whole, rest = divmod(length, factor**level)
        part = [(0, whole, factor**level)] if whole else []
        parts.append(part + ([(whole, whole + 1, rest)] if rest else []))
    for each in itertools.product(*parts):
        yield Region(tuple((lo, hi) for lo, hi, _ in each), math.prod(n for *_, n in each))


def divided(total: Array, count: Array, rounding: str) -> Array:
    """Round exact quotients of integers; count > 0."""
    quotient: Array = total // count
    rest = total - quotient * count
    if rounding == "floor":
        return quotient
    if rounding == "trunc":
        quotient += (quotient < 0) & (rest != 0)
        return quotient
    up = 2 * rest > count
    tie = 2 * rest == count
    up |= tie if rounding == "half_up" else tie & (quotient % 2 == 1)
    quotient += up
    return quotient


class Levels:
    """One operation on blocks: what is carried from level to level, and what comes out."""

    plan: Plan
    levels: int

    def begin(self, block: Array) -> Carried:
        """Give what level 0 carries."""
        return [block]

    def carry(self, carried: Carried, by: int) -> Carried:
        """Give what is carried `by` levels further up."""
        raise NotImplementedError

    def needs_carry(self, level: int) -> bool:
        """Whether `emit` or the levels above need what this level carries."""
        raise NotImplementedError

    def emit(self, lengths: Sequence[int], at: Emitted) -> None:
        """Write a level into `at.out`."""
        raise NotImplementedError

    def climb(self, carried: Carried, start: int, lengths: Sequence[int], outs: Any) -> Carried:
        """Write the levels above `start` into outs; lengths are those of x under this block."""
        for level, out in enumerate(outs, start + 1):
            above = self.carry(carried, level - start) if self.needs_carry(level) else None
            self.emit(lengths, Emitted(carried, start, above, level, out))
            if above is not None:
                carried, start = above, level
        return carried

    def run(self, x: Array, outs: list[Array]) -> None:
        """Write every level of x."""
        plan = self.plan
        top = self.block_levels(x)
        lengths = [x.shape[a] for a in plan.axes]
        rest: Carried = []
        for index in self.blocks(x, top):
            block = x[index]
            under = [block.shape[a] for a in plan.axes]
            parts = [out[self.above(index, n)] for n, out in enumerate(outs[:top], 1)]
            carried = self.climb(self.begin(block), 0, under, parts)
            if top == self.levels:
                continue
            shape = plan.shape(x.shape, top)
            rest = rest or [np.empty(shape, c.dtype) for c in carried]
            for whole, part in zip(rest, carried, strict=True):
                whole[self.above(index, top)] = part
        if rest:
            self.climb(rest, top, lengths, outs[top:])

    def block_levels(self, x: Array) -> int:
        """Give how many levels one block makes."""
        wanted = max(_LEAST_ROWS, _BLOCK // self.row_bytes(x))
        factor = self.plan.factors[0]
        levels = 2
        while levels < self.levels and factor**levels < wanted:
            levels += 1
        return min(levels, self.levels)

    def planes(self, x: Array) -> int:
        """Give how much of the first axis one block holds; all of it where that is pooled."""
        if self.plan.axes[0] == 0:
            return int(x.shape[0])
        return int(max(1, min(x.shape[0], _BLOCK * x.shape[0] // x.nbytes)))

    def row_bytes(self, x: Array) -> int:
        """Give the bytes of one step along the first pooled axis, within a block."""
        axis = self.plan.axes[0]
        share = self.planes(x) if axis > 0 else 1
        return int(max(1, x.nbytes * share // (x.shape[axis] * (x.shape[0] if axis > 0 else 1))))

    def blocks(self, x: Array, top: int) -> Iterator[tuple[slice, ...]]:
        """Cut x along its first axis if that is not pooled, and into bands of windows."""
        axis = self.plan.axes[0]
        unit = self.plan.factors[0] ** top
        steps = {0: self.planes(x), axis: max(1, _BLOCK // self.row_bytes(x) // unit) * unit}
        cuts = [
            [slice(lo, min(lo + step, x.shape[a])) for lo in range(0, x.shape[a], step)]
            if (step := steps.get(a))
            else [slice(None)]
            for a in range(axis + 1)
        ]
        yield from itertools.product(*cuts)

    def above(self, index: tuple[slice, ...], level: int) -> tuple[slice, ...]:
        """Give the part of a level that lies above a block."""
        size, lo, hi = self.plan.factors[0] ** level, index[-1].start, index[-1].stop
        return index[:-1] + (slice(lo // size, -(-hi // size)),)


class Emitted(NamedTuple):
    """One level to write: from what is carried at `start`; `above` is carried at `level`."""

    carried: Carried
    start: int
    above: Carried | None
    level: int
    out: Array


class Totals(Levels):
    """Means and sums. Integer sums in 32 or 64 bits, whichever holds them; floats in float64.

    The first two levels are pooled from x itself, which the kernels do fastest. Means of integers
    are made of their own sums from the second level on, where these are carried further.
    """

    def __init__(self, plan: Plan, levels: int, x: Array, accumulator: Any) -> None:
        self.plan, self.levels, self.accumulator = plan, levels, accumulator

    def needs_carry(self, level: int) -> bool:
        return 2 <= level < self.levels

    def carry(self, carried: Carried, by: int) -> Carried:
        kernel = self.plan.kernel(carried[0], by)
        return [self.plan.pool(carried[0], kernel, "sum", dtype=self.accumulator)]

    def emit(self, lengths: Sequence[int], at: Emitted) -> None:
        plan, source, start = self.plan, at.carried[0], at.start
        exact = plan.op == "avg" and self.accumulator.kind in "iu"
        if at.level >= 2 and exact and at.above is not None:
            source, start = at.above[0], at.level
        options = {"dtype": at.out.dtype, "out": at.out}
        kernel = plan.kernel(source, at.level - start)
        if plan.op == "sum" or start == 0:
            plan.pool(source, kernel, plan.op, **options)
            return
        steps = [f ** (at.level - start) for f in plan.factors]
        for region in regions(plan, lengths, at.level):
            under = [(lo * s, hi * s) for (lo, hi), s in zip(region.where, steps, strict=True)]
            part = plan.cut(source, under)
            options["out"] = plan.cut(at.out, region.where)
            plan.pool(part, plan.kernel(part, at.level - start), "avg",
                      divisor=region.elements, **options)  # fmt: skip


class Halves(Totals):
    """Totals by halves along the last two axes, by one call of the core for all levels."""

    def run(self, x: Array, outs: list[Array]) -> None:
        if not all(side_by_side(a) for a in (x, *outs)):
            super().run(x, outs)
            return
        plan = self.plan
        _core.halve(x, plan.op, plan.rounding, _TILE, outs, plan.threads)


def is_halved(plan: Plan, levels: int, x: Array) -> bool:
    """Whether the core makes these levels."""
    bits = 2 * levels + (0 if x.dtype.kind not in "iub" else 8 * x.itemsize)
    plane = math.prod(x.shape[a] for a in plan.axes)
    last = (x.ndim - 2, x.ndim - 1)
    takes = plan.factors == (2, 2) and plan.axes == last and levels >= 2 and bits <= 62
    return takes and (plane >= _LEAST_PLANE or x.size <= _ONE_CALL)


def side_by_side(x: Array) -> bool:
    """Whether the elements of the last axis follow each other in memory."""
    return x.shape[-1] == 1 or x.strides[-1] == x.itemsize


class DirectLevels(Levels):
    """Every level from x itself: majorities, and integers whose sums may exceed 64 bits."""

    def __init__(self, plan: Plan, levels: int) -> None:
        self.plan, self.levels = plan, levels

    def run(self, x: Array, outs: list[Array]) -> None:
        plan = self.plan
        options: dict[str, Any] = {}
        if plan.op == "mode" and plan.nodata is not None:
            bits = x.dtype.type(plan.nodata).view(f"i{x.dtype.itemsize}")
            options = {"function": "pyramid without nodata", "divisor": int(bits)}
        for level, out in enumerate(outs, 1):
            dtype = None if plan.op == "mode" else out.dtype
            plan.pool(x, plan.kernel(x, level), plan.op, out=out, dtype=dtype, **options)


class Extremes(Levels):
    """Maxima and minima, each level from the one below; `nodata` is None or NaN."""

    def __init__(self, plan: Plan, levels: int) -> None:
        self.plan, self.levels = plan, levels
        self.policy = "propagate" if plan.nodata is None else "omit"

    def run(self, x: Array, outs: list[Array]) -> None:
        for out in outs:
            kernel = self.plan.kernel(x, 1)
            self.plan.pool(x, kernel, self.plan.op, out=out, nan_policy=self.policy)
            x = out


def make_levels(plan: Plan, levels: int, x: Array) -> Levels:
    """Choose how the levels are made."""
    from poolcore import _pyramid_nodata

    if plan.op == "mode":
        return DirectLevels(plan, levels)
    if plan.op in ("max", "min"):
        if plan.nodata is None or plan.nodata != plan.nodata:
            return Extremes(plan, levels)
        return _pyramid_nodata.ValidExtremes(plan, levels, x)
    elements = math.prod(plan.kernel(x, levels))
    accumulator = sum_type(x.dtype, elements)
    if plan.nodata is not None:
        return _pyramid_nodata.ValidTotals(plan, levels, x, accumulator)
    if accumulator is None:
        return DirectLevels(plan, levels)
    if is_halved(plan, levels, x):
        return Halves(plan, levels, x, accumulator)
    return Totals(plan, levels, x, accumulator)


def sum_type(dtype: np.dtype[Any], elements: int) -> np.dtype[Any] | None:
    """Give the type that holds every sum of so many elements exactly; None if none does."""
    if dtype.kind not in "iub":
        return np.dtype(np.float64)
    bits = 8 * dtype.itemsize + (elements - 1).bit_length()
    kind = "i" if dtype.kind == "i" else "u"
    if bits <= 32:
        return np.dtype(f"{kind}4")
    return np.dtype(f"{kind}8") if bits < 63 else None
