"""What the parameters of the pooling functions refuse: the rows of test_errors.py."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

import poolcore

FUNCTIONS = {
    name: getattr(poolcore, name)
    for name in dir(poolcore)
    if ("pool" in name or name.startswith("roi_")) and callable(getattr(poolcore, name))
}
# Those that undo a pooling are called with other arrays: see test_unpool.py and the like for more.
INVERSES = {n: f for n, f in FUNCTIONS.items() if "unpool" in n or "backward" in n}
FORWARD = sorted(set(FUNCTIONS) - set(INVERSES))
SECOND = {name: list(inspect.signature(FUNCTIONS[name]).parameters)[1] for name in FORWARD}
WHOLE = ("global_", "gem_")
KERNELS = {n: "kernel_size" for n in FORWARD if SECOND[n] in ("kernel_size", "norm_type")}
KERNELS["pool2d"] = "pool_size"
OUTSIDE = [0, -1, -(2**63), 2**63, 2**64, 2**100, -(2**100)]
NOT_INTEGERS: list[Any] = [
    True, np.bool_(True), 1.5, 2.0, math.nan, math.inf, 1j, "3", b"3", object(), {}, {2},
    np.float32(2), range,
]  # fmt: skip
FLAGS = (
    "ceil_mode", "count_include_pad", "return_indices", "keepdims", "aligned", "training",
)  # fmt: skip
WORDS: list[Any] = ["", "none", "MAX", "nchw ", "é", "x" * 1000]
NOT_WORDS: list[Any] = [1, True, 1.5, b"max", [], object()]
NOT_RESULTS: list[Any] = [
    bool, "complex64", "O", "S3", "M8[s]", "nonsense", ">f8", 3, [1], "V2", object(),
]  # fmt: skip
NOT_BOOLS: list[Any] = [None, 1.5, "yes", [], math.nan, object(), np.array([True, False])]


@dataclass(frozen=True)
class Bad:
    value: Any
    error: Any
    mention: str = ""  # must appear in the message, beside the function's and parameter's names

    def __str__(self) -> str:
        return repr(self.value)[:40]


def dims(function: str) -> int:
    number = re.search(r"(\d)d", function)
    return int(number[1]) if number else 2


def per_axis(value: Any, nd: int, at: int) -> tuple[Any, ...]:
    """`value` for one axis, something legal for the rest."""
    return tuple(value if i == at else 1 for i in range(nd))


def bad_sizes(name: str, nd: int, *, takes_1_to_3: bool = False) -> list[Bad]:
    """For kernel_size, stride and dilation."""
    rows = [Bad(v, ValueError, f"{name}={v}") for v in OUTSIDE]
    rows += [Bad(v, TypeError) for v in NOT_INTEGERS]
    for at in range(nd):
        rows += [Bad(per_axis(v, nd, at), ValueError, f"{name}[{at}]={v}") for v in OUTSIDE]
        for v in (True, 1.5, None, "3", [1], math.nan):
            rows.append(Bad(per_axis(v, nd, at), TypeError, f"{name}[{at}]"))
    many = 4 if takes_1_to_3 else nd + 1
    rows += [Bad(v, ValueError) for v in ((), [], (1,) * many, [1] * 5, np.ones(9, int))]
    rows += [Bad(v, TypeError) for v in (np.full(nd, 1.5), np.full(nd, True))]
    rows.append(Bad(np.ones((nd, 1), int), (TypeError, ValueError)))
    if name != "stride":
        rows.append(Bad(None, TypeError))
        rows.append(Bad(2**63 - 1, ValueError, str(2**63 - 1)))
        rows.append(Bad(2**62, ValueError, str(2**62)))
    return rows


def bad_counts(name: str, nd: int) -> list[Bad]:
    """For output_size, where 0 and None are legal, and levels, of any number."""
    outside = [v for v in OUTSIDE if v != 0 or name == "levels"]
    rows = [Bad(v, ValueError, name) for v in outside]
    rows += [Bad(v, TypeError) for v in NOT_INTEGERS]
    for at in range(nd):
        rows += [Bad(per_axis(v, nd, at), ValueError, f"{name}[{at}]") for v in outside]
        for v in (True, 1.5, "3", [1], math.nan):
            rows.append(Bad(per_axis(v, nd, at), TypeError, f"{name}[{at}]"))
    rows += [Bad(v, ValueError) for v in ((), [])]
    if name == "output_size":
        rows += [Bad(v, ValueError) for v in ((1,) * (nd + 1), [1] * 5, np.ones(9, int))]
    rows += [Bad(v, TypeError) for v in (np.full(nd, 1.5), np.full(nd, True))]
    return rows


def bad_padding(nd: int) -> list[Bad]:
    rows = [Bad(v, ValueError, f"padding={v}") for v in (-1, 2, 2**31, 2**63 - 1, 2**63, -(2**100))]
    rows += [Bad(v, ValueError, "padding") for v in ("", "full", "SAME", "reflect", "3", "sam\0e")]
    rows += [Bad(v, TypeError) for v in (True, None, 1.5, math.nan, b"same", object(), {})]
    for at in range(nd):
        for v in (-1, 2, 2**63 - 1, 2**63):
            rows.append(Bad(per_axis(v, nd, at), ValueError, f"padding[{at}]"))
            pairs = [(0, 0)] * nd
            rows.append(Bad([*pairs[:at], (v, 0), *pairs[at + 1 :]], ValueError, f"padding[{at}]"))
            rows.append(Bad([*pairs[:at], (0, v), *pairs[at + 1 :]], ValueError, f"padding[{at}]"))
        for v in (True, 1.5, None, (0, 1.5), (None, 0), (True, 0), "11"):
            rows.append(Bad(per_axis(v, nd, at), (TypeError, ValueError), "padding"))
    rows += [
        Bad(v, (TypeError, ValueError)) for v in ([(0, 0, 0)] * nd, [()] * nd, [[[0, 0]]] * nd)
    ]
    rows += [Bad(v, ValueError) for v in ((), (0,) * (nd + 1), [(0, 0)] * (nd + 1), [1] * 7)]
    return rows


def grad_shape(function: str) -> tuple[int, ...]:
    """Of the legal call of a function that undoes a pooling."""
    if function.startswith("spatial_"):
        return (2, 63)
    return (2, 3) + (1 if function.startswith(WHOLE) else 4,) * dims(function)


def inverse_rows(name: str, function: str) -> list[Bad]:
    nd = dims(function)
    shape = (2, 3) + (4,) * nd
    if name == "indices":
        shape = grad_shape(function)
        wrong: list[Any] = [None, "abc", 1j, object(), np.zeros(shape), np.zeros(shape, bool)]
        swapped = np.zeros(shape, np.dtype(np.int64).newbyteorder())
        return [
            *(Bad(v, TypeError) for v in [*wrong, swapped]),
            *(Bad(np.zeros(s, int), ValueError) for s in ((), shape[1:], (*shape, 1))),
            *(Bad(np.full(shape, v), IndexError, f"={v} ") for v in (-2, 8**nd, 2**63 - 1)),
            Bad(np.full(shape, 2**64 - 1, np.uint64), IndexError, f"={2**64 - 1} "),
        ]
    if name == "output_size":
        return [
            *(Bad(v, ValueError) for v in [*OUTSIDE, (), (7,) * (nd + 3), (2, 3, 99)]),
            *(Bad(v, TypeError) for v in NOT_INTEGERS),
            *(Bad((1.5,) * n, TypeError) for n in (nd, nd + 2)),
            Bad((2, 4) + (8,) * nd, ValueError, "output_size[1]=4"),
            *(Bad((8,) * (nd - 1) + (v,), ValueError, f"[{nd - 1}]={v}") for v in (6, 10, 2**62)),
        ]
    return [
        *(Bad(v, TypeError) for v in (None, 5, 1.5, "abcd", object(), (2, 3) + (4.5,) * nd)),
        *(Bad((2, 3) + (v,) * nd, ValueError, f"[2]={v}") for v in OUTSIDE),
        *(Bad(v, ValueError) for v in ((), shape[1:], (*shape, 1), (2, 4) + shape[2:])),
    ]


def random_rows(name: str, nd: int) -> list[Bad]:
    if name == "output_ratio":
        outside = [Bad(v, ValueError, f"={float(v)}") for v in (0, 1, -1, 1.5, math.nan, math.inf)]
        wrong: list[Any] = [True, "0.5", b"1", 1j, object(), {}, [None], np.ones(nd, bool)]
        listed = [Bad((0.5,) * n, ValueError) for n in (nd + 1, 5)]
        return [*outside, *listed, *(Bad(v, TypeError) for v in wrong)]
    if name == "random_samples":
        shapes = [(), (2, 3), (3, 2, nd), (2, 3, nd + 1), (1, 2, 3, nd)]
        return [
            *(Bad(np.zeros(s), ValueError, "(2, 3, ") for s in shapes),
            *(Bad(np.full((2, 3, nd), v), ValueError, str(v)) for v in (1.0, -0.5, math.nan)),
            *(Bad(np.zeros((2, 3, nd), t), TypeError) for t in (int, bool, complex, object)),
        ]
    return [Bad(v, ValueError, f"={v}") for v in (-1, -(2**100))] + [
        Bad(v, TypeError) for v in (True, 1.5, "1", [1], object(), np.random.RandomState(1))
    ]


def sample_rows(nd: int) -> list[Bad]:
    """One for every window of the results of matrix.image."""
    shape = (2, 3) + (2,) * nd
    return [
        *(Bad(np.zeros(s), ValueError, str(shape)) for s in ((), shape[1:], (*shape, 1))),
        *(Bad(np.full(shape, v), ValueError, str(v)) for v in (1.0, -0.5, math.nan, math.inf)),
        *(Bad(np.zeros(shape, t), TypeError) for t in (int, bool, complex, object)),
    ]


def box_rows(name: str) -> list[Bad]:
    if name == "sampling_ratio":
        large = [Bad(v, ValueError, f"{name}={v}") for v in (2**63, -(2**64))]
        return [*large, *(Bad(v, TypeError) for v in [*NOT_INTEGERS, None, [2], (1, 2)])]
    if name == "spatial_scale":
        outside = [Bad(v, ValueError, f"{name}={v}") for v in (0, -1.5, math.inf, math.nan)]
        others: list[Any] = [None, True, "2", b"2", 1j, [2], (2, 2), {}, object(), np.bool_(True)]
        return [*outside, Bad(10**400, ValueError), *(Bad(v, TypeError) for v in others)]
    shapes = [(), (5,), (1, 4), (1, 6), (1, 1, 5), (4, 0)]
    numbers = [math.nan, math.inf, -math.inf]
    return [
        *(Bad(np.zeros(s), ValueError, f"got {s}") for s in shapes),
        *(Bad(np.array([[0, 0, 0, v, 1]]), ValueError, "[0][3]=") for v in numbers),
        *(Bad(np.array([[v, 0, 0, 1, 1]]), IndexError, "[0][0]=") for v in (-1, 2, 2**62)),
        Bad(np.array([[0.5, 0, 0, 1, 1]]), ValueError, "[0][0]=0.5"),
        *(Bad(v, TypeError) for v in (None, "abc", b"abc", object(), {}, 1j, [None] * 2)),
        *(Bad(np.zeros((1, 5), t), TypeError, t) for t in ("bool", "complex128", "object")),
        *(Bad([np.zeros((1, 4))] * n, ValueError, f"list of {n}") for n in (0, 1, 3)),
        Bad([[[0, 0, 1, 1]], [[0, 0, 1]]], ValueError, "[1]"),
    ]


def rows(name: str, function: str) -> list[Bad]:
    nd = dims(function)
    if name in ("kernel_size", "pool_size", "stride", "dilation"):
        return bad_sizes(name, nd, takes_1_to_3=(function, name) == ("pool", "kernel_size"))
    if function in INVERSES and name in ("indices", "input_shape", "output_size"):
        return inverse_rows(name, function)
    if name in ("output_size", "levels"):
        return bad_counts(name, nd)
    if name in ("boxes", "spatial_scale", "sampling_ratio"):
        return box_rows(name)
    if name in ("output_ratio", "random_samples", "rng"):
        for_windows = name == "random_samples" and "stochastic" in function
        return sample_rows(nd) if for_windows else random_rows(name, nd)
    if name == "padding":
        return bad_padding(nd)
    if name in FLAGS:
        return [Bad(v, TypeError) for v in NOT_BOOLS]
    if name in ("op", "mode", "rounding", "nan_policy"):
        return [Bad(v, ValueError, repr(v)[:20]) for v in WORDS] + [
            Bad(v, TypeError) for v in [*NOT_WORDS, None]
        ]
    if name == "layout":
        wrong = ["", "CHWN", "NCHWX", "nchw", "HWCN", "NCCHW", "NCDHWX"]
        return [Bad(v, ValueError, repr(v)) for v in wrong] + [Bad(v, TypeError) for v in NOT_WORDS]
    if name == "divisor_override":
        return [Bad(v, ValueError, f"{name}={v}") for v in (0, 2**63, 2**100, -(2**64))] + [
            Bad(v, TypeError) for v in [*NOT_INTEGERS, [2], (1, 2)]
        ]
    if name == "threads":
        return [Bad(v, ValueError, f"{name}={v}") for v in OUTSIDE] + [
            Bad(v, TypeError) for v in [*NOT_INTEGERS, [2]]
        ]
    if name in ("norm_type", "p", "eps"):
        negative = [Bad(v, ValueError, f"{name}={v}") for v in (-1, -0.5, -math.inf, math.nan)]
        others = [None, True, "2", b"2", 1j, [2], (2, 2), {}, object(), np.bool_(True)]
        return [*negative, Bad(10**400, ValueError), *(Bad(v, TypeError) for v in others)]
    if name == "dtype":
        return [Bad(v, TypeError) for v in NOT_RESULTS]
    if name == "axes":
        values = [(), (0, 0), (0, -4), (4,), (-5,), (0, 1, 2, 3), (2**63,), (-(2**100), 1)]
        return [Bad(v, ValueError) for v in values] + [
            Bad(v, TypeError)
            for v in ((1.5, 2), (True, 2), (None, 1), "ab", ("1", 2), 1.5, object())
        ]
    if name == "out":
        return [Bad(v, TypeError) for v in (1, "x", [1], object(), np.float32(1))]
    if name in ("x", "X", "grad"):
        optional = function == "roi_align_backward" and name == "x"
        return [Bad(v, TypeError) for v in ("abc", b"abc", object(), {}, 1j, None)[: 6 - optional]]
    raise AssertionError(f"no bad values for the parameter {name} of {function}")
