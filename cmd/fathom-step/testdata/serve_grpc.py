# SPDX-License-Identifier: Apache-2.0
"""Asks endpoints through NVIDIA's gRPC client: argv is host:port of the gateway and the CA."""
import sys

import grpc
import ml_dtypes
import numpy as np
import tritonclient.grpc as t
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

c = t.InferenceServerClient(sys.argv[1], ssl=True, root_certificates=sys.argv[2])


def at(endpoint, who="ada"):
    return {"authorization": "Bearer " + who, "x-fathom-endpoint": endpoint}


def tensor(name, values, kind):
    made = t.InferInput(name, list(values.shape), kind)
    made.set_data_from_numpy(values)
    return made


def refused(code, text, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except InferenceServerException as e:
        assert e.status() == "StatusCode." + code and text in e.message(), e
    else:
        raise AssertionError(text)


echo, soft = at("w/echo"), at("w/softmax")
assert c.is_server_live(headers=echo) and c.is_server_ready(headers=echo)
assert c.is_model_ready("m", headers=echo) and c.is_model_ready("m", "1", headers=echo)
refused("NOT_FOUND", "version \"9\"", c.is_model_ready, "m", "9", headers=echo)
refused("NOT_FOUND", "no model \"other\"", c.is_model_ready, "other", headers=echo)
assert list(c.get_server_metadata(headers=echo).extensions) == ["binary_tensor_data"]
metadata = c.get_model_metadata("m", headers=echo)
assert metadata.name == "m" and list(metadata.versions) == ["1"] and len(metadata.inputs) == 14 and metadata.inputs[0].shape == [-1, 2]

types = {9: ("BOOL", np.bool_), 2: ("UINT8", np.uint8), 4: ("UINT16", np.uint16), 12: ("UINT32", np.uint32), 13: ("UINT64", np.uint64),
         3: ("INT8", np.int8), 5: ("INT16", np.int16), 6: ("INT32", np.int32), 7: ("INT64", np.int64), 10: ("FP16", np.float16),
         1: ("FP32", np.float32), 11: ("FP64", np.float64), 8: ("BYTES", np.object_)}
rng = np.random.default_rng(1)
inputs, outputs, want = [], [], {}
for number, (kind, dtype) in types.items():
    if kind == "BYTES":
        values = np.array([["ä".encode(), b""], [b"\xc3\x9f\"\\\n", b"z" * 1000]], dtype=object)
    elif kind == "BOOL":
        values = rng.random((2, 2)) < 0.5
    elif kind.startswith("FP"):
        values = rng.normal(size=(2, 2)).astype(dtype)
    else:
        info = np.iinfo(dtype)
        values = np.array([[info.min, info.max], [1, 0]], dtype=dtype)
    inputs.append(tensor(f"in_{number}", values, kind))
    outputs.append(t.InferRequestedOutput(f"out_{number}"))
    want[f"out_{number}"] = values
inputs.append(tensor("in_16", np.array([[1, 2], [3, 4]], ml_dtypes.bfloat16), "BF16"))
for asked in [outputs, outputs[:1], None]:
    answer = c.infer("m", inputs, outputs=asked, request_id="r1", headers=echo)
    response = answer.get_response()
    assert response.id == "r1" and response.model_name == "m" and response.model_version == "1"
    assert len(response.outputs) == (len(asked) if asked else 14)
    for name, values in want.items():
        got = answer.as_numpy(name)
        assert got is None and asked == outputs[:1] or got.shape == (2, 2) and (got == values).all(), (name, got, values)

# Typed contents, which this client never sends, through the protocol's own stub.
with open(sys.argv[2], "rb") as f:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials(f.read())))
Q = service_pb2.ModelInferRequest
contents = {"BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents", "INT64": "int64_contents",
            "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents", "UINT64": "uint64_contents",
            "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents"}


