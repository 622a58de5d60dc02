"""The gradient of spatial pyramid pooling: the sum of those of its levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layouts
import oracle
import oracle_adaptive
import poolcore
from support import DTYPES, THREADS, assert_same, configurations, random_array

NUMBERS = DTYPES[1:]
LEVELS = [(1, 2, 4), (3,), (2, 2), (1, 2, 3, 6)]


def results(rng: np.random.Generator, shape: tuple[int, ...], levels: tuple[int, ...]) -> Any:
    return (*shape[:-3], shape[-3] * sum(side * side for side in levels))


def parts(vectors: np.ndarray, shape: tuple[int, ...], levels: tuple[int, ...]) -> Any:
    start, channels = 0, shape[1]
    for side in levels:
        n = channels * side * side
        yield vectors[:, start : start + n].reshape(-1, channels, side, side)
        start += n


def expect(grad: np.ndarray, indices: Any, shape: Any, levels: Any, op: str) -> np.ndarray:
    """Level after level, in float32 for two-byte floats, of arrays with N."""
    floats = oracle.is_float(grad.dtype)
    wide = grad.astype(np.float32) if floats and grad.dtype.itemsize == 2 else grad
    total: Any = None
    where = parts(indices, shape, levels) if indices is not None else None
    for part in parts(wide, shape, levels):
        if where is not None:
            found = np.zeros((shape[0] * shape[1], shape[2] * shape[3]), part.dtype)
            for to, gradient, index in zip(
                found, part.reshape(len(found), -1), next(where).reshape(len(found), -1),
                strict=True,
            ):  # fmt: skip
                np.add.at(to, index[index >= 0], gradient[index >= 0])
            found = found.reshape(shape)
        elif op == "avg":
            found = oracle_adaptive.backward(part, shape, (2, 3))
        else:
            found = sums(part, shape)
        total = found if total is None else total + found
    return total.astype(grad.dtype) if floats else total


def sums(grad: np.ndarray, shape: Any) -> np.ndarray:
    """Of integers: every window's gradient on all its elements, modulo 2**64."""
    dtype = grad.dtype if oracle.is_float(grad.dtype) else np.dtype(f"{grad.dtype.kind}8")
    total = np.zeros(shape, dtype)
    rows = oracle_adaptive.windows(shape[2], grad.shape[2])
    columns = oracle_adaptive.windows(shape[3], grad.shape[3])
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            total[:, :, top:bottom, left:right] += grad[:, :, i : i + 1, j : j + 1].astype(dtype)
    return total


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("op", ["max", "avg", "sum"])
def test_values(op: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    for levels in LEVELS:
        for shape in [(2, 3, 13, 9), (1, 20, 7, 7), (2, 1, 3, 2), (60, 3, 12, 11)]:
            size = results(rng, shape, levels)
            if op == "sum":  # whose order of adding does not matter then
                grad = rng.integers(0, 4, size).astype(dtype)
            else:
                grad = random_array(rng, dtype, size)
            plane = shape[2] * shape[3]
            indices = rng.integers(-1, plane, size) if op == "max" else None
            want = expect(grad, indices, shape, levels, op)
            for target, threads in configurations():
                got = poolcore.spatial_pyramid_pool_backward(
                    grad, shape, levels, op, indices=indices, threads=threads
                )
                assert_same(got, want, f"{op} {levels} {target}")


def test_of_what_was_pooled(rng: np.random.Generator) -> None:
    """Central differences, and the indices of the pooling itself; NHWC and unbatched alike."""
    x = rng.standard_normal((2, 3, 9, 8))
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    grad = rng.standard_normal((2, 63))
    forward = poolcore.spatial_pyramid_pool
    backward = poolcore.spatial_pyramid_pool_backward
    for op in ("max", "min", "avg", "sum"):
        how: Any = {}
        if op in ("max", "min"):
            values, indices = forward(x, op=op, return_indices=True)
            assert_same(values, forward(x, op=op))
            flat = x.reshape(2, 3, -1)
            for part, there in zip(
                parts(values, x.shape, (1, 2, 4)), parts(indices, x.shape, (1, 2, 4)), strict=True
            ):
                there = there.reshape(2, 3, -1)
                assert_same(np.take_along_axis(flat, there, 2), part.reshape(2, 3, -1))
            how = {"indices": indices}
        got = backward(grad, x.shape, op=op, **how)
        other = backward(grad, last.shape, op=op, layout="NHWC", **how)
        assert_same(np.moveaxis(other, -1, 1).copy(), got)
        one = {"indices": how["indices"][1]} if how else {}
        assert_same(backward(grad[1], x.shape[1:], op=op, **one), got[1])
        for at in [tuple(int(rng.integers(n)) for n in x.shape) for _ in range(8)]:
            step = np.zeros(x.shape)
            step[at] = 2.0**-20
            slope = np.sum((forward(x + step, op=op) - forward(x - step, op=op)) * grad) * 2.0**19
            assert abs(slope - got[at]) < 1e-7, op


def test_large_planes_and_layouts(rng: np.random.Generator) -> None:
    shape = (1, 2, 130, 150)  # a plane is more than a block
    grad = rng.standard_normal((1, 42)).astype(np.float32)
    want = expect(grad, None, shape, (1, 2, 4), "avg")
    for make in layouts.LAYOUTS:
        got = poolcore.spatial_pyramid_pool_backward(make(grad), shape, op="avg")
        assert_same(got, expect(np.array(make(grad)), None, shape, (1, 2, 4), "avg"))
        out = make(np.zeros(shape, np.float32))
        if not out.flags.writeable or make.__name__ == "overlapping":
            continue
        result = poolcore.spatial_pyramid_pool_backward(grad, shape, op="avg", out=out)
        assert result is out
        assert_same(np.array(out, order="C"), want, make.__name__)
    got = [
        poolcore.spatial_pyramid_pool_backward(grad, shape, op="avg", threads=t) for t in THREADS
    ]
    assert all((g == want).all() for g in got)
    assert poolcore.spatial_pyramid_pool_backward(grad[:0], (0, 2, 5, 5), op="avg").size == 0


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"input_shape": 5}, TypeError, "input_shape must be a sequence of 3 or 4 ints, got int"),
    ({"input_shape": (1, 5)}, ValueError, "input_shape must be a sequence of 3 or 4 ints, got 2"),
    ({"input_shape": (1, 2, 5, -5)}, ValueError, r"input_shape\[3\]=-5 must be at least 0"),
    ({"input_shape": (1, 2, 5, 0)}, ValueError, r"input_shape\[3\]=0 must be at least 1"),
    ({"input_shape": (1, 2, 5.0, 5)}, TypeError, r"input_shape\[2\] must be an int, got float"),
    ({"input_shape": (1, 3, 5, 5)}, ValueError, r"grad must have shape \(1, 63\), that of the"),
    ({"levels": 0}, ValueError, r"levels\[0\]=0 must be at least 1"),
    ({"levels": (1, 2)}, ValueError, r"grad must have shape \(1, 10\)"),
    ({"op": "median"}, ValueError, "op='median' must be 'max', 'min', 'avg' or 'sum'"),
    ({"op": None}, TypeError, "op must be 'max', 'min', 'avg' or 'sum', got NoneType"),
    ({"op": "avg"}, ValueError, "indices are for op='max' and 'min', not for op='avg'"),
    ({"indices": None}, TypeError, "indices must be those of the pooling for op='max'"),
    ({"indices": np.zeros((1, 42))}, TypeError, "indices must be integers"),
    ({"indices": np.zeros((1, 41), int)}, ValueError, r"indices must have the shape of grad"),
    ({"indices": np.full((1, 42), 25)}, IndexError, r"indices\[0, 0\]=25 must be -1 or at least 0"),
    ({"grad": np.ones((1, 42), bool)}, TypeError, "grad has dtype bool"),
    ({"layout": "NCW"}, ValueError, "layout='NCW' must be"),
    ({"threads": 0}, ValueError, "threads=0 must be at least 1"),
    ({"out": [1]}, TypeError, "out must be a numpy.ndarray, got list"),
    ({"out": np.zeros((1, 2, 5, 4))}, ValueError, r"out must have shape \(1, 2, 5, 5\)"),
    ({"out": np.zeros((1, 2, 5, 5), np.float32)}, ValueError, "out must have dtype float64"),
]


