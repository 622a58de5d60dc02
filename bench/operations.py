"""The operations beside plain windows, against the libraries that have them.

Each row is a call of poolcore and calls of other libraries that compute the same from the same
arrays; whoever is not installed is left out, and whose result differs is not timed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import poolcore
from bench.contender import REST, Contender
from bench.measure import MINE, Settings, take_turns
from bench.record import geometric_mean
from bench.report import number, table

Call = Callable[[], Any]


@dataclass(frozen=True)
class Operation:
    """One row: poolcore's call, and others by the module that each needs."""

    name: str
    mine: Call
    others: dict[str, Callable[[Any], Call]] = field(default_factory=dict)
    tolerance: float = 1e-5  # relative to the largest magnitude; 1 for rounded bytes


def _array(*shape: int, dtype: str = "float32") -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.random(shape) * (200 if dtype == "uint8" else 1)).astype(dtype)


def _torch(call: Callable[[Any, Any], Any], *arrays: np.ndarray) -> Callable[[Any], Call]:
    """Give a maker of the call of PyTorch: call(torch, *tensors)."""

    def prepare(torch: Any) -> Call:
        tensors = [torch.from_numpy(a) for a in arrays]
        return lambda: call(torch, *tensors)

    return prepare


def _aten(name: str, *arguments: Any) -> Callable[..., Any]:
    return lambda torch, *tensors: getattr(torch.ops.aten, name)(*tensors, *arguments)


