# SPDX-License-Identifier: Apache-2.0
"""What a team writes itself: one ONNX model behind FastAPI, speaking the Open Inference Protocol.

With TOKEN set, who asks has to send it as a bearer token.
"""
import os
import secrets

import numpy as np
import onnxruntime
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
outputs = [o.name for o in session.get_outputs()]
app = FastAPI()
token = os.environ.get("TOKEN", "")


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


async def caller(sent: HTTPAuthorizationCredentials = Depends(HTTPBearer())):
    if not secrets.compare_digest(sent.credentials, token):
        raise HTTPException(401)


@app.post("/v2/models/parkinsons/infer", dependencies=[Depends(caller)] if token else [])
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
