"""Pooling layers under the names of torch.nn: plain objects with nothing to learn.

A layer keeps its arguments, pools when it is called, and, while it is in training mode, what
`backward` needs of the last call: the indices of maxima and minima, a copy of what norms were
taken of, the shape alone for averages and sums. Nothing is saved in evaluation mode, and maxima are
then found without indices. Medians and majorities have no gradient: `backward` of those layers
raises NotImplementedError.

Examples
--------
>>> import numpy as np
>>> from poolcore import nn
>>> layer = nn.MaxPool2d(2)
>>> layer
MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
>>> layer(np.arange(16.0).reshape(1, 4, 4))
array([[[ 5.,  7.],
        [13., 15.]]])
>>> layer.backward(np.ones((1, 2, 2)))
array([[[0., 0., 0., 0.],
        [0., 1., 0., 1.],
        [0., 0., 0., 0.],
        [0., 1., 0., 1.]]])
"""

from __future__ import annotations

from poolcore import _average, _backward, _extremum, _sum, _unpool, _unpool_backward
from poolcore._adaptive_layers import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AdaptiveMinPool1d,
    AdaptiveMinPool2d,
    AdaptiveMinPool3d,
)
from poolcore._fractional_backward import FractionalMaxPool2d, FractionalMaxPool3d
from poolcore._layers import (
    Average,
    AverageWithDivisor,
    Extremum,
    Sum,
    Unpooling,
    documented,
)
from poolcore._norm_layers import LPPool1d, LPPool2d, LPPool3d
from poolcore._roi_layers import RoIAlign, RoIPool
from poolcore._select_layers import MedianPool2d, MedianPool3d, ModePool2d, ModePool3d
from poolcore._soft_backward import SoftPool1d, SoftPool2d, SoftPool3d
from poolcore._stochastic_layers import StochasticPool1d, StochasticPool2d, StochasticPool3d
from poolcore._whole_layers import GeMPool, SpatialPyramidPool

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AdaptiveMinPool1d",
    "AdaptiveMinPool2d",
    "AdaptiveMinPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "GeMPool",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "MedianPool2d",
    "MedianPool3d",
    "MinPool1d",
    "MinPool2d",
    "MinPool3d",
    "ModePool2d",
    "ModePool3d",
    "RoIAlign",
    "RoIPool",
    "SoftPool1d",
    "SoftPool2d",
    "SoftPool3d",
    "SpatialPyramidPool",
    "StochasticPool1d",
    "StochasticPool2d",
    "StochasticPool3d",
    "SumPool1d",
    "SumPool2d",
    "SumPool3d",
]


@documented
class MaxPool1d(Extremum):
    """Take the largest value of each window along W.

    Examples
    --------
    >>> MaxPool1d(2)([[1, 3, 2, 5]])
    array([[3, 5]])
    """

    _axes = 1
    _forward = _extremum.max_pool1d
    _backward = _backward.max_pool1d_backward


@documented
class MaxPool2d(Extremum):
    """Take the largest value of each window along H and W.

    Examples
    --------
    >>> MaxPool2d(3, stride=2, padding=1)
    MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)
    """

    _axes = 2
    _forward = _extremum.max_pool2d
    _backward = _backward.max_pool2d_backward


@documented
class MaxPool3d(Extremum):
    """Take the largest value of each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool3d(2)(np.arange(8).reshape(1, 2, 2, 2))
    array([[[[7]]]])
    """

    _axes = 3
    _forward = _extremum.max_pool3d
    _backward = _backward.max_pool3d_backward


@documented
class MinPool1d(Extremum):
    """Take the smallest value of each window along W.

    Examples
    --------
    >>> MinPool1d(2)([[1, 3, 2, 5]])
    array([[1, 2]])
    """

    _axes = 1
    _forward = _extremum.min_pool1d
    _backward = _backward.max_pool1d_backward


@documented
class MinPool2d(Extremum):
    """Take the smallest value of each window along H and W.

    Examples
    --------
    >>> MinPool2d(2)([[[1, 3], [2, 5]]])
    array([[[1]]])
    """

    _axes = 2
    _forward = _extremum.min_pool2d
    _backward = _backward.max_pool2d_backward


