"""Every bad value x every public function, generated from the functions' own signatures.

A new function or parameter without a row here fails test_every_parameter_has_a_row.
"""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import poolcore

FUNCTIONS = {
    name: getattr(poolcore, name)
    for name in dir(poolcore)
    if "pool" in name and callable(getattr(poolcore, name))
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


def inverse_rows(name: str, nd: int) -> list[Bad]:
    shape = (2, 3) + (4,) * nd
    if name == "indices":
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


def rows(name: str, function: str) -> list[Bad]:
    nd = dims(function)
    if name in ("kernel_size", "pool_size", "stride", "dilation"):
        return bad_sizes(name, nd, takes_1_to_3=(function, name) == ("pool", "kernel_size"))
    if function in INVERSES and name in ("indices", "input_shape", "output_size"):
        return inverse_rows(name, nd)
    if name in ("output_size", "levels"):
        return bad_counts(name, nd)
    if name == "padding":
        return bad_padding(nd)
    if name in ("ceil_mode", "count_include_pad", "return_indices", "keepdims"):
        return [Bad(v, TypeError) for v in NOT_BOOLS]
    if name in ("op", "mode", "rounding", "nan_policy"):
        return [Bad(v, ValueError, repr(v)[:20]) for v in WORDS] + [
            Bad(v, TypeError) for v in [*NOT_WORDS, None]
        ]
    if name == "layout":
        wrong = ["", "CHWN", "NCHWX", "nchw", "HWCN", "NCCHW", "NCDHWX"]
        others = [Bad(v, TypeError) for v in NOT_WORDS]
        return [Bad(v, ValueError, repr(v)) for v in wrong] + others
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
        return [Bad(v, TypeError) for v in (None, "abc", b"abc", object(), {}, 1j)]
    raise AssertionError(f"no bad values for the parameter {name} of {function}")


TABLE = [
    (function, name)
    for function, f in FUNCTIONS.items()
    for name in inspect.signature(f).parameters
]


def inverse_arguments(function: str) -> dict[str, Any]:
    shape = (2, 3) + (4,) * dims(function)
    arguments = {
        "x": np.ones(shape, np.int16),
        "grad": np.ones(shape, np.int16),
        "indices": np.zeros(shape, int),
        "input_shape": shape[:2] + (8,) * dims(function),
        "kernel_size": 2,
    }
    needed = inspect.signature(INVERSES[function]).parameters.values()
    if function.startswith(WHOLE):
        arguments["grad"] = arguments["grad"][..., :1, :1]
    elif function.startswith("lp_"):
        arguments |= {"x": np.ones(arguments["input_shape"], np.int16), "norm_type": 2}
    return {p.name: arguments[p.name] for p in needed if p.default is p.empty}


def call(function: str, **changed: Any) -> Any:
    """A legal call but for `changed`."""
    nd = dims(function)
    if function in INVERSES:
        return INVERSES[function](**{**inverse_arguments(function), **changed})
    parameters = list(inspect.signature(FUNCTIONS[function]).parameters)
    arguments: dict[str, Any] = {
        parameters[0]: np.arange(2 * 3 * 4**nd, dtype=np.int16).reshape((2, 3) + (4,) * nd),
        **changed,
    }
    if SECOND[function] != "keepdims":
        arguments.setdefault(SECOND[function], 2)
    if function in KERNELS:
        arguments.setdefault(KERNELS[function], 2)
    if function == "pool" and "axes" in changed and isinstance(changed["axes"], tuple):
        arguments.setdefault("padding", 0)
    return FUNCTIONS[function](**arguments)


def test_functions_are_found() -> None:
    expected = {f"{op}_pool{nd}d" for op in ("max", "min", "avg", "sum") for nd in (1, 2, 3)}
    assert set(FUNCTIONS) >= expected | {"pool", "pool2d"}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_the_legal_call_is_legal(function: str) -> None:
    call(function)


@pytest.mark.parametrize(("function", "name"), TABLE)
def test_every_parameter_has_a_row(function: str, name: str) -> None:
    assert rows(name, function)


@pytest.mark.parametrize(("function", "name"), TABLE)
def test_bad_values(function: str, name: str) -> None:
    failures = []
    for bad in rows(name, function):
        try:
            result = call(function, **{name: bad.value})
        except (
            ValueError,
            TypeError,
            OverflowError,
            RuntimeError,
            SystemError,
            MemoryError,
            IndexError,
        ) as error:
            message = str(error)
            if not isinstance(error, bad.error) or isinstance(error, UnicodeError):
                failures.append(f"{bad}: {type(error).__name__}: {message}")
            elif not message.startswith(f"{function}: "):
                failures.append(f"{bad}: does not open with the function: {message}")
            elif name not in message or bad.mention not in message:
                failures.append(f"{bad}: lacks {name!r} or {bad.mention!r}: {message}")
            elif len(message) > 2000:
                failures.append(f"{bad}: a message of {len(message)} characters")
        else:
            failures.append(f"{bad}: accepted, gave {np.shape(result)}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("function", FORWARD)
def test_ranks(function: str) -> None:
    nd = dims(function)
    first = next(iter(inspect.signature(FUNCTIONS[function]).parameters))
    allowed = {"pool": range(2, 9), "pool2d": range(2, 5)}.get(function, range(nd + 1, nd + 3))
    if function.startswith(WHOLE):
        allowed = range(3, 6)
    for rank in range(9):
        x = np.ones((2,) * rank, np.int32)
        if function == "pool" and rank == 1:
            assert call(function, **{first: x}).shape == (1,)
        elif rank in allowed:
            call(function, **{first: x})
        else:
            with pytest.raises(ValueError, match=rf"^{function}: ") as caught:
                call(function, **{first: x})
            assert first in str(caught.value)


@pytest.mark.parametrize("function", FORWARD)
def test_missing_surplus_and_unknown_arguments(function: str) -> None:
    f = FUNCTIONS[function]
    x = np.ones((2, 3, 4, 4))
    for arguments, options in (
        ((), {}),
        *([] if function.startswith((*WHOLE, "spatial_")) else [((x,), {})]),
        ((x, 2, *[1] * 30), {}),
        ((x, 2), {"colour": 1}),
        ((x, 2), {next(iter(inspect.signature(f).parameters)): x}),
    ):
        with pytest.raises(TypeError, match=function):
            f(*arguments, **options)


@pytest.mark.parametrize("function", FORWARD)
def test_a_pooled_axis_of_length_0(function: str) -> None:
    nd = dims(function)
    first = next(iter(inspect.signature(FUNCTIONS[function]).parameters))
    for at in range(nd):
        x = np.ones([2, 3] + [0 if i == at else 4 for i in range(nd)], np.int32)
        for options in ({}, {"padding": 1}, {"padding": "same"}):
            if options and "padding" not in inspect.signature(FUNCTIONS[function]).parameters:
                continue
            with pytest.raises(ValueError, match=rf"^{function}: "):
                call(function, **{first: x}, **options)


@pytest.mark.parametrize("function", sorted(KERNELS))
def test_kernel_larger_than_the_padded_input(function: str) -> None:
    second = KERNELS[function]
    for at in range(dims(function)):
        with pytest.raises(ValueError, match=rf"^{function}: {second}\[{at}\]=9"):
            call(function, **{second: per_axis(9, dims(function), at)})


@pytest.mark.parametrize("function", sorted(INVERSES))
def test_ranks_and_arguments_of_inverses(function: str) -> None:
    first = next(iter(inspect.signature(INVERSES[function]).parameters))
    for rank in {0, 1, 2, 3, 4, 5, 6} - {dims(function) + 1, dims(function) + 2}:
        got = r"\(.*\)" if function.startswith(("lp_", *WHOLE)) else rank
        with pytest.raises(ValueError, match=rf"^{function}: {first} must have .* {got}$"):
            call(function, **{first: np.ones((2,) * rank, np.int16)})
    for arguments, options in (((), {}), (([1],), {}), (([1],) * 30, {}), ((), {"colour": 1})):
        with pytest.raises(TypeError, match=function):
            INVERSES[function](*arguments, **options)


def test_the_promised_wording() -> None:
    """The one message that is quoted in the documentation, word for word."""
    with pytest.raises(ValueError) as caught:
        poolcore.max_pool2d(np.ones((1, 1, 9, 9)), 3, 1, (0, 4))
    assert str(caught.value).startswith(
        "max_pool2d: padding[1]=4 must be smaller than the effective kernel 3"
    )


def test_combinations_that_contradict_each_other() -> None:
    x = np.ones((1, 2, 4, 4))
    for match, options in {
        "axes": {"axes": (0, 1), "layout": "NCHW"},
        "return_indices": {"op": "avg", "return_indices": True},
        "indices": {"op": "sum", "return_indices": True},
    }.items():
        with pytest.raises(ValueError, match=rf"^pool: .*{match}"):
            poolcore.pool(x, 2, **options)
    with pytest.raises((TypeError, ValueError), match=r"^pool: .*dtype"):
        poolcore.pool(x, 2, "max", dtype="float32")
    with pytest.raises(ValueError, match=r"^pool: .*divisor_override"):
        poolcore.pool(x, 2, "avg", divisor_override=0)
    with pytest.raises(ValueError, match=r"^pool: "):
        poolcore.pool(x, (2, 2), axes=(1,))


def test_things_that_are_integers() -> None:
    class Index:
        def __index__(self) -> int:
            return 2

    x = np.arange(16.0).reshape(1, 1, 4, 4)
    want = poolcore.max_pool2d(x, 2).tolist()
    two: Any
    for two in (Index(), np.int8(2), np.uint64(2), (2, np.int32(2)), [2, 2], np.array([2, 2])):
        assert poolcore.max_pool2d(x, two).tolist() == want
        assert poolcore.max_pool2d(x, 2, two, 0, 1).tolist() == want
    assert poolcore.max_pool2d(x, 2, ceil_mode=np.bool_(True)).tolist() == want


def test_index_that_fails() -> None:
    class Angry:
        def __index__(self) -> int:
            raise RuntimeError("not today")

    class Wrong:
        def __index__(self) -> Any:
            return "2"

    with pytest.raises(RuntimeError, match="not today"):
        poolcore.max_pool2d(np.ones((1, 4, 4)), Angry())
    with pytest.raises(TypeError):
        poolcore.max_pool2d(np.ones((1, 4, 4)), Wrong())
