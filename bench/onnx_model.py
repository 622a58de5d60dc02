"""A one-node ONNX model as bytes, so that ONNX Runtime can be measured without the onnx package.

Protocol buffers as far as this needs them: a field is its number and wire type, then an integer or
a length and bytes. The numbers are those of onnx.proto.
"""

from __future__ import annotations

from bench.cases import Case

ELEMENT = {"float32": 1, "uint8": 2, "int8": 3, "float16": 10, "float64": 11, "bfloat16": 16}
INT64 = 7
OPSET, IR_VERSION = 12, 7


def _varint(value: int) -> bytes:
    low = bytearray()
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    low.append(value)
    return bytes(low)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: int | tuple[int, ...]) -> bytes:
    """Encode an AttributeProto: name 1, i 3, ints 8, type 20 (INT 2, INTS 7)."""
    if isinstance(value, int):
        return _field(5, _field(1, name) + _field(3, value) + _field(20, 2))
    ints = b"".join(_field(8, one) for one in value)
    return _field(5, _field(1, name) + ints + _field(20, 7))


def _tensor(number: int, name: str, element: int, shape: tuple[int, ...]) -> bytes:
    """Encode a ValueInfoProto: name 1, type 2 { tensor 1 { element 1, shape 2 } }."""
    dims = b"".join(_field(1, _field(1, length)) for length in shape)
    return _field(number, _field(1, name) + _field(2, _field(1, _field(1, element)
                  + _field(2, dims))))  # fmt: skip


def pooling_model(case: Case) -> bytes:
    """Give the model of a case, with the channels before the pooled axes."""
    element = ELEMENT[case.dtype]
    attributes = {"kernel_shape": case.kernel, "strides": case.stride,
                  "pads": case.padding * 2, "ceil_mode": int(case.ceil)}  # fmt: skip
    if case.op == "avg":
        attributes["count_include_pad"] = int(case.count_include_pad)
    node = _field(1, "x") + _field(2, "y") + (_field(2, "i") if case.indices else b"")
    node += _field(4, "MaxPool" if case.op == "max" else "AveragePool")
    node += b"".join(_attribute(*one) for one in attributes.items())
    lead = (case.batch, case.channels)
    graph = _field(1, node) + _field(2, "pooling")
    graph += _tensor(11, "x", element, lead + case.spatial)
    graph += _tensor(12, "y", element, lead + case.out_spatial)
    if case.indices:
        graph += _tensor(12, "i", INT64, lead + case.out_spatial)
    return _field(1, IR_VERSION) + _field(7, graph) + _field(8, _field(2, OPSET))
