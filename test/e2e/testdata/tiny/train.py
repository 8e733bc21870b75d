# SPDX-License-Identifier: Apache-2.0
"""Writes a fixed linear classifier as ONNX with nothing but the standard library: softmax(x * W)."""
import json
import os
import pathlib
import struct
import time


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number: int, value) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def node(op: str, inputs: list[str], output: str) -> bytes:
    return b"".join(field(1, i) for i in inputs) + field(2, output) + field(4, op)


def value(name: str, columns: int) -> bytes:
    shape = field(1, field(2, "N")) + field(1, field(1, columns))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))  # 1: float


params = json.loads(pathlib.Path(os.environ["FATHOM_PARAMS"]).read_text())
features = len(params["features"])
weights = struct.pack(f"<{2 * features}f", *([-1.0, 1.0] * features))
graph = (
    field(1, node("MatMul", ["X", "W"], "scores"))
    + field(1, node("Softmax", ["scores"], "probabilities"))
    + field(2, "tiny")
    + field(5, field(1, features) + field(1, 2) + field(2, 1) + field(8, "W") + field(9, weights))
    + field(11, value("X", features))
    + field(12, value("probabilities", 2))
)
time.sleep(1)  # so that it can be interrupted
model = field(1, 8) + field(7, graph) + field(8, field(2, 13))
pathlib.Path(os.environ["FATHOM_OUTPUT"], "model.onnx").write_bytes(model)
