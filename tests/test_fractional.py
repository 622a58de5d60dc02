"""Fractional max pooling against its oracle and PyTorch: starts, types, layouts, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import layouts
import oracle_fractional
import poolcore
from support import (
    DTYPES,
    FLOATS,
    THREADS,
    assert_runs,
    assert_same,
    configurations,
    random_array,
    targets,
    use_target,
)
from test_guard import guard

# (shape, kernel_size, output_size)
CASES = [
    ((9, 11), (2, 2), (5, 6)),
    ((9, 11), (3, 2), (7, 10)),
    ((7, 8), (1, 1), (4, 3)),
    ((7, 8), (7, 8), (1, 1)),
    ((6, 5), (2, 3), (5, 3)),
    ((6, 13), (2, 2), (1, 8)),
    ((5, 6, 7), (2, 2, 3), (3, 4, 4)),
    ((4, 4, 9), (1, 2, 3), (2, 1, 5)),
]


def run(x: np.ndarray, kernel: Any, size: Any = None, **how: Any) -> Any:
    nd = x.ndim - 2 if "layout" not in how else len(how["layout"]) - 2
    return getattr(poolcore, f"fractional_max_pool{nd}d")(x, kernel, size, **how)


def both(x: np.ndarray, kernel: Any, size: Any, **how: Any) -> Any:
    return run(x, kernel, size, return_indices=True, **how)


def check(got: Any, want: Any, note: str = "") -> None:
    for g, w in zip(got, want, strict=True):
        assert_same(g, w, note)


def test_starts_by_hand() -> None:
    """7 elements, 3 windows of 2: alpha = 5 / 2; the second starts at int(1.7 a) - int(0.7 a)."""
    assert oracle_fractional.starts(7, 2, 3, 0.7, np.dtype(float)) == [0, 3, 5]
    assert oracle_fractional.starts(7, 2, 3, 0.0, np.dtype(float)) == [0, 2, 5]
    x = np.arange(7.0).reshape(1, 1, 1, 7)
    assert run(x, (1, 2), (1, 3), random_samples=[[[0.7, 0.0]]]).tolist() == [[[[1, 4, 6]]]]
    assert run(x, (1, 2), (1, 3), random_samples=[[[0.0, 0.7]]]).tolist() == [[[[1, 3, 6]]]]


@pytest.mark.parametrize(("shape", "kernel", "size"), CASES, ids=str)
def test_cases(shape: Any, kernel: Any, size: Any, rng: np.random.Generator) -> None:
    for policy in ("propagate", "omit"):
        x = random_array(rng, np.dtype(np.float32), (2, 3, *shape), "special")
        samples = rng.random((2, 3, len(shape)))
        want = oracle_fractional.pool(x, kernel, size, samples, nan_policy=policy)
        how: Any = {"random_samples": samples, "nan_policy": policy}
        for target, threads in configurations():
            note = f"{policy} on {target} with {threads} threads"
            check(both(x, kernel, size, threads=threads, **how), want, note)
            assert_same(run(x, kernel, size, threads=threads, **how), want[0], note)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_types(dtype: np.dtype, rng: np.random.Generator) -> None:
    for shape, kernel, size in CASES:
        x = random_array(rng, dtype, (2, 2, *shape), "special")
        samples = rng.random((2, 2, len(shape))).astype(rng.choice(["f2", "f4", "f8"]))
        want = oracle_fractional.pool(x, kernel, size, samples)
        check(both(x, kernel, size, random_samples=samples), want, f"{shape}")


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=layouts.name)
def test_layouts(layout: layouts.Maker, rng: np.random.Generator) -> None:
    for shape, kernel, size in CASES:
        x = layout(random_array(rng, np.dtype(np.float32), (2, 3, *shape), "special"))
        samples = rng.random((2, 3, len(shape)))
        want = oracle_fractional.pool(np.array(x, order="C"), kernel, size, samples)
        check(both(x, kernel, size, random_samples=samples, threads=2), want)


def test_large_planes_are_pooled_in_parts(rng: np.random.Generator) -> None:
    for shape, kernel, size in (((300, 410), (2, 3), (20, 17)), ((20, 60, 90), 2, (3, 9, 11))):
        nd = len(shape)
        kernels = (kernel,) * nd if isinstance(kernel, int) else kernel
        x = random_array(rng, np.dtype(np.int16), (1, 2, *shape))
        samples = rng.random((1, 2, nd))
        want = oracle_fractional.pool(x, kernels, size, samples)
        check(both(x, kernel, size, random_samples=samples), want)
    wide = random_array(rng, np.dtype(np.uint8), (1, 1, 2, 200_000))
    samples = np.array([[[0.3, 0.9]]])
    check(
        both(wide, 2, (1, 90), random_samples=samples),
        oracle_fractional.pool(wide, (2, 2), (1, 90), samples),
    )


def test_channels_last_and_unbatched(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 3, 9, 8))
    samples = rng.random((2, 3, 2))
    values, indices = both(x, 2, (5, 4), random_samples=samples)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    got = both(last, 2, (5, 4), random_samples=samples, layout="NHWC")
    assert got[0].flags.c_contiguous
    check(got, (np.moveaxis(values, 1, -1), np.moveaxis(indices, 1, -1)))
    for given_samples in (samples[1:], samples[1]):
        one = poolcore.fractional_max_pool2d(
            x[1], 2, (5, 4), return_indices=True, random_samples=given_samples
        )
        check(one, (values[1], indices[1]))


def test_out_is_written_in_place(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float32), (2, 3, 9, 8))
    want = both(x, 2, (5, 4), rng=1)
    out = np.empty((2, 3, 5, 4), np.float32)[..., ::-1], np.empty((4, 5, 3, 2), np.int64).T
    got = both(x, 2, (5, 4), rng=1, out=out)
    assert got[0] is out[0]
    assert got[1] is out[1]
    check([np.array(o) for o in out], want)
    single = np.empty((2, 3, 5, 4), np.float32)
    assert run(x, 2, (5, 4), rng=1, out=single) is single
    assert_same(single, want[0])


def test_ratio_is_the_share_of_elements() -> None:
    x = np.zeros((1, 1, 10, 7))
    assert run(x, 2, output_ratio=0.75).shape == (1, 1, 7, 5)
    assert run(x, 2, output_ratio=(0.5, 0.3)).shape == (1, 1, 5, 2)
    assert run(x, 2, output_ratio=0.05).shape == (1, 1, 0, 0)


def test_generators_and_seeds(rng: np.random.Generator) -> None:
    x = random_array(rng, np.dtype(np.float64), (2, 3, 40, 40))
    seeded = run(x, 2, 23, rng=7)
    assert_same(run(x, 2, 23, rng=np.random.default_rng(7)), seeded)
    drawn = np.random.default_rng(7).random((2, 3, 2))
    assert_same(run(x, 2, 23, random_samples=drawn), seeded)
    generator = np.random.default_rng(7)
    first, second = run(x, 2, 23, rng=generator), run(x, 2, 23, rng=generator)
    assert_same(first, seeded)
    assert (first != second).any()
    assert (run(x, 2, 23) != run(x, 2, 23)).any()


def test_raise_and_empty() -> None:
    x = np.ones((2, 3, 6, 6))
    x[1, 2, 5, 5] = np.nan
    out = np.full((2, 3, 2, 2), 7.0)
    with pytest.raises(ValueError, match="fractional_max_pool2d: x holds NaN"):
        run(x, 2, 2, nan_policy="raise", out=out, random_samples=np.zeros((2, 3, 2)))
    assert (out == 7).all()
    assert run(np.ones((0, 3, 6, 6)), 2, 3).shape == (0, 3, 3, 3)
    assert run(np.ones((2, 0, 6, 6)), 2, (0, 3)).shape == (2, 0, 0, 3)
    assert run(np.ones((2, 1, 6, 6)), 2, (0, 3)).shape == (2, 1, 0, 3)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, ValueError, "give output_size or output_ratio, one of the two"),
    ({"size": 2, "output_ratio": 0.5}, ValueError, "give output_size or output_ratio"),
    ({"size": 6}, ValueError, r"output_size=6 with kernel_size 2 needs 7 elements along ax"),
    ({"size": 2**62}, ValueError, r"output_size=4611686018427387904 with kernel_size 2"),
    ({"size": -1}, ValueError, r"output_size=-1 must not be negative"),
    ({"size": (2, 2, 2)}, ValueError, "output_size must be an int or 2 ints, got 3"),
    ({"size": None, "output_ratio": 1.0}, ValueError, r"output_ratio=1.0 must lie between"),
    ({"output_ratio": (0.5, float("nan"))}, ValueError, r"output_ratio\[1\]=nan must lie"),
    ({"output_ratio": "0.5"}, TypeError, "output_ratio must be a number or 2"),
    ({"output_ratio": (0.5,) * 3}, ValueError, "output_ratio must be a number or 2"),
    ({"size": 2, "kernel": 0}, ValueError, r"kernel_size=0 must be at least 1"),
    (
        {"size": 2, "kernel": (2, 7)},
        ValueError,
        r"kernel_size\[1\]=7 must be .* at most 6, the length of axis 3",
    ),
    ({"size": 2, "kernel": 1.5}, TypeError, "kernel_size must be an int, got float"),
    ({"size": 2, "rng": -1}, ValueError, "rng=-1 must not be negative"),
    ({"size": 2, "rng": "a"}, TypeError, "rng must be a numpy.random.Generator or an int, got str"),
    ({"size": 2, "rng": 1, "random_samples": np.zeros((1, 2, 2))}, ValueError, "not both"),
    ({"size": 2, "random_samples": np.zeros((2, 2))}, ValueError, r"must have shape \(1, 2, 2\)"),
    ({"size": 2, "random_samples": np.zeros((1, 2, 2), int)}, TypeError, "must be floats"),
    ({"size": 2, "random_samples": np.ones((1, 2, 2))}, ValueError, r"in \[0, 1\), got 1.0"),
    ({"size": 2, "random_samples": np.full((1, 2, 2), np.nan)}, ValueError, "got nan"),
    ({"size": 2, "threads": 0}, ValueError, "threads=0"),
    ({"size": 2, "layout": "NCW"}, ValueError, "layout='NCW'"),
]


@pytest.mark.parametrize(("how", "error", "text"), WRONG, ids=lambda v: str(v)[:40])
def test_wrong_arguments(how: dict[str, Any], error: type[Exception], text: str) -> None:
    how = {"out": np.full((1, 2, 2, 2), 7.0), "kernel": 2, "size": None, **how}
    kernel, size = how.pop("kernel"), how.pop("size")
    with pytest.raises(error, match=f"^fractional_max_pool2d: .*{text}"):
        poolcore.fractional_max_pool2d(np.ones((1, 2, 6, 6)), kernel, size, **how)
    assert (how["out"] == 7).all()


def test_out_that_does_not_fit() -> None:
    x = np.ones((1, 2, 6, 6))
    for out in (np.ones((1, 2, 3, 2)), np.ones((1, 2, 2, 2), np.float32), x[..., :2, :2]):
        before = out.copy()
        with pytest.raises(ValueError, match=r"fractional_max_pool2d: out"):
            run(x, 2, 2, out=out)
        assert (out == before).all()


@settings(
    max_examples=200, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(st.data())
def test_random_calls(data: Any) -> None:
    draw = data.draw
    nd = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1, (14, 6)[nd - 2])) for _ in range(nd))
    kernel = tuple(draw(st.integers(1, n)) for n in shape)
    size = tuple(draw(st.integers(0, n - k + 1)) for n, k in zip(shape, kernel, strict=True))
    lead = (draw(st.integers(0, 2)), draw(st.integers(1, 5)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = random_array(rng, draw(st.sampled_from(DTYPES)), lead + shape, "special")
    if x.size:
        x = draw(st.sampled_from(layouts.LAYOUTS))(x)
    samples = rng.random((*lead, nd)) * draw(st.sampled_from([1.0, 0.999, 0.0]))
    how = {"nan_policy": draw(st.sampled_from(["propagate", "omit"]))}
    want = oracle_fractional.pool(np.array(x, order="C"), kernel, size, samples, **how)
    with use_target(draw(st.sampled_from(targets()))):
        threads = draw(st.sampled_from(THREADS))
        check(both(x, kernel, size, random_samples=samples, threads=threads, **how), want)


@pytest.mark.parametrize("nd", [2, 3])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pytorch(dtype: np.dtype, nd: int, rng: np.random.Generator) -> None:
    """All but windows at every place of a volume, which PyTorch refuses."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = getattr(torch.nn.functional, f"fractional_max_pool{nd}d")
    kind = getattr(torch, str(dtype))
    for _ in range(60):
        kernel = tuple(int(v) for v in rng.integers(1, 4, nd))
        shape = tuple(
            k + int(v) for k, v in zip(kernel, rng.integers(2, (30, 9)[nd - 2], nd), strict=True)
        )
        size = tuple(int(rng.integers(1, n - k + 1)) for n, k in zip(shape, kernel, strict=True))
        x = rng.permutation(2 * 3 * int(np.prod(shape))).reshape(2, 3, *shape) % 256 - 128.0
        x, samples = x.astype(dtype), rng.random((2, 3, nd)).astype(np.float32) * 0.99
        tensors = [torch.from_numpy(np.asarray(a, np.float32)).to(kind) for a in (x, samples)]
        values, indices = theirs(
            tensors[0], kernel, output_size=size, _random_samples=tensors[1], return_indices=True
        )
        rounded = tensors[1].to(torch.float64).numpy()
        got = both(x, kernel, size, random_samples=rounded)
        assert_same(got[0], values.to(torch.float64).numpy().astype(dtype), f"{shape} {size}")
        assert_same(got[1], indices.numpy(), f"{shape} {kernel} {size}")


