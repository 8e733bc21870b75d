# SPDX-License-Identifier: Apache-2.0
"""A training pod that searches its hyperparameters: autologging records each candidate as a run below the pod's."""
import mlflow
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

mlflow.sklearn.autolog(max_tuning_runs=3)
rng = np.random.default_rng(1)
X = rng.normal(size=(100, 3))
GridSearchCV(LogisticRegression(), {"C": [0.1, 1, 10]}, cv=3).fit(X, (X[:, 0] > 0).astype(int))
