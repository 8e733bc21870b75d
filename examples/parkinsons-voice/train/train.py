# SPDX-License-Identifier: Apache-2.0
"""Trains one of two classifiers on the rows it is given and writes it as ONNX.

Leaving one subject out at a time runs this program 33 times, so it imports only what it needs.
"""
import json
import os
import pathlib

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from sklearn.pipeline import make_pipeline


def estimator(kind: str, seed: int, trees: int = 500):
    if kind == "random_forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=trees, max_features="sqrt", random_state=seed)
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, solver="lbfgs", tol=1e-8, max_iter=10_000))


params = json.loads(pathlib.Path(os.environ.get("FATHOM_PARAMS", "params.json")).read_text())
inputs = pathlib.Path(os.environ.get("FATHOM_INPUTS", "inputs")) / params["dataset"]
output = pathlib.Path(os.environ.get("FATHOM_OUTPUT", "output"))

data = pd.read_parquet(inputs / "train.parquet")
X = data[params["features"]].to_numpy(np.float64)
y = data[params["target"]].to_numpy()
p = params["parameters"]
model = estimator(p["estimator"], params["seed"], p.get("trees", 500)).fit(X, y)
print(f"{params['part']}: {len(data)} rows of {data[params['subject']].nunique()} subjects, training accuracy {model.score(X, y):.3f}")

output.mkdir(parents=True, exist_ok=True)
onnx = to_onnx(model, X[:1].astype(np.float32), options={"zipmap": False}, target_opset=18)
(output / "model.onnx").write_bytes(onnx.SerializeToString())
