# SPDX-License-Identifier: Apache-2.0
"""Asks endpoints through NVIDIA's client: argv is the address with path of the echo and of the softmax endpoint, and the CA."""
import ssl
import sys

import ml_dtypes
import numpy as np
import tritonclient.http as t
from tritonclient.utils import InferenceServerException

headers = {"Authorization": "Bearer ada"}  # the client writes into what it is given


def client(address):
    return t.InferenceServerClient(address, ssl=True, ssl_context_factory=lambda: ssl.create_default_context(cafile=sys.argv[3]))


def tensor(name, values, kind, binary):
    made = t.InferInput(name, list(values.shape), kind)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def refused(c, inputs, status, text):
    try:
        c.infer("m", inputs, headers=dict(headers))
    except InferenceServerException as e:
        assert str(status) == e.status() and text in e.message(), e
    else:
        raise AssertionError(text)


echo = client(sys.argv[1])
assert echo.is_server_live(headers=dict(headers)) and echo.is_server_ready(headers=dict(headers))
assert echo.is_model_ready("m", headers=dict(headers)) and echo.is_model_ready("m", "1", headers=dict(headers))
assert not echo.is_model_ready("m", "9", headers=dict(headers)) and not echo.is_model_ready("other", headers=dict(headers))
assert echo.get_server_metadata(headers=dict(headers))["extensions"] == ["binary_tensor_data"]
assert len(echo.get_model_metadata("m", headers=dict(headers))["inputs"]) == 14
types = {9: ("BOOL", np.bool_), 2: ("UINT8", np.uint8), 4: ("UINT16", np.uint16), 12: ("UINT32", np.uint32), 13: ("UINT64", np.uint64),
         3: ("INT8", np.int8), 5: ("INT16", np.int16), 6: ("INT32", np.int32), 7: ("INT64", np.int64), 10: ("FP16", np.float16),
         1: ("FP32", np.float32), 11: ("FP64", np.float64), 8: ("BYTES", np.object_)}
rng = np.random.default_rng(1)
for binary in [True, False]:
    inputs, outputs, want = [], [], {}
    for number, (kind, dtype) in types.items():
        if kind == "BYTES":
            values = np.array([["ä", ""], ["\"\\\n", "z" * 1000]], dtype=object)
        elif kind == "BOOL":
            values = rng.random((2, 2)) < 0.5
        elif kind.startswith("FP"):
            values = rng.normal(size=(2, 2)).astype(dtype)
        else:
            info = np.iinfo(dtype)
            values = np.array([[info.min, info.max], [1, 0]], dtype=dtype)
        inputs.append(tensor(f"in_{number}", values, kind, binary or kind == "FP16"))  # the client cannot send FP16 as JSON
        outputs.append(t.InferRequestedOutput(f"out_{number}", binary_data=binary or kind == "FP16"))
        want[f"out_{number}"] = values
    half = t.InferInput("in_16", [2, 2], "BF16")
    half.set_data_from_numpy(np.array([[1, 2], [3, 4]], ml_dtypes.bfloat16), binary_data=True)
    for asked in [outputs, None]:
        answer = echo.infer("m", inputs + [half], outputs=asked, request_id="r1", headers=dict(headers))
        assert answer.get_response()["id"] == "r1" and answer.get_response()["model_version"] == "1"
        for name, values in want.items():
            got = answer.as_numpy(name)
            if values.dtype == np.object_:
                got = np.array([[v.decode() if isinstance(v, bytes) else v for v in row] for row in got], dtype=object)
            assert got.shape == (2, 2) and (got == values).all(), (name, binary, got, values)

soft = client(sys.argv[2])
x = rng.normal(size=(100, 2)).astype(np.float32)
z = x @ np.array([[-1, 1], [-0.5, 0.5]]) + np.array([0.1, -0.1])
want = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
for binary in [True, False]:
    whole = soft.infer("m", [tensor("features", x, "FP32", binary)], headers=dict(headers)).as_numpy("probabilities")
    by_name = soft.infer("m", [tensor("weight", x[:, 1].astype(np.float64), "FP64", binary), tensor("age", x[:, :1].copy(), "FP32", binary)],
                         headers=dict(headers)).as_numpy("probabilities")
    assert np.abs(whole - want).max() < 1e-6 and (whole == by_name).all()
refused(soft, [tensor("features", np.full((1, 2), np.nan, np.float32), "FP32", True)], 400, "NaN")
refused(soft, [tensor("features", x[:, :1].copy(), "FP32", True)], 400, "must have shape")
refused(soft, [tensor("age", x[:, :1].copy(), "FP32", True)], 400, "missing: weight")
try:
    soft.infer("m", [tensor("features", x, "FP32", True)], headers={"Authorization": "Bearer eve"})
    raise AssertionError("eve predicts")
except InferenceServerException as e:
    assert e.status() == "403", e
print("ok")
