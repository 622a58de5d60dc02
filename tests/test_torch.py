"""PyTorch as a second opinion, where it is installed: forward pooling on the CPU.

Values of max and all indices must be equal; sums are added in another order there, so averages
are compared to a few ulp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases import CASES, Case, skips_the_input
from support import function

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F: Any = torch.nn.functional


def name(value: object) -> str:
    return str(value)


def numbers(value: Any, nd: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * nd


def understood(case: Case) -> bool:
    """PyTorch takes symmetric explicit padding of at most half the kernel."""
    if skips_the_input(case) or isinstance(case.padding, str | list):
        return False
    pads, kernels = numbers(case.padding, case.nd), numbers(case.kernel, case.nd)
    if any(2 * p > k for p, k in zip(pads, kernels, strict=True)):
        return False
    return case.name != "ceil_kernel_larger_than_input"


SHARED = [case for case in CASES if understood(case)]


def make(case: Case, rng: np.random.Generator, dtype: str) -> np.ndarray:
    x = rng.standard_normal(case.lead + case.shape)
    return (np.round(x * 4) / 4).astype(dtype)  # with many ties


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", SHARED, ids=name)
def test_max(case: Case, dtype: str, rng: np.random.Generator) -> None:
    x = make(case, rng, dtype)
    for nans in (False, True):
        if nans:
            x[rng.random(x.shape) < 0.05] = np.nan
        value, index = function("max", case.nd)(x, **case.window, return_indices=True)
        pooling = getattr(F, f"max_pool{case.nd}d")
        want = pooling(
            torch.from_numpy(x), case.kernel, case.stride, case.padding, case.dilation,
            case.ceil_mode, True,
        )  # fmt: skip
        np.testing.assert_array_equal(value, want[0].numpy())
        if not nans:  # of several NaN PyTorch names the last, here it is the first
            np.testing.assert_array_equal(index, want[1].numpy())


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [c for c in SHARED if c.dilation == 1], ids=name)
def test_avg(case: Case, dtype: str, include: bool, rng: np.random.Generator) -> None:
    x = rng.random(case.lead + case.shape).astype(dtype)
    got = function("avg", case.nd)(
        x, case.kernel, case.stride, case.padding, case.ceil_mode, include
    )
    pooling = getattr(F, f"avg_pool{case.nd}d")
    want = pooling(
        torch.from_numpy(x), case.kernel, case.stride, case.padding, case.ceil_mode, include
    )
    np.testing.assert_allclose(got, want.numpy(), rtol=3e-5 if dtype == "float32" else 1e-12)
    if case.nd > 1:
        got = function("avg", case.nd)(
            x, case.kernel, case.stride, case.padding, case.ceil_mode, include, 7
        )
        want = pooling(
            torch.from_numpy(x), case.kernel, case.stride, case.padding, case.ceil_mode, include, 7
        )
        np.testing.assert_allclose(got, want.numpy(), rtol=3e-5 if dtype == "float32" else 1e-12)


def test_a_call_copied_from_torch() -> None:
    """The same positional arguments in the same order."""
    x = np.random.default_rng(0).random((2, 3, 11, 12)).astype(np.float32)
    for arguments in (
        (3,),
        (3, 2),
        (3, 2, 1),
        (3, 2, 1, 2),
        (3, 2, 1, 1, True),
        (3, 2, 1, 1, True, True),
    ):
        got = function("max", 2)(x, *arguments)
        want = F.max_pool2d(torch.from_numpy(x), *arguments)
        for g, w in zip(
            got if isinstance(got, tuple) else (got,),
            want if isinstance(want, tuple) else (want,),
            strict=True,
        ):
            np.testing.assert_array_equal(g, w.numpy())
    for arguments in (
        (3,),
        (3, 2),
        (3, 2, 1),
        (3, 2, 1, True),
        (3, 2, 1, True, False),
        (3, 2, 1, True, False, 5),
    ):
        want = F.avg_pool2d(torch.from_numpy(x), *arguments).numpy()
        np.testing.assert_allclose(function("avg", 2)(x, *arguments), want, rtol=1e-6)


def test_random_geometries(rng: np.random.Generator) -> None:
    """A few hundred shapes nobody named."""
    compared = 0
    while compared < 400:
        h, w = (int(v) for v in rng.integers(1, 30, 2))
        k, s, d = (tuple(int(v) for v in rng.integers(1, top, 2)) for top in (6, 5, 4))
        p = tuple(int(rng.integers(0, kk // 2 + 1)) for kk in k)
        ceil = bool(rng.integers(2))
        x = rng.standard_normal((2, h, w)).astype(np.float32)
        try:
            want = F.max_pool2d(torch.from_numpy(x), k, s, p, d, ceil, True)
        except RuntimeError:
            with pytest.raises(ValueError):
                function("max", 2)(x, k, s, p, d, ceil)
            continue
        value, index = function("max", 2)(x, k, s, p, d, ceil, True)
        np.testing.assert_array_equal(value, want[0].numpy())
        # In a window without a tap inside the input PyTorch's index may lie outside the plane.
        empty = np.isneginf(value)
        np.testing.assert_array_equal(index[~empty], want[1].numpy()[~empty])
        assert (index[empty] == -1).all()
        compared += 1
