"""What may stand for an array, what may not, and what is said about it."""

from __future__ import annotations

import array
import gc
import sys
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest

import poolcore
from support import assert_runs, assert_same, function

X = np.arange(2 * 3 * 6 * 8, dtype=np.float32).reshape(2, 3, 6, 8)
WANT = poolcore.max_pool2d(X, 2)


class WithArray:
    """Speaks __array__ only."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.x


class WithInterface:
    """Speaks __array_interface__ only."""

    def __init__(self, x: np.ndarray) -> None:
        self.__array_interface__ = x.__array_interface__
        self.keep = x


class WithDLPack:
    """Speaks __dlpack__ only."""

    def __init__(self, x: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self.x, self.device = x, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.x.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


def test_lists_and_tuples() -> None:
    assert poolcore.pool2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], (2, 2)).tolist() == [[4, 5], [7, 8]]
    got = poolcore.avg_pool1d(((1, 2, 3, 4),), 2)
    assert got.tolist() == [[1.5, 3.5]]
    assert got.dtype == np.float64
    assert poolcore.max_pool1d([[True, False]], 2).dtype == np.bool_
    assert_same(poolcore.max_pool2d(X.tolist(), 2), WANT.astype(np.float64))
    assert_same(poolcore.max_pool2d(list(X), 2), WANT)


@pytest.mark.parametrize("wrapper", [WithArray, WithInterface, WithDLPack])
def test_protocols(wrapper: Any) -> None:
    for x in (X, X[:, :, ::2, ::-1], X.transpose(0, 1, 3, 2), X.astype(np.int16)):
        assert_same(poolcore.max_pool2d(wrapper(x), 2), poolcore.max_pool2d(x, 2))


def test_buffers() -> None:
    got = poolcore.pool(memoryview(X), 2)
    assert_same(got, WANT)
    assert poolcore.pool(array.array("i", [1, 5, 2, 3]), (2,)).tolist() == [5, 3]


@pytest.mark.failure(28)
@pytest.mark.parametrize("wrapper", [np.asarray, WithArray, WithInterface, WithDLPack])
def test_no_copy_is_made(wrapper: Any) -> None:
    """By the allocations that NumPy reports: the result and a little more."""
    x = np.ones((1, 1, 2048, 2048), np.float32)
    for view in (x, x.transpose(0, 1, 3, 2), x[:, :, ::-1, ::2]):
        source = wrapper(view)
        poolcore.max_pool2d(source, 2)
        tracemalloc.start()
        try:
            got = poolcore.max_pool2d(source, 2)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < got.nbytes + (64 << 10)


def test_values_seen_are_the_providers() -> None:
    """A later write to the array shows: nothing was cached."""
    x = X.copy()
    source = WithArray(x)
    poolcore.max_pool2d(source, 2)
    x += 1
    assert_same(poolcore.max_pool2d(source, 2), WANT + 1)


@pytest.mark.failure(28)
def test_subclasses_give_plain_arrays() -> None:
    class Sub(np.ndarray):
        def __array_finalize__(self, obj: Any) -> None:
            self.note = getattr(obj, "note", "new")

    assert_same(poolcore.max_pool2d(X.view(Sub), 2), WANT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's own, about its matrix class
        matrix = np.arange(9).reshape(3, 3).view(np.matrix)
    assert_same(poolcore.pool2d(matrix, 2), np.array([[4, 5], [7, 8]]))


@pytest.mark.failure(28)
def test_memmap(tmp_path: Any) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert_same(poolcore.max_pool2d(mapped, 2), WANT)


@pytest.mark.failure(27)
@pytest.mark.parametrize("op", ["max", "min", "avg", "sum"])
@pytest.mark.parametrize(
    ("x", "hint"),
    [
        (np.ma.masked_array(X, X > 3), "mask"),
        (np.ma.masked_array(X), "mask"),
        (X.astype(object), "object"),
        (X.astype("S4"), "bytes|S4|string"),
        (X.astype("U4"), "str|U4"),
        (X.astype(np.complex64), "complex64"),
        (X.astype(np.complex128), "complex128"),
        (X.astype(X.dtype.newbyteorder()), "byte"),
        (X.astype(">i8") if sys.byteorder == "little" else X.astype("<i8"), "byte"),
        (np.zeros((1, 4, 4), "M8[s]"), "datetime64"),
        (np.zeros((1, 4, 4), "m8[s]"), "timedelta64"),
        (np.zeros((1, 4, 4), "V4"), "void|V4"),
        (np.zeros((1, 4, 4), [("a", "f4"), ("b", "i2")]), "void|struct|a"),
        (np.array([[[None, 1]]]), "object"),
        ([[["a", "b"]]], "str|U1"),
        ([[[1j, 2]]], "complex"),
        ([[[None, 2]]], "object"),
        ("abc", "str"),
        (None, "None|object"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_types_that_are_refused(x: Any, hint: str, op: str) -> None:
    with pytest.raises(TypeError, match=hint) as caught:
        function(op, 2)(x, 2)
    assert str(caught.value).startswith(f"{op}_pool2d: x")


@pytest.mark.failure(27)
def test_longdouble_is_refused() -> None:
    if np.dtype(np.longdouble) == np.float64:
        pytest.skip("longdouble is float64 here")
    with pytest.raises(TypeError, match=r"^max_pool2d: x.*longdouble|float128"):
        poolcore.max_pool2d(np.ones((1, 4, 4), np.longdouble), 2)


def test_ragged_lists() -> None:
    with pytest.raises((ValueError, TypeError)):
        poolcore.pool2d([[1, 2], [3]], 1)


def test_a_gpu_array_is_refused() -> None:
    for device in ((2, 0), (10, 1), (8, 0)):
        with pytest.raises(TypeError, match=r"(?i)cpu") as caught:
            poolcore.max_pool2d(WithDLPack(X, device), 2)
        assert str(caught.value).startswith("max_pool2d: x")


@pytest.mark.failure(30)
def test_hostile_providers() -> None:
    class Raises:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise RuntimeError("no array today")

    class RaisesDLPack(WithDLPack):
        def __dlpack__(self, **options: Any) -> Any:
            raise RuntimeError("no capsule today")

    class Reenters:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            assert_same(poolcore.max_pool2d(X, 2, threads=2), WANT)
            return X

    class NotACapsule(WithDLPack):
        def __dlpack__(self, **options: Any) -> Any:
            return 42

    with pytest.raises(RuntimeError, match="no array today"):
        poolcore.max_pool2d(Raises(), 2)
    with pytest.raises(RuntimeError, match="no capsule today"):
        poolcore.max_pool2d(RaisesDLPack(X), 2)
    assert_same(poolcore.max_pool2d(Reenters(), 2), WANT)
    for wrong in (5, "x", None, [1, 2], object()):
        with pytest.raises((TypeError, ValueError)):
            poolcore.max_pool2d(WithArray(wrong), 2)
    with pytest.raises((TypeError, ValueError, BufferError)):
        poolcore.max_pool2d(NotACapsule(X), 2)


@pytest.mark.failure(30)
def test_hostile_interfaces_do_not_crash() -> None:
    assert_runs(
        "import numpy as np, poolcore\n"
        "class P: pass\n"
        "for change in (dict(shape=(-1, 4)), dict(shape=()), dict(typestr='|O8'), \n"
        "               dict(typestr='x'), dict(strides=(1,)), dict(data=None), dict(shape='ab'),\n"
        "               dict(version='x')):\n"
        "    p = P(); a = np.ones((4, 4))\n"
        "    p.__array_interface__ = dict(a.__array_interface__, **change)\n"
        "    try: poolcore.pool2d(p, 2)\n"
        "    except (TypeError, ValueError, BufferError, AttributeError): pass\n"
    )


@pytest.mark.failure(31)
def test_the_array_may_lose_its_last_name_during_the_call() -> None:
    for _ in range(20):
        got = poolcore.max_pool2d(WithArray(X.copy()), 2)
        gc.collect()
        assert_same(got, WANT)


@pytest.mark.failure(32)
def test_references_are_neither_lost_nor_kept() -> None:
    x, out, kernel = X.copy(), np.empty_like(WANT), (2, 2)
    things: list[Any] = [x, out, kernel, x.dtype, out.dtype, None, np.ndarray]
    bad = {"stride": 0}

    def one_round() -> None:
        poolcore.max_pool2d(x, kernel)
        poolcore.max_pool2d(x, kernel, out=out)
        poolcore.max_pool2d(x, kernel, return_indices=True)
        poolcore.avg_pool2d(x, kernel, dtype=np.float64)
        for options in (bad, {"padding": "no"}, {"out": x}, {"threads": True}):
            try:
                poolcore.max_pool2d(x, kernel, **options)
            except (ValueError, TypeError):
                continue
            raise AssertionError(options)

    one_round()
    before = [sys.getrefcount(t) for t in things]
    for _ in range(200):
        one_round()
    after = [sys.getrefcount(t) for t in things]
    for b, a in zip(before, after, strict=True):
        assert abs(a - b) < 100, (before, after)


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensor = torch.from_numpy(X.copy())
    assert_same(poolcore.max_pool2d(tensor, 2), WANT)
    assert_same(poolcore.max_pool2d(tensor.permute(0, 1, 3, 2), 2), WANT.transpose(0, 1, 3, 2))
    last = tensor.to(memory_format=torch.channels_last)
    assert_same(poolcore.max_pool2d(last, 2), WANT)
    with pytest.raises((RuntimeError, TypeError, BufferError)):
        poolcore.max_pool2d(tensor.clone().requires_grad_(), 2)
