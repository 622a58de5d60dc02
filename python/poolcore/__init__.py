"""Pooling for NumPy arrays: maximum, minimum, mean, norm, soft, median and majority of windows."""

from poolcore import nn
from poolcore._adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    adaptive_min_pool1d,
    adaptive_min_pool2d,
    adaptive_min_pool3d,
)
from poolcore._adaptive_backward import (
    adaptive_avg_pool1d_backward,
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool3d_backward,
    adaptive_max_pool1d_backward,
    adaptive_max_pool2d_backward,
    adaptive_max_pool3d_backward,
)
from poolcore._average import avg_pool1d, avg_pool2d, avg_pool3d
from poolcore._backward import (
    avg_pool1d_backward,
    avg_pool2d_backward,
    avg_pool3d_backward,
    max_pool1d_backward,
    max_pool2d_backward,
    max_pool3d_backward,
    sum_pool1d_backward,
    sum_pool2d_backward,
    sum_pool3d_backward,
)
from poolcore._config import get_num_threads, num_threads, set_num_threads, show_config
from poolcore._core import __version__
from poolcore._extremum import (
    max_pool1d,
    max_pool2d,
    max_pool3d,
    min_pool1d,
    min_pool2d,
    min_pool3d,
)
from poolcore._fractional import fractional_max_pool2d, fractional_max_pool3d
from poolcore._fractional_backward import (
    fractional_max_pool2d_backward,
    fractional_max_pool3d_backward,
)
from poolcore._general import pool, pool2d
from poolcore._global import (
    gem_pool,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    global_min_pool,
    global_sum_pool,
)
from poolcore._global_backward import (
    global_avg_pool_backward,
    global_max_pool_backward,
    global_sum_pool_backward,
)
from poolcore._norm import lp_pool1d, lp_pool2d, lp_pool3d
from poolcore._norm_backward import (
    gem_pool_backward,
    global_lp_pool_backward,
    lp_pool1d_backward,
    lp_pool2d_backward,
    lp_pool3d_backward,
)
from poolcore._pyramid import pyramid
from poolcore._roi import roi_align, roi_pool
from poolcore._roi_backward import roi_align_backward, roi_pool_backward
from poolcore._select import median_pool2d, median_pool3d, mode_pool2d, mode_pool3d
from poolcore._soft import soft_pool1d, soft_pool2d, soft_pool3d
from poolcore._soft_backward import (
    soft_pool1d_backward,
    soft_pool2d_backward,
    soft_pool3d_backward,
)
from poolcore._spatial_pyramid import spatial_pyramid_pool
from poolcore._spatial_pyramid_backward import spatial_pyramid_pool_backward
from poolcore._stochastic import stochastic_pool1d, stochastic_pool2d, stochastic_pool3d
from poolcore._sum import sum_pool1d, sum_pool2d, sum_pool3d
from poolcore._unpool import max_unpool1d, max_unpool2d, max_unpool3d
from poolcore._unpool_backward import (
    max_unpool1d_backward,
    max_unpool2d_backward,
    max_unpool3d_backward,
)

__all__ = [
    "__version__",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_backward",
    "adaptive_min_pool1d",
    "adaptive_min_pool2d",
    "adaptive_min_pool3d",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
    "fractional_max_pool2d",
    "fractional_max_pool2d_backward",
    "fractional_max_pool3d",
    "fractional_max_pool3d_backward",
    "gem_pool",
    "gem_pool_backward",
    "get_num_threads",
    "global_avg_pool",
    "global_avg_pool_backward",
    "global_lp_pool",
    "global_lp_pool_backward",
    "global_max_pool",
    "global_max_pool_backward",
    "global_min_pool",
    "global_sum_pool",
    "global_sum_pool_backward",
    "lp_pool1d",
    "lp_pool1d_backward",
    "lp_pool2d",
    "lp_pool2d_backward",
    "lp_pool3d",
    "lp_pool3d_backward",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool3d",
    "max_pool3d_backward",
    "max_unpool1d",
    "max_unpool1d_backward",
    "max_unpool2d",
    "max_unpool2d_backward",
    "max_unpool3d",
    "max_unpool3d_backward",
    "median_pool2d",
    "median_pool3d",
    "min_pool1d",
    "min_pool2d",
    "min_pool3d",
    "mode_pool2d",
    "mode_pool3d",
    "nn",
    "num_threads",
    "pool",
    "pool2d",
    "pyramid",
    "roi_align",
    "roi_align_backward",
    "roi_pool",
    "roi_pool_backward",
    "set_num_threads",
    "show_config",
    "soft_pool1d",
    "soft_pool1d_backward",
    "soft_pool2d",
    "soft_pool2d_backward",
    "soft_pool3d",
    "soft_pool3d_backward",
    "spatial_pyramid_pool",
    "spatial_pyramid_pool_backward",
    "stochastic_pool1d",
    "stochastic_pool2d",
    "stochastic_pool3d",
    "sum_pool1d",
    "sum_pool1d_backward",
    "sum_pool2d",
    "sum_pool2d_backward",
    "sum_pool3d",
    "sum_pool3d_backward",
]
