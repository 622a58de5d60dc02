"""What a row of the operations is, and how the calls of other libraries are made ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Call = Callable[[], Any]


@dataclass(frozen=True)
class Operation:
    """One row: poolcore's call, and others by the module that each needs."""

    name: str
    mine: Call
    others: dict[str, Callable[[Any], Call]] = field(default_factory=dict)
    tolerance: float = 1e-5  # relative to the largest magnitude; 1 for rounded bytes


def random_array(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Give numbers of [0, 1), or bytes below 200."""
    rng = np.random.default_rng(5)
    return (rng.random(shape) * (200 if dtype == "uint8" else 1)).astype(dtype)


def by_torch(call: Callable[..., Any], *arrays: np.ndarray) -> Callable[[Any], Call]:
    """Give a maker of the call of PyTorch: call(torch, *tensors)."""

    def prepare(torch: Any) -> Call:
        tensors = [torch.from_numpy(a) for a in arrays]
        return lambda: call(torch, *tensors)

    return prepare


def by_numpy(call: Callable[..., Any], *arguments: Any) -> Callable[[Any], Call]:
    """Give a maker of the call call(numpy, *arguments)."""
    return lambda numpy: lambda: call(numpy, *arguments)


def autograd(
    forward: Callable[[Any, Any], Any], grad: np.ndarray, x: np.ndarray
) -> Callable[[Any], Call]:
    """Give a maker of PyTorch's way back through forward(torch, x), which is called beforehand.

    Where that is a view that repeats elements it is written out, as everybody's result is.
    """

    def prepare(torch: Any) -> Call:
        tensor = torch.from_numpy(x).requires_grad_(True)
        result, given = forward(torch, tensor), torch.from_numpy(grad)
        way = (result, tensor, given)
        return lambda: torch.autograd.grad(*way, retain_graph=True)[0].contiguous()

    return prepare


def aten(name: str, *arguments: Any) -> Callable[..., Any]:
    """Give a function of PyTorch's core as call(torch, *tensors)."""
    return lambda torch, *tensors: getattr(torch.ops.aten, name)(*tensors, *arguments)


def functional(name: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
    """Give a function of torch.nn.functional as call(torch, *tensors)."""
    return lambda torch, *tensors: getattr(torch.nn.functional, name)(
        *tensors, *arguments, **options
    )
