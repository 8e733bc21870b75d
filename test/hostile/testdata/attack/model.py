# SPDX-License-Identifier: Apache-2.0
"""Writes a small logistic model as ONNX without any library, so that the attack passes for a training."""
import struct


def varint(n: int) -> bytes:
    out = b""
    while True:
        n, low = n >> 7, n & 0x7F
        out += bytes([low | (0x80 if n else 0)])
        if not n:
            return out


def field(number: int, value) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name: str, dims, values) -> bytes:
    return b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name) + field(9, struct.pack(f"<{len(values)}f", *values))


def value(name: str, kind: int, *dims) -> bytes:
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def node(operator: str, inputs, output: str, **attributes) -> bytes:
    text = b"".join(field(1, i) for i in inputs) + field(2, output) + field(4, operator)
    for name, number in attributes.items():
        text += field(5, field(1, name) + field(3, number) + field(20, 2))
    return text


def onnx(features: int) -> bytes:
    weights = [w for i in range(features) for w in (-1.0 / (i + 1), 1.0 / (i + 1))]
    graph = field(1, node("MatMul", ["X", "W"], "scores")) + field(1, node("Softmax", ["scores"], "probabilities", axis=1))
    graph += field(1, node("ArgMax", ["probabilities"], "label", axis=1, keepdims=0)) + field(2, "attack") + field(5, tensor("W", (features, 2), weights))
    graph += field(11, value("X", 1, "N", features)) + field(12, value("label", 7, "N")) + field(12, value("probabilities", 1, "N", 2))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))
