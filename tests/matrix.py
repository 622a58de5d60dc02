"""Every bad or extreme value x every parameter of every public callable, from their signatures.

A new function joins by being public. A parameter that no function had before needs one entry in
PARAMETERS; a function whose required arguments must fit each other otherwise than by name one in
TOGETHER. Run as a script it makes the calls of one share of the table and notes in a file which
call it is about to make, so that a crash tells its call: see test_matrix.py.
"""

from __future__ import annotations

import inspect
import itertools
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import poolcore
from poolcore import nn

ALLOWED = (ValueError, TypeError, IndexError, OverflowError, MemoryError)
INTEGERS = [
    0, -1, 1, 2, 3, 2**31 - 1, 2**31, 2**32 + 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, 2**100,
    -(2**31), -(2**63), -(2**63) - 1, -(2**100),
]  # fmt: skip
OTHERS: list[Any] = [
    None, True, np.bool_(False), 1.5, -0.0, 1e30, 5e-324, math.nan, math.inf, -math.inf, 1j,
    np.float32(2), np.int8(-1), np.uint64(2**64 - 1), "", "2", "same", "nonsense", "\ud800", b"max",
    object(), {}, {1}, range(2), int, len,
]  # fmt: skip
SEQUENCES: list[Any] = [
    *((2,) * n for n in range(6)),
    *([0] * n for n in range(1, 4)),
    ((1, 1),), ((0, 0), (0, 0)), ((0, 1), (1, 0), (0, 0)), ((1, 2, 3), (1, 2, 3)), (((1,),),),
    [[1], [2, 3]], [()], ([], []), (None,), (1.5, 1.5), ("1", "1"), (math.nan,) * 4,
    np.empty(0, int), np.ones(2, int), np.ones((2, 2), int), np.array(2), np.full(2, 1.5),
    np.array([2**63], np.uint64), np.ones(2, object), np.zeros((0, 4)), np.full((1, 5), np.nan),
    np.full((1, 5), 1e30), np.full((1, 5), -np.inf), np.full((3, 3), 2**62),
]  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """What belongs at a parameter, for the legal call, and which integers may not be taken."""

    legal: Callable[[int], Any]  # given the number of pooled axes
    lowest: int | None = None  # an integer below it must be refused
    per_axis: bool = False


def image(nd: int) -> np.ndarray:
    return np.arange(2 * 3 * 4**nd, dtype=np.float32).reshape((2, 3) + (4,) * nd)


def odd_places(nd: int) -> np.ndarray:
    """1 where all positions along the pooled axes are odd, otherwise 0."""
    return np.indices((4,) * nd).prod(axis=0) % 2


def pooled(nd: int) -> np.ndarray:
    return np.ones((2, 3) + (2,) * nd, np.float32)


def of_planes(nd: int) -> np.ndarray:
    return pooled(nd)[(..., *(slice(1),) * nd)]


def fixed(value: Any, lowest: int | None = None, *, per_axis: bool = False) -> Parameter:
    return Parameter(lambda _: value, lowest, per_axis)


