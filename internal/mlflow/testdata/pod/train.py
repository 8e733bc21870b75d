# SPDX-License-Identifier: Apache-2.0
"""What a training pod runs: plain code, with MLFLOW_RUN_ID set by the platform."""
import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression

mlflow.sklearn.autolog()
rng = np.random.default_rng(1)
X = rng.normal(size=(100, 3))
LogisticRegression(C=0.25).fit(X, (X[:, 0] > 0).astype(int))
