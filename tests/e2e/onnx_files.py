"""ONNX files of our own for tests: protobuf by hand, with onnx.proto's field numbers."""
import os
import struct

from harness import SOURCE

HAS_RUNTIME = os.path.exists(os.path.join(SOURCE, ".deps/onnxruntime/libonnxruntime.so"))


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def value_info(name, dims, kind=1):
    shape = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def node(kind, inputs, outputs, *attributes):
    return (b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs) + field(4, kind) +
            b"".join(field(5, a) for a in attributes))


def ints(name, values):
    return field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7)


def number(name, value):
    return field(1, name) + field(3, value) + field(20, 2)


def floats(name, dims, values):
    return b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name) + field(
        9, struct.pack(f"<{len(values)}f", *values))


def onnx_model(inputs, outputs, nodes=(), constants=()):
    graph = (b"".join(field(1, n) for n in nodes) + field(2, "graph") + b"".join(field(5, c) for c in constants) +
             b"".join(field(11, i) for i in inputs) + b"".join(field(12, o) for o in outputs))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))
