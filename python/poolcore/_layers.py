"""What the layers of `poolcore.nn` are made of: one class for each kind of pooling.

A subclass names its functions and its number of axes. What the last call saved is dropped before
a call, so that a failed call leaves nothing that `backward` could mistake for its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, SupportsIndex, TypeVar

import numpy as np

from poolcore._adapters import as_array
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    IndexInput,
    Layout,
    Padding,
    PadPairs,
    PerAxis,
)

__all__ = [
    "Average",
    "AverageWithDivisor",
    "Extremum",
    "KeepsInput",
    "Pooling",
    "Sum",
    "Unpooling",
    "Window",
    "documented",
    "shape_of",
]

_Layer = TypeVar("_Layer", bound="Pooling")
_Class = TypeVar("_Class", bound=type)

_PARAMETERS = {
    "norm_type": "float\n    The exponent of the norm, above 0. Infinity: the largest magnitude.",
    "kernel_size": "int or one int an axis\n    Elements of x in a window.",
    "output_ratio": """float or one float an axis, optional
    Instead of `output_size`: windows for each element, between 0 and 1.""",
    "rng": """numpy.random.Generator or int, optional
    Draws the windows of every call; a number is a seed.""",
    "output_size": """int, None or one of them an axis
    Windows along each axis; None for as many as there are elements.""",
    "stride": """int or one int an axis, optional
    Elements from one window to the next. By default `kernel_size`.""",
    "padding": """int, one int or pair (low, high) an axis, "valid", "same" or "same_lower"
    As for `poolcore.max_pool2d`; no words for unpooling.""",
    "dilation": "int or one int an axis\n    Elements from one tap of a window to the next.",
    "return_indices": """bool
    Also return where each value was found.""",
    "ceil_mode": "bool\n    Round the number of windows up instead of down.",
    "count_include_pad": "bool\n    Whether the divisor counts the taps that fall on padding.",
    "divisor_override": "int, optional\n    Divide every sum by this.",
    "layout": """"NCHW" or "NHWC" and the like, optional
    Order of the axes. By default the channels come first.""",
}


def documented(cls: _Class) -> _Class:
    """Put the parameters, in the order of the signature, into the docstring of a layer."""
    cls.__module__ = "poolcore.nn"  # the one that users know
    if cls.__doc__ is None:  # python -OO
        return cls
    start, found, examples = inspect.cleandoc(cls.__doc__).partition("Examples\n--------\n")
    lines = [start.rstrip(), "\nParameters\n----------"]
    words = {**_PARAMETERS, **getattr(cls, "_words", {})}
    lines += [f"{name} : {words[name]}" for name in inspect.signature(cls).parameters]
    cls.__doc__ = "\n".join(lines) + "\n\n" + found + examples + "\n"
    return cls


class Pooling:
    """What all layers share: modes, what the last call left behind, how they look."""

    _axes: ClassVar[int]
    _shown: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding")
    # Shown where they are not what they are by default.
    _shown_unless: ClassVar[dict[str, Any]] = {}

    kernel_size: PerAxis
    stride: PerAxis
    layout: Layout
    training: bool
    _saved: tuple[Any, ...] | None

    def _start(self, kernel_size: PerAxis, stride: PerAxis | None, layout: Layout | None) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self._start_modes(layout)

    def _start_modes(self, layout: Layout | None) -> None:
        defaults: tuple[Layout, ...] = ("NCW", "NCHW", "NCDHW")
        self.layout = defaults[self._axes - 1] if layout is None else layout
        self.training = True
        self._saved = None

    def train(self: _Layer, mode: bool = True) -> _Layer:
        """Keep what `backward` needs from now on, or no longer; returns the layer itself."""
        self.training = bool(mode)
        if not mode:
            self._saved = None
        return self

    def eval(self: _Layer) -> _Layer:
        """Keep nothing for `backward` from now on; returns the layer itself."""
        return self.train(False)

    def _last_call(self) -> tuple[Any, ...]:
        if self._saved is None:
            why = "call the layer first" if self.training else "it is in evaluation mode"
            raise RuntimeError(f"{type(self).__name__}.backward: nothing was saved; {why}")
        return self._saved

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in self._shown]
        for name, default in self._shown_unless.items():
            text = repr(getattr(self, name))
            shown += [f"{name}={text}"] if text != repr(default) else []
        if self.layout and self.layout.endswith("C"):
            shown.append(f"layout={self.layout!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the arguments and the mode, not the last call."""
        return {**self.__dict__, "_saved": None}


class Dilated(Pooling):
    """Windows without other options."""

    _shown: ClassVar[tuple[str, ...]] = (
        "kernel_size", "stride", "padding", "dilation", "ceil_mode",
    )  # fmt: skip

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: Flag = False,
        *,
        layout: Layout | None = None,
    ) -> None:
        self._start(kernel_size, stride, layout)
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*Dilated._shown, "layout")}


