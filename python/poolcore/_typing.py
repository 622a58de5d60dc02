"""What the pooling functions take and give, for type checkers.

The protocols write each overloaded signature once for the three functions that share it; at run
time the functions are plain ``def``s with the same parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import (
    Any,
    Literal,
    Protocol,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    overload,
)

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Indices: TypeAlias = npt.NDArray[np.int64]
Flag: TypeAlias = bool | np.bool_
Real: TypeAlias = SupportsFloat | SupportsIndex
PerAxis: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]]
OutputSize: TypeAlias = PerAxis | Sequence[SupportsIndex | None] | None
Ratio: TypeAlias = float | Sequence[float] | npt.NDArray[np.floating[Any]]
Rng: TypeAlias = np.random.Generator | SupportsIndex | None
PadPairs: TypeAlias = PerAxis | Sequence[tuple[SupportsIndex, SupportsIndex]]
Padding: TypeAlias = PadPairs | Literal["valid", "same", "same_lower"]
Op: TypeAlias = Literal["max", "min", "sum", "avg", "mode", "median"]
Rounding: TypeAlias = Literal["half_even", "half_up", "floor", "trunc"]
NanPolicy: TypeAlias = Literal["propagate", "omit", "raise"]
Layout1d: TypeAlias = Literal["NCW", "NWC"]
Layout2d: TypeAlias = Literal["NCHW", "NHWC"]
Layout3d: TypeAlias = Literal["NCDHW", "NDHWC"]
Layout: TypeAlias = Literal["NCW", "NWC", "NCHW", "NHWC", "NCDHW", "NDHWC"]


class SupportsDLPack(Protocol):
    """An array of another library, on the CPU."""

    def __dlpack__(self) -> Any: ...
    def __dlpack_device__(self) -> Any: ...


ArrayInput: TypeAlias = npt.ArrayLike | SupportsDLPack
IndexInput: TypeAlias = npt.NDArray[np.integer[Any]] | ArrayInput
Boxes: TypeAlias = Array | SupportsDLPack | Sequence[ArrayInput]

_Scalar = TypeVar("_Scalar", bound=np.generic)
_Layout_contra = TypeVar("_Layout_contra", contravariant=True)


class ExtremumPool(Protocol[_Layout_contra]):
    """max_pool1d and its like: the dtype of x is kept, indices come on request."""

    __name__: str

    @overload
    def __call__(
        self,
        x: npt.NDArray[_Scalar],
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: Flag = False,
        return_indices: Literal[False] = False,
        *,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> npt.NDArray[_Scalar]: ...
    @overload
    def __call__(
        self,
        x: npt.NDArray[_Scalar],
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: Flag = False,
        *,
        return_indices: Literal[True],
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> tuple[npt.NDArray[_Scalar], Indices]: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: Flag = False,
        return_indices: Literal[False] = False,
        *,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: Flag = False,
        *,
        return_indices: Literal[True],
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> tuple[Array, Indices]: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: Flag = False,
        return_indices: Flag = False,
        *,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array | tuple[Array, Indices]: ...


class AdaptiveExtremumPool(Protocol[_Layout_contra]):
    """adaptive_max_pool1d and its like."""

    __name__: str

    @overload
    def __call__(
        self,
        x: npt.NDArray[_Scalar],
        output_size: OutputSize,
        return_indices: Literal[False] = False,
        *,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> npt.NDArray[_Scalar]: ...
    @overload
    def __call__(
        self,
        x: npt.NDArray[_Scalar],
        output_size: OutputSize,
        *,
        return_indices: Literal[True],
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> tuple[npt.NDArray[_Scalar], Indices]: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        output_size: OutputSize,
        return_indices: Literal[False] = False,
        *,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        output_size: OutputSize,
        *,
        return_indices: Literal[True],
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> tuple[Array, Indices]: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        output_size: OutputSize,
        return_indices: Flag = False,
        *,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array | tuple[Array, Indices]: ...


class FractionalPool(Protocol[_Layout_contra]):
    """fractional_max_pool2d and 3d."""

    __name__: str

    @overload
    def __call__(
        self,
        x: npt.NDArray[_Scalar],
        kernel_size: PerAxis,
        output_size: PerAxis | None = None,
        output_ratio: Ratio | None = None,
        return_indices: Literal[False] = False,
        *,
        random_samples: npt.ArrayLike | None = None,
        rng: Rng = None,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> npt.NDArray[_Scalar]: ...
    @overload
    def __call__(
        self,
        x: npt.NDArray[_Scalar],
        kernel_size: PerAxis,
        output_size: PerAxis | None = None,
        output_ratio: Ratio | None = None,
        *,
        return_indices: Literal[True],
        random_samples: npt.ArrayLike | None = None,
        rng: Rng = None,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> tuple[npt.NDArray[_Scalar], Indices]: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        kernel_size: PerAxis,
        output_size: PerAxis | None = None,
        output_ratio: Ratio | None = None,
        return_indices: Literal[False] = False,
        *,
        random_samples: npt.ArrayLike | None = None,
        rng: Rng = None,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        kernel_size: PerAxis,
        output_size: PerAxis | None = None,
        output_ratio: Ratio | None = None,
        return_indices: Flag = False,
        *,
        random_samples: npt.ArrayLike | None = None,
        rng: Rng = None,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array | tuple[Array, Indices]: ...


class StochasticPool(Protocol[_Layout_contra]):
    """stochastic_pool1d, 2d and 3d."""

    __name__: str

    @overload
    def __call__(
        self,
        x: ArrayInput,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: Flag = False,
        return_indices: Literal[False] = False,
        *,
        training: Flag = True,
        random_samples: npt.ArrayLike | None = None,
        rng: Rng = None,
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array: ...
    @overload
    def __call__(
        self,
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
        layout: _Layout_contra = ...,
        nan_policy: NanPolicy = "propagate",
        out: Array | tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array | tuple[Array, Indices]: ...


class GlobalExtremumPool(Protocol):
    """global_max_pool and global_min_pool."""

    __name__: str

    @overload
    def __call__(
        self,
        x: npt.NDArray[_Scalar],
        *,
        keepdims: Flag = True,
        axes: PerAxis | None = None,
        return_indices: Literal[False] = False,
        layout: Layout | None = None,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> npt.NDArray[_Scalar]: ...
    @overload
    def __call__(
        self,
        x: npt.NDArray[_Scalar],
        *,
        keepdims: Flag = True,
        axes: PerAxis | None = None,
        return_indices: Literal[True],
        layout: Layout | None = None,
        nan_policy: NanPolicy = "propagate",
        out: tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> tuple[npt.NDArray[_Scalar], Indices]: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        *,
        keepdims: Flag = True,
        axes: PerAxis | None = None,
        return_indices: Literal[False] = False,
        layout: Layout | None = None,
        nan_policy: NanPolicy = "propagate",
        out: Array | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        *,
        keepdims: Flag = True,
        axes: PerAxis | None = None,
        return_indices: Literal[True],
        layout: Layout | None = None,
        nan_policy: NanPolicy = "propagate",
        out: tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> tuple[Array, Indices]: ...
    @overload
    def __call__(
        self,
        x: ArrayInput,
        *,
        keepdims: Flag = True,
        axes: PerAxis | None = None,
        return_indices: Flag = False,
        layout: Layout | None = None,
        nan_policy: NanPolicy = "propagate",
        out: Array | tuple[Array, Array] | None = None,
        threads: SupportsIndex | None = None,
    ) -> Array | tuple[Array, Indices]: ...
