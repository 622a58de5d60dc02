"""Docstrings of the functions on regions of interest; see `_docs`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from poolcore._docs import PARAMETERS

__all__ = ["complete_roi"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_PARAMETERS = {
    "x": """
x : array_like, shape (N, C, H, W)
    bool, integers, float16, float32, float64 or ml_dtypes' bfloat16, in native byte order, of any
    strides; never copied.""",
    "grad": """
grad : array_like, shape (K, C, {output_size})
    The gradient of the results: {grads}, in native byte order, of any strides; never copied.""",
    "boxes": """
boxes : array_like, shape (K, 5), or list of array_like, shape (L, 4)
    Rows (image, x1, y1, x2, y2), image being a whole number below N; or, in a list or tuple, one
    array of rows (x1, y1, x2, y2) for each image. Any finite numbers.""",
    "indices": """
indices : array_like of integers, shape of `grad`
    Flat positions ``h * W + w`` as `roi_pool` gives them. Index -1 adds nothing.""",
    "input_shape": """
input_shape : sequence of int
    Shape (N, C, H, W), or as `layout` says, of the array that was pooled.""",
    "output_size": """
output_size : int or 2 ints
    Bins along H and W of each box, at least 0.""",
    "spatial_scale": """
spatial_scale : float
    What the coordinates of boxes are multiplied by to get those of x; above 0.""",
    "sampling_ratio": """
sampling_ratio : int
    Samples along each axis of a bin. Below 1: as many as it has elements, rounded up.""",
    "aligned": """
aligned : bool
    Whether elements lie at half-integer coordinates, so that corners are moved by -0.5. If not,
    boxes are at least 1 wide and high.""",
    "mode": """
mode : "avg" or "max"
    The mean of the samples of a bin or the largest of them.""",
    "return_indices": """
return_indices : bool
    Also return where each value was found.""",
    "layout": """
layout : "NCHW" or "NHWC"
    Order of the axes of {array} and of the result.""",
    "nan_policy": """
nan_policy : "propagate", "omit" or "raise"
    {nan}""",
    "out": """
out : ndarray, optional
    An array of the result's shape and dtype, written in place and returned. It must overlap
    neither the inputs nor itself.{pair}""",
    "threads": PARAMETERS["threads"],
}

_RAISES = """
Raises
------
ValueError
    A value, a shape or `out` does not fit, or a box is not finite; the message names the argument
    and the box. Nothing has been written then.
TypeError
    An argument's type or dtype does not fit.
IndexError
    {index}
MemoryError
    There is not enough memory for the result.
KeyboardInterrupt
    Ctrl-C during a long call; the contents of `out` are undefined then."""

_SAMPLES = """
Of a bin of ``s`` elements the ``g`` samples lie at ``(i + 0.5) * s / g``, in float64. One beyond -1
or H counts as 0 (W alike); between -1 and 0, and beyond the last element, the edge counts. Elements
whose weight is 0 are not read. A bin without samples, which an `aligned` box of size 0 or less has
unless `sampling_ratio` is given, gives 0."""

_FUNCTIONS: dict[str, dict[str, str]] = {
    "roi_pool": {
        "array": "x",
        "index": "A box names an image that is not there.",
        "nan": """\
A NaN makes the result of its bin NaN; or is left out, so that only a bin of nothing but
    NaNs gives NaN; or any NaN in x is a ValueError.""",
        "pair": " With `return_indices` a tuple (values, indices).",
        "result": """
ndarray, shape (K, C, {output_size})
    In the dtype of x; 0 for bins without an element.
indices : ndarray of int64, of the same shape
    With `return_indices`: flat positions ``h * W + w`` of the values, of ties the first; -1 for
    bins without an element.""",
        "notes": """
Corners are multiplied by `spatial_scale` and rounded, halves away from zero. A box covers
``w = max(x2 - x1 + 1, 1)`` columns, of which bin j covers ``floor(j * w / n)`` up to
``ceil((j + 1) * w / n)``, as far as they are in the image; rows alike. Corners beyond 2**61 count
as that. The meaning is that of torchvision.ops.roi_pool (R. Girshick, Fast R-CNN, 2015).""",
    },
    "roi_align": {
        "array": "x",
        "index": "A box names an image that is not there.",
        "nan": """\
A NaN makes the result of each bin that it has a weight in NaN; or is left out, with its
    weight in means, with the samples that read it in maxima; or any NaN in x is a ValueError.""",
        "pair": "",
        "result": """
ndarray, shape (K, C, {output_size})
    In the dtype of x if that is a float type, otherwise float64.""",
        "notes": f"""{_SAMPLES}

All is computed in float64 and rounded once. The meaning is that of torchvision.ops.roi_align
(K. He, G. Gkioxari, P. Dollar, R. Girshick: Mask R-CNN, 2017), of whose samples "max" is the
largest.""",
    },
}
_GRADIENT = {
    "array": "`grad`",
    "pair": "",
    "result": """
ndarray, of the shape `input_shape`
    The gradient of x, in the dtype of `grad`{or_float}.""",
}
_FUNCTIONS["roi_pool_backward"] = {
    **_GRADIENT,
    "grads": "integers or floats",
    "or_float": "",
    "index": """\
A box names an image that is not there, or an index lies outside its plane and is not -1; the
    message names the first. Nothing has been written then, unless another thread changes the
    indices meanwhile.""",
    "notes": """
Where bins share a place their gradients are added box by box and in row-major order of the bins,
whatever the number of threads: floats in float64, rounded once at the end, integers modulo two to
their number of bits. Of the boxes only the numbers of the images are used.""",
}
_FUNCTIONS["roi_align_backward"] = {
    **_GRADIENT,
    "grads": "floats, or integers, which are taken as float64",
    "or_float": " or in float64",
    "index": "A box names an image that is not there.",
    "notes": """
Each element gets the gradients of the bins, divided by their number of samples, times its weights
in them, box by box in float64, rounded once at the end: the same bits whatever the layout and the
number of threads. With ``mode="max"`` all goes to the elements around the largest sample of a bin,
of equal ones the first, or the first that is NaN; a sample beyond the image that is larger than all
others gives nothing on.""",
}


_OWN_PARAMETERS = {
    "roi_align_backward": {
        "x": """
x : array_like, shape `input_shape`, optional
    What was pooled, for ``mode="max"``, of any element type and strides; never copied.""",
    },
}


def _filled(text: str, words: dict[str, str]) -> str:
    return text.format(**{"output_size": "height, width", **words}).strip()


def complete_roi(function: _Function) -> _Function:
    """Put the parameters, the result, the errors and the notes into a docstring."""
    if function.__doc__ is None:  # python -OO
        return function
    words = _FUNCTIONS[function.__name__]
    start, found, examples = inspect.cleandoc(function.__doc__).partition("Examples\n--------\n")
    names = inspect.signature(function).parameters
    parts = [start.strip(), "", "Parameters", "----------"]
    parameters = {**_PARAMETERS, **_OWN_PARAMETERS.get(function.__name__, {})}
    parts += [_filled(parameters[name], words) for name in names]
    parts += ["", "Returns", "-------", _filled(words["result"], words)]
    parts += ["", _filled(_RAISES, words), "", "Notes", "-----", words["notes"].strip(), ""]
    function.__doc__ = "\n".join(parts) + "\n" + found + examples + "\n"
    return function