@pytest.mark.parametrize(("how", "error", "text"), WRONG, ids=lambda v: str(v)[:40])
def test_errors(how: dict[str, Any], error: type[Exception], text: str) -> None:
    out = np.full((1, 2, 5, 5), 7.0)
    legal: dict[str, Any] = {
        "grad": np.ones((1, 42)), "input_shape": (1, 2, 5, 5), "op": "max",
        "indices": np.zeros((1, 42), int), "out": out,
    }  # fmt: skip
    with pytest.raises(error, match=f"spatial_pyramid_pool_backward: {text}"):
        poolcore.spatial_pyramid_pool_backward(**{**legal, **how})
    assert (out == 7).all()


def test_bad_memory_of_out() -> None:
    memory = np.full(500, 7.0)
    grad = memory[:42].reshape(1, 42)
    for start, text in [(20, "overlaps grad"), (41, "overlaps grad")]:
        out = memory[start : start + 50].reshape(1, 2, 5, 5)
        with pytest.raises(ValueError, match=text):
            poolcore.spatial_pyramid_pool_backward(grad, (1, 2, 5, 5), op="avg", out=out)
    out = np.lib.stride_tricks.as_strided(memory[200:], (1, 2, 5, 5), (8, 8, 40, 8))
    with pytest.raises(ValueError, match="overlaps itself"):
        poolcore.spatial_pyramid_pool_backward(grad, (1, 2, 5, 5), op="avg", out=out)
    frozen = np.full((1, 2, 5, 5), 7.0)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        poolcore.spatial_pyramid_pool_backward(grad, (1, 2, 5, 5), op="avg", out=frozen)
    assert (memory == 7).all()
    assert (frozen == 7).all()


