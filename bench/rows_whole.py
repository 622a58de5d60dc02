"""Rows of windows whose number is given, of whole planes, and the ways back from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import poolcore
from bench.rows import Operation, aten, autograd, by_numpy, by_torch, functional, random_array

SHAPES = (
    ((8, 256, 56, 56), 7), ((1, 256, 13, 13), 6), ((32, 2048, 7, 7), 1), ((8, 64, 14, 14), 30),
    ((8, 256, 1000), 50), ((8, 256, 1500), 7), ((2, 64, 16, 28, 28), (4, 7, 7)),
    ((1, 32, 30, 30, 30), 8),
)  # fmt: skip


def adaptive() -> Iterator[Operation]:
    """Windows whose number is given, in one, two and three dimensions."""
    for shape, size in SHAPES:
        x = random_array(*shape)
        nd = len(shape) - 2
        for op in ("avg", "max"):
            function = getattr(poolcore, f"adaptive_{op}_pool{nd}d")
            yield Operation(
                f"adaptive_{op}_{nd}d {shape[-1]} to {size}",
                lambda f=function, x=x, s=size: f(x, s),
                {"torch": by_torch(functional(f"adaptive_{op}_pool{nd}d", size), x)},
            )


def adaptive_backward() -> Iterator[Operation]:
    """The gradients of those."""
    for shape, size in SHAPES:
        x = random_array(*shape)
        nd = len(shape) - 2
        what = f"{shape[-1]} from {size}"
        values, at = getattr(poolcore, f"adaptive_max_pool{nd}d")(x, size, return_indices=True)
        grad = random_array(*values.shape)
        mean = getattr(poolcore, f"adaptive_avg_pool{nd}d_backward")
        largest = getattr(poolcore, f"adaptive_max_pool{nd}d_backward")
        forward = functional(f"adaptive_avg_pool{nd}d", size)
        yield Operation(
            f"adaptive_avg_backward_{nd}d {what}",
            lambda f=mean, g=grad, x=x: f(g, x.shape),
            {"torch": autograd(forward, grad, x)},
        )
        theirs = functional(f"adaptive_max_pool{nd}d", size)
        if nd > 1:
            other = by_torch(aten(f"adaptive_max_pool{nd}d_backward"), grad, x, at)
        else:
            other = autograd(theirs, grad, x)
        yield Operation(
            f"adaptive_max_backward_{nd}d {what}",
            lambda f=largest, g=grad, at=at, x=x: f(g, at, x.shape),
            {"torch": other},
        )


def _gem(torch: Any, x: Any, p: float = 3.0) -> Any:
    return x.clamp(min=1e-6).pow(p).mean((2, 3), keepdim=True).pow(1 / p)


def _numpy_gem(numpy: Any, x: np.ndarray, p: float = 3.0) -> np.ndarray:
    found: np.ndarray = (numpy.maximum(x, 1e-6) ** p).mean((2, 3), keepdims=True) ** (1 / p)
    return found


def whole_planes() -> Iterator[Operation]:
    """Global pooling and generalised means."""
    for shape in ((32, 2048, 7, 7), (8, 64, 112, 112)):
        x = random_array(*shape)
        for op, theirs in (("max", "amax"), ("min", "amin"), ("avg", "mean"), ("sum", "sum")):
            plain = {"amax": "max", "amin": "min"}.get(theirs, theirs)
            function = getattr(poolcore, f"global_{op}_pool")
            yield Operation(
                f"global_{op}_pool of {shape[-1]}x{shape[-1]}",
                lambda f=function, x=x: f(x),
                {
                    "torch": by_torch(
                        lambda torch, t, n=theirs: getattr(t, n)((2, 3), keepdim=True), x
                    ),
                    "numpy": by_numpy(
                        lambda numpy, x, n=plain: getattr(x, n)((2, 3), keepdims=True), x
                    ),
                },
            )
        for p in (2.0, 3.0):
            yield Operation(
                f"global_lp_pool p={p:g} of {shape[-1]}x{shape[-1]}",
                lambda p=p, x=x: poolcore.global_lp_pool(x, p),
                {
                    "torch": by_torch(
                        lambda torch, t, p=p: torch.linalg.vector_norm(t, p, (2, 3), True), x
                    )
                },
            )
        yield Operation(
            f"gem_pool of {shape[-1]}x{shape[-1]}",
            lambda x=x: poolcore.gem_pool(x),
            {"torch": by_torch(_gem, x), "numpy": by_numpy(_numpy_gem, x)},
        )


def whole_backward() -> Iterator[Operation]:
    """The gradients of those."""
    for shape in ((32, 2048, 7, 7), (8, 64, 112, 112)):
        x = random_array(*shape)
        values, at = poolcore.global_max_pool(x, return_indices=True)
        grad = random_array(*values.shape)
        what = f"of {shape[-1]}x{shape[-1]}"
        yield Operation(
            f"global_max_pool_backward {what}",
            lambda g=grad, at=at, x=x: poolcore.global_max_pool_backward(g, at, x.shape),
            {"torch": by_torch(aten("adaptive_max_pool2d_backward"), grad, x, at)},
        )
        for op in ("avg", "sum"):
            name = {"avg": "mean"}.get(op, op)
            function = getattr(poolcore, f"global_{op}_pool_backward")
            yield Operation(
                f"global_{op}_pool_backward {what}",
                lambda f=function, g=grad, x=x: f(g, x.shape),
                {
                    "torch": autograd(
                        lambda torch, t, n=name: getattr(t, n)((2, 3), keepdim=True), grad, x
                    )
                },
            )
        yield Operation(
            f"global_lp_pool_backward p=2 {what}",
            lambda g=grad, x=x: poolcore.global_lp_pool_backward(g, x),
            {
                "torch": autograd(
                    lambda torch, t: torch.linalg.vector_norm(t, 2, (2, 3), True), grad, x
                )
            },
        )
        yield Operation(
            f"gem_pool_backward {what}",
            lambda g=grad, x=x: poolcore.gem_pool_backward(g, x),
            {"torch": autograd(_gem, grad, x)},
        )


def _spatial_pyramid(torch: Any, x: Any, op: str = "max") -> Any:
    pool = getattr(torch.nn.functional, f"adaptive_{op}_pool2d")
    return torch.cat([pool(x, n).flatten(1) for n in (1, 2, 4)], 1)


def spatial_pyramids() -> Iterator[Operation]:
    """Planes of any size to vectors of one length, and back."""
    for shape in ((8, 256, 13, 13), (4, 64, 60, 80)):
        x = random_array(*shape)
        what = f"1, 2, 4 of {shape[2]}x{shape[3]}"
        for op in ("max", "avg"):

            def forward(torch: Any, t: Any, op: str = op) -> Any:
                return _spatial_pyramid(torch, t, op)

            yield Operation(
                f"spatial_pyramid {op} {what}",
                lambda x=x, op=op: poolcore.spatial_pyramid_pool(x, op=op),
                {"torch": by_torch(forward, x)},
            )
            at = None
            if op == "max":
                at = poolcore.spatial_pyramid_pool(x, return_indices=True)[1]
            grad = random_array(shape[0], shape[1] * 21)
            yield Operation(
                f"spatial_pyramid_backward {op} {what}",
                lambda g=grad, x=x, op=op, at=at: poolcore.spatial_pyramid_pool_backward(
                    g, x.shape, op=op, indices=at
                ),
                {"torch": autograd(forward, grad, x)},
            )