LAYOUTS = {1: "NCW", 2: "NCHW", 3: "NCDHW"}
PARAMETERS = {
    "x": Parameter(image),
    "X": Parameter(image),
    "grad": Parameter(pooled),
    "indices": Parameter(lambda nd: np.zeros((2, 3) + (2,) * nd, np.int64)),
    "input_shape": Parameter(lambda nd: (2, 3) + (4,) * nd, 1, True),
    "kernel_size": fixed(2, 1, per_axis=True),
    "pool_size": fixed(2, 1, per_axis=True),
    "factor": fixed(2, 1, per_axis=True),
    "output_size": fixed(2, 0, per_axis=True),
    "output_ratio": fixed(0.5, 0, per_axis=True),
    "levels": fixed(1, 1),
    "stride": fixed(2, 1, per_axis=True),
    "padding": fixed(0, 0, per_axis=True),
    "dilation": fixed(1, 1, per_axis=True),
    "axes": Parameter(lambda nd: tuple(range(2, 2 + nd)), None, True),
    "ceil_mode": fixed(False),
    "count_include_pad": fixed(True),
    "return_indices": fixed(False),
    "return_samples": fixed(False),
    "keepdims": fixed(True),
    "aligned": fixed(True),
    "training": fixed(True),
    "divisor_override": fixed(3),
    "op": fixed("max"),
    "mode": fixed("max"),
    "rounding": fixed("half_even"),
    "nan_policy": fixed("propagate"),
    "layout": Parameter(lambda nd: LAYOUTS[nd]),
    "dtype": fixed(None),
    "out": fixed(None),
    "threads": fixed(1, 1),
    "n": fixed(1, 1),
    "nodata": fixed(None),
    "norm_type": fixed(2.0),
    "p": fixed(2.0),
    "eps": fixed(1e-6),
    "temperature": fixed(1.0),
    "beta": fixed(1.0),
    "boxes": fixed(np.array([[0.0, 0.0, 0.0, 2.0, 2.0]])),
    "spatial_scale": fixed(1.0),
    "sampling_ratio": fixed(1),
    "random_samples": Parameter(lambda nd: np.full((2, 3, nd), 0.5)),
    "rng": fixed(0),
}
# Legal arguments that depend on the function: given as name -> value, over those of PARAMETERS.
TOGETHER: dict[str, Callable[[int], dict[str, Any]]] = {}
for _nd in (1, 2, 3):
    TOGETHER[f"max_unpool{_nd}d"] = lambda nd: {"x": pooled(nd)}
    TOGETHER[f"max_unpool{_nd}d_backward"] = lambda nd: {
        "grad": image(nd), "input_shape": pooled(nd).shape
    }  # fmt: skip
    for _op in ("lp", "avg", "sum"):
        TOGETHER[f"global_{_op}_pool_backward"] = lambda nd: {"grad": of_planes(nd)}
    TOGETHER["gem_pool_backward"] = lambda nd: {"grad": of_planes(nd)}
    TOGETHER["global_max_pool_backward"] = lambda nd: {
        "grad": of_planes(nd), "indices": np.zeros(of_planes(nd).shape, int)
    }  # fmt: skip
    TOGETHER["spatial_pyramid_pool_backward"] = lambda _: {
        "grad": np.ones((2, 63)), "indices": np.zeros((2, 63), int), "input_shape": (2, 3, 4, 4)
    }  # fmt: skip
    for _op in ("pool", "align"):
        TOGETHER[f"roi_{_op}_backward"] = lambda _: {"boxes": np.array([[0, 0, 0, 2, 2.0]] * 2)}
    TOGETHER[f"mode_pool{_nd}d"] = lambda nd: {"x": image(nd).astype(np.uint8)}
    for _prefix in ("fractional_max_pool", "nn.FractionalMaxPool"):
        TOGETHER[f"{_prefix}{_nd}d"] = lambda _: {"output_size": 2}
    # No window of the usual ones has a choice.
    TOGETHER[f"stochastic_pool{_nd}d"] = lambda nd: {"x": image(nd) * odd_places(nd)}


@dataclass(frozen=True)
class Function:
    """A public callable in so many dimensions."""

    name: str
    nd: int
    call: Callable[..., Any]
    parameters: dict[str, inspect.Parameter]

    def legal(self) -> dict[str, Any]:
        needed = [n for n, p in self.parameters.items() if p.default is p.empty]
        base = {name: parameter(name, self.name).legal(self.nd) for name in needed}
        if self.name == "pool":
            base["kernel_size"] = (2,) * self.nd
        if self.name.startswith(("global_", "gem_")) or self.name == "pyramid":
            base["axes"] = tuple(range(2, 2 + self.nd))
        return {**base, **TOGETHER.get(self.name, lambda _: {})(self.nd)}

    def __str__(self) -> str:
        return f"{self.name}-{self.nd}"


def parameter(name: str, function: str) -> Parameter:
    if name not in PARAMETERS:
        raise LookupError(
            f"{function} has a parameter {name!r} that tests/matrix.py does not know: give it an "
            "entry in PARAMETERS, so that every bad value is tried on it"
        )
    return PARAMETERS[name]


def layer_call(cls: Any, nd: int) -> Callable[..., Any]:
    """Makes a layer, calls it and its backward."""

    def call(**options: Any) -> Any:
        layer = cls(**options)
        inputs = (pooled(nd), np.zeros(pooled(nd).shape, int)) if "Unpool" in cls.__name__ else ()
        if "RoI" in cls.__name__:
            inputs = (image(nd), PARAMETERS["boxes"].legal(nd))
        if "ModePool" in cls.__name__:
            inputs = (image(nd).astype(np.uint8),)
        result = layer(*(inputs or (image(nd),)))
        if not cls.__name__.startswith(("Median", "Mode")):  # which have no gradient
            layer.backward(result[0] if isinstance(result, tuple) else result)
        return result

    return call