def _functional(name: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
    return lambda torch, *tensors: getattr(torch.nn.functional, name)(
        *tensors, *arguments, **options
    )


def adaptive() -> Iterator[Operation]:
    """Windows whose number is given, and whole planes."""
    for shape, size in (
        ((8, 256, 56, 56), 7), ((1, 256, 13, 13), 6), ((32, 2048, 7, 7), 1), ((8, 64, 14, 14), 30),
    ):  # fmt: skip
        x = _array(*shape)
        for op in ("avg", "max"):
            function = getattr(poolcore, f"adaptive_{op}_pool2d")
            yield Operation(
                f"adaptive_{op} {shape[-1]} to {size}",
                lambda f=function, x=x, s=size: f(x, s),
                {"torch": _torch(_functional(f"adaptive_{op}_pool2d", size), x)},
            )
    x = _array(8, 256, 13, 13)
    yield Operation(
        "spatial_pyramid 1, 2, 4",
        lambda: poolcore.spatial_pyramid_pool(x),
        {"torch": _torch(lambda torch, t: torch.cat(
            [torch.nn.functional.adaptive_max_pool2d(t, n).flatten(1) for n in (1, 2, 4)], 1), x)},
    )  # fmt: skip


def _soft(numpy: Any, windows: np.ndarray) -> np.ndarray:
    weights = numpy.exp(windows)
    return (weights * windows).sum((3, 5)) / weights.sum((3, 5))  # type: ignore[no-any-return]


def _soft_gradient(torch: Any, grad: Any, x: Any) -> Any:
    """Gradients of SoftPool by PyTorch's autograd, the forward call included."""
    x = x.detach().requires_grad_(True)
    windows = x.reshape(8, 64, 28, 2, 28, 2)
    weights = windows.exp()
    pooled = (weights * windows).sum((3, 5)) / weights.sum((3, 5))
    return torch.autograd.grad(pooled, x, grad)[0]


def _drawn(numpy: Any, x: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Stochastic pooling of 2x2 windows in NumPy."""
    windows = x.reshape(8, 64, 28, 2, 28, 2).swapaxes(3, 4).reshape(8, 64, 28, 28, 4)
    running = windows.cumsum(-1, dtype=numpy.float64)
    drawn = (running <= (chances * running[..., -1])[..., None]).sum(-1, keepdims=True)
    return numpy.take_along_axis(windows, drawn.clip(max=3), -1)[..., 0]  # type: ignore[no-any-return]


def random_and_norms() -> Iterator[Operation]:
    """Norms, soft, stochastic and fractional windows."""
    x = _array(8, 64, 56, 56)
    for p in (1.0, 2.0, 3.0, 2.5, float("inf")):
        yield Operation(
            f"lp_pool2d p={p:g} 3x3 s2",
            lambda p=p: poolcore.lp_pool2d(x, p, 3, 2),
            {} if p == float("inf") else {"torch": _torch(_functional("lp_pool2d", p, 3, 2), x)},
        )
    yield Operation(
        "soft_pool2d 2x2 s2",
        lambda: poolcore.soft_pool2d(x, 2),
        {"numpy": lambda numpy: lambda: _soft(numpy, x.reshape(8, 64, 28, 2, 28, 2))},
    )
    grad = _array(8, 64, 28, 28)
    yield Operation(
        "soft_pool2d_backward 2x2 s2",
        lambda: poolcore.soft_pool2d_backward(grad, x, 2),
        {"torch": _torch(_soft_gradient, grad, x)},
    )
    chances = np.random.default_rng(0).random((8, 64, 28, 28))
    yield Operation(
        "stochastic_pool2d 2x2 s2",
        lambda: poolcore.stochastic_pool2d(x, 2, random_samples=chances),
        {"numpy": lambda numpy: lambda: _drawn(numpy, x, chances)},
    )
    samples = _array(8, 64, 2)
    for both in (False, True):
        yield Operation(
            "fractional_max_pool2d 56 to 39" + (" indices" if both else ""),
            lambda both=both: poolcore.fractional_max_pool2d(
                x, 2, 39, return_indices=both, random_samples=samples
            ),
            {"torch": _torch(lambda torch, t, s, both=both: torch.nn.functional.
                             fractional_max_pool2d(t, 2, output_size=39, return_indices=both,
                                                   _random_samples=s), x, samples)},
        )  # fmt: skip


def _aligned(numpy: Any, x: np.ndarray, boxes: np.ndarray, size: int, ratio: int) -> np.ndarray:
    """RoIAlign in NumPy: samples gathered and averaged."""
    steps = (numpy.arange(size * ratio) + 0.5) / ratio / size

    def axis(lo: int, hi: int, n: int) -> list[Any]:
        at = boxes[:, lo, None] + steps * (boxes[:, hi] - boxes[:, lo])[:, None]
        at = numpy.clip(at, 0, n - 1)
        first = numpy.minimum(at.astype(int), n - 2)
        return [(first, first + 1 - at), (first + 1, at - first)]

    batch = boxes[:, 0].astype(int)[:, None, None]
    total = 0
    for rows, down in axis(2, 4, x.shape[2]):
        for columns, over in axis(1, 3, x.shape[3]):
            weights = (down[:, :, None] * over[:, None, :]).astype(x.dtype)
            found = x[batch, :, rows[:, :, None], columns[:, None, :]]
            total = total + found * weights[..., None]
    shape = (len(boxes), size, ratio, size, ratio, x.shape[1])
    return numpy.moveaxis(total.reshape(shape).mean((2, 4)), -1, 1)  # type: ignore[no-any-return,attr-defined]


def regions() -> Iterator[Operation]:
    """Boxes of feature maps."""
    x = _array(2, 256, 50, 50)
    rng = np.random.default_rng(6)
    corners = rng.uniform(0, 30, (100, 2))
    boxes = np.concatenate(
        [rng.integers(0, 2, (100, 1)), corners, corners + rng.uniform(2, 19, (100, 2))], 1
    )
    for size in (7, 14):
        for layout in ("NCHW", "NHWC"):
            given = x if layout == "NCHW" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
            yield Operation(
                f"roi_align {size}x{size} of 100 boxes {layout}",
                lambda x=given, n=size, layout=layout: poolcore.roi_align(
                    x, boxes, n, sampling_ratio=2, layout=layout
                ),
                {"numpy": lambda numpy, n=size: lambda: _aligned(numpy, x, boxes, n, 2)}
                if layout == "NCHW"
                else {},
            )
    yield Operation("roi_pool 7x7 of 100 boxes", lambda: poolcore.roi_pool(x, boxes, 7))


def gradients() -> Iterator[Operation]:
    """The ways back."""
    for n, k, s, p in ((112, 3, 2, 1), (112, 2, 2, 0), (28, 3, 1, 1), (14, 2, 2, 0)):
        x = _array(8, 64, n, n)
        y, at = poolcore.max_pool2d(x, k, s, p, return_indices=True)
        grad = _array(*y.shape)
        what = f"{k}x{k} s{s} on {n}"
        yield Operation(
            f"max_pool2d_backward {what}",
            lambda g=grad, at=at, x=x: poolcore.max_pool2d_backward(g, at, x.shape),
            {"torch": _torch(
                lambda torch, g, t, i, a=((k, k), (s, s), (p, p), (1, 1), False):
                torch.ops.aten.max_pool2d_with_indices_backward(g, t, *a, i), grad, x, at)},
        )  # fmt: skip
        yield Operation(
            f"avg_pool2d_backward {what}",
            lambda g=grad, x=x, a=(k, s, p): poolcore.avg_pool2d_backward(g, x.shape, *a),
            {"torch": _torch(_aten("avg_pool2d_backward", (k, k), (s, s), (p, p), False, True,
                                   None), grad, x)},
        )  # fmt: skip
        if s == 2 and p == 0:
            yield Operation(
                f"max_unpool2d {what}",
                lambda y=y, at=at: poolcore.max_unpool2d(y, at, 2),
                {"torch": _torch(_functional("max_unpool2d", 2), y, at)},
            )
    x, grad = _array(8, 256, 56, 56), _array(8, 256, 7, 7)
    yield Operation(
        "adaptive_avg_backward 7 to 56",
        lambda: poolcore.adaptive_avg_pool2d_backward(grad, x.shape),
        {"torch": _torch(_aten("_adaptive_avg_pool2d_backward"), grad, x)},
    )


def _max_pooled_both_ways(torch: Any, grad: Any, x: Any, *window: int) -> Any:
    """Gradients by PyTorch's autograd, the forward call included."""
    x = x.detach().requires_grad_(True)
    pooled = torch.nn.functional.max_pool2d(x, *window)
    return torch.autograd.grad(pooled, x, grad)[0]


def both_ways() -> Iterator[Operation]:
    """Max pooling and its gradient, one after the other."""
    for n, k, s, p in ((112, 3, 2, 1), (112, 2, 2, 0), (28, 3, 1, 1), (14, 2, 2, 0)):
        x = _array(8, 64, n, n)
        window = (k, s, p)
        grad = _array(*poolcore.max_pool2d(x, *window).shape)

        def call(x: Any = x, grad: Any = grad, window: Any = window) -> np.ndarray:
            at = poolcore.max_pool2d(x, *window, return_indices=True)[1]
            return poolcore.max_pool2d_backward(grad, at, x.shape)

        yield Operation(
            f"max_pool2d forward and backward {k}x{k} s{s} on {n}",
            call,
            {"torch": _torch(lambda torch, g, t, w=window: _max_pooled_both_ways(torch, g, t, *w),
                             grad, x)},
        )  # fmt: skip


def _halved(transform: Any, picture: np.ndarray, levels: int) -> list[np.ndarray]:
    """Levels of a pyramid of bytes by scikit-image, each rounded from the one below."""
    found = [picture]
    for _ in range(levels):
        mean = transform.downscale_local_mean(found[-1], (2, 2))
        found.append((mean + 0.5).astype(np.uint8))
    return found[1:]


def images() -> Iterator[Operation]:
    """Pyramids, medians and majorities of pictures."""
    picture = _array(4096, 4096, dtype="uint8")
    how: dict[str, Any] = {"dtype": np.uint8, "rounding": "half_up"}

    def resized(cv2: Any) -> Call:
        def call() -> list[Any]:
            levels = [picture]
            while len(levels) < 5:
                last = levels[-1]
                half = (last.shape[1] // 2, last.shape[0] // 2)
                levels.append(cv2.resize(last, half, interpolation=cv2.INTER_AREA))
            return levels[1:]

        return call

    yield Operation(
        "pyramid 4 levels of 4096x4096 uint8",
        lambda: poolcore.pyramid(picture, 4, **how),
        {
            "cv2": resized,
            "skimage.transform": lambda transform: lambda: _halved(transform, picture, 4),
            "tinybrain": lambda tinybrain: lambda: [
                y.reshape(y.shape[:2]) for y in tinybrain.downsample_with_averaging(
                    picture[..., np.newaxis], (2, 2, 1), num_mips=4)],
        },
        4,  # they round from level to level
    )  # fmt: skip
    labels = (picture[:2048, :2048] >> 5).astype(np.uint8)
    yield Operation(
        "mode_pool2d 2x2 of 2048x2048 labels",
        lambda: poolcore.mode_pool2d(labels[np.newaxis], 2),
        {"tinybrain": lambda tinybrain: lambda: tinybrain.downsample_segmentation(
            labels[..., np.newaxis], (2, 2, 1), num_mips=1)[0].reshape(1, 1024, 1024)},
        300,  # which of tied labels is left open there
    )  # fmt: skip
    small = picture[:1024, :1024]
    for k in (3, 5):
        yield Operation(
            f"median_pool2d {k}x{k} s1 of 1024x1024 uint8",
            lambda k=k: poolcore.median_pool2d(small[np.newaxis], k, 1, k // 2, dtype=np.uint8),
            {
                "cv2": lambda cv2, k=k: lambda: cv2.medianBlur(small, k)[np.newaxis],
                "scipy.ndimage": lambda ndimage, k=k: (
                    lambda: ndimage.median_filter(small, k)[np.newaxis]
                ),
                "skimage.filters": lambda filters, k=k: lambda: filters.median(
                    small, np.ones((k, k)), behavior="rank")[np.newaxis],
            },
            300,  # the border is another
        )  # fmt: skip


def all_operations() -> Iterator[Operation]:
    """Give every row; arrays are made as one goes."""
    for group in (adaptive, random_and_norms, regions, gradients, both_ways, images):
        yield from group()


def _lists(result: Any) -> list[np.ndarray]:
    several = isinstance(result, list | tuple)
    return [np.asarray(r) for r in (result if several else [result])]


def differs(mine: Any, theirs: Any, tolerance: float) -> str | None:
    """Say how two results differ."""
    for a, b in zip(_lists(mine), _lists(theirs), strict=True):
        if a.shape != b.shape:
            return f"shape {b.shape}, not {a.shape}"
        a, b = a.astype(np.float64), b.astype(np.float64)
        scale = max(1.0, float(np.abs(a).max(initial=0)) if tolerance < 1 else 1.0)
        worst = float(np.abs(a - b).max(initial=0))
        if not worst <= tolerance * scale:
            return f"differs by {worst:g}"
    return None


def _entered(row: Operation, threads: int, notes: list[str]) -> list[Contender]:
    found = [Contender(MINE, row.mine)]
    mine = row.mine()
    for module, prepare in row.others.items():
        try:
            library = importlib.import_module(module)
        except ImportError:
            continue
        if hasattr(library, "set_num_threads"):
            library.set_num_threads(threads)
        if hasattr(library, "setNumThreads"):
            library.setNumThreads(threads)
        call = prepare(library)
        wrong = differs(mine, call(), row.tolerance)
        if wrong:
            notes.append(f"{row.name}: {module} is left out: {wrong}")
        else:
            found.append(Contender(module, call, rest=REST))
    return found


def report(rows: Sequence[Operation] | Iterator[Operation], settings: Settings) -> str:
    """Measure all rows; give the table, the geometric mean, and where poolcore is slower."""
    poolcore.set_num_threads(settings.threads)
    lines, ratios, slower, notes = [], [], [], list[str]()
    for row in rows:
        timings = take_turns(_entered(row, settings.threads, notes), settings, lambda text: None)
        mine = timings.pop(MINE).median
        if not timings:
            lines.append([row.name, number(mine * 1e6), "-", "-", "-"])
            continue
        best = min(timings, key=lambda name: timings[name].median)
        ratio = timings[best].median / mine
        ratios.append(ratio)
        if ratio < 1:
            slower.append(f"{row.name} ({ratio:.2f})")
        lines.append([row.name, number(mine * 1e6), best, number(timings[best].median * 1e6),
                      number(ratio)])  # fmt: skip
    text = table(("operation", "poolcore us", "best peer", "us", "x"), lines)
    text += ["", f"geometric mean {number(geometric_mean(ratios))} of {len(ratios)}"]
    text += [f"slower than the best peer: {', '.join(slower) or 'none'}", *notes]
    return "\n".join(text)