class Extremum(Dilated):
    """Maxima and minima: the gradient goes to the indices."""

    _shown_unless: ClassVar[dict[str, Any]] = {"return_indices": False}
    _forward: ClassVar[Callable[..., Any]]
    _backward: ClassVar[Callable[..., Array]]

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        return_indices: Flag = False,
        ceil_mode: Flag = False,
        *,
        layout: Layout | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode, layout=layout)
        self.return_indices = return_indices

    def __call__(self, x: ArrayInput) -> Any:
        """Pool x; with `return_indices` a tuple of values and indices."""
        self._saved = None
        # Anything but a bool is the function's to refuse.
        given = isinstance(self.return_indices, bool | np.bool_)
        both = True if self.training and given else self.return_indices
        found = type(self)._forward(x, **self._options(), return_indices=both)
        if not both:
            return found
        values, indices = found
        if self.training:
            # A caller who is given the indices may change them.
            self._saved = (indices.copy() if self.return_indices else indices, shape_of(x))
        return (values, indices) if self.return_indices else values

    def backward(self, grad: ArrayInput) -> Array:
        """Carry the gradient of the values of the last call back to its input."""
        indices, shape = self._last_call()
        return type(self)._backward(grad, indices, shape, layout=self.layout)


class Window(Pooling):
    """Means and sums: the shape of the input is all that the gradient needs."""

    _forward: ClassVar[Callable[..., Array]]
    _backward: ClassVar[Callable[..., Array]]

    def _options(self) -> dict[str, Any]:
        raise NotImplementedError

    def __call__(self, x: ArrayInput) -> Array:
        """Pool x."""
        self._saved = None
        values = type(self)._forward(x, **self._options())
        if self.training:
            self._saved = (shape_of(x), values.shape)
        return values

    def backward(self, grad: ArrayInput) -> Array:
        """Carry the gradient of the results of the last call back to its input."""
        shape, _ = self._last_call()
        return type(self)._backward(grad, shape, **self._options())


class KeepsInput(Pooling):
    """The gradient needs the elements themselves, of which training keeps a copy."""

    _forward: ClassVar[Callable[..., Array]]
    _backward: ClassVar[Callable[..., Array]]

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*self._shown, "layout")}

    def __call__(self, x: ArrayInput) -> Array:
        """Pool x."""
        self._saved = None
        values = type(self)._forward(x, **self._options())
        if self.training:  # a caller may change x
            array = as_array(x, None, type(self)._forward.__name__, "x")
            self._saved = (np.array(array, order="K"),)
        return values

    def backward(self, grad: ArrayInput) -> Array:
        """Carry the gradient of the results of the last call back to its input."""
        (x,) = self._last_call()
        return type(self)._backward(grad, x, **self._options())


class Average(Window):
    """Means."""

    _shown_unless: ClassVar[dict[str, Any]] = {
        "ceil_mode": False, "count_include_pad": True, "divisor_override": None,
    }  # fmt: skip

    divisor_override: SupportsIndex | None = None

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        ceil_mode: Flag = False,
        count_include_pad: Flag = True,
        *,
        layout: Layout | None = None,
    ) -> None:
        self._start(kernel_size, stride, layout)
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def _options(self) -> dict[str, Any]:
        names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad",
                 "divisor_override", "layout")  # fmt: skip
        return {name: getattr(self, name) for name in names}


class AverageWithDivisor(Average):
    """Means in two and three dimensions, as torch.nn has them."""

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        ceil_mode: Flag = False,
        count_include_pad: Flag = True,
        divisor_override: SupportsIndex | None = None,
        *,
        layout: Layout | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad, layout=layout)
        self.divisor_override = divisor_override


class Sum(Dilated, Window):
    """Sums."""


class Unpooling(Pooling):
    """The way back from indices."""

    _forward: ClassVar[Callable[..., Array]]
    _backward: ClassVar[Callable[..., Array]]

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PadPairs = 0,
        *,
        layout: Layout | None = None,
    ) -> None:
        self._start(kernel_size, stride, layout)
        self.padding = padding

    def __call__(
        self, x: ArrayInput, indices: IndexInput, output_size: PerAxis | None = None
    ) -> Array:
        """Put the values of x at their indices, with zeros elsewhere."""
        self._saved = None
        result = type(self)._forward(
            x, indices, self.kernel_size, self.stride, self.padding, output_size,
            layout=self.layout,
        )  # fmt: skip
        if self.training:  # a caller may change the indices
            array = as_array(indices, None, type(self)._forward.__name__, "indices")
            self._saved = (np.array(array, order="K"), result.shape)
        return result

    def backward(self, grad: ArrayInput) -> Array:
        """Carry the gradient of the result of the last call back to the values.

        Of several values with one index only the last, which is the one that stayed, gets any.
        """
        indices, shape = self._last_call()
        if shape_of(grad) != shape:  # any larger planes would do, too
            raise ValueError(
                f"{type(self).__name__}.backward: grad must have shape {shape}, "
                f"got {shape_of(grad)}"
            )
        return type(self)._backward(grad, indices, indices.shape, layout=self.layout)


def shape_of(x: Any) -> tuple[int, ...]:
    shape = getattr(x, "shape", None)
    return tuple(np.shape(x) if shape is None else map(int, shape))