def test_bad_places_of_pairs() -> None:
    x = np.ones((1, 1, 4, 4))
    values, indices = np.zeros((1, 21)), np.zeros((1, 21), np.int64)
    pair = (values, indices)
    assert poolcore.spatial_pyramid_pool(x, return_indices=True, out=pair) is pair
    assert (values == 1).all()
    assert (indices[0, :5] == (0, 0, 2, 8, 10)).all()
    with pytest.raises(TypeError, match=r"out must be a tuple \(values, indices\) when"):
        poolcore.spatial_pyramid_pool(x, return_indices=True, out=values)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"out\[1\] overlaps out\[0\]"):
        poolcore.spatial_pyramid_pool(
            x.astype(np.int64), return_indices=True, out=(indices, indices)
        )
    with pytest.raises(ValueError, match="return_indices"):
        poolcore.spatial_pyramid_pool(x, op="avg", return_indices=True)  # type: ignore[call-overload]


def test_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = rng.permutation(2 * 3 * 99).astype(np.float64).reshape(2, 3, 11, 9)
    grad = rng.standard_normal((2, 63))
    for op in ("avg", "max"):
        tensor = torch.from_numpy(x).requires_grad_()
        pooling = getattr(torch.nn.functional, f"adaptive_{op}_pool2d")
        result = torch.cat([pooling(tensor, n).flatten(1) for n in (1, 2, 4)], 1)
        result.backward(torch.from_numpy(grad))
        indices = poolcore.spatial_pyramid_pool(x, return_indices=True)[1] if op == "max" else None
        got = poolcore.spatial_pyramid_pool_backward(grad, x.shape, op=op, indices=indices)  # type: ignore[arg-type]
        np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-12, atol=1e-13)
