"""The named cases: what is pooled, and why the case is there.

A case says everything that decides the work: shape in array order, windows, type, layout, view.
Names are unique and stay as they are, because --compare matches files by them. Knows NumPy only;
nothing here measures.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

VIEWS = ("contiguous", "columns", "transposed", "crop")


@dataclass(frozen=True)
class Case:
    """One pooling problem. `shape` is in the array's order; all windows have one entry an axis."""

    name: str
    group: str
    intent: str
    op: str
    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dtype: str = "float32"
    channels_last: bool = False
    ceil: bool = False
    count_include_pad: bool = True
    indices: bool = False
    view: str = "contiguous"
    quick: bool = False

    @property
    def nd(self) -> int:
        return len(self.kernel)

    @property
    def axes(self) -> tuple[int, ...]:
        """The pooled axes of the array."""
        first = 1 if self.channels_last else 2
        return tuple(range(first, first + self.nd))

    @property
    def spatial(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def batch(self) -> int:
        return self.shape[0]

    @property
    def channels(self) -> int:
        return self.shape[-1] if self.channels_last else self.shape[1]

    @property
    def out_spatial(self) -> tuple[int, ...]:
        lengths = zip(self.spatial, self.kernel, self.stride, self.padding, strict=True)
        return tuple(out_length(n, k, s, p, self.ceil) for n, k, s, p in lengths)

    @property
    def out_shape(self) -> tuple[int, ...]:
        shape = list(self.shape)
        for axis, length in zip(self.axes, self.out_spatial, strict=True):
            shape[axis] = length
        return tuple(shape)

    @property
    def blocks(self) -> bool:
        """Whether the windows tile the whole input: stride is kernel, nothing padded or left."""
        tiles = all(n % k == 0 for n, k in zip(self.spatial, self.kernel, strict=True))
        return tiles and self.stride == self.kernel and not any(self.padding)

    @property
    def whole(self) -> bool:
        """Whether one window covers the plane."""
        return self.kernel == self.spatial and not any(self.padding)

    @property
    def bytes_in(self) -> int:
        """Bytes of memory that have to be read: a view with gaps brings the gaps along."""
        gaps = 2 if self.view == "columns" else 1
        return math.prod(self.shape) * itemsize(self.dtype) * gaps

    @property
    def bytes_out(self) -> int:
        each = itemsize(self.dtype) + (8 if self.indices else 0)
        return math.prod(self.out_shape) * each

    def divisors(self) -> np.ndarray:
        """The divisor of every window of a mean, of shape out_spatial."""
        result = np.ones((), np.int64)
        lengths = zip(self.spatial, self.kernel, self.stride, self.padding, strict=True)
        for (n, k, s, p), o in zip(lengths, self.out_spatial, strict=True):
            start = np.arange(o) * s - p
            end = np.minimum(start + k, n + p)
            if not self.count_include_pad:
                start, end = np.maximum(start, 0), np.minimum(end, n)
            result = np.multiply.outer(result, end - start)
        return result

    def tiny(self) -> Case:
        """The same case on a few small planes, for tests."""
        shape = list(self.shape)
        for axis, k, s in zip(self.axes, self.kernel, self.stride, strict=True):
            shape[axis] = min(shape[axis], k + 2 * s + 1)
        if self.whole or self.blocks:
            for axis, k in zip(self.axes, self.kernel, strict=True):
                shape[axis] = k if self.whole else 2 * k
        for axis in set(range(len(shape))) - set(self.axes):
            shape[axis] = min(shape[axis], 2 + axis % 2)
        return dataclasses.replace(self, shape=tuple(shape))


def out_length(n: int, k: int, s: int, p: int, ceil: bool) -> int:
    """How many windows fit; ceil's last one has to start inside the input or its left padding."""
    if not ceil:
        return (n + 2 * p - k) // s + 1
    o = -((n + 2 * p - k) // -s) + 1
    return o - 1 if (o - 1) * s >= n + p else o


def dtype_of(name: str) -> np.dtype:
    """Give the dtype of a name. ImportError if it is bfloat16 and ml_dtypes is missing."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def itemsize(name: str) -> int:
    return 2 if name == "bfloat16" else np.dtype(name).itemsize


def make_input(case: Case) -> np.ndarray:
    """Give the case's input: random, always the same, and laid out as its view says."""
    rng = np.random.default_rng(1)
    h, w = case.axes[-2:] if case.nd > 1 else (None, case.axes[-1])
    shape = list(case.shape)
    if case.view == "columns":
        shape[w] *= 2
    elif case.view == "transposed":
        shape[h], shape[w] = shape[w], shape[h]
    elif case.view == "crop":
        shape[h], shape[w] = shape[h] + 7, shape[w] + 13
    dtype = dtype_of(case.dtype)
    if dtype.kind in "ui":
        base = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    elif dtype == np.float64:
        base = rng.random(shape)
    else:
        base = rng.random(shape, np.float32).astype(dtype, copy=False)
    return _view(base, case, h, w)


def _view(base: np.ndarray, case: Case, h: int | None, w: int) -> np.ndarray:
    if case.view == "transposed":
        return base.swapaxes(h, w)
    cut = [slice(None)] * base.ndim
    if case.view == "columns":
        cut[w] = slice(None, None, 2)
    elif case.view == "crop":
        cut[h] = slice(3, 3 + case.shape[h])
        cut[w] = slice(5, 5 + case.shape[w])
    return base[tuple(cut)]


def _case(
    name: str, intent: str, op: str, shape: tuple[int, ...], kernel: Any, **rest: Any
) -> Case:
    group = rest.pop("group", "networks")
    nd = len(shape) - 2

    def per_axis(value: Any) -> tuple[int, ...]:
        return (value,) * nd if isinstance(value, int) else tuple(value)

    stride = per_axis(rest.pop("s", kernel))
    padding = per_axis(rest.pop("p", 0))
    return Case(name, group, intent, op, shape, per_axis(kernel), stride, padding, **rest)


def _networks() -> list[Case]:
    vgg = [(64, 224), (128, 112), (256, 56), (512, 28), (512, 14)]
    q = {"quick": True}
    return [
        _case("lenet_1", "LeNet, first pooling", "avg", (1, 6, 28, 28), 2, **q),
        _case("lenet_2", "LeNet, second pooling", "avg", (1, 16, 10, 10), 2),
        _case("alexnet_1", "AlexNet, overlapping windows", "max", (1, 64, 55, 55), 3, s=2, **q),
        _case("alexnet_2", "AlexNet, second pooling", "max", (1, 192, 27, 27), 3, s=2),
        _case("alexnet_5", "AlexNet, odd small planes", "max", (1, 256, 13, 13), 3, s=2),
        *(
            _case(f"vgg_{i}", f"VGG, pooling {i}", "max", (1, c, n, n), 2, quick=i in (1, 5))
            for i, (c, n) in enumerate(vgg, 1)
        ),
        _case("resnet_b1", "ResNet's stem", "max", (1, 64, 112, 112), 3, s=2, p=1, **q),
        _case("resnet_b32", "ResNet's stem, batch 32", "max", (32, 64, 112, 112), 3, s=2, p=1),
        _case("inception_s1", "Inception's branch", "max", (8, 192, 28, 28), 3, s=1, p=1, **q),
        _case("inception_14", "its later planes, one image", "max", (1, 480, 14, 14), 3, s=1, p=1),
        _case(
            "inception_avg", "Inception v3's mean, padding not counted", "avg", (1, 192, 35, 35),
            3, s=1, p=1, count_include_pad=False,
        ),
        _case("densenet_1", "DenseNet, first transition", "avg", (1, 128, 56, 56), 2),
        _case("densenet_3", "DenseNet, last transition", "avg", (1, 512, 14, 14), 2),
        *(
            _case(f"yolo_spp_{k}", f"YOLO's pyramid, window {k}", "max", (1, 512, 20, 20), k,
                  s=1, p=k // 2, quick=k == 5)
            for k in (5, 9, 13)
        ),
        _case("squeezenet_1", "SqueezeNet, ceil", "max", (1, 96, 109, 109), 3, s=2, ceil=True),
        _case("squeezenet_4", "SqueezeNet, a window over the edge", "max", (1, 256, 54, 54), 3,
              s=2, ceil=True),
        _case("global_b1", "ResNet-50's last mean", "avg", (1, 2048, 7, 7), 7, **q),
        _case("global_b32", "the same, batch 32", "avg", (32, 2048, 7, 7), 7),
        _case("global_max", "global maximum of large planes", "max", (1, 64, 112, 112), 112),
        _case("c3d_1", "C3D, no pooling in time", "max", (1, 64, 16, 112, 112), (1, 2, 2)),
        _case("c3d_2", "C3D, 2x2x2", "max", (1, 128, 16, 56, 56), 2, **q),
        _case("i3d_stem", "I3D's stem", "max", (1, 64, 16, 112, 112), (1, 3, 3), s=(1, 2, 2),
              p=(0, 1, 1)),
        _case("i3d_s2", "I3D, 3x3x3 stride 2", "max", (1, 192, 16, 28, 28), 3, s=2, p=1),
        _case("i3d_s1", "I3D's branch", "max", (1, 480, 8, 14, 14), 3, s=1, p=1),
        _case("i3d_avg", "I3D's last mean", "avg", (1, 1024, 8, 7, 7), (2, 7, 7), s=1),
        _case("audio_4", "audio, M5's pooling", "max", (8, 64, 16000), 4, **q),
        _case("audio_9_5", "audio, overlapping windows", "max", (8, 64, 16000), 9, s=5),
        _case("audio_avg", "audio, mean down to a tenth", "avg", (8, 1, 160000), 10),
    ]  # fmt: skip


def _images() -> list[Case]:
    made = []
    for dtype, short in (("uint8", "u8"), ("uint16", "u16"), ("float32", "f32")):
        for op in ("max", "avg"):
            for rows, size in ((4096, "4k"), (16384, "16k")):
                made.append(
                    _case(f"image_{size}_{short}_{op}", f"{rows}x4096 image", op,
                          (1, 1, rows, 4096), 2, dtype=dtype, group="images",
                          quick=size == "4k" and short == "u8")
                )  # fmt: skip
    rgb = {"group": "images", "channels_last": True}
    return [
        *made,
        _case("image_rgb_u8_avg", "a photograph halved", "avg", (1, 2048, 2048, 3), 2,
              dtype="uint8", **rgb),
        _case("image_rgb_f32_max", "colours apart", "max", (1, 2048, 2048, 3), 2, **rgb),
    ]  # fmt: skip


def _windows() -> list[Case]:
    sizes = (3, 5, 7, 15, 31, 63)
    planes = {"group": "windows", "s": 1}
    return [
        _case(f"window_{k}_{op}{tail}", f"{k}x{k} windows one apart", op, (1, 1, 1024, 1024), k,
              p=k // 2, dtype=dtype, quick=k in (3, 63) and dtype == "float32", **planes)
        for dtype, tail, ops in (("float32", "", ("max", "avg")), ("uint8", "_u8", ("max",)))
        for op in ops
        for k in (sizes if dtype == "float32" else (3, 63))
    ]  # fmt: skip


def _variations() -> list[Case]:
    vgg, stem = (1, 64, 224, 224), {"s": 2, "p": 1}
    types = [("float64", "f64"), ("float16", "f16"), ("bfloat16", "bf16"), ("uint8", "u8")]
    last = {"group": "NHWC", "channels_last": True}
    where = {"group": "indices", "indices": True}
    call = {"group": "calls", "quick": True}
    return [
        _case("vgg_1_avg", "vgg_1 as a mean", "avg", vgg, 2, group="types"),
        *(
            _case(f"vgg_1_{short}{'_avg' if op == 'avg' else ''}", f"vgg_1 in {dtype}", op, vgg, 2,
                  dtype=dtype, group="types", quick=op == "max")
            for dtype, short in types
            for op in ("max", "avg")
        ),
        _case("nhwc_vgg_1", "channels last", "max", (1, 224, 224, 64), 2, quick=True, **last),
        _case("nhwc_resnet_b1", "ResNet's stem, channels last", "max", (1, 112, 112, 64), 3,
              **stem, **last),
        _case("nhwc_global_b1", "global mean, channels last", "avg", (1, 7, 7, 2048), 7, **last),
        _case("index_vgg_1", "vgg_1 with indices", "max", vgg, 2, quick=True, **where),
        _case("index_resnet_b1", "ResNet's stem with indices", "max", (1, 64, 112, 112), 3,
              **stem, **where),
        _case("index_inception", "overlapping windows with indices", "max", (8, 192, 28, 28), 3,
              s=1, p=1, **where),
        *(
            _case(f"view_{view}", f"vgg_1 on a strided view: {view}", "max", vgg, 2, view=view,
                  group="views", quick=view == "columns")
            for view in VIEWS[1:]
        ),
        _case("call_4x4", "what a call costs", "max", (1, 1, 4, 4), 2, **call),
        _case("call_4x4_avg", "what a call of a mean costs", "avg", (1, 1, 4, 4), 2, **call),
    ]  # fmt: skip


CASES: tuple[Case, ...] = (*_networks(), *_images(), *_windows(), *_variations())


def describe(case: Case) -> str:
    """Say in one line what a case is."""

    def short(values: tuple[int, ...]) -> str:
        return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))

    words = [case.op, "x".join(map(str, case.shape)), case.dtype, f"k{short(case.kernel)}"]
    words += [f"s{short(case.stride)}", f"p{short(case.padding)}"]
    flags = {"channels last": case.channels_last, "ceil": case.ceil, "indices": case.indices,
             "padding not counted": not case.count_include_pad}  # fmt: skip
    words += [word for word, on in flags.items() if on]
    if case.view != "contiguous":
        words.append(f"view: {case.view}")
    return " ".join(words)
