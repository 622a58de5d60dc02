"""Rows of norms, soft, stochastic and fractional windows, and the ways back from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import poolcore
from bench.rows import Operation, aten, autograd, by_numpy, by_torch, functional, random_array


def norms() -> Iterator[Operation]:
    """Norms in one, two and three dimensions."""
    x = random_array(8, 64, 56, 56)
    for p in (1.0, 2.0, 3.0, 2.5, float("inf")):
        yield Operation(
            f"lp_pool2d p={p:g} 3x3 s2",
            lambda p=p: poolcore.lp_pool2d(x, p, 3, 2),
            {} if p == float("inf") else {"torch": by_torch(functional("lp_pool2d", p, 3, 2), x)},
        )
    line, volume = random_array(8, 64, 4000), random_array(2, 32, 24, 24, 24)
    for p in (2.0, 2.5):
        yield Operation(
            f"lp_pool1d p={p:g} 4 s4",
            lambda p=p: poolcore.lp_pool1d(line, p, 4),
            {"torch": by_torch(functional("lp_pool1d", p, 4), line)},
        )
        yield Operation(
            f"lp_pool3d p={p:g} 2x2x2 s2",
            lambda p=p: poolcore.lp_pool3d(volume, p, 2),
            {"torch": by_torch(functional("lp_pool3d", p, 2), volume)},
        )
        grad = random_array(8, 64, 27, 27)
        yield Operation(
            f"lp_pool2d_backward p={p:g} 3x3 s2",
            lambda p=p, g=grad: poolcore.lp_pool2d_backward(g, x, p, 3, 2),
            {"torch": autograd(functional("lp_pool2d", p, 3, 2), grad, x)},
        )


def _soft(numpy: Any, windows: np.ndarray) -> np.ndarray:
    weights = numpy.exp(windows)
    return (weights * windows).sum((3, 5)) / weights.sum((3, 5))  # type: ignore[no-any-return]


def _soft_gradient(torch: Any, grad: Any, x: Any) -> Any:
    """Gradients of SoftPool by PyTorch's autograd, the forward call included."""
    x = x.detach().requires_grad_(True)
    windows = x.reshape(8, 64, 28, 2, 28, 2)
    weights = windows.exp()
    pooled = (weights * windows).sum((3, 5)) / weights.sum((3, 5))
    return torch.autograd.grad(pooled, x, grad)[0]


def soft() -> Iterator[Operation]:
    """SoftPool and its gradient."""
    x = random_array(8, 64, 56, 56)
    yield Operation(
        "soft_pool2d 2x2 s2",
        lambda: poolcore.soft_pool2d(x, 2),
        {"numpy": by_numpy(_soft, x.reshape(8, 64, 28, 2, 28, 2))},
    )
    grad = random_array(8, 64, 28, 28)
    yield Operation(
        "soft_pool2d_backward 2x2 s2",
        lambda: poolcore.soft_pool2d_backward(grad, x, 2),
        {"torch": by_torch(_soft_gradient, grad, x)},
    )


def _drawn(numpy: Any, x: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Stochastic pooling of 2x2 windows in NumPy."""
    windows = x.reshape(8, 64, 28, 2, 28, 2).swapaxes(3, 4).reshape(8, 64, 28, 28, 4)
    running = windows.cumsum(-1, dtype=numpy.float64)
    drawn = (running <= (chances * running[..., -1])[..., None]).sum(-1, keepdims=True)
    return numpy.take_along_axis(windows, drawn.clip(max=3), -1)[..., 0]  # type: ignore[no-any-return]


def _shares(numpy: Any, windows: np.ndarray) -> np.ndarray:
    """The test phase of stochastic pooling."""
    return numpy.square(windows).sum((3, 5)) / windows.sum((3, 5))  # type: ignore[no-any-return]


def stochastic() -> Iterator[Operation]:
    """Elements drawn by their share of the sum, and the mean of what would be drawn."""
    x = random_array(8, 64, 56, 56)
    chances = np.random.default_rng(0).random((8, 64, 28, 28))
    yield Operation(
        "stochastic_pool2d 2x2 s2",
        lambda: poolcore.stochastic_pool2d(x, 2, random_samples=chances),
        {"numpy": by_numpy(_drawn, x, chances)},
    )
    windows = x.reshape(8, 64, 28, 2, 28, 2)
    yield Operation(
        "stochastic_pool2d test phase 2x2 s2",
        lambda: poolcore.stochastic_pool2d(x, 2, training=False),
        {
            "numpy": by_numpy(_shares, windows),
            "torch": by_torch(lambda torch, w: w.square().sum((3, 5)) / w.sum((3, 5)), windows),
        },
    )


def fractional() -> Iterator[Operation]:
    """Windows at random steps, from the same samples."""
    for shape, size in (((8, 64, 56, 56), 39), ((2, 32, 24, 24, 24), 15)):
        nd = len(shape) - 2
        x, samples = random_array(*shape), random_array(*shape[:2], nd)
        function = getattr(poolcore, f"fractional_max_pool{nd}d")

        def theirs(torch: Any, t: Any, s: Any, nd: int = nd, n: int = size, i: bool = False) -> Any:
            pool = getattr(torch.nn.functional, f"fractional_max_pool{nd}d")
            return pool(t, 2, output_size=n, return_indices=i, _random_samples=s)

        def both(torch: Any, t: Any, s: Any, call: Any = theirs) -> Any:
            return call(torch, t, s, i=True)

        what = f"{shape[-1]} to {size}"
        yield Operation(
            f"fractional_max_pool{nd}d {what}",
            lambda f=function, x=x, n=size, s=samples: f(x, 2, n, random_samples=s),
            {"torch": by_torch(theirs, x, samples)},
        )
        yield Operation(
            f"fractional_max_pool{nd}d {what} indices",
            lambda f=function, x=x, n=size, s=samples: f(
                x, 2, n, return_indices=True, random_samples=s
            ),
            {"torch": by_torch(both, x, samples)},
        )
        values, at = function(x, 2, size, return_indices=True, random_samples=samples)
        grad = random_array(*values.shape)
        back = getattr(poolcore, f"fractional_max_pool{nd}d_backward")
        way = aten(f"fractional_max_pool{nd}d_backward")

        def theirs_back(
            torch: Any, g: Any, t: Any, i: Any, way: Any = way, a: Any = ((2,) * nd, (size,) * nd)
        ) -> Any:
            return way(torch, g, t, *a, i)

        yield Operation(
            f"fractional_max_pool{nd}d_backward {what}",
            lambda f=back, g=grad, at=at, x=x: f(g, at, x.shape),
            {"torch": by_torch(theirs_back, grad, x, at)},
        )
