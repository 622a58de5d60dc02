"""Every bad value x every public function, generated from the functions' own signatures.

A new function or parameter without a row in bad_values.py fails test_every_parameter_has_a_row.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import poolcore
from bad_values import (
    FORWARD,
    FUNCTIONS,
    INVERSES,
    KERNELS,
    SECOND,
    WHOLE,
    dims,
    grad_shape,
    per_axis,
    rows,
)

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
        "boxes": np.zeros((2, 5)),
    }
    needed = inspect.signature(INVERSES[function]).parameters.values()
    arguments["grad"] = np.ones(grad_shape(function), np.int16)
    arguments["indices"] = np.zeros(grad_shape(function), int)
    if function.startswith("spatial_"):
        return {p: arguments[p] for p in ("grad", "indices", "input_shape")}
    if function.startswith("max_unpool"):
        arguments["input_shape"] = shape
    if function.startswith(("lp_", "soft_")):
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
    if "boxes" in parameters:
        arguments = {"boxes": np.zeros((1, 5)), "output_size": 2, **arguments}
    if SECOND[function] != "keepdims":
        arguments.setdefault(SECOND[function], 2)
    if function in KERNELS:
        arguments.setdefault(KERNELS[function], 2)
    if "output_ratio" in parameters and "output_ratio" not in changed:
        arguments.setdefault("output_size", 1)
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
    if function.startswith("roi_"):
        allowed = range(4, 5)
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
        got = r"\(.*\)" if function.startswith(("lp_", "soft_", "spatial_", *WHOLE)) else rank
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
