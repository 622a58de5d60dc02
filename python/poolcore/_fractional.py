"""Fractional max pooling: windows of one size at random, unequal steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, cast

import numpy as np
import numpy.typing as npt

from poolcore import _core
from poolcore._adapters import as_array, whole
from poolcore._docs import complete
from poolcore._fractional_windows import Windows, pool_planes
from poolcore._typing import (
    Array,
    ArrayInput,
    Flag,
    FractionalPool,
    Indices,
    Layout2d,
    Layout3d,
    NanPolicy,
    PerAxis,
    Ratio,
    Rng,
)

__all__ = ["fractional_max_pool2d", "fractional_max_pool3d", "generator"]


def _two(function: Callable[..., Any]) -> FractionalPool[Layout2d]:
    return cast("FractionalPool[Layout2d]", complete(function, "fractional", 2))


def _three(function: Callable[..., Any]) -> FractionalPool[Layout3d]:
    return cast("FractionalPool[Layout3d]", complete(function, "fractional", 3))


@_two
def fractional_max_pool2d(
    x: ArrayInput,
    kernel_size: PerAxis,
    output_size: PerAxis | None = None,
    output_ratio: Ratio | None = None,
    return_indices: Flag = False,
    *,
    random_samples: npt.ArrayLike | None = None,
    rng: Rng = None,
    layout: Layout2d = "NCHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of windows at random steps along H and W.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(25.0).reshape(1, 1, 5, 5)
    >>> fractional_max_pool2d(x, 2, 3, random_samples=np.full((1, 1, 2), 0.5))
    array([[[[ 6.,  8.,  9.],
             [16., 18., 19.],
             [21., 23., 24.]]]])
    """
    return _pool(
        "fractional_max_pool2d", 2, x, kernel_size, output_size, output_ratio, return_indices,
        random_samples, rng, layout, nan_policy, out, threads,
    )  # fmt: skip


@_three
def fractional_max_pool3d(
    x: ArrayInput,
    kernel_size: PerAxis,
    output_size: PerAxis | None = None,
    output_ratio: Ratio | None = None,
    return_indices: Flag = False,
    *,
    random_samples: npt.ArrayLike | None = None,
    rng: Rng = None,
    layout: Layout3d = "NCDHW",
    nan_policy: NanPolicy = "propagate",
    out: Array | tuple[Array, Array] | None = None,
    threads: SupportsIndex | None = None,
) -> Array | tuple[Array, Indices]:
    """Take the largest value of windows at random steps along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(27).reshape(1, 3, 3, 3)
    >>> fractional_max_pool3d(x, 2, 2, random_samples=np.zeros((1, 3))).ravel()
    array([13, 14, 16, 17, 22, 23, 25, 26])
    """
    return _pool(
        "fractional_max_pool3d", 3, x, kernel_size, output_size, output_ratio, return_indices,
        random_samples, rng, layout, nan_policy, out, threads,
    )  # fmt: skip


def _pool(
    name: str, nd: int, x: Any, kernel_size: Any, output_size: Any, output_ratio: Any,
    return_indices: Any, random_samples: Any, rng: Any, layout: Any, nan_policy: Any, out: Any,
    threads: Any,
) -> Array | tuple[Array, Indices]:  # fmt: skip
    x = as_array(x, None, name, "x")

    def call(do: Callable[..., Any], size: Any, out: Any) -> Any:
        return do(
            name, x, size, None, 0, 1, False, True, None, return_indices, None, "half_even",
            layout, None, None, nan_policy, out, threads,
        )  # fmt: skip

    call(_core.describe, 0, None)  # names what does not fit of all that is not checked here
    last = layout.endswith("C")
    first = x.ndim - nd - last
    sizes = x.shape[first : first + nd]
    kernel, output = _windows(sizes, first, kernel_size, output_size, output_ratio, name)
    lead = (x.shape[:first] + x.shape[first + nd :])[-2:]
    samples = _samples(random_samples, rng, lead, nd, name)
    if out is not None:
        call(_core.describe, output, out)
    if nan_policy == "raise":
        call(_core.pool, 0, None)
    shape = (*x.shape[:first], *output, *x.shape[first + nd :])
    both = bool(return_indices)
    if out is None:
        made = [np.empty_like(x, dtype=t, shape=shape) for t in (x.dtype, np.int64)[: 1 + both]]
    else:
        made = list(out) if both else [out]
    policy = "omit" if nan_policy == "omit" else "propagate"
    most = Windows.most_held(x.dtype.itemsize, both, threads)
    windows = Windows(kernel, samples, policy, threads, most)
    results: Any = tuple(np.asarray(a).view(np.ndarray) for a in made)
    planes = [np.moveaxis(a, -1, -1 - nd) if last else a for a in (x, *results)]
    if first + last == 1:
        planes = [a[np.newaxis] for a in planes]
    if made[0].size:
        pool_planes(planes[0], planes[1], planes[2] if both else None, windows)
    return (made[0], made[1]) if both else made[0]


