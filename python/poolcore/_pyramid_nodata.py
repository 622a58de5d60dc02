"""Levels of a pyramid that leave out the elements equal to nodata, and NaN if asked to.

Counts of valid elements are carried beside the sums, or a mark beside the extremes. Windows that
hold valid elements alone take the ordinary way; the others are mended one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from poolcore._pyramid_levels import Carried, Emitted, Levels, Plan, Totals, divided, regions
from poolcore._typing import Array

__all__ = ["ValidExtremes", "ValidTotals", "is_valid"]


def is_valid(x: Array, plan: Plan) -> Array:
    """Give where x holds something that is not missing, as 0 and 1 in bytes."""
    valid: Array = x == x if plan.nodata != plan.nodata else x != plan.nodata
    if plan.omit_nan and plan.nodata == plan.nodata:
        valid &= x == x
    return valid.view(np.uint8)


def with_fill(block: Array, valid: Array, fill: Any) -> Array:
    """Give the block with its missing elements replaced; itself where none is missing."""
    if valid.all():
        return block
    if fill == 0 and block.dtype.kind in "iu":
        filled: Array = np.multiply(block, valid.view(f"{block.dtype.kind}1"), dtype=block.dtype)
        return filled
    return np.where(valid.view(np.bool_), block, block.dtype.type(fill))


class ValidExtremes(Levels):
    """Carries extremes, with the type's own identity where there is none, and marks."""

    def __init__(self, plan: Plan, levels: int, x: Array) -> None:
        self.plan, self.levels = plan, levels
        if x.dtype.kind in "iu":
            info = np.iinfo(x.dtype)
            self.identity: Any = info.min if plan.op == "max" else info.max
        else:
            self.identity = -np.inf if plan.op == "max" else np.inf

    def begin(self, block: Array) -> Carried:
        valid = is_valid(block, self.plan)
        return [with_fill(block, valid, self.identity), valid]

    def needs_carry(self, level: int) -> bool:
        return True

    def carry(self, carried: Carried, by: int) -> Carried:
        kernel = self.plan.kernel(carried[0], by)
        return [
            self.plan.pool(carried[0], kernel, self.plan.op),
            self.plan.pool(carried[1], kernel, "max"),
        ]

    def emit(self, lengths: Sequence[int], at: Emitted) -> None:
        assert at.above is not None
        values, marks = at.above
        at.out[...] = values
        at.out[marks == 0] = self.plan.nodata


class ValidTotals(Totals):
    """Carries counts and sums. Integers of 64 bits have two sums, of high and of low halves."""

    def __init__(self, plan: Plan, levels: int, x: Array, accumulator: Any) -> None:
        super().__init__(plan, levels, x, accumulator)
        self.halves = accumulator is None
        elements = math.prod(plan.kernel(x, levels))
        self.sums = [np.dtype(np.int64) if accumulator is None else accumulator,
                     np.dtype(np.uint32 if elements < 2**32 else np.int64),
                     np.dtype(np.uint64)]  # fmt: skip

    def begin(self, block: Array) -> Carried:
        valid = is_valid(block, self.plan)
        filled = with_fill(block, valid, 0)
        if not self.halves:
            return [filled, valid]
        low = (filled & filled.dtype.type(0xFFFFFFFF)).astype(np.uint64)
        return [(filled >> filled.dtype.type(32)).astype(np.int64), valid, low]

    def needs_carry(self, level: int) -> bool:
        return True

    def carry(self, carried: Carried, by: int) -> Carried:
        kernel = self.plan.kernel(carried[0], by)
        return [
            self.plan.pool(array, kernel, "sum", dtype=dtype)
            for array, dtype in zip(carried, self.sums, strict=False)
        ]

    def emit(self, lengths: Sequence[int], at: Emitted) -> None:
        assert at.above is not None
        counts = at.above[1]
        if self.halves:
            self.mend(at, np.ones(counts.shape, bool))
            return
        super().emit(lengths, at)
        if self.plan.op == "sum":
            at.out[counts == 0] = self.plan.nodata
            return
        partial = np.empty(counts.shape, bool)
        for region in regions(self.plan, lengths, at.level):
            part = self.plan.cut(counts, region.where)
            self.plan.cut(partial, region.where)[...] = part != region.elements
        if partial.any():
            self.mend(at, partial)

    def mend(self, at: Emitted, where: Array) -> None:
        """Write the results of some windows, by their own counts."""
        assert at.above is not None
        counts = at.above[1][where]
        totals: Any = at.above[0][where]
        if self.halves:
            totals = totals.astype(object) * 2**32 + at.above[2][where].astype(object)
        values = np.empty(counts.shape, at.out.dtype)
        values[...] = self.plan.nodata
        some = counts > 0
        values[some] = self.results(totals[some], counts[some], at.out.dtype)
        at.out[where] = values

    def results(self, totals: Array, counts: Array, dtype: np.dtype[Any]) -> Array:
        if dtype.kind not in "iu":
            wide = totals.astype(np.float64)
            if self.plan.op == "avg":
                wide = wide / counts.astype(np.float64)
            return self.rounded(wide, dtype)
        if self.plan.op == "sum":
            return np.array([int(v) % 2 ** (8 * dtype.itemsize) for v in totals], object).astype(
                f"u{dtype.itemsize}").view(dtype)  # fmt: skip
        exact = totals.astype(np.int64) if totals.dtype.kind in "iu" else totals
        means = divided(exact, counts.astype(exact.dtype), self.plan.rounding)
        info = np.iinfo(dtype)
        return np.clip(means, info.min, info.max).astype(dtype)

    def rounded(self, wide: Array, dtype: np.dtype[Any]) -> Array:
        """Round float64 once to another float type."""
        flat = Plan("sum", (0,), (1,), "half_even", None, False, 1)
        return flat.pool(wide, [1], "sum", dtype=dtype) if wide.size else wide.astype(dtype)
