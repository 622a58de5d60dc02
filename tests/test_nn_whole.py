"""Layers of poolcore.nn on whole planes, and those without a gradient."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import poolcore
from poolcore import nn
from support import assert_same

LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def data(rng: np.random.Generator, nd: int, dtype: str = "f8") -> np.ndarray:
    return rng.integers(0, 200, (2, 3, *(9, 8, 7)[:nd])).astype(dtype)


def made() -> list[tuple[Any, str, str]]:
    """Layers, the dtype of what they are given, and what they look like."""
    window = "kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False"
    layers: list[tuple[Any, str, str]] = []
    for nd in (2, 3):
        for kind, dtype in (("Median", "f4"), ("Median", "u1"), ("Mode", "i2")):
            layer = getattr(nn, f"{kind}Pool{nd}d")(3, 2, 1)
            layers.append((layer, dtype, f"{kind}Pool{nd}d({window})"))
    layers += [
        (nn.GeMPool(), "f4", "GeMPool(p=3.0, eps=1e-06)"),
        (nn.GeMPool(2, 0, keepdims=False), "f8", "GeMPool(p=2, eps=0, keepdims=False)"),
        (nn.GeMPool(0.5, layout="NHWC"), "f4", "GeMPool(p=0.5, eps=1e-06, layout='NHWC')"),
        (nn.SpatialPyramidPool(), "f4", "SpatialPyramidPool(levels=(1, 2, 4), op='max')"),
        (nn.SpatialPyramidPool([3, 1], "avg", layout="NHWC"), "f8",
         "SpatialPyramidPool(levels=[3, 1], op='avg', layout='NHWC')"),
        (nn.SpatialPyramidPool(2, "min"), "f2", "SpatialPyramidPool(levels=2, op='min')"),
        (nn.SpatialPyramidPool(2, "sum"), "i4", "SpatialPyramidPool(levels=2, op='sum')"),
    ]  # fmt: skip
    return layers


def axes_of(layer: Any) -> int:
    return int(type(layer).__name__[-2]) if type(layer).__name__.endswith("d") else 2


@pytest.mark.parametrize(("layer", "dtype", "text"), made(), ids=str)
def test_repr_and_pickling(layer: Any, dtype: str, text: str, rng: np.random.Generator) -> None:
    assert repr(layer) == text
    x = data(rng, axes_of(layer), dtype)
    want = layer(x)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        kept = pickle.dumps(layer, protocol)
        assert len(kept) < 1000, "arrays of the last call"
        other = pickle.loads(kept)
        assert type(other) is type(layer)
        assert repr(other) == text
        assert_same(other(x), want)


@pytest.mark.parametrize("nd", [2, 3])
@pytest.mark.parametrize(("kind", "dtype"), [("median", "f4"), ("median", "u1"), ("mode", "u2")])
def test_medians_and_majorities(kind: str, dtype: str, nd: int, rng: np.random.Generator) -> None:
    for last in (False, True):
        x = data(rng, nd, dtype)
        options = {"layout": LAST[nd]} if last else {}
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x
        layer = getattr(nn, f"{kind.title()}Pool{nd}d")(3, 2, 1, 2, True, **options)
        want = getattr(poolcore, f"{kind}_pool{nd}d")(x, 3, 2, 1, 2, True, **options)
        assert_same(layer(x), want)
        assert_same(layer.eval()(x), want)
        assert layer.train() is layer
    assert getattr(nn, f"{kind.title()}Pool{nd}d")(2).stride == 2


@pytest.mark.parametrize("name", ["MedianPool2d", "MedianPool3d", "ModePool2d", "ModePool3d"])
def test_what_has_no_gradient_says_so(name: str) -> None:
    layer = getattr(nn, name)(2)
    for train in (True, False):
        layer.train(train)
        with pytest.raises(NotImplementedError, match=rf"^{name}.backward: .* have no gradient"):
            layer.backward(np.ones((1, 2, 2)))


@pytest.mark.parametrize("options", [{}, {"keepdims": False}, {"layout": "last"}], ids=str)
@pytest.mark.parametrize("p", [1, 2, 3.0, 2.5, 0.75])
@pytest.mark.parametrize("nd", [1, 2, 3])
def test_generalised_means(
    nd: int, p: float, options: dict[str, Any], rng: np.random.Generator
) -> None:
    options = {**options, "layout": LAST[nd]} if "layout" in options else options
    x = rng.standard_normal((2, 3, *(9, 8, 7)[:nd]))
    layer = nn.GeMPool(p, 0.25, **options)
    got = layer(x)
    assert_same(got, poolcore.gem_pool(x, p, 0.25, **options))
    grad = rng.standard_normal(got.shape)
    back = poolcore.gem_pool_backward(grad, x, p, 0.25, **options)
    x[...] = 0  # the layer has its own
    assert_same(layer.backward(grad), back)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("op", ["max", "min", "avg", "sum"])
def test_spatial_pyramids(op: str, layout: str, rng: np.random.Generator) -> None:
    for shape in ((2, 9, 8, 7), (9, 8, 7)):
        x = rng.standard_normal(shape)
        layer = nn.SpatialPyramidPool((1, 3), op, layout=layout)
        got = layer(x)
        assert_same(got, poolcore.spatial_pyramid_pool(x, (1, 3), op, layout=layout))
        grad = rng.standard_normal(got.shape)
        indices = None
        if op in ("max", "min"):
            _, indices = poolcore.spatial_pyramid_pool(
                x, (1, 3), op, return_indices=True, layout=layout
            )
        back = poolcore.spatial_pyramid_pool_backward(
            grad, x.shape, (1, 3), op, indices=indices, layout=layout
        )
        assert_same(layer.backward(grad), back)
        assert_same(layer.backward(grad), back)
        with pytest.raises(ValueError, match=r"^spatial_pyramid_pool_backward: grad must have"):
            layer.backward(grad[..., 1:])
        assert_same(layer.eval()(x), got)


@pytest.mark.parametrize("layer", [nn.GeMPool(), nn.SpatialPyramidPool()], ids=repr)
def test_modes_and_backward_without_a_call(layer: Any, rng: np.random.Generator) -> None:
    x = data(rng, 2)
    layer.train()
    with pytest.raises(ValueError, match=r"^(gem|spatial_pyramid)_pool: x"):
        layer(np.ones(()))
    with pytest.raises(RuntimeError, match="nothing was saved; call the layer first"):
        layer.backward(x)
    want = layer(x)
    assert layer.backward(want).shape == x.shape
    assert layer.eval() is layer
    with pytest.raises(RuntimeError, match="evaluation mode"):
        layer.backward(want)
    assert_same(layer(x), want)
    with pytest.raises(RuntimeError, match="evaluation mode"):
        layer.backward(want)


def test_what_an_operation_refuses_the_layer_refuses() -> None:
    x = np.ones((1, 2, 4, 4))
    with pytest.raises(TypeError, match=r"^mode_pool2d: x has dtype float64"):
        nn.ModePool2d(2)(x)
    with pytest.raises(ValueError, match=r"^gem_pool: p"):
        nn.GeMPool(0)(x)
    with pytest.raises(ValueError, match=r"^spatial_pyramid_pool: levels\[1\]=0"):
        nn.SpatialPyramidPool((1, 0))(x)
    for op in ("median", None, ["max"]):
        with pytest.raises((ValueError, TypeError), match=r"^spatial_pyramid_pool: op"):
            nn.SpatialPyramidPool(2, op)(x)  # type: ignore[arg-type]