def typed(replace=None):
    q = Q(model_name="m", id="r2")
    for made in inputs:
        raw = made._get_content()
        kind, number = made.datatype(), int(made.name()[3:])
        one = q.inputs.add(name=made.name(), datatype=kind, shape=made.shape())
        if kind in contents:
            values = want[f"out_{number}"].ravel().tolist()
            getattr(one.contents, contents[kind]).extend(replace.get(kind, values) if replace else values)
        assert raw is not None
    return q


def call(q):
    return stub.ModelInfer(q, metadata=tuple(echo.items()))


half = typed()
try:
    call(half)
    raise AssertionError("FP16 has no contents")
except grpc.RpcError as e:
    assert e.code() == grpc.StatusCode.INVALID_ARGUMENT and "raw_input_contents" in e.details(), e
whole = Q(model_name="m", id="r3")
whole.inputs.extend(service_pb2.ModelInferRequest.InferInputTensor(name=i.name(), datatype=i.datatype(), shape=i.shape()) for i in inputs)
whole.raw_input_contents.extend(i._get_content() for i in inputs)
assert len(call(whole).raw_output_contents) == 14
for broken, text in [(lambda q: q.raw_input_contents.pop(), "13 raw_input_contents"), (lambda q: q.inputs[0].shape.__setitem__(0, 1 << 62), "shape"),
                     (lambda q: q.inputs[0].shape.__setitem__(0, -1), "negative"), (lambda q: q.outputs.add(name="nothing"), "nothing"),
                     (lambda q: q.inputs[1].contents.uint_contents.append(1), "beside raw_input_contents")]:
    q = Q()
    q.CopyFrom(whole)
    broken(q)
    try:
        call(q)
        raise AssertionError(text)
    except grpc.RpcError as e:
        assert e.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED) and text in e.details(), e

x = rng.normal(size=(100, 2)).astype(np.float32)
z = x @ np.array([[-1, 1], [-0.5, 0.5]]) + np.array([0.1, -0.1])
p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
assert np.abs(c.infer("m", [tensor("features", x, "FP32")], headers=soft).as_numpy("probabilities") - p).max() < 1e-6
columns = [("weight", x[:, 1].astype(np.float64), "FP64", "fp64_contents"), ("age", x[:, 0].copy(), "FP32", "fp32_contents")]
q = Q(model_name="m")
for name, values, kind, field in columns:
    getattr(q.inputs.add(name=name, datatype=kind, shape=[100]).contents, field).extend(values.tolist())
answer = stub.ModelInfer(q, metadata=tuple(soft.items()), timeout=60)
place = [o.name for o in answer.outputs].index("probabilities")
assert np.abs(np.frombuffer(answer.raw_output_contents[place], np.float32).reshape(-1, 2) - p).max() < 1e-6

refused("INVALID_ARGUMENT", "NaN", c.infer, "m", [tensor("features", np.full((1, 2), np.nan, np.float32), "FP32")], headers=soft)
refused("INVALID_ARGUMENT", "must have shape", c.infer, "m", [tensor("features", x[:, :1].copy(), "FP32")], headers=soft)
features = [tensor("features", x, "FP32")]
refused("PERMISSION_DENIED", "eve may not", c.infer, "m", features, headers=at("w/softmax", "eve"))
refused("UNAUTHENTICATED", "", c.infer, "m", features, headers={"x-fathom-endpoint": "w/softmax"})
refused("NOT_FOUND", "no endpoint w/other", c.infer, "m", features, headers=at("w/other"))
refused("INVALID_ARGUMENT", "x-fathom-endpoint", c.infer, "m", features, headers={"authorization": "Bearer ada"})
refused("INVALID_ARGUMENT", "", c.infer, "m", features, headers=at("../w"))
refused("UNIMPLEMENTED", "uncompressed", c.infer, "m", [tensor("features", np.zeros((1000, 2), np.float32), "FP32")], headers=soft,
        compression_algorithm="gzip")
refused("INVALID_ARGUMENT", "", c.get_model_metadata, "../../metrics", headers=soft)
refused("INVALID_ARGUMENT", "", c.infer, "../../other/v2/models/m", features, headers=soft)
print("ok")
