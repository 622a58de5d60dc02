"""Docstrings of the functions that undo a pooling or carry gradients back; see `_docs`."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from poolcore._docs import GLOBAL_PARAMETERS, LAYOUTS, PARAMETERS, RAISES, words_of

__all__ = ["complete_inverse"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

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
    "adaptive_avg_backward": {
        "values": "grad",
        "grads": "floats, or integers, which are taken as float64",
        "result": "The gradient of the averaged array, in the dtype of `grad` or in float64",
        "index": "",
        "notes": """
The shape of `grad` says how many windows each axis had; one window for all of it makes this the
gradient of `global_avg_pool`. Each element gathers the gradients of the windows that cover it, each
divided by its window's number of elements beforehand, in one fixed order (docs/numerics.md), so
results are the same bits whatever the layout, thread count and instruction set. float16 and
bfloat16 are added in float32, those of many windows in float64.""",
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

_NORM = """All is computed in float64, in an order that
nothing changes (docs/numerics.md), some planes at a time, and rounded once: results are the same
bits whatever the layout, thread count and instruction set."""
_INVERSES["lp_backward"] = {
    "values": "x",
    "grads": "floats, or integers, which are taken as float64",
    "result": """\
The gradient of the pooled array, in the dtype of `grad` if that is a float type,
    otherwise float64""",
    "index": "",
    "notes": f"""
An element gets ``grad * sign(x) * |x|**(p-1) * y**(1-p)`` from each window that covers it, y being
the norm of the window, computed anew: nothing from a norm of 0, nor if it is 0 itself. With p = inf
all goes to the first element of the largest magnitude. {_NORM}""",
}
_INVERSES["soft_backward"] = {
    **_INVERSES["lp_backward"],
    "notes": """
With w an element's share of its window's ``sum(exp(x))`` and y the result, computed anew, it gets
``grad * w * (1 + x - y)`` from each window that covers it, added in float64 in row-major order of
the windows and rounded once. A window whose result is infinite gives nothing; one that holds NaN
gives NaN to all its elements. Results are the same bits whatever the layout, thread count and
instruction set.""",
}
_INVERSES["gem_backward"] = {
    **_INVERSES["lp_backward"],
    "notes": f"""
With ``m = max(x, eps)`` and y the mean of n elements, computed anew, each of at least `eps` gets
``grad * m**(p-1) * y**(1-p) / n``, and nothing if y is 0. {_NORM}""",
}
_WHOLE = {
    "grad": """
grad : array_like, shape of the results
    Their gradient: {grads}, in native byte order, of any strides; never copied.""",
    "indices": """
indices : array_like of integers, shape of `grad`
    Flat positions in the pooled axes, the last axis fastest, as `{pools}`
    give them: int64, or any other integer type, of any strides; never copied. {none}""",
    "input_shape": """
input_shape : sequence of int
    Shape of the array that was pooled.""",
    "keepdims": """
keepdims : bool
    Whether {arrays} the pooled axes, with length 1.""",
    "layout": GLOBAL_PARAMETERS["layout"],
}
_X = {
    "x": """
x : array_like, shape ({shape}) or, without N, ({unbatched})
    The array that was pooled, of any element type that the pooling takes and of any strides; never
    copied.""",
}
# Where a kind has words of its own.
_OWN: dict[str, dict[str, str]] = {
    "soft_backward": _X,
    "lp_backward": {**_X, "norm_type": PARAMETERS["norm_type"]},
    "global_lp_backward": {**_X, **_WHOLE},
    "gem_backward": {**_X, **_WHOLE},
}
_INVERSES["global_lp_backward"] = _INVERSES["lp_backward"]

_INVERSES["global_max_backward"] = {
    **_INVERSES["max_backward"],
    "pools": "global_max_pool` and `global_min_pool",
    "none": "Index -1 adds nothing.",
    "notes": """
Each gradient goes to the element that its index names; the others get zero. The gradient of a
minimum is found in the same way from the indices of `global_min_pool`.""",
}
for _op in ("avg", "sum"):
    _INVERSES[f"global_{_op}_backward"] = {
        **_INVERSES[f"{_op}_backward"],
        "notes": """
