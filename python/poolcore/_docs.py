"""The parts of the docstrings that many functions share, written once.

A pooling function's own docstring holds its summary and its examples; `complete` puts the
parameters, in the order of the signature, the result, the errors and the notes between them.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["complete", "complete_inverse"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}

_PARAMETERS = {
    "x": """
x : array_like, shape ({shape}) or, without N, ({unbatched})
    bool, integers, float16, float32, float64 or ml_dtypes' bfloat16, in native byte order, of any
    strides; it is never copied. Objects with ``__array__`` or ``__dlpack__`` on the CPU are read
    in place, lists are converted.""",
    "kernel_size": """
kernel_size : int or {n} int(s)
    Elements of x in a window, along {axes}.""",
    "stride": """
stride : int or {n} int(s), optional
    Elements from one window to the next. By default `kernel_size`: windows side by side.""",
    "padding": """
padding : int, {n} int(s), {n} pair(s) (low, high), "valid", "same" or "same_lower"
    Elements added before and after each axis, fewer than the effective kernel. They never win a
    maximum or minimum and count as 0 in sums. "same" gives ``ceil(size / stride)`` windows and
    puts an odd element of padding after the axis, "same_lower" before it; "valid" means 0.""",
    "dilation": """
dilation : int or {n} int(s)
    Elements from one tap of a window to the next. The effective kernel is
    ``dilation * (kernel_size - 1) + 1``.""",
    "ceil_mode": """
ceil_mode : bool
    Round the number of windows up instead of down, so that the last may hang over the end. It
    always starts inside the input or the padding before it.""",
    "return_indices": """
return_indices : bool
    Also return where each value was found.""",
    "count_include_pad": """
count_include_pad : bool
    Whether the divisor counts the taps that fall on padding. Taps beyond the padding, where
    `ceil_mode` lets a window hang over, never count.""",
    "divisor_override": """
divisor_override : int, optional
    Divide every sum by this, whatever the window covers. Not 0.""",
    "dtype": """
dtype : dtype, optional
    {dtype}""",
    "rounding": """
rounding : "half_even", "half_up", "floor" or "trunc"
    How the exact mean is rounded when `dtype` is an integer type; it then saturates at the limits
    of that type.""",
    "layout": """
layout : "{first}" or "{last}"
    Order of the axes of x. Unbatched input leaves out N.""",
    "nan_policy": """
nan_policy : "propagate", "omit" or "raise"
    A NaN makes the result of its window NaN; or is left out, so that only a window of nothing but
    NaNs gives NaN; or any NaN in x is a ValueError.""",
    "out": """
out : ndarray, optional
    {out} of the result's shape and dtype, written in place and returned. It must not overlap x
    or itself.""",
    "threads": """
threads : int, optional
    Threads for this call, at least 1. By default what `set_num_threads` says.""",
}

_DTYPES = {
    "avg": """\
An integer or float type for the result; for float x a float type. By default that of x if it
    is a float type, otherwise float64.""",
    "sum": """\
An integer or float type for the result; for float x a float type. By default that of x if it
    is a float type, otherwise int64, or uint64 if x is unsigned. Integer sums wrap around as
    those of ``np.sum``.""",
}

_RETURNS = """
values : ndarray, shape ({result})
    {values}, in the memory order of x."""

_INDICES = """
indices : ndarray of int64, same shape
    With `return_indices` only: flat positions ``{position}`` in the unpadded plane of the
    pooled axes. Of equal values the first counts; a NaN that propagates is the position of the
    first NaN; a window without a tap inside x (possible with dilation) has index -1."""

_RAISES = """
Raises
------
ValueError
    An argument's value, a shape, or `out` does not fit; the message names the argument, its
    value and what is allowed. Nothing has been written then.
TypeError
    An argument's type or dtype does not fit: a bool, float or None where an integer belongs, or
    x masked, complex, of objects or strings, byte-swapped or on a GPU.
MemoryError
    There is not enough memory for the result.
