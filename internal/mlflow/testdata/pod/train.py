# SPDX-License-Identifier: Apache-2.0
"""What a training pod runs: plain code, with MLFLOW_RUN_ID set by the platform. Autologging finds the run, and records the
candidates of a search as runs below it. A second fit without a run of its own would be another run, which a pod may not
make; training goes on without."""
import os

import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

mlflow.sklearn.autolog(max_tuning_runs=3)
run = os.environ["MLFLOW_RUN_ID"]
rng = np.random.default_rng(1)
X = rng.normal(size=(100, 3))
y = (X[:, 0] > 0).astype(int)
LogisticRegression(C=0.25).fit(X, y)

with mlflow.start_run(run_id=run):
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1, 10]}, cv=3).fit(X, y)

assert LogisticRegression(C=0.5).fit(X, y).coef_.shape == (1, 3)