Every element of a plane gets the plane's gradient{share}. Results are the same
bits whatever the layout, thread count and instruction set.""".format(
            share=", divided by the number of its elements" if _op == "avg" else ""
        ),
    }
_OWN.update({f"global_{_op}_backward": _WHOLE for _op in ("max", "avg", "sum")})

_INVERSES["unpool_backward"] = {
    "values": "grad",
    "grads": "integers or floats",
    "none": "Every one must lie in its plane.",
    "pools": "max_pool{n}d",
    "result": "The gradient of the values, in the dtype of `grad`",
    "index": _INVERSES["unpool"]["index"],
    "notes": """
Each value gets the gradient of its place. Where several values name one place the last in
row-major order stayed, and the others get zero. Bits are moved, never computed with.""",
}
_OWN["unpool_backward"] = {
    "grad": """
grad : array_like, shape of what `max_unpool{n}d` gave
    Its gradient: {grads}, in native byte order, of any strides; never copied.""",
    "indices": """
indices : array_like of integers, shape `input_shape`
    Those that `max_unpool{n}d` was given: flat positions ``{position}`` in a plane of `grad`,
    of any integer type and any strides; never copied. {none}""",
    "input_shape": """
input_shape : sequence of int
    Shape of the values that were put back.""",
}

_INVERSES["adaptive_max_backward"] = {
    **_INVERSES["max_backward"],
    "pools": "adaptive_max_pool{n}d` and `adaptive_min_pool{n}d",
    "none": "Index -1 adds nothing.",
    "notes": _INVERSES["max_backward"]["notes"].replace("`min_pool", "`adaptive_min_pool"),
}

_INVERSES["fractional_max_backward"] = {
    **_INVERSES["max_backward"],
    "pools": "fractional_max_pool{n}d",
    "none": "Index -1 adds nothing.",
    "notes": _INVERSES["max_backward"]["notes"].partition(" The gradient of a minimum")[0],
}


def complete_inverse(function: _Function, kind: str, n: int) -> _Function:
    """Put the shared sections into the docstring of a function that undoes a pooling."""
    if function.__doc__ is None:  # python -OO
        return function
    own = _OWN.get(kind, {})
    words = words_of("gem" if kind == "gem_backward" else "lp" if "lp_" in kind else "max", n)
    if "axes" in inspect.signature(function).parameters:
        words["shape"], words["unbatched"] = "N, C, ...", "any other shape with `axes` or `layout`"
    windows = not kind.startswith(("max", "unpool"))  # padded as in the forward functions
    words["arrays"] = "`grad` and `indices` have" if "max" in kind else "`grad` has"
    words["outs"] = ", ".join(f"{a}_out" for a in LAYOUTS[n][0][2:])
    if kind == "unpool_backward":
        words["shape"], words["unbatched"] = f"N, C, {words['outs']}", f"C, {words['outs']}"
    words.update({k: v.replace("{n}", str(n)) for k, v in _INVERSES[kind].items()})
    head, found, examples = inspect.cleandoc(function.__doc__).partition("Examples\n--------\n")
    sections = [head.rstrip(), "\nParameters\n----------"]
    for name in inspect.signature(function).parameters:
        usual = None if name == "padding" and windows else _INVERSE_PARAMETERS.get(name)
        text = own.get(name) or usual or PARAMETERS[name]
        sections.append(text.strip("\n").format_map(words))
    sections.append(
        "\nReturns\n-------\nndarray, shape ({shape}) or ({unbatched})".format_map(words)
    )
    sections.append(f"    {words['result']}, in the memory order of `{words['values']}`.")
    errors, at, rest = RAISES.partition("\nMemoryError")
    sections.append(errors + words["index"].rstrip() + at + rest)
    sections.append("\nNotes\n-----" + words["notes"])
    function.__doc__ = "\n".join(sections) + "\n\n" + found + textwrap.dedent(examples) + "\n"
    return function