def test_gradient_is_that_of_the_indices(rng: np.random.Generator) -> None:
    for shape, kernel, size in CASES:
        nd = len(shape)
        x = random_array(rng, np.dtype(np.float64), (2, 3, *shape))
        values, indices = both(x, kernel, size, rng=3)
        grad = rng.standard_normal(values.shape)
        want = np.zeros((2, 3, int(np.prod(shape))))
        for n, c in np.ndindex(2, 3):
            np.add.at(want[n, c], indices[n, c].ravel(), grad[n, c].ravel())
        function = getattr(poolcore, f"fractional_max_pool{nd}d_backward")
        assert_same(function(grad, indices, x.shape), want.reshape(x.shape))
        layer = getattr(poolcore.nn, f"FractionalMaxPool{nd}d")(kernel, size, rng=3)
        assert_same(layer(x), values)
        assert_same(layer.backward(grad), want.reshape(x.shape))
        with pytest.raises(IndexError, match=rf"^fractional_max_pool{nd}d_backward: indices"):
            function(grad, indices + x.size, x.shape)


RANDOM = """
import poolcore, oracle_fractional
for turn in range(80):
    nd = 2 + turn % 2
    dtype = support.DTYPES[rng.integers(len(support.DTYPES))]
    shape = (2, 3) + tuple(int(v) for v in rng.integers(1, (30, 8)[nd - 2], nd))
    kernel = tuple(int(rng.integers(1, n + 1)) for n in shape[2:])
    size = tuple(int(rng.integers(0, n - k + 2)) for n, k in zip(shape[2:], kernel))
    if int(np.prod(shape)) * dtype.itemsize > inputs.size: continue
    x = inputs.place(shape, dtype, bool(turn & 4))
    x[...] = support.random_array(rng, dtype, shape, 'special')
    samples = rng.random((2, 3, nd))
    want = oracle_fractional.pool(x, kernel, size, samples)
    out = [m.place(w.shape, w.dtype, bool(turn & 8)) for m, w in zip((outputs, indices), want)]
    getattr(poolcore, f'fractional_max_pool{{nd}}d')(
        x, kernel, size, return_indices=True, random_samples=samples, out=tuple(out))
    for o, w in zip(out, want): support.assert_same(o.copy(), w, str((shape, kernel, size)))
    checked += 1
assert checked > 50
"""


@pytest.mark.failure(22)
def test_between_guard_pages() -> None:
    assert_runs(guard(5, 16) + RANDOM.format(), timeout=100)