KeyboardInterrupt
    Ctrl-C during a long call; the contents of `out` are undefined then."""

_NOTES = """
Notes
-----
Each axis gives ``floor((size + low + high - effective_kernel) / stride) + 1`` windows (`ceil` in
place of `floor` with `ceil_mode`, less a window that would start in the padding after the axis).
These are the formulas of torch.nn.functional, whose argument names and order are used too.
{numerics}"""

_NUMERICS = {
    "order": "Results are the same bits whatever the layout, thread count and instruction set.",
    "sum": """\
Taps are added in one fixed order (docs/numerics.md), so results are the same bits whatever the
layout, thread count and instruction set. float16 and bfloat16 are added in float32, large
windows in float64, integers exactly.""",
}


def _values(op: str, n: int) -> dict[str, str]:
    """Words of the fragments for one operation over n pooled axes."""
    axes = _LAYOUTS[n][0][2:]
    spaced = ", ".join(axes)
    return {
        "n": str(n),
        "shape": f"N, C, {spaced}",
        "unbatched": f"C, {spaced}",
        "result": "N, C, " + ", ".join(f"{a}_out" for a in axes) + ") or (C, ...",
        "axes": " and ".join(spaced.rsplit(", ", 1)),
        "first": _LAYOUTS[n][0],
        "last": _LAYOUTS[n][1],
        "position": {1: "w", 2: "h * W + w", 3: "(d * H + h) * W + w"}[n],
        "dtype": _DTYPES.get(op, ""),
        "out": "An array (with `return_indices`: a tuple of two)" if op in "maxmin" else "An array",
        "values": {
            "max": "The largest value of each window, in the dtype of x",
            "min": "The smallest value of each window, in the dtype of x",
            "avg": "The mean of each window",
            "sum": "The sum of each window",
        }[op],
        "numerics": _NUMERICS["order" if op in ("max", "min") else "sum"],
    }


def complete(function: _Function, op: str, n: int) -> _Function:
    """Put the shared sections into the docstring of `function`."""
    if function.__doc__ is None:  # python -OO
        return function
    words = _values(op, n)
    head, found, examples = inspect.cleandoc(function.__doc__).partition("Examples\n--------\n")
    sections = [head.rstrip(), "\nParameters\n----------"]
    for name in inspect.signature(function).parameters:
        sections.append(_PARAMETERS[name].strip("\n").format_map(words))
    sections += ["\nReturns\n-------", _RETURNS.strip("\n").format_map(words)]
    if "return_indices" in inspect.signature(function).parameters:
        sections.append(_INDICES.strip("\n").format_map(words))
    sections += [_RAISES, _NOTES.format_map(words)]
    function.__doc__ = "\n".join(sections) + "\n\n" + found + textwrap.dedent(examples) + "\n"
    return function


_INVERSE_PARAMETERS = {
    "x": """
x : array_like, shape (N, C, {outs}) or, without N, (C, {outs})
    The pooled values, of any element type that `max_pool{n}d` takes and of any strides; never
    copied.""",
    "grad": """
grad : array_like, shape (N, C, {outs}) or, without N, (C, {outs})
    The gradient of the results: {grads}, in native byte order, of any strides; never
    copied.""",
    "indices": """
indices : array_like of integers, shape of `{values}`
    Flat positions ``{position}`` in a plane of the result, as `{pools}` gives
    them: int64, or any other integer type, of any strides; never copied.
    {none}""",
    "padding": """
padding : int, {n} int(s) or {n} pair(s) (low, high)
    What padded the pooling, fewer than `kernel_size` elements. Not a word such as "same", which
    needs the length that is computed here.""",
    "output_size": """
output_size : int, {n} int(s) or the whole shape, optional
    Lengths of the result along {axes}, each less than its stride away from the default
    ``(size - 1) * stride - low - high + kernel_size``. With the whole shape, N and C must be
    those of x.""",
    "input_shape": """
input_shape : sequence of int
    Shape of the array that was pooled, N and C included where `grad` has them.""",
    "out": """
