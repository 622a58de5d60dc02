"""Global pooling: the same as pooling with a kernel of the whole plane."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import layouts
import oracle
import poolcore
from support import DTYPES, FLOATS, OPS, assert_same, configurations, random_array


def run(x: Any, op: str, **how: Any) -> Any:
    return getattr(poolcore, f"global_{op}_pool")(x, **how)


def expect(x: np.ndarray, op: str, axes: tuple[int, ...], **how: Any) -> Any:
    return oracle.pool(x, tuple(x.shape[a] for a in axes), op, axes, **how)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("plane", [(9,), (7, 7), (3, 40), (2, 5, 6)], ids=str)
def test_values(plane: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> None:
    x = random_array(rng, dtype, (2, 5, *plane), "special")
    axes = tuple(range(2, x.ndim))
    for op in OPS:
        want = expect(x, op, axes)
        for target, threads in configurations():
            assert_same(run(x, op, threads=threads), want, f"{op} on {target}")
        assert_same(run(x, op, keepdims=False), want.reshape(2, 5), op)
        want = expect(x, op, axes, nan_policy="omit")
        assert_same(run(x, op, nan_policy="omit"), want, f"{op} omit")
    for op in ("max", "min"):
        values, indices = expect(x, op, axes, return_indices=True)
        got = run(x, op, return_indices=True)
        assert_same(got[0], values)
        assert_same(got[1], indices)
        got = run(x, op, return_indices=True, keepdims=False)
        assert_same(got[0], values.reshape(2, 5))
        assert_same(got[1], indices.reshape(2, 5))


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=layouts.name)
def test_layouts(layout: layouts.Maker, rng: np.random.Generator) -> None:
    x = layout(random_array(rng, np.dtype(np.float32), (3, 4, 9, 11), "special"))
    copy = np.array(x, order="C")
    for op in OPS:
        assert_same(run(x, op, threads=2), expect(copy, op, (2, 3)), op)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_planes_cut_out_of_larger_ones(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Rows far apart in memory; what lies between them is not touched."""
    x = random_array(rng, dtype, (1, 1, 90, 4096))
    x[..., 90:] = np.nan
    for n in (3, 20, 81, 90):
        part = x[..., :n, :n]
        for op in OPS:
            assert_same(run(part, op), expect(np.array(part), op, (2, 3)), f"{op} {n}")


def test_axes_and_layouts(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (4, 5, 6))
    for axes in ((0,), (1, 2), (-1, 0), (0, 1, 2), [2, 1], np.array([0, 2])):
        ordered = tuple(sorted(int(a) % 3 for a in axes))
        want = expect(x, "sum", ordered)
        assert_same(run(x, "sum", axes=axes), want)
        assert_same(run(x, "sum", axes=axes, keepdims=False), want.squeeze(ordered))
    assert_same(run(x, "max", axes=-1), expect(x, "max", (2,)))
    assert_same(run(x, "max", layout="NHWC", keepdims=False), expect(x, "max", (0, 1))[0, 0])
    assert_same(run(x, "max", layout="NCHW"), expect(x, "max", (1, 2)))
    assert_same(run(x, "max", layout="NWC", keepdims=False), expect(x, "max", (1,))[:, 0])
    assert_same(run(x, "max"), expect(x, "max", (2,)))


def test_types_and_roundings() -> None:
    x = np.full((1, 2, 3, 3), 200, np.uint8)
    x[0, 0, 0, 0] = 0
    assert_same(run(x, "avg", dtype=np.uint8, keepdims=False), np.array([[178, 200]], np.uint8))
    trunc = run(x, "avg", dtype=np.uint8, rounding="trunc", keepdims=False)
    assert_same(trunc, np.array([[177, 200]], np.uint8))
    assert run(x, "sum").dtype == np.uint64
    assert_same(run(x, "sum", dtype=np.int8, keepdims=False), np.array([[64, 8]], np.int8))


def test_out(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 3, 7, 8))
    for keepdims in (True, False, np.False_):
        shape = (2, 3, 1, 1) if keepdims else (2, 3)
        out = np.empty(shape[::-1], np.float32).T
        assert run(x, "avg", keepdims=keepdims, out=out) is out
        assert_same(np.array(out), expect(x, "avg", (2, 3)).reshape(shape))
        pair = (np.empty(shape, np.float32), np.empty(shape, np.int64))
        assert run(x, "max", keepdims=keepdims, return_indices=True, out=pair) is pair
        values, indices = expect(x, "max", (2, 3), return_indices=True)
        assert_same(pair[0], values.reshape(shape))
        assert_same(pair[1], indices.reshape(shape))