@documented
class MinPool3d(Extremum):
    """Take the smallest value of each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> MinPool3d(2)(np.arange(8).reshape(1, 2, 2, 2))
    array([[[[0]]]])
    """

    _axes = 3
    _forward = _extremum.min_pool3d
    _backward = _backward.max_pool3d_backward


@documented
class AvgPool1d(Average):
    """Take the mean of each window along W.

    Examples
    --------
    >>> layer = AvgPool1d(2)
    >>> layer([[1.0, 3.0, 2.0, 5.0]])
    array([[2. , 3.5]])
    >>> layer.backward([[1.0, 2.0]])
    array([[0.5, 0.5, 1. , 1. ]])
    """

    _axes = 1
    _forward = _average.avg_pool1d
    _backward = _backward.avg_pool1d_backward


@documented
class AvgPool2d(AverageWithDivisor):
    """Take the mean of each window along H and W.

    Examples
    --------
    >>> AvgPool2d((2, 1))([[[1, 3], [2, 5]]])
    array([[[1.5, 4. ]]])
    """

    _axes = 2
    _forward = _average.avg_pool2d
    _backward = _backward.avg_pool2d_backward


@documented
class AvgPool3d(AverageWithDivisor):
    """Take the mean of each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool3d(2)(np.arange(8).reshape(1, 2, 2, 2))
    array([[[[3.5]]]])
    """

    _axes = 3
    _forward = _average.avg_pool3d
    _backward = _backward.avg_pool3d_backward


@documented
class SumPool1d(Sum):
    """Add up each window along W.

    Examples
    --------
    >>> SumPool1d(2)([[1, 3, 2, 5]])
    array([[4, 7]])
    """

    _axes = 1
    _forward = _sum.sum_pool1d
    _backward = _backward.sum_pool1d_backward


@documented
class SumPool2d(Sum):
    """Add up each window along H and W.

    Examples
    --------
    >>> SumPool2d(2)([[[1, 3], [2, 5]]])
    array([[[11]]])
    """

    _axes = 2
    _forward = _sum.sum_pool2d
    _backward = _backward.sum_pool2d_backward


@documented
class SumPool3d(Sum):
    """Add up each window along D, H and W.

    Examples
    --------
    >>> import numpy as np
    >>> SumPool3d(2)(np.ones((1, 2, 2, 2)))
    array([[[[8.]]]])
    """

    _axes = 3
    _forward = _sum.sum_pool3d
    _backward = _backward.sum_pool3d_backward


@documented
class MaxUnpool1d(Unpooling):
    """Put values back to where `MaxPool1d` found them, with zeros elsewhere.

    Examples
    --------
    >>> values, indices = MaxPool1d(2, return_indices=True)([[1, 3, 2, 5]])
    >>> MaxUnpool1d(2)(values, indices)
    array([[0, 3, 0, 5]])
    """

    _axes = 1
    _forward = _unpool.max_unpool1d
    _backward = _unpool_backward.max_unpool1d_backward


@documented
class MaxUnpool2d(Unpooling):
    """Put values back to where `MaxPool2d` found them, with zeros elsewhere.

    Examples
    --------
    >>> values, indices = MaxPool2d(2, return_indices=True)([[[1, 3], [2, 5]]])
    >>> MaxUnpool2d(2)(values, indices)
    array([[[0, 0],
            [0, 5]]])
    """

    _axes = 2
    _forward = _unpool.max_unpool2d
    _backward = _unpool_backward.max_unpool2d_backward


@documented
class MaxUnpool3d(Unpooling):
    """Put values back to where `MaxPool3d` found them, with zeros elsewhere.

    Examples
    --------
    >>> MaxUnpool3d((1, 1, 2))([[[[4]]]], [[[[1]]]])
    array([[[[0, 4]]]])
    """

    _axes = 3
    _forward = _unpool.max_unpool3d
    _backward = _unpool_backward.max_unpool3d_backward
