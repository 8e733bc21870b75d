# SPDX-License-Identifier: Apache-2.0
"""What a team writes itself: one ONNX model behind FastAPI, speaking the Open Inference Protocol."""
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
outputs = [o.name for o in session.get_outputs()]
app = FastAPI()


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class Request(BaseModel):
    inputs: list[Tensor]


@app.get("/health")
async def health():
    return {}


@app.post("/v2/models/parkinsons/infer")
async def infer(request: Request):
    tensor = request.inputs[0]
    answer = session.run(None, {name: np.array(tensor.data, np.float32).reshape(tensor.shape)})
    return {
        "model_name": "parkinsons",
        "outputs": [
            {
                "name": n,
                "datatype": "INT64" if a.dtype == np.int64 else "FP32",
                "shape": list(a.shape),
                "data": a.ravel().tolist(),
            }
            for n, a in zip(outputs, answer)
        ],
    }