def test_lists_and_empty_batches() -> None:
    assert run([[[1, 2], [3, 5]]], "max", keepdims=False).tolist() == [[2, 5]]
    assert run(np.ones((0, 3, 4)), "avg").shape == (0, 3, 1)
    assert run(np.ones((0, 3, 4)), "avg", keepdims=False).shape == (0, 3)


WRONG: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (np.ones((2, 3)), {}, ValueError, r"x must have 3 to 5 dimensions, \(N, C, ...\), got 2"),
    (np.ones((1,) * 6), {}, ValueError, r"x must have 3 to 5 dimensions"),
    (np.ones((2, 3)), {"axes": 2}, ValueError, r"axes\[0\]=2 is out of range"),
    (np.ones((2, 3)), {"axes": (0, 0)}, ValueError, r"axes\[1\]=0 names an axis twice"),
    (np.ones((2, 3)), {"axes": ()}, ValueError, r"axes must be an int or 1 to 3 ints"),
    (np.ones((2, 3)), {"axes": 1, "layout": "NCW"}, ValueError, "give axes or layout, not both"),
    (np.ones((2, 3)), {"layout": "CHW"}, ValueError, "layout='CHW' must be"),
    (np.ones((2, 3, 0)), {}, ValueError, "x has length 0 along pooled axis 2"),
    (np.ones((2, 3, 4)), {"keepdims": 1}, TypeError, "keepdims must be a bool, got int"),
    (np.ones((2, 3, 4)), {"keepdims": None}, TypeError, "keepdims must be a bool, got NoneType"),
    (np.ones((2, 3, 4)), {"threads": 0}, ValueError, "threads=0 must be at least 1"),
    (np.ones((2, 3, 4)), {"nan_policy": "no"}, ValueError, "nan_policy='no' must be"),
    (np.ones((2, 3, 4), object), {}, TypeError, "x has dtype object"),
]


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize(("x", "how", "error", "text"), WRONG, ids=lambda v: str(v)[:30])
def test_errors(
    x: np.ndarray, how: dict[str, Any], error: type[Exception], text: str, keepdims: bool
) -> None:
    for op in OPS:
        with pytest.raises(error, match=f"global_{op}_pool: {text}"):
            run(x, op, **{"keepdims": keepdims, **how})


def test_wrong_out_is_not_written() -> None:
    x = np.ones((2, 3, 4), np.float32)
    for out, text in [
        (np.full((2, 3, 1), 7, np.float32), r"out must have shape \(2, 3\), got \(2, 3, 1\)"),
        (np.full((3, 2), 7, np.float32), r"out must have shape \(2, 3\), got \(3, 2\)"),
        (np.full((2, 3), 7, np.float64), r"out must have dtype float32"),
        (x[:, :, 0], "out overlaps x"),
    ]:
        before = out.copy()
        with pytest.raises(ValueError, match=f"global_max_pool: {text}"):
            run(x, "max", keepdims=False, out=out)
        assert_same(np.array(out), before)
    with pytest.raises(TypeError, match=r"global_max_pool: out must be a numpy\.ndarray, got list"):
        run(x, "max", keepdims=False, out=[[0.0] * 3] * 2)
    with pytest.raises(TypeError, match=r"out must be a tuple \(values, indices\)"):
        run(x, "max", keepdims=False, return_indices=True, out=np.empty((2, 3), np.float32))
    good = np.full((2, 3), 7, np.float32)
    with pytest.raises(ValueError, match=r"out\[1\] must have shape"):
        run(x, "max", keepdims=False, return_indices=True, out=(good, np.empty(3, np.int64)))
    x[1, 1, 1] = np.nan
    with pytest.raises(ValueError, match="x holds NaN"):
        run(x, "max", keepdims=False, nan_policy="raise", out=good)
    assert (good == 7).all()


def test_torch_agrees(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = rng.standard_normal((2, 5, 30, 31)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        t = torch.from_numpy(x)
        np.testing.assert_array_equal(run(x, "max"), t.amax((2, 3), keepdim=True).numpy())
        np.testing.assert_array_equal(run(x, "min"), t.amin((2, 3), keepdim=True).numpy())
        mean = t.mean((2, 3), keepdim=True).numpy()
        np.testing.assert_allclose(run(x, "avg"), mean, rtol=1e-4, atol=1e-6)
