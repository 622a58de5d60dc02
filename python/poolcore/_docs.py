"""The parts of the docstrings that many functions share, written once.

A pooling function's own docstring holds its summary and its examples; `complete` puts the
parameters, in the order of the signature, the result, the errors and the notes between them.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["complete", "complete_global"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}

PARAMETERS = {
    "x": """
x : array_like, shape ({shape}) or, without N, ({unbatched})
    bool, integers, float16, float32, float64 or ml_dtypes' bfloat16, in native byte order, of any
    strides; it is never copied. Objects with ``__array__`` or ``__dlpack__`` on the CPU are read
    in place, lists are converted.""",
    "kernel_size": """
kernel_size : int or {n} int(s)
    Elements of x in a window, along {axes}.""",
    "output_size": """
output_size : int, None or {n} of them
    Windows along {axes}; None for as many as x has elements there. 0 gives an empty result.""",
    "keepdims": """
keepdims : bool
    Leave the pooled axes in the result, with length 1. `out` then has them too.""",
    "axes": """
axes : int or 1 to 3 ints, optional
    The axes to pool, instead of those of the default; negative ones count from the end.""",
    "norm_type": """
norm_type : float
    The exponent p of the norm: any number above 0. Infinity gives the largest magnitude.""",
    "p": """
p : float
    {power}""",
    "eps": """
eps : float
    Smaller elements count as this, negative ones too: a finite number of at least 0.""",
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

# Where an operation's own words are needed.
_OWN_PARAMETERS = {
    "mode": {
        "x": """
x : array_like of bool or integers, shape ({shape}) or, without N, ({unbatched})
    Labels of 8 to 64 bits, signed or unsigned, in native byte order, of any strides; never
    copied. Float arrays are refused: convert them to integers first.""",
        "padding": """
padding : int, {n} int(s), {n} pair(s) (low, high), "valid", "same" or "same_lower"
    Places added before and after each axis, fewer than the effective kernel. They have no vote.
    "same" gives ``ceil(size / stride)`` windows and puts an odd place after the axis,
    "same_lower" before it; "valid" means 0.""",
    },
    "median": {
        "padding": """
padding : int, {n} int(s), {n} pair(s) (low, high), "valid", "same" or "same_lower"
    Places added before and after each axis, fewer than the effective kernel. They are left out:
    a window at the edge has the median of what it covers. "same" gives
    ``ceil(size / stride)`` windows and puts an odd place after the axis, "same_lower" before it;
    "valid" means 0.""",
        "rounding": """
rounding : "half_even", "half_up", "floor" or "trunc"
    How the exact median is rounded when `dtype` is an integer type; it then saturates at the
    limits of that type. "floor" takes the lower one of two neighbouring middle values.""",
    },
    "soft": {
        "padding": """
padding : int, {n} int(s), {n} pair(s) (low, high), "valid", "same" or "same_lower"
    Places added before and after each axis, fewer than the effective kernel. They have no weight.
    "same" gives ``ceil(size / stride)`` windows and puts an odd place after the axis,
    "same_lower" before it; "valid" means 0.""",
    },
    "stochastic": {
        "padding": """
padding : int, {n} int(s), {n} pair(s) (low, high), "valid", "same" or "same_lower"
    Places added before and after each axis, fewer than the effective kernel. They are never drawn.
    "same" gives ``ceil(size / stride)`` windows and puts an odd place after the axis,
    "same_lower" before it; "valid" means 0.""",
        "return_indices": """
return_indices : bool
    Also return where each value was drawn, for `max_pool{n}d_backward` and `max_unpool{n}d`.""",
        "training": """
training : bool
    False for the mean of what would be drawn, ``sum(x * x) / sum(x)``, without chance.""",
        "random_samples": """
random_samples : array_like of floats, of the result's shape, optional
    What each window draws with, each in [0, 1), instead of `rng`.""",
        "rng": """
rng : numpy.random.Generator or int, optional
    Draws the samples; a number is a seed. By default a new generator, different every time.""",
    },
    "fractional": {
        "output_size": """
output_size : int or {n} ints, optional
    Windows along {axes}. With `kernel_size` k and n elements at most ``n - k + 1``.""",
        "output_ratio": """
output_ratio : float or {n} floats, optional
    Instead of `output_size`: ``int(n * ratio)`` windows, the ratio between 0 and 1.""",
        "random_samples": """
random_samples : array_like of floats, shape (N, C, {n}), optional
    Where the steps of each plane begin, each in [0, 1), instead of `rng`. {order}""",
        "rng": """
rng : numpy.random.Generator or int, optional
    Draws the samples; a number is a seed. By default a new generator, different every time.""",
    },
}

_DTYPES = {
    "avg": """\
