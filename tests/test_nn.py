"""poolcore.nn: layers under the names of torch.nn, against the functions and PyTorch's layers."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import poolcore
from poolcore import nn
from support import assert_same

KINDS = ("MaxPool", "MinPool", "AvgPool", "SumPool")
ADAPTIVE = ("AdaptiveMaxPool", "AdaptiveMinPool", "AdaptiveAvgPool")
NAMES = [f"{kind}{nd}d" for kind in (*KINDS, *ADAPTIVE, "LPPool", "MaxUnpool") for nd in (1, 2, 3)]
NAMES += ["FractionalMaxPool2d", "FractionalMaxPool3d"]
NAMES += [f"{kind}{nd}d" for kind in ("SoftPool", "StochasticPool") for nd in (1, 2, 3)]
REGIONS = ["RoIAlign", "RoIPool"]  # see test_roi_backward.py
WITHOUT_GRADIENT = ["MedianPool2d", "MedianPool3d", "ModePool2d", "ModePool3d"]
WHOLE = ["GeMPool", "SpatialPyramidPool"]  # these and those: see test_nn_whole.py
EVERY = NAMES + REGIONS + WITHOUT_GRADIENT + WHOLE
LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def layer(kind: str, nd: int, *arguments: Any, **options: Any) -> Any:
    return getattr(nn, f"{kind}{nd}d")(*arguments, **options)


def data(rng: np.random.Generator, nd: int) -> np.ndarray:
    return rng.permutation(2 * 3 * 9**nd).astype(np.float64).reshape(2, 3, *(9,) * nd)


def typical(name: str) -> Any:
    """A layer whose windows no chance decides."""
    if name.startswith("Fractional"):
        return getattr(nn, name)(3, 7)
    if name.startswith("Stochastic"):
        return getattr(nn, name)(1, 2)
    return getattr(nn, name)(*((3,) if "Adaptive" in name else (3, 2, 1)))


def test_names() -> None:
    assert sorted(nn.__all__) == sorted(EVERY)
    assert poolcore.nn is nn


@pytest.mark.parametrize("name", EVERY)
def test_arguments_are_typed_and_described(name: str) -> None:
    cls = getattr(nn, name)
    text = inspect.getdoc(cls) or ""
    assert "Parameters\n----------" in text
    assert "Examples\n--------" in text
    for parameter in inspect.signature(cls).parameters.values():
        assert parameter.annotation is not parameter.empty
        assert f"\n{parameter.name} : " in text
    for method in ("__call__", "backward", "train", "eval"):
        assert inspect.getdoc(getattr(cls, method))


def test_argument_order_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for kind in ("MaxPool", "AvgPool", "LPPool", "MaxUnpool", "AdaptiveMaxPool", "AdaptiveAvgPool"):
        for nd in (1, 2, 3):
            theirs = inspect.signature(getattr(torch.nn, f"{kind}{nd}d")).parameters
            ours = inspect.signature(getattr(nn, f"{kind}{nd}d")).parameters
            positional = [n for n, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
            assert positional == list(theirs)
            for n in positional:
                assert ours[n].default == theirs[n].default


@pytest.mark.parametrize("nd", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_the_functions(kind: str, nd: int, rng: np.random.Generator) -> None:
    x = data(rng, nd)
    op = kind[:3].lower()
    pooling = getattr(poolcore, f"{op}_pool{nd}d")
    for last in (False, True):
        y = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x
        options = {"layout": LAST[nd]} if last else {}
        made = layer(kind, nd, 3, 2, 1, ceil_mode=True, **options)
        want = pooling(y, 3, 2, 1, ceil_mode=True, **options)
        got = made(y)
        assert_same(got, want)
        grad = rng.standard_normal(got.shape)
        if op in ("max", "min"):
            _, indices = pooling(y, 3, 2, 1, ceil_mode=True, return_indices=True, **options)
            function = getattr(poolcore, f"max_pool{nd}d_backward")
            back = function(grad, indices, y.shape, **options)
        else:
            function = getattr(poolcore, f"{op}_pool{nd}d_backward")
            back = function(grad, y.shape, 3, 2, 1, ceil_mode=True, **options)
        assert_same(made.backward(grad), back)
        assert_same(made.backward(grad), back)  # as often as one likes


@pytest.mark.parametrize("nd", [1, 2, 3])
@pytest.mark.parametrize("kind", ADAPTIVE)
def test_adaptive_layers_are_the_functions(kind: str, nd: int, rng: np.random.Generator) -> None:
    x = data(rng, nd)
    op = kind[8:11].lower()
    pooling = getattr(poolcore, f"adaptive_{op}_pool{nd}d")
    size = (4, None, 2)[:nd]
    for last in (False, True):
        y = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x
        options = {"layout": LAST[nd]} if last else {}
        made = layer(kind, nd, size, **options)
        got = made(y)
        assert_same(got, pooling(y, size, **options))
        grad = rng.standard_normal(got.shape)
        if op == "avg":
            function = getattr(poolcore, f"adaptive_avg_pool{nd}d_backward")
            assert_same(made.backward(grad), function(grad, y.shape, **options))
            with pytest.raises(ValueError, match=rf"^{kind}{nd}d.backward: grad must have shape"):
                made.backward(grad[:1])
            continue
        found = pooling(y, size, return_indices=True, **options)
        function = getattr(poolcore, f"adaptive_max_pool{nd}d_backward")
        assert_same(made.backward(grad), function(grad, found[1], y.shape, **options))
        both = layer(kind, nd, size, True, **options)(y)
        assert_same(both[0], found[0])
        assert_same(both[1], found[1])


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_norms_are_the_functions(nd: int, rng: np.random.Generator) -> None:
    x = data(rng, nd) - 999
    for last in (False, True):
        y = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x.copy()
        options = {"padding": 1, "dilation": 2, **({"layout": LAST[nd]} if last else {})}
        made = layer("LPPool", nd, 1.5, 3, 2, True, **options)
        got = made(y)
        assert_same(got, getattr(poolcore, f"lp_pool{nd}d")(y, 1.5, 3, 2, True, **options))
        grad = rng.standard_normal(got.shape)
        function = getattr(poolcore, f"lp_pool{nd}d_backward")
        back = function(grad, y, 1.5, 3, 2, True, **options)
        y[...] = 0  # the layer has its own
        assert_same(made.backward(grad), back)


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_pytorch(nd: int, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = data(rng, nd)
    for kind, arguments, options in (
        ("MaxPool", (3,), {}),
        ("MaxPool", (3, 2, 1), {"ceil_mode": True}),
        ("MaxPool", (2, 1, 0, 3), {}),
        ("AvgPool", (2,), {}),
        ("AvgPool", (3, 2, 1, True, False), {}),
        ("AvgPool", (3, 2, 1), {} if nd == 1 else {"divisor_override": 5}),
        ("AdaptiveAvgPool", (4,), {}),
        ("AdaptiveMaxPool", (5,), {}),
    ):
        theirs = getattr(torch.nn, f"{kind}{nd}d")(*arguments, **options)
        ours = layer(kind, nd, *arguments, **options)
        if nd > 1 or kind != "AvgPool":  # AvgPool1d makes tuples of its arguments
            # Theirs keeps some options of averages to itself.
            assert repr(ours).startswith(repr(theirs)[:-1])
            assert repr(ours) == repr(theirs) or kind == "AvgPool"
        tensor = torch.from_numpy(x).requires_grad_()
        want = theirs(tensor)
        got = ours(x)
        np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-13)
        grad = rng.standard_normal(got.shape)
        want.backward(torch.from_numpy(grad))
        np.testing.assert_allclose(ours.backward(grad), tensor.grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("nd", [1, 2, 3])
@pytest.mark.parametrize("last", [False, True])
def test_unpooling(nd: int, last: bool, rng: np.random.Generator) -> None:
    options = {"layout": LAST[nd]} if last else {}
    x = data(rng, nd)
    x = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x
    pool = layer("MaxPool", nd, 2, return_indices=True, **options)
    values, indices = pool(x)
    undo = layer("MaxUnpool", nd, 2, **options)
    result = undo(values, indices, output_size=x.shape)
    assert result.shape == x.shape
    assert np.array_equal(np.sort(result[result != 0]), np.sort(values[values != 0].ravel()))
    grad = rng.standard_normal(x.shape)
    np.testing.assert_array_equal(undo.backward(grad), taken(grad, indices, nd, last))


def taken(grad: np.ndarray, indices: np.ndarray, nd: int, last: bool) -> np.ndarray:
    out = np.empty(indices.shape)
    for at in np.ndindex(indices.shape):
        whole = (slice(None),) * nd
        plane = grad[(*at[: -1 - nd], *whole, at[-1]) if last else at[:-nd]]
        out[at] = plane.reshape(-1)[indices[at]]
    return out


def test_unpooling_with_shared_places(rng: np.random.Generator) -> None:
    """Only the value that stayed gets a gradient: the differences of the layer say so."""
    undo = nn.MaxUnpool2d(2)
    x = rng.standard_normal((2, 2, 3, 3))
    indices = rng.integers(0, 5, x.shape)
    grad = rng.standard_normal(undo(x, indices).shape)
    got = undo.backward(grad)
    for at in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[at] = 0.5
        slope = np.sum((undo(x + step, indices) - undo(x - step, indices)) * grad)
        assert abs(slope - got[at]) < 1e-12
    undo(x, indices)
    with pytest.raises(ValueError, match=r"MaxUnpool2d.backward: grad must have shape \(2, 2, 6"):
        undo.backward(grad[:1])
    empty = np.zeros((0, 2, 3, 3))
    undo(empty, np.zeros(empty.shape, int))
    assert undo.backward(np.zeros((0, 2, 6, 6))).shape == empty.shape


def test_repr() -> None:
    for made, text in {
        nn.MaxPool2d(3, 2, 1):
            "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)",
        nn.MinPool1d((2,)):
            "MinPool1d(kernel_size=(2,), stride=(2,), padding=0, dilation=1, ceil_mode=False)",
        nn.AvgPool3d(2, padding="same"):
            "AvgPool3d(kernel_size=2, stride=2, padding='same')",
        nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False, divisor_override=3):
            "AvgPool2d(kernel_size=2, stride=2, padding=0, ceil_mode=True, "
            "count_include_pad=False, divisor_override=3)",
        nn.AvgPool1d(3, 2, 1, False, False, layout="NWC"):
            "AvgPool1d(kernel_size=3, stride=2, padding=1, count_include_pad=False, "
            "layout='NWC')",
        nn.SumPool2d(2, layout="NHWC"):
            "SumPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False, "
            "layout='NHWC')",
        nn.AdaptiveMaxPool2d((3, None)):
            "AdaptiveMaxPool2d(output_size=(3, None))",
        nn.AdaptiveAvgPool1d(4, layout="NWC"):
            "AdaptiveAvgPool1d(output_size=4, layout='NWC')",
        nn.LPPool2d(2.5, 3, ceil_mode=True):
            "LPPool2d(norm_type=2.5, kernel_size=3, stride=3, padding=0, dilation=1, "
            "ceil_mode=True)",
        nn.FractionalMaxPool2d(2, output_ratio=0.5):
            "FractionalMaxPool2d(kernel_size=2, output_size=None, output_ratio=0.5)",
        nn.FractionalMaxPool3d(2, 3, return_indices=True, rng=0):
            "FractionalMaxPool3d(kernel_size=2, output_size=3, output_ratio=None, "
            "return_indices=True)",
        nn.MaxPool1d(2, return_indices=True):
            "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False, "
            "return_indices=True)",
        nn.AdaptiveMinPool2d(2, True):
            "AdaptiveMinPool2d(output_size=2, return_indices=True)",
        nn.RoIAlign(7, mode="max"):
            "RoIAlign(output_size=7, spatial_scale=1.0, sampling_ratio=-1, aligned=False, "
            "mode='max')",
        nn.MaxUnpool2d((2, 3)):
            "MaxUnpool2d(kernel_size=(2, 3), stride=(2, 3), padding=0)",
    }.items():  # fmt: skip
        assert repr(made) == text


@pytest.mark.parametrize("name", NAMES)
def test_pickling(name: str, rng: np.random.Generator) -> None:
    nd = int(name[-2])
    made = typical(name)
    x = data(rng, nd)
    arguments = (x, np.zeros(x.shape, int)) if "Un" in name else (x,)
    want = made(*arguments)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        text = pickle.dumps(made, protocol)
        assert len(text) < 1000, "arrays of the last call"
        other = pickle.loads(text)
        assert type(other) is type(made)
        assert repr(other) == repr(made)
        with pytest.raises(RuntimeError, match=rf"^{name}.backward: .* call the layer first$"):
            other.backward(want)
        assert_same(other(*arguments), want)
        other.backward(want)


@pytest.mark.parametrize("name", NAMES)
def test_modes_and_backward_without_a_call(name: str, rng: np.random.Generator) -> None:
    nd = int(name[-2])
    made = typical(name)
    x = data(rng, nd)
    arguments = (x, np.zeros(x.shape, int)) if "Un" in name else (x,)
    with pytest.raises(RuntimeError, match="nothing was saved; call the layer first"):
        made.backward(x)
    want = made(*arguments)
    assert made.eval() is made
    assert not made.training
    with pytest.raises(RuntimeError, match="evaluation mode"):
        made.backward(want)
    assert_same(made(*arguments), want)
    with pytest.raises(RuntimeError, match="evaluation mode"):
        made.backward(want)
    assert made.train().training
    made(*arguments)
    assert made.backward(want).shape == x.shape
    with pytest.raises(ValueError, match=r"^\w+pool\dd: "):
        made(*(np.ones((2,) * 7, int) for _ in arguments))
    with pytest.raises(RuntimeError, match="call the layer first"):  # not of the call before
        made.backward(want)


def test_indices_are_safe_from_the_caller(rng: np.random.Generator) -> None:
    x = data(rng, 2)
    made = nn.MaxPool2d(2, return_indices=True)
    values, indices = made(x)
    want = made.backward(values)
    indices[...] = 10**9
    assert_same(made.backward(values), want)
    made.eval()
    assert isinstance(made(x), tuple)


def test_other_inputs() -> None:
    made = nn.AvgPool1d(2)
    assert made([[1.0, 3.0]]).tolist() == [[2.0]]
    assert made.backward([[2.0]]).tolist() == [[1.0, 1.0]]
    assert nn.MaxPool1d(2, layout="NWC")([[1], [5]]).tolist() == [[5]]
