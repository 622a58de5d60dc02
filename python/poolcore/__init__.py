"""Pooling for NumPy arrays: maximum, minimum, average and sum in one, two and three dimensions."""

from poolcore import nn
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
from poolcore._general import pool, pool2d
from poolcore._sum import sum_pool1d, sum_pool2d, sum_pool3d
from poolcore._unpool import max_unpool1d, max_unpool2d, max_unpool3d

__all__ = [
    "__version__",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
    "get_num_threads",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool3d",
    "max_pool3d_backward",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "min_pool1d",
    "min_pool2d",
    "min_pool3d",
    "nn",
    "num_threads",
    "pool",
    "pool2d",
    "set_num_threads",
    "show_config",
    "sum_pool1d",
    "sum_pool1d_backward",
    "sum_pool2d",
    "sum_pool2d_backward",
    "sum_pool3d",
    "sum_pool3d_backward",
]
