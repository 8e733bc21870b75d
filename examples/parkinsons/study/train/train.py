# SPDX-License-Identifier: Apache-2.0
"""Trains a logistic regression on the rows it is given and writes it as ONNX.

Fathom gives only training rows: it holds the test subjects back and scores the model itself.
"""
import json
import os
import pathlib

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

params = json.loads(pathlib.Path(os.environ.get("FATHOM_PARAMS", "params.json")).read_text())
inputs = pathlib.Path(os.environ.get("FATHOM_INPUTS", "inputs")) / params["dataset"]
output = pathlib.Path(os.environ.get("FATHOM_OUTPUT", "output"))

if os.environ.get("MLFLOW_TRACKING_URI"):
    import mlflow

    mlflow.start_run()
    mlflow.log_params(params["parameters"])

data = pd.concat(pd.read_parquet(file) for file in sorted(inputs.glob("*.parquet")))
X = data[params["features"]].to_numpy(np.float64)
y = data[params["target"]].to_numpy()

model = make_pipeline(
    SimpleImputer(), StandardScaler(), LogisticRegression(C=params["parameters"].get("C", 1.0), max_iter=10_000)
)
model.fit(X, y)
accuracy = model.score(X, y)
print(f"{params['part']}: {len(data)} rows of {data[params['subject']].nunique()} subjects, training accuracy {accuracy:.3f}")

if os.environ.get("MLFLOW_TRACKING_URI"):
    mlflow.log_metric("training_accuracy", accuracy)
    mlflow.end_run()

output.mkdir(parents=True, exist_ok=True)
onnx = to_onnx(model, X[:1].astype(np.float32), options={"zipmap": False}, target_opset=18)
(output / "model.onnx").write_bytes(onnx.SerializeToString())