out : ndarray, optional
    An array of the result's shape and dtype, written in place and returned. It must overlap
    neither the inputs nor itself.""",
    "layout": """
layout : "{first}" or "{last}"
    Order of the axes of `{values}` and of the result. Unbatched input leaves out N.""",
}

_INVERSES = {
    "unpool": {
        "values": "x",
        "none": "Every one must lie in its plane.",
        "pools": "max_pool{n}d",
        "result": "The values at their places and zeros elsewhere, in the dtype of x",
        "index": """
IndexError
    An index lies outside its plane; the message names the first in row-major order. Nothing has
    been written then, unless another thread changes the indices meanwhile.""",
        "notes": """
Where several values name one place the last in row-major order stays, whatever the number of
threads. The default lengths and the argument order are those of torch.nn.functional.""",
    },
    "max_backward": {
        "values": "grad",
        "grads": "integers or floats",
        "none": "Index -1, of a window without a tap inside the input, adds nothing.",
        "pools": "max_pool{n}d` and `min_pool{n}d",
        "result": "The gradient of the pooled array, in the dtype of `grad`",
        "index": """
IndexError
    An index lies outside its plane and is not -1; the message names the first in row-major order.
    Nothing has been written then, unless another thread changes the indices meanwhile.""",
        "notes": """
Where windows share a place their gradients are added in row-major order of the windows, from zero
on, whatever the number of threads: float16 and bfloat16 in float32, rounded once at the end,
integers modulo two to their number of bits. The gradient of a minimum is found in the same
way from the indices of `min_pool{n}d`.""",
    },
    "avg_backward": {
        "values": "grad",
        "grads": "floats, or integers, which are taken as float64",
        "result": "The gradient of the averaged array, in the dtype of `grad` or in float64",
        "index": "",
        "notes": """
Each element gathers the gradients of the windows that cover it, each divided by its window's
divisor beforehand, in one fixed order (docs/numerics.md), so results are the same bits whatever
the layout, thread count and instruction set. float16 and bfloat16 are added in float32, those of
many windows in float64.""",
    },
    "sum_backward": {
        "values": "grad",
        "grads": "floats or integers",
        "result": """\
The gradient of the summed array, in the dtype of `grad` if that is a float type,
    otherwise int64, or uint64 if it is unsigned""",
        "index": "",
        "notes": """
Each element gathers the gradients of the windows that cover it, in one fixed order
(docs/numerics.md), so results are the same bits whatever the layout, thread count and instruction
set. float16 and bfloat16 are added in float32, those of many windows in float64, integers modulo
2**64.""",
    },
}


def complete_inverse(function: _Function, kind: str, n: int) -> _Function:
    """Put the shared sections into the docstring of a function that undoes a pooling."""
    if function.__doc__ is None:  # python -OO
        return function
    words = _values("max", n)
    windows = kind in ("avg_backward", "sum_backward")  # padded as in the forward functions
    words["outs"] = ", ".join(f"{a}_out" for a in _LAYOUTS[n][0][2:])
    words.update({k: v.replace("{n}", str(n)) for k, v in _INVERSES[kind].items()})
    head, found, examples = inspect.cleandoc(function.__doc__).partition("Examples\n--------\n")
    sections = [head.rstrip(), "\nParameters\n----------"]
    for name in inspect.signature(function).parameters:
        own = None if name == "padding" and windows else _INVERSE_PARAMETERS.get(name)
        text = own or _PARAMETERS[name]
        sections.append(text.strip("\n").format_map(words))
    sections.append(
        "\nReturns\n-------\nndarray, shape ({shape}) or ({unbatched})".format_map(words)
    )
    sections.append(f"    {words['result']}, in the memory order of `{words['values']}`.")
    errors, at, rest = _RAISES.partition("\nMemoryError")
    sections.append(errors + words["index"].rstrip() + at + rest)
    sections.append("\nNotes\n-----" + words["notes"])
    function.__doc__ = "\n".join(sections) + "\n\n" + found + textwrap.dedent(examples) + "\n"
    return function
