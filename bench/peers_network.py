"""Peers from neural networks: PyTorch in three layouts, ONNX Runtime, OpenVINO.

Each gets its input in its own layout, its model built and its threads set before the timing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.cases import Case
from bench.contender import REST, Contender, Job, channels_first, from_channels_first, peer, require


def _tensor(array: np.ndarray) -> Any:
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _array(case: Case, tensor: Any) -> np.ndarray:
    import torch

    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return from_channels_first(case, tensor.numpy())


def _torch_call(job: Job, x: Any) -> Callable[[], Any]:
    import torch
    import torch.nn.functional as functional

    case = job.case
    torch.set_num_threads(job.threads)
    function = getattr(functional, f"{case.op}_pool{case.nd}d")
    options: dict[str, Any] = {"ceil_mode": case.ceil}
    if case.op == "max":
        options["return_indices"] = case.indices
    else:
        options["count_include_pad"] = case.count_include_pad
    return lambda: function(x, case.kernel, case.stride, case.padding, **options)


def _torch(name: str, job: Job, x: Any) -> Contender:
    case = job.case
    half = all(2 * p <= k for p, k in zip(case.padding, case.kernel, strict=True))
    require(half, "allows padding up to half the kernel only")

    def read(y: Any) -> Any:
        return tuple(_array(case, one) for one in y) if case.indices else _array(case, y)

    return Contender(name, _torch_call(job, x), read, rest=REST)


@peer("PyTorch NCHW", "torch")
def torch_nchw(job: Job) -> Contender:
    """PyTorch on a contiguous tensor with the channels first; a strided view stays one."""
    first = np.moveaxis(job.x, -1, 1) if job.case.channels_last else job.x
    view = job.case.view != "contiguous"
    return _torch("PyTorch NCHW", job, _tensor(first if view else np.ascontiguousarray(first)))


@peer("PyTorch channels_last", "torch")
def torch_channels_last(job: Job) -> Contender:
    """PyTorch on a tensor whose memory has the channels last."""
    import torch

    require(job.case.nd > 1, "has this layout in 2-D and 3-D only")
    formats = {2: torch.channels_last, 3: torch.channels_last_3d}
    x = _tensor(channels_first(job)).contiguous(memory_format=formats[job.case.nd])
    return _torch("PyTorch channels_last", job, x)


@peer("oneDNN", "torch")
def onednn(job: Job) -> Contender:
    """oneDNN as PyTorch calls it: on opaque tensors in a layout of its own choice."""
    import torch

    case = job.case
    require(torch.backends.mkldnn.is_available(), "not in this PyTorch")
    require(not case.indices, "gives no indices through PyTorch")
    require(case.dtype in ("float32", "bfloat16"), f"has no {case.dtype} through PyTorch")
    require(case.nd > 1, "has no 1-D pooling through PyTorch")
    return _torch("oneDNN", job, _tensor(channels_first(job)).to_mkldnn())


@peer("ONNX Runtime", "onnxruntime")
def onnx_runtime(job: Job) -> Contender:
    """A session with one node, inputs and outputs bound beforehand."""
    import onnxruntime

    from bench.onnx_model import ELEMENT, pooling_model

    case = job.case
    require(case.dtype in ELEMENT and case.dtype != "bfloat16", f"has no {case.dtype}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            pooling_model(case), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        require("NOT_IMPLEMENTED" not in str(error), f"has no {case.op} of {case.dtype}")
        require("INVALID_GRAPH" not in str(error), f"has no {case.op} of {case.dtype}")
        raise
    x = channels_first(job)
    shape = (case.batch, case.channels, *case.out_spatial)
    outputs = [np.empty(shape, x.dtype)] + [np.empty(shape, np.int64)] * case.indices
    binding = session.io_binding()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in (x, *outputs)]
    binding.bind_ortvalue_input("x", values[0])
    for name, value in zip("yi", values[1:], strict=False):
        binding.bind_ortvalue_output(name, value)

    def read(_: Any) -> Any:
        found = [from_channels_first(case, value.numpy()) for value in values[1:]]
        plane = int(np.prod(case.spatial))  # its indices count the whole tensor
        return (found[0], found[1] % plane) if case.indices else found[0]

    return Contender("ONNX Runtime", lambda: session.run_with_iobinding(binding), read, rest=REST)


@peer("OpenVINO", "openvino")
def openvino(job: Job) -> Contender:
    """A compiled model with one node; input and output share memory with NumPy."""
    import openvino as ov

    case = job.case
    require(case.dtype in ("float32", "float16", "uint8"), f"has no {case.dtype}")
    require(case.op == "max" or case.dtype == "float32", f"has no means of {case.dtype}")
    x = channels_first(job)
    request = _openvino_model(job, x).create_infer_request()
    shape = (case.batch, case.channels, *case.out_spatial)
    # Shared memory is not kept alive by the request: the contender has to hold the arrays.
    held = [x, np.empty(shape, x.dtype)] + [np.empty(shape, np.int64)] * case.indices
    tensors = [ov.Tensor(array, shared_memory=True) for array in held]
    request.set_input_tensor(tensors[0])
    for number, tensor in enumerate(tensors[1:]):
        request.set_output_tensor(number, tensor)

    def read(_: Any) -> Any:
        found = [from_channels_first(case, array) for array in held[1:]]
        return tuple(found) if case.indices else found[0]

    return Contender("OpenVINO", request.infer, read, rest=REST)


@functools.cache
def _openvino_core() -> Any:
    import openvino as ov

    return ov.Core()


def _openvino_model(job: Job, x: np.ndarray) -> Any:
    import openvino as ov
    from openvino import opset8

    case = job.case
    node = opset8.parameter(list(x.shape), dtype=x.dtype.type)
    pads = list(case.padding)
    rounding = "ceil" if case.ceil else "floor"
    if case.op == "max":
        ones, kernel = [1] * case.nd, list(case.kernel)
        pooled = opset8.max_pool(
            node, list(case.stride), ones, pads, pads, kernel, rounding, "explicit", "i64", 2
        ).outputs()[: 1 + case.indices]
    else:
        pooled = opset8.avg_pool(
            node, list(case.stride), pads, pads, list(case.kernel), not case.count_include_pad,
            rounding,
        ).outputs()  # fmt: skip
    hints: dict[str, Any] = {"INFERENCE_NUM_THREADS": job.threads, "NUM_STREAMS": 1,
                             "PERFORMANCE_HINT": "LATENCY"}  # fmt: skip
    hints["INFERENCE_PRECISION_HINT"] = "f16" if case.dtype == "float16" else "f32"
    return _openvino_core().compile_model(ov.Model(pooled, [node], "pooling"), "CPU", hints)