def within(manager: Callable[..., Any]) -> Callable[..., Any]:
    def call(**options: Any) -> None:
        with manager(**options):
            pass

    return call


def dimensions(name: str) -> list[int]:
    number = re.search(r"(\d)d", name)
    if number:
        return [int(number[1])]
    return [1, 2, 3] if name == "pool" or name.startswith(("global_", "gem_", "pyramid")) else [2]


def functions() -> list[Function]:
    """Everything callable of the package and its layers, in each number of dimensions."""
    found = []
    for prefix, module in (("", poolcore), ("nn.", nn)):
        for name in sorted(module.__all__):
            thing = getattr(module, name)
            if not callable(thing):
                continue
            parameters = dict(inspect.signature(thing).parameters)
            for nd in dimensions(name):
                call = layer_call(thing, nd) if inspect.isclass(thing) else thing
                call = within(thing) if name == "num_threads" else call
                found.append(Function(prefix + name, nd, call, parameters))
    return found


def values(function: Function, name: str) -> Iterator[Any]:
    """What is tried at that parameter: bad values alone, then on each axis alone."""
    yield from INTEGERS
    yield from OTHERS
    yield from SEQUENCES
    known = parameter(name, function.name)
    if not known.per_axis:
        return
    legal = known.legal(function.nd)
    base = legal if isinstance(legal, tuple) else (legal,) * function.nd
    for at in range(len(base)):
        for value in [*INTEGERS, *OTHERS, (1, 1), (), (0, -1)]:
            yield (*base[:at], value, *base[at + 1 :])
    if name == "padding":
        for value, side in itertools.product(INTEGERS, (0, 1)):
            yield ((value, 0) if side else (0, value),) * function.nd


def table() -> list[tuple[Function, str, Any]]:
    return [
        (function, name, value)
        for function in functions()
        for name in function.parameters
        for value in values(function, name)
    ]


def too_low(known: Parameter, value: Any) -> bool:
    """Whether an integer in it is below what the parameter allows."""
    if known.lowest is None or isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, int | np.integer):
        return int(value) < known.lowest
    return isinstance(value, tuple | list) and any(too_low(known, v) for v in value)


def legal_type(known: Parameter, value: Any) -> bool:
    """Whether the value could be right in another call: its message may name another argument."""
    return known.lowest is None or not too_low(known, value)


def complaint(function: Function, name: str, value: Any) -> str:
    """What is wrong with the outcome of one call; nothing if it is as it should be."""
    what = f"{function}({name}={value!r:.80})"
    known = PARAMETERS[name]
    try:
        function.call(**{**function.legal(), name: value})
    except ALLOWED as error:
        text = str(error)
        if isinstance(error, MemoryError) and text:
            return ""
        # What one argument makes impossible may be told of its partner: a shape, say.
        partners = function.parameters if legal_type(known, value) else [name]
        if not any(word.lower() in text.lower() for word in partners):
            return f"{what}: {type(error).__name__} does not name the argument: {text!r}"
        if len(text) > 2000 or isinstance(error, UnicodeError):
            return f"{what}: {type(error).__name__}: {text[:200]!r}"
        refused = isinstance(error, ValueError) and type(value) is int and too_low(known, value)
        if refused and str(value) not in text:
            return f"{what}: the value is not in {text!r}"
    except BaseException as error:
        return f"{what}: {type(error).__name__}: {error}"
    else:
        if too_low(known, value):
            return f"{what}: accepted"
    return ""


def limit_memory() -> None:
    """Make large results a MemoryError; AddressSanitizer needs the addresses, and has a limit."""
    import resource

    if "libasan" not in os.environ.get("LD_PRELOAD", ""):
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


def main(share: int, shares: int, start: int, note: str) -> None:
    import signal

    limit_memory()
    calls = table()
    here = np.memmap(note, np.int64, "r+", shape=(1,))
    for at in range(start, len(calls)):
        if at % shares != share:
            continue
        here[0] = at
        signal.alarm(10)  # its default action ends the process, inside a call too
        if problem := complaint(*calls[at]):
            print(f"{at}: {problem}", flush=True)
    here[0] = len(calls)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]), sys.argv[4])