An integer or float type for the result; for float x a float type. By default that of x if it
    is a float type, otherwise float64.""",
    "sum": """\
An integer or float type for the result; for float x a float type. By default that of x if it
    is a float type, otherwise int64, or uint64 if x is unsigned. Integer sums wrap around as
    those of ``np.sum``.""",
    "median": """\
An integer or float type for the result; for float x a float type. By default that of x if it
    is a float type, otherwise float64, as ``np.median``.""",
}

_NORM_DTYPE = "in the dtype of x if it is a float type, otherwise float64"

_RETURNS = """
values : ndarray, shape ({result})
    {values}, in the memory order of x."""

_INDICES = """
indices : ndarray of int64, same shape
    With `return_indices` only: flat positions ``{position}`` in the unpadded plane of the
    pooled axes. Of equal values the first counts; a NaN that propagates is the position of the
    first NaN{without}."""

_WITHOUT_TAP = "; a window without a tap inside x (possible with dilation) has index -1"

RAISES = """
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

_ADAPTIVE_NOTES = """
Notes
-----
Window ``i`` of ``o`` along an axis of ``n`` elements is
``[floor(i * n / o), ceil((i + 1) * n / o))``, as in torch.nn.functional: together the windows cover
the axis, they overlap where ``o`` does not divide ``n``, and repeat elements where ``o > n``.
{numerics}"""

_FRACTIONAL_NOTES = """
Notes
-----
Along an axis of n elements with o windows of k, sample u and ``a = (n - k) / (o - 1)``, window i
starts at ``int((i + u) * a) - int(u * a)`` and the last one at ``n - k``: steps of two neighbouring
lengths in an order that u decides [1]_, in the arithmetic of x's dtype, as in torch.nn.functional,
whose argument names and order are used too. {numerics}

References
----------
.. [1] B. Graham, "Fractional Max-Pooling", arXiv:1412.6071, 2014.
"""

_GLOBAL_NOTES = """
Notes
-----
Without `axes` and `layout`, x of 3 to 5 dimensions is read as (N, C, ...), as by ONNX's
Global*Pool: the first two axes stay, all others are pooled. So an unbatched (C, H, W) needs
``axes=(1, 2)`` or ``layout="NCHW"``, with which N may be left out.
{numerics}"""

_NUMERICS = {
    "order": "Results are the same bits whatever the layout, thread count and instruction set.",
    "sum": """\
Taps are added in one fixed order (docs/numerics.md), so results are the same bits whatever the
layout, thread count and instruction set. float16 and bfloat16 are added in float32, large
windows in float64, integers exactly.""",
    "mode": """\
The majority is exact for windows of any size and any labels. A window that overlaps its
neighbour is counted anew; windows of more than some thousand taps are read several times
(docs/numerics.md). A majority of the majorities of parts is not that of the whole: pool with
one large window instead of twice with small ones.""",
    "median": """\
Every window is sorted or counted by itself, so time grows with the number of taps. The mean of
the two middle values of an even number of taps is exact before it is rounded, and no median is
-0.0.""",
}


_NUMERICS["soft"] = """\
The result is ``sum(exp(x) * x) / sum(exp(x))`` over the elements that a window covers [1]_, taken
relative to the largest of them, so that nothing overflows; in float64 in one order, with an
exponential that is the same on every machine. An element of -infinity has no weight. Every window
is pooled by itself, so time grows with the number of taps.

References
----------
.. [1] A. Stergiou, R. Poppe and G. Kalliatakis, "Refining activation downsampling with SoftPool",
   arXiv:2101.00440, 2021."""
_NUMERICS["stochastic"] = """\
No element may be negative or infinite. With the sum S of a window's elements, added in float64 in
row-major order, sample u draws the first element with which the running sum exceeds ``u * S`` [1]_.
A window of zeros gives 0 and its first place. The test phase gives {phase}. Results are the same
bits whatever the layout, thread count and instruction set.

References
----------
.. [1] M. D. Zeiler and R. Fergus, "Stochastic Pooling for Regularization of Deep Convolutional
   Neural Networks", arXiv:1301.3557, 2013.""".replace("{phase}", f"the mean {_NORM_DTYPE}")
_NUMERICS["gem"] = """\
Powers are summed in float64 in one fixed order (docs/numerics.md), so results are the same bits
whatever the layout, thread count and instruction set. Powers that leave the range of float64 do
no harm: such planes are pooled again, relative to their largest element. Elements of 64 bits are
rounded to float64 first."""
_NUMERICS["lp"] = (
    _NUMERICS["gem"]
    + """ Unlike torch.nn.functional, which raises elements as they are and
scales up windows that hang over an edge, this is the norm of the magnitudes, of the elements that a
window covers."""
)
_NUMERICS_OF = {"max": "order", "min": "order", "avg": "sum", "fractional": "order"}


