"""Calls of every kind, for tests of what a process does to them: no memory, threads, stacks.

Every public function with the legal arguments of matrix.py, forward and backward, and the engine's
ways through memory by element type, layout, size of window and number of threads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import matrix
import poolcore
from support import DTYPES, random_array

SETTINGS = {"get_num_threads", "set_num_threads", "num_threads", "show_config"}
# Made of several calls and of NumPy's functions, in Python.
IN_PYTHON = re.compile(
    r"spatial_pyramid|pyramid|fractional|stochastic|nn\.(Fractional|Stochastic)", re.IGNORECASE
)
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Call:
    name: str
    run: Callable[..., Any]
    takes_out: bool = False
    in_python: bool = False
    threads: int = 1

    def options(self, result: Any) -> dict[str, Any]:
        """An `out` of that result's shape, full of ones, where the function has one."""
        if not self.takes_out:
            return {}
        levels = isinstance(result, (list, tuple))
        return {"out": [np.full_like(r, 1) for r in result] if levels else np.full_like(result, 1)}


def of_functions() -> Iterator[Call]:
    for function in matrix.functions():
        if function.name not in SETTINGS:
            seed = {"rng": 0} if "rng" in function.parameters else {}
            run = partial(function.call, **{**function.legal(), **seed})
            in_python = IN_PYTHON.search(function.name) is not None
            yield Call(str(function), run, "out" in function.parameters, in_python)


def of_types() -> Iterator[Call]:
    for dtype in DTYPES:
        x = random_array(RNG, dtype, (2, 3, 19, 21))
        for op in ("max", "min", "avg", "sum"):
            run = partial(poolcore.pool, x, (3, 3), op, stride=2, padding=1)
            yield Call(f"{op} of {dtype}", run, True)


def of_layouts() -> Iterator[Call]:
    x = random_array(RNG, np.dtype(np.float32), (2, 6, 40, 42))
    boxes = np.array([[1, 2.5, 0, 15, 19], [0, -3, 4, 30, 9.5]])
    views = {
        "reversed": x[:, :, ::-1, ::-1],
        "transposed": x.swapaxes(2, 3),
        "channels last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "every other": x[..., ::2],
        "of one element": np.broadcast_to(np.float32(3), x.shape),
    }
    for layout, view in views.items():
        for function, arguments in (
            (poolcore.max_pool2d, (2,)), (poolcore.avg_pool2d, (3, 2, 1)),
            (poolcore.adaptive_avg_pool2d, (7,)), (poolcore.median_pool2d, (3,)),
            (poolcore.soft_pool2d, (2,)), (poolcore.lp_pool2d, (2.5, 3)),
            (poolcore.roi_align, (boxes, 4)),
        ):  # fmt: skip
            name = f"{function.__name__}, {layout}"
            yield Call(name, partial(function, view, *arguments), True)


def of_sizes() -> Iterator[Call]:
    """Windows that are long, larger than the scratch, of short rows; and more threads than one."""
    large = random_array(RNG, np.dtype(np.float32), (4, 16, 96, 96))
    whole = random_array(RNG, np.dtype(np.int16), (1, 1, 300, 700))
    small = random_array(RNG, np.dtype(np.float32), (3, 200, 7, 7))
    image, plane = whole.astype(np.float32), (300, 700)
    _, where = poolcore.max_pool2d(large, 2, return_indices=True)
    grad, one = np.ones(where.shape, np.float32), np.ones((1, 1, 1, 1), np.float32)
    boxes = np.array([[i % 4, i, 2, 70 + i, 90] for i in range(9)])
    for threads in (1, 3):
        for name, run in {
            "means": lambda **o: poolcore.avg_pool2d(large, 3, **o),
            "long windows": lambda **o: poolcore.max_pool2d(large, 31, 1, **o),
            "integers over long windows": lambda **o: poolcore.sum_pool2d(whole, 99, 1, **o),
            "one window": lambda **o: poolcore.avg_pool2d(image, plane, **o),
            "the largest of one window": lambda **o: poolcore.max_pool2d(image, plane, **o),
            "short rows": lambda **o: poolcore.avg_pool2d(small, 3, 1, **o),
            "short rows, long windows": lambda **o: poolcore.min_pool2d(small, 7, **o),
            "medians": lambda **o: poolcore.median_pool2d(large, 3, 2, **o),
            "large medians": lambda **o: poolcore.median_pool2d(image, 200, 90, **o),
            "majorities": lambda **o: poolcore.mode_pool2d(whole, 20, 20, **o),
            "adaptive": lambda **o: poolcore.adaptive_avg_pool2d(large, 35, **o),
            "left out": lambda **o: poolcore.avg_pool2d(large, 3, nan_policy="omit", **o),
            "indices": lambda **o: poolcore.max_pool2d(large, 2, return_indices=True, **o),
            "regions": lambda **o: poolcore.roi_align(large, boxes, 7, **o),
            "unpooling": lambda **o: poolcore.max_unpool2d(grad, where, 2, **o),
            "gradients of means": lambda **o: poolcore.avg_pool2d_backward(
                grad, large.shape, 2, **o
            ),
            "gradients of maxima": lambda **o: poolcore.max_pool2d_backward(
                grad, where, large.shape, **o
            ),
            "gradients of SoftPool": lambda **o: poolcore.soft_pool2d_backward(grad, large, 2, **o),
            "gradients of norms": lambda **o: poolcore.lp_pool2d_backward(grad, large, 3, 2, **o),
            "gradients of one norm": lambda **o: poolcore.global_lp_pool_backward(one, image, **o),
            "gradients of the largest": lambda **o: poolcore.lp_pool2d_backward(
                grad, large, math.inf, 2, **o
            ),
        }.items():
            limited = partial(run, threads=threads)
            takes_out = name != "indices"
            yield Call(f"{name}, {threads} threads", limited, takes_out, threads=threads)


def every() -> list[Call]:
    return [*of_functions(), *of_types(), *of_layouts(), *of_sizes()]


def parts(result: Any) -> list[np.ndarray]:
    """The arrays of a result."""
    listed = result if isinstance(result, tuple | list) else [result]
    return [np.asarray(array) for array in listed]


def same(a: Any, b: Any) -> bool:
    """Whether two results have the same bits."""
    pairs = zip(parts(a), parts(b), strict=True)
    return all(p.dtype == q.dtype and p.tobytes() == q.tobytes() for p, q in pairs)
