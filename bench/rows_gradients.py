"""Rows of the ways back from windows, of unpooling, and of pooling and its gradient together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import poolcore
from bench.rows import Operation, aten, by_torch, functional, random_array

WINDOWS = ((112, 3, 2, 1), (112, 2, 2, 0), (28, 3, 1, 1), (14, 2, 2, 0))


def gradients() -> Iterator[Operation]:
    """Of maxima and means of windows."""
    for n, k, s, p in WINDOWS:
        x = random_array(8, 64, n, n)
        y, at = poolcore.max_pool2d(x, k, s, p, return_indices=True)
        grad = random_array(*y.shape)
        what = f"{k}x{k} s{s} on {n}"
        yield Operation(
            f"max_pool2d_backward {what}",
            lambda g=grad, at=at, x=x: poolcore.max_pool2d_backward(g, at, x.shape),
            {"torch": by_torch(
                lambda torch, g, t, i, a=((k, k), (s, s), (p, p), (1, 1), False):
                torch.ops.aten.max_pool2d_with_indices_backward(g, t, *a, i), grad, x, at)},
        )  # fmt: skip
        yield Operation(
            f"avg_pool2d_backward {what}",
            lambda g=grad, x=x, a=(k, s, p): poolcore.avg_pool2d_backward(g, x.shape, *a),
            {"torch": by_torch(aten("avg_pool2d_backward", (k, k), (s, s), (p, p), False, True,
                                    None), grad, x)},
        )  # fmt: skip


def _gathered(torch: Any, grad: Any, at: Any) -> Any:
    """What PyTorch's way back through unpooling is."""
    return grad.flatten(2).gather(2, at.flatten(2)).reshape(at.shape)


def unpooling() -> Iterator[Operation]:
    """Values back to their places, and the gradients of that."""
    for shape in ((8, 64, 112, 112), (8, 64, 14, 14), (8, 64, 4000), (2, 32, 24, 24, 24)):
        nd = len(shape) - 2
        x = random_array(*shape)
        pooling, unpool, back = (
            getattr(poolcore, name)
            for name in (f"max_pool{nd}d", f"max_unpool{nd}d", f"max_unpool{nd}d_backward")
        )
        y, at = pooling(x, 2, return_indices=True)
        what = f"{'x'.join('2' * nd)} s2 on {shape[-1]}"
        yield Operation(
            f"max_unpool{nd}d {what}",
            lambda f=unpool, y=y, at=at: f(y, at, 2),
            {"torch": by_torch(functional(f"max_unpool{nd}d", 2), y, at)},
        )
        yield Operation(
            f"max_unpool{nd}d_backward {what}",
            lambda f=back, x=x, at=at: f(x, at, at.shape),
            {"torch": by_torch(_gathered, x, at)},
        )


def _max_pooled_both_ways(torch: Any, grad: Any, x: Any, *window: int) -> Any:
    """Gradients by PyTorch's autograd, the forward call included."""
    x = x.detach().requires_grad_(True)
    pooled = torch.nn.functional.max_pool2d(x, *window)
    return torch.autograd.grad(pooled, x, grad)[0]


def both_ways() -> Iterator[Operation]:
    """Max pooling and its gradient, one after the other."""
    for n, k, s, p in WINDOWS:
        x = random_array(8, 64, n, n)
        window = (k, s, p)
        grad = random_array(*poolcore.max_pool2d(x, *window).shape)

        def call(x: Any = x, grad: Any = grad, window: Any = window) -> np.ndarray:
            at = poolcore.max_pool2d(x, *window, return_indices=True)[1]
            return poolcore.max_pool2d_backward(grad, at, x.shape)

        yield Operation(
            f"max_pool2d forward and backward {k}x{k} s{s} on {n}",
            call,
            {"torch": by_torch(lambda torch, g, t, w=window: _max_pooled_both_ways(
                torch, g, t, *w), grad, x)},
        )  # fmt: skip