def words_of(op: str, n: int) -> dict[str, str]:
    """Words of the fragments for one operation over n pooled axes."""
    axes = LAYOUTS[n][0][2:]
    spaced = ", ".join(axes)
    return {
        "n": str(n),
        "shape": f"N, C, {spaced}",
        "unbatched": f"C, {spaced}",
        "result": "N, C, " + ", ".join(f"{a}_out" for a in axes) + ") or (C, ...",
        "axes": " and ".join(spaced.rsplit(", ", 1)),
        "first": LAYOUTS[n][0],
        "last": LAYOUTS[n][1],
        "position": {1: "w", 2: "h * W + w", 3: "(d * H + h) * W + w"}[n],
        "dtype": _DTYPES.get(op, ""),
        "power": {
            "lp": "The exponent of the norm, above 0. Infinity gives the largest magnitude.",
            "gem": "The exponent of the mean, above 0 and at most 2**60. 1 is the mean itself.",
        }.get(op, ""),
        "out": (
            "An array (with `return_indices`: a tuple of two)"
            if op in ("max", "min", "fractional", "stochastic")
            else "An array"
        ),
        "order": "The first is for W, the second for H." if n == 2 else "For D, H and W.",
        "values": {
            "max": "The largest value of each window, in the dtype of x",
            "min": "The smallest value of each window, in the dtype of x",
            "avg": "The mean of each window",
            "sum": "The sum of each window",
            "mode": "The commonest label of each window, in the dtype of x",
            "median": "The median of each window",
            "stochastic": "An element of each window, in the dtype of x",
            "soft": f"The weighted mean of each window: {_NORM_DTYPE}",
            "lp": f"The norm of each window: {_NORM_DTYPE}",
            "gem": f"The generalised mean of each plane: {_NORM_DTYPE}",
            "fractional": "The largest value of each window, in the dtype of x",
        }[op],
        "numerics": _NUMERICS[_NUMERICS_OF.get(op, op)],
    }


def complete(function: _Function, op: str, n: int) -> _Function:
    """Put the shared sections into the docstring of `function`."""
    if function.__doc__ is None:  # python -OO
        return function
    words = words_of(op, n)
    names = inspect.signature(function).parameters
    usual = _ADAPTIVE_NOTES if "output_size" in names else _NOTES
    notes = {"fractional": _FRACTIONAL_NOTES}.get(op, usual)
    _assemble(function, words, {**PARAMETERS, **_OWN_PARAMETERS.get(op, {})}, notes)
    return function


GLOBAL_PARAMETERS = {
    **PARAMETERS,
    "x": """
x : array_like, shape (N, C, W), (N, C, H, W) or (N, C, D, H, W)
    bool, integers, float16, float32, float64 or ml_dtypes' bfloat16, in native byte order, of any
    strides; it is never copied. With `axes` or `layout` any shape.""",
    "layout": """
layout : "NCW", "NWC", "NCHW", "NHWC", "NCDHW" or "NDHWC", optional
    Names the axes of x, instead of `axes`: all but N and C are pooled. Unbatched x leaves out
    N.""",
}


def complete_global(function: _Function, op: str) -> _Function:
    """Put the shared sections into the docstring of a function that pools whole planes."""
    if function.__doc__ is not None:
        words = {
            **words_of(op, 2),
            "result": "N, C, 1, ...) or, without `keepdims`, (N, C",
            "position": "(d * H + h) * W + w",
        }
        _assemble(function, words, GLOBAL_PARAMETERS, _GLOBAL_NOTES)
    return function


def _assemble(
    function: Callable[..., Any], words: dict[str, str], parameters: dict[str, str], notes: str
) -> None:
    text = inspect.cleandoc(function.__doc__ or "")
    head, found, examples = text.partition("Examples\n--------\n")
    names = inspect.signature(function).parameters
    sections = [head.rstrip(), "\nParameters\n----------"]
    sections += [parameters[name].strip("\n").format_map(words) for name in names]
    sections += ["\nReturns\n-------", _RETURNS.strip("\n").format_map(words)]
    if "return_indices" in names:
        words = {**words, "without": _WITHOUT_TAP if "dilation" in names else ""}
        sections.append(_INDICES.strip("\n").format_map(words))
    sections += [RAISES, notes.format_map(words)]
    function.__doc__ = "\n".join(sections) + "\n\n" + found + textwrap.dedent(examples) + "\n"
