# SPDX-License-Identifier: Apache-2.0
"""Trains one model per job, as a study's training code would, and writes it as ONNX.

train.py KIND TARGET SUBJECT (TRAIN.parquet MODEL.onnx)...   KIND: lr, rf, lr-zipmap, columns, ridge, softmax
"""
import sys

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def train(kind, target, subject, source, to):
    rows = pd.read_parquet(source)
    y, x = rows[target], rows.drop(columns=[target, subject], errors="ignore")
    if kind == "columns":
        texts = [c for c in x if not pd.api.types.is_numeric_dtype(x[c])]
        numbers = [c for c in x if c not in texts]
        encode = ColumnTransformer([("n", StandardScaler(), numbers), ("t", OneHotEncoder(handle_unknown="ignore"), texts)])
        model = make_pipeline(encode, LogisticRegression(max_iter=5000)).fit(x, y)
        types = [(c, StringTensorType([None, 1]) if c in texts else FloatTensorType([None, 1])) for c in x]
        onnx = to_onnx(model, initial_types=types, options={"zipmap": False})
    else:
        model = {
            "lr": make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=10000, tol=1e-8)),
            "softmax": make_pipeline(StandardScaler(), LogisticRegression(max_iter=10000)),
            "lr-zipmap": make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=10000, tol=1e-8)),
            "rf": RandomForestClassifier(500, max_features="sqrt", random_state=0),
            "ridge": make_pipeline(StandardScaler(), Ridge()),
        }[kind].fit(x.to_numpy(np.float32 if kind == "rf" else np.float64), y)
        options = {} if kind == "ridge" else {"zipmap": kind == "lr-zipmap"}
        onnx = to_onnx(model, initial_types=[("features", FloatTensorType([None, x.shape[1]]))], options=options)
    with open(to, "wb") as f:
        f.write(onnx.SerializeToString())


jobs = sys.argv[4:]
for source, to in zip(jobs[::2], jobs[1::2]):
    train(sys.argv[1], sys.argv[2], sys.argv[3], source, to)
