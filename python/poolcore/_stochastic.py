"""Stochastic pooling: windows draw one of their elements, or take the mean of what they would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsIndex, cast

import numpy as np
import numpy.typing as npt

from poolcore import _core
from poolcore._adapters import as_array
from poolcore._docs import complete
from poolcore._fractional import generator
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    Indices,
    Layout1d,
    Layout2d,
    Layout3d,
    NanPolicy,
    Padding,
    PerAxis,
    Rng,
    StochasticPool,
)

__all__ = ["stochastic_pool1d", "stochastic_pool2d", "stochastic_pool3d"]


def _one(function: Callable[..., Any]) -> StochasticPool[Layout1d]:
    return cast("StochasticPool[Layout1d]", complete(function, "stochastic", 1))


def _two(function: Callable[..., Any]) -> StochasticPool[Layout2d]:
    return cast("StochasticPool[Layout2d]", complete(function, "stochastic", 2))


def _three(function: Callable[..., Any]) -> StochasticPool[Layout3d]:
    return cast("StochasticPool[Layout3d]", complete(function, "stochastic", 3))


@_one
def stochastic_pool1d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    training: Flag = True,
    random_samples: npt.ArrayLike | None = None,
    rng: Rng = None,
    layout: Layout1d = "NCW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Draw an element of each window along W, each with its share of the window's sum.

    Examples
    --------
    >>> stochastic_pool1d([[1.0, 3.0, 0.0, 2.0]], 2, random_samples=[[0.5, 0.9]])
    array([[3., 2.]])
    >>> stochastic_pool1d([[1.0, 3.0, 0.0, 2.0]], 2, training=False)
    array([[2.5, 2. ]])
    """
    return _pool(
        "stochastic_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode, return_indices,
        training, random_samples, rng, layout, nan_policy, out, threads,
    )  # fmt: skip


@_two
def stochastic_pool2d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    training: Flag = True,
    random_samples: npt.ArrayLike | None = None,
    rng: Rng = None,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Draw an element of each window along H and W, each with its share of the window's sum.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[[0.0, 0.0, 1.0, 1.0], [5.0, 0.0, 1.0, 1.0]]], np.float32)
    >>> stochastic_pool2d(x, 2, return_indices=True, random_samples=np.full((1, 1, 2), 0.5))
    (array([[[5., 1.]]], dtype=float32), array([[[4, 6]]]))
    """
    return _pool(
        "stochastic_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, return_indices,
        training, random_samples, rng, layout, nan_policy, out, threads,
    )  # fmt: skip


@_three
def stochastic_pool3d(
    x: ArrayInput,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: Flag = False,
    return_indices: Flag = False,
    *,
    training: Flag = True,
    random_samples: npt.ArrayLike | None = None,
    rng: Rng = None,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Draw an element of each window along D, H and W, each with its share of the window's sum.

    Examples
    --------
    >>> import numpy as np
    >>> stochastic_pool3d(np.arange(8).reshape(1, 2, 2, 2), 2, training=False)
    array([[[[5.]]]])
    """
    return _pool(
        "stochastic_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode, return_indices,
        training, random_samples, rng, layout, nan_policy, out, threads,
    )  # fmt: skip


def _pool(
    name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any,
    return_indices: Any, training: Any, random_samples: Any, rng: Any, layout: Any,
    nan_policy: Any, out: Any, threads: Any,
) -> Array | tuple[Array, Indices]:  # fmt: skip
    x = as_array(x, None, name, "x")
    arguments = (
        name, x, kernel_size, stride, padding, dilation, ceil_mode, True, None, return_indices,
        None, "half_even", layout, None, None, nan_policy, out, threads,
    )  # fmt: skip
    if not isinstance(training, bool | np.bool_):
        raise TypeError(f"{name}: training must be True or False, got {type(training).__name__}")
    samples = None
    if training:
        samples = _samples(random_samples, rng, _core.pooled_shape(*arguments), name)
    else:
        _refuse_randomness(return_indices, random_samples, rng, name)
    return _core.stochastic(*arguments, samples)  # type: ignore[no-any-return]


def _refuse_randomness(return_indices: Any, random_samples: Any, rng: Any, name: str) -> None:
    given = {"random_samples": random_samples, "rng": rng, "return_indices": return_indices or None}
    for argument, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name}: {argument} is for training=True; the test phase draws nothing"
            )


def _samples(given: Any, rng: Any, shape: tuple[int, ...], name: str) -> Array:
    """Numbers of [0, 1), one for each window."""
    if given is None:
        return generator(rng, name).random(shape)
    if rng is not None:
        raise ValueError(f"{name}: give random_samples or rng, not both")
    samples = as_array(given, None, name, "random_samples")
    if samples.dtype.kind != "f" and samples.dtype.name != "bfloat16":
        raise TypeError(f"{name}: random_samples must be floats, got dtype {samples.dtype}")
    if samples.shape != shape:
        raise ValueError(f"{name}: random_samples must have shape {shape}, got {samples.shape}")
    wrong = ~((samples >= 0) & (samples < 1))
    if wrong.any():
        bad = float(samples[wrong].flat[0])
        raise ValueError(f"{name}: random_samples must lie in [0, 1), got {bad}")
    return samples.astype(np.float64, copy=False)
