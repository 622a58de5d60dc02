"""Calls as users write them, for type checkers: mypy --strict and pyright must accept this file.

Not a test by itself; `.ci/run` checks it. It runs, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import poolcore

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:  # Python 3.10 has none, and no test needs the package for it

    def assert_type(value: Any, _: Any) -> Any:
        return value


x: npt.NDArray[np.float32] = np.zeros((1, 2, 8, 8), np.float32)
pixels: npt.NDArray[np.uint8] = np.zeros((8, 8, 3), np.uint8)

assert_type(poolcore.max_pool2d(x, 2), npt.NDArray[np.float32])
assert_type(poolcore.max_pool2d(x, (3, 3), 2, padding=[1, 1]), npt.NDArray[np.float32])
assert_type(
    poolcore.max_pool2d(x, 2, return_indices=True),
    tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]],
)
values, indices = poolcore.min_pool3d(x, 2, return_indices=True, nan_policy="omit")
poolcore.max_pool1d([[1], [2], [3]], np.int64(2), layout="NWC", threads=2)
poolcore.max_pool2d(x, 2, padding="same_lower", out=np.empty((1, 2, 4, 4), np.float32))
poolcore.max_pool2d(x, 2, padding=[(0, 1), (1, 0)], ceil_mode=bool(x.size))
poolcore.avg_pool2d(pixels, 2, layout="NHWC", dtype=np.uint8, rounding="half_up")
poolcore.avg_pool2d(x, 3, 2, 1, False, False, None, 1)
poolcore.sum_pool2d(pixels, 2, layout="NHWC", dtype="uint32")
anything: npt.NDArray[Any] = poolcore.pool(x, (2, 2), "avg", axes=(2, 3), divisor_override=3)
poolcore.pool2d([[0.0, 1.0], [2.0, 3.0]], 2, mode="sum")
poolcore.mode_pool2d(pixels, 2, layout="NHWC")
poolcore.lp_pool2d(x, 2, 3, (1, 2), True, padding="same", nan_policy="omit", threads=1)
poolcore.lp_pool1d([[3, 4]], np.float32(1.5), 2, out=np.empty((1, 1)))
poolcore.global_lp_pool(x, float("inf"), axes=(2, 3), keepdims=False)
poolcore.gem_pool(pixels, 3, eps=0, layout="NHWC")
poolcore.gem_pool_backward(np.ones((1, 2)), x, p=2.5, keepdims=False)
poolcore.lp_pool2d_backward(np.ones((1, 2, 4, 4)), x, 2, 2, layout="NCHW")
poolcore.median_pool2d(x, 3, 1, 1, nan_policy="omit", out=np.empty_like(x))
poolcore.soft_pool2d(x, 3, 1, 1, nan_policy="omit", out=np.empty_like(x))
poolcore.soft_pool1d([[3, 4]], 1, layout="NWC", ceil_mode=True)
poolcore.soft_pool2d_backward(x, x, 1, padding="valid", out=np.empty_like(x))
assert_type(poolcore.stochastic_pool2d(x, 2, rng=1), npt.NDArray[Any])
poolcore.stochastic_pool3d(x, 2, 1, 1, training=False, nan_policy="omit")
drawn, places = poolcore.stochastic_pool1d([[3.0, 4.0]], 2, return_indices=True, rng=0)
poolcore.median_pool2d(pixels, 2, layout="NHWC", dtype=np.uint8, rounding="floor")
scales: list[npt.NDArray[Any]] = poolcore.pyramid(pixels, 2, axes=(0, 1), nodata=0)
poolcore.pyramid(pixels, 1, (2, 2, 1), "mode", (0, 1, 2))
poolcore.pyramid(x, 2, nan_policy="omit", out=(x[..., :4, :4].copy(), x[..., :2, :2].copy()))
poolcore.pyramid(x, np.int64(2), op="sum", dtype=np.float64, nodata=float("nan"), threads=2)
assert_type(poolcore.adaptive_max_pool2d(x, (None, 3)), npt.NDArray[np.float32])
assert_type(
    poolcore.adaptive_min_pool2d(x, 3, True),
    npt.NDArray[Any] | tuple[npt.NDArray[Any], npt.NDArray[np.int64]],
)
values, indices = poolcore.adaptive_max_pool1d(x[0], 3, return_indices=True)
poolcore.adaptive_avg_pool2d(pixels, 3, layout="NHWC", dtype=np.uint8)
assert_type(poolcore.fractional_max_pool2d(x, 2, 3), npt.NDArray[np.float32])
values, indices = poolcore.fractional_max_pool2d(x, 2, output_ratio=0.5, return_indices=True)
poolcore.fractional_max_pool2d_backward(values, indices, x.shape)
poolcore.nn.FractionalMaxPool3d(2, (3, 4, 5), rng=np.random.default_rng())
assert_type(poolcore.global_max_pool(x, keepdims=False), npt.NDArray[np.float32])
values, indices = poolcore.global_min_pool(x, return_indices=True, axes=(2, 3))
poolcore.global_max_pool_backward(values, indices, x.shape, axes=(2, 3))
poolcore.global_avg_pool_backward([[1.0]], (1, 1, 4), keepdims=False)
poolcore.global_avg_pool(pixels, layout="NHWC", rounding="trunc", dtype="uint8")
values, indices = poolcore.spatial_pyramid_pool(x, 3, return_indices=True)
poolcore.spatial_pyramid_pool_backward(values, x.shape, 3, indices=indices)
poolcore.spatial_pyramid_pool(x, [1, 2], "avg", out=np.empty((1, 10), np.float32))
with poolcore.num_threads(2):
    poolcore.set_num_threads(poolcore.get_num_threads())
boxes = np.array([[0, 0, 0, 4, 4]])
pooled, places = poolcore.roi_pool(x, boxes, 2, 0.5, return_indices=True)
poolcore.roi_pool(x, [boxes[:, 1:]], (2, 1), out=np.empty((1, 2, 2, 1), np.float32))
poolcore.roi_align(x, [[[0.5, 0.5, 3, 3]]], 2, 1, 2, True, "max", nan_policy="omit", threads=1)
poolcore.roi_pool_backward(pooled, places, boxes, x.shape, layout="NCHW")
poolcore.roi_align_backward(pooled, [boxes[:, 1:]], x.shape, 0.5, 1, True, "max", x, threads=1)
poolcore.nn.RoIAlign((2, 3), 0.25, 2, aligned=True, layout="NHWC").eval()
poolcore.nn.RoIPool(7, 1 / 16)(x, boxes)
values, indices = poolcore.max_pool3d(x, 2, return_indices=True)
back = poolcore.max_pool3d_backward(values, indices, (1, 2, 8, 8), layout="NCDHW", threads=1)
poolcore.max_unpool3d(values, indices, 2, padding=[(0, 0)] * 3, output_size=(2, 8, 8))
poolcore.max_unpool3d_backward(back, indices, values.shape, layout="NCDHW", threads=1)
poolcore.avg_pool2d_backward(x, (1, 2, 16, 16), 2, None, 0, False, True, 4)
poolcore.sum_pool2d_backward(x, x.shape, 1, out=np.empty_like(x))
values, indices = poolcore.adaptive_max_pool2d(x, 3, return_indices=True)
back = poolcore.adaptive_max_pool2d_backward(values, indices, x.shape)
poolcore.adaptive_avg_pool2d_backward(values, x.shape, out=back, threads=1)
poolcore.nn.AdaptiveAvgPool2d((None, 1))(x)
layer = poolcore.nn.MaxPool2d(2, return_indices=True).train()
layer(x)
gradient: npt.NDArray[Any] = layer.backward(np.ones((1, 2, 4, 4), np.float32))
poolcore.nn.GeMPool(2.5, keepdims=False)(x)
poolcore.nn.SpatialPyramidPool([1, 2], "avg", layout="NHWC").train(False)
assert_type(poolcore.nn.MedianPool2d(3, 1, "same")(x), npt.NDArray[Any])
poolcore.nn.ModePool3d((1, 2, 2), layout="NDHWC")(pixels[None])