def _windows(
    sizes: tuple[int, ...], first: int, kernel_size: Any, output_size: Any, output_ratio: Any,
    name: str,
) -> tuple[tuple[int, ...], tuple[int, ...]]:  # fmt: skip
    """Give the lengths of windows, and their numbers, along axes `first` and on."""
    nd = len(sizes)
    kernel = _per_axis(kernel_size, nd, name, "kernel_size")
    for i, (k, n) in enumerate(zip(kernel, sizes, strict=True)):
        if not 1 <= k <= n:
            raise ValueError(
                f"{name}: {_label('kernel_size', kernel_size, i)}={k} must be at least 1 and at "
                f"most {n}, the length of axis {first + i}"
            )
    output = _output(sizes, output_size, output_ratio, name)
    for i, (k, o, n) in enumerate(zip(kernel, output, sizes, strict=True)):
        if o + k - 1 > n:
            raise ValueError(
                f"{name}: {_label('output_size', output_size, i)}={o} with kernel_size {k} needs "
                f"{o + k - 1} elements along axis {first + i}, x has {n}"
            )
    return kernel, output


def _is_listed(value: Any) -> bool:
    listed = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    return listed and not isinstance(value, str | bytes)


def _label(argument: str, value: Any, axis: int) -> str:
    return f"{argument}[{axis}]" if _is_listed(value) else argument


def _per_axis(value: Any, nd: int, name: str, argument: str) -> tuple[int, ...]:
    """Give an int for all axes, or one for each, as one for each."""
    if not _is_listed(value):
        return (whole(value, name, argument),) * nd
    if len(value) != nd:
        raise ValueError(f"{name}: {argument} must be an int or {nd} ints, got {len(value)}")
    return tuple(whole(v, name, f"{argument}[{i}]") for i, v in enumerate(value))


def _output(
    sizes: tuple[int, ...], output_size: Any, output_ratio: Any, name: str
) -> tuple[int, ...]:
    nd = len(sizes)
    if (output_size is None) == (output_ratio is None):
        raise ValueError(
            f"{name}: give output_size or output_ratio, one of the two, "
            f"got {output_size!r:.60} and {output_ratio!r:.60}"
        )
    if output_ratio is None:
        output = _per_axis(output_size, nd, name, "output_size")
        for i, o in enumerate(output):
            if o < 0:
                label = _label("output_size", output_size, i)
                raise ValueError(f"{name}: {label}={o} must not be negative")
        return output
    ratios = _ratios(output_ratio, nd, name)
    return tuple(int(n * ratio) for n, ratio in zip(sizes, ratios, strict=True))


def _ratios(output_ratio: Any, nd: int, name: str) -> list[float]:
    wanted = f"{name}: output_ratio must be a number or {nd} of them, got {output_ratio!r:.60}"
    given = as_array(output_ratio, None, name, "output_ratio")
    if given.dtype.kind not in "iuf":
        raise TypeError(wanted)
    if given.shape not in ((), (nd,)):
        raise ValueError(wanted)
    ratios: list[float] = np.broadcast_to(given, (nd,)).astype(np.float64).tolist()
    for i, ratio in enumerate(ratios):
        if not 0 < ratio < 1:
            label = _label("output_ratio", output_ratio, i)
            raise ValueError(f"{name}: {label}={ratio} must lie between 0 and 1")
    return ratios


def _samples(given: Any, rng: Any, lead: tuple[int, ...], nd: int, name: str) -> Array:
    """Numbers of [0, 1), nd for each plane; `lead` is (N, C) or, unbatched, (C,)."""
    shape = (*((1, *lead)[-2:]), nd)
    if given is None:
        return generator(rng, name).random(shape)
    if rng is not None:
        raise ValueError(f"{name}: give random_samples or rng, not both")
    samples = as_array(given, None, name, "random_samples")
    if samples.dtype.kind != "f" and samples.dtype.name != "bfloat16":
        raise TypeError(f"{name}: random_samples must be floats, got dtype {samples.dtype}")
    if samples.shape != shape and (len(lead) == 2 or samples.shape != shape[1:]):
        raise ValueError(f"{name}: random_samples must have shape {shape}, got {samples.shape}")
    if samples.size and not bool(np.all((samples >= 0) & (samples < 1))):
        bad = samples[~((samples >= 0) & (samples < 1))].flat[0]
        raise ValueError(f"{name}: random_samples must lie in [0, 1), got {float(bad)}")
    return samples.reshape(shape)


def generator(rng: Any, name: str) -> np.random.Generator:
    """Give a generator as it is, or a new one from a seed or from None."""
    if isinstance(rng, np.random.Generator):
        return rng
    try:
        seed = None if rng is None else whole(rng, name, "rng")
    except TypeError:
        raise TypeError(
            f"{name}: rng must be a numpy.random.Generator or an int, got {type(rng).__name__}"
        ) from None
    if seed is not None and seed < 0:
        raise ValueError(f"{name}: rng={seed} must not be negative")
    if seed is not None and seed.bit_length() > 4096:
        raise ValueError(
            f"{name}: rng must be a seed of at most 4096 bits, got one of {seed.bit_length()}"
        )
    return np.random.default_rng(seed)
