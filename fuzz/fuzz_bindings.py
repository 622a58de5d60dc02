"""Calls of the public functions with arguments made from bytes; see README.md.

Whatever the arguments: an error of the kinds that the docstrings name, or a result that is the same
for contiguous copies of the arrays and another number of threads. Run as a script it needs Atheris.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["poolcore"]):
        import matrix
else:
    import matrix

FUNCTIONS = [f for f in matrix.functions() if f.parameters]
NAMES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
ODD_NAMES = [">f4", "c8", "O", "S3", "M8[s]", "f4,i4", "V5"]
LONGEST = 12  # elements along an axis, so that no call takes long
# Not compared: what they give depends on more than their arguments, or is no array.
STATEFUL = ("num_threads", "show_config")


class Bytes:
    """Choices made from the bytes of one input; when they run out every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, n: int) -> int:
        """Draw one of 0 to n - 1."""
        width = (n.bit_length() + 7) // 8
        part = self.data[self.at : self.at + width]
        self.at += width
        return int.from_bytes(part, "little") % n

    def pick(self, options: Any) -> Any:
        return options[self.number(len(options))]

    def chance(self, percent: int) -> bool:
        return self.number(100) < percent


def an_integer(draw: Bytes) -> int:
    kind = draw.number(4)
    if kind < 2:
        return draw.number(LONGEST)
    return draw.pick(matrix.INTEGERS) if kind == 2 else draw.number(2**64) - 2**63


def an_array(draw: Bytes, rank: int) -> Any:
    """Any strides, misaligned at times, at times of a type that is refused."""
    shape = [draw.number(LONGEST // 2 + 1 if rank < 5 else 3) for _ in range(rank)]
    dtype = np.dtype(draw.pick(ODD_NAMES) if draw.chance(5) else draw.pick(NAMES))
    steps = [draw.pick((1, 2, 3)) for _ in shape]
    size = int(np.prod([max(1, n * s) for n, s in zip(shape, steps, strict=True)]))
    seed = np.random.default_rng(draw.number(256))
    offset = draw.number(dtype.itemsize + 1) if not dtype.hasobject else 0
    memory = np.zeros(size * dtype.itemsize + offset, np.uint8)
    whole = memory[offset:] if not dtype.hasobject else np.zeros(size, dtype)
    if dtype.kind == "b" or draw.chance(50):
        memory[...] = seed.integers(0, 2, memory.size)
    else:
        memory[...] = seed.integers(0, 256, memory.size)
    x = whole.view(dtype).reshape([max(1, n * s) for n, s in zip(shape, steps, strict=True)])
    x = x[(..., *(slice(0, n * s, s) for n, s in zip(shape, steps, strict=True)))]
    for axis in range(rank):
        if draw.chance(20):
            x = np.flip(x, axis)
    order = list(range(rank))
    for i in range(rank):
        j = draw.number(rank)
        order[i], order[j] = order[j], order[i]
    x = x.transpose(order) if draw.chance(50) else x
    if draw.chance(10) and rank:
        x = np.broadcast_to(x[..., :1], x.shape)
    if draw.chance(5) and dtype.kind == "f":
        with np.errstate(all="ignore"):
            x = x.astype(ml_dtypes.bfloat16)
    return x


def a_value(draw: Bytes, legal: Any, nd: int) -> Any:
    """Something of the kind that belongs there, or anything else."""
    kind = draw.number(8)
    if kind == 0:
        return draw.pick(matrix.OTHERS)
    if kind == 1:
        return draw.pick(matrix.SEQUENCES)
    if isinstance(legal, np.ndarray) and kind < 7:
        return an_array(draw, draw.pick((nd + 1, nd + 2, draw.number(7))))
    if isinstance(legal, tuple):
        return tuple(an_integer(draw) for _ in range(draw.pick((len(legal), draw.number(6)))))
    if isinstance(legal, bool):
        return draw.pick((True, False))
    if isinstance(legal, str):
        words = (
            "max",
            "min",
            "avg",
            "sum",
            "mode",
            "median",
            "omit",
            "raise",
            "propagate",
            "floor",
            "half_up",
            "NCHW",
            "NHWC",
            "NCW",
            "NWC",
            "NDHWC",
            "same",
            "same_lower",
            "valid",
        )
        return draw.pick(words)
    if isinstance(legal, float):
        return draw.pick((0.5, 1.0, 2.5, 1e300, -1.0, 1e-300, float("inf"), an_integer(draw)))
    return an_integer(draw) if kind < 6 else tuple(an_integer(draw) for _ in range(nd))


def arguments_of(draw: Bytes) -> tuple[Any, dict[str, Any]]:
    function = draw.pick(FUNCTIONS)
    arguments = function.legal()
    names = list(function.parameters)
    for _ in range(1 + draw.number(4)):
        name = draw.pick(names)
        legal = arguments.get(name, matrix.parameter(name, function.name).legal(function.nd))
        arguments[name] = a_value(draw, legal, function.nd)
    arguments.pop("out", None)  # written twice it would not be compared
    return function, arguments


def parts(result: Any) -> list[np.ndarray]:
    several = result if isinstance(result, tuple | list) else [result]
    return [np.asarray(part) for part in several if isinstance(part, np.ndarray)]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def draws_anew(function: Any, arguments: dict[str, Any]) -> bool:
    """Say whether every call has random numbers of its own."""
    chance = any(word in function.name.lower() for word in ("fractional", "stochastic"))
    if not chance or arguments.get("random_samples") is not None:
        return False
    return not isinstance(arguments.get("rng"), int | np.integer)


def one_input(data: bytes) -> None:
    """Make one call, or two that must agree."""
    function, arguments = arguments_of(Bytes(data))
    try:
        first = function.call(**arguments)
    except matrix.ALLOWED:
        return
    if function.name in STATEFUL or draws_anew(function, arguments):
        return
    again = {
        name: np.ascontiguousarray(value) if isinstance(value, np.ndarray) and value.ndim else value
        for name, value in arguments.items()
    }
    if "threads" in function.parameters:
        again["threads"] = 2
    for a, b in zip(parts(first), parts(function.call(**again)), strict=True):
        if not same(a, b):
            raise AssertionError(f"{function}({arguments}) gave {a} and, of copies, {b}")


def main() -> None:
    matrix.limit_memory()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
