"""The compiled module. Not a public interface; the public functions are its only callers."""

from typing import Any

__version__: str
compiler: str

def pool(
    function: str,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    return_indices: Any,
    dtype: Any,
    rounding: Any,
    layout: Any,
    axes: Any,
    op: Any,
    nan_policy: Any,
    out: Any,
    threads: Any,
    /,
) -> Any: ...
def describe(
    function: str,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    return_indices: Any,
    dtype: Any,
    rounding: Any,
    layout: Any,
    axes: Any,
    op: Any,
    nan_policy: Any,
    out: Any,
    threads: Any,
    /,
) -> str: ...
def max_unpool(
    function: str,
    x: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
    layout: Any,
    out: Any,
    threads: Any,
    /,
) -> Any: ...
def max_backward(
    function: str,
    grad: Any,
    indices: Any,
    input_shape: Any,
    layout: Any,
    axes: Any,
    keepdims: Any,
    out: Any,
    threads: Any,
    /,
) -> Any: ...
def window_backward(
    function: str,
    grad: Any,
    input_shape: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    layout: Any,
    axes: Any,
    keepdims: Any,
    out: Any,
    threads: Any,
    /,
) -> Any: ...
def norm_windows(
    function: str,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    return_indices: Any,
    dtype: Any,
    rounding: Any,
    layout: Any,
    axes: Any,
    op: Any,
    nan_policy: Any,
    out: Any,
    threads: Any,
    grad: Any,
    keepdims: Any,
    /,
) -> tuple[Any, Any, Any, float, float, tuple[tuple[int, int, int, int, int, int], ...]]: ...
def raise_magnitudes(values: Any, exponent: float, /) -> None: ...
def roi(
    function: str,
    x: Any,
    boxes: Any,
    output_size: Any,
    spatial_scale: Any,
    sampling_ratio: Any,
    aligned: Any,
    mode: Any,
    return_indices: Any,
    layout: Any,
    nan_policy: Any,
    out: Any,
    threads: Any,
    /,
) -> Any: ...
def roi_backward(
    function: str,
    grad: Any,
    indices: Any,
    boxes: Any,
    input_shape: Any,
    spatial_scale: Any,
    sampling_ratio: Any,
    aligned: Any,
    mode: Any,
    x: Any,
    layout: Any,
    out: Any,
    threads: Any,
    /,
) -> Any: ...
def get_num_threads() -> int: ...
def set_num_threads(n: object) -> None: ...
def available_cpus() -> int: ...
def targets_built() -> list[str]: ...
def targets_supported() -> list[str]: ...
def target_in_use() -> str: ...
def set_target(name: str) -> None: ...
