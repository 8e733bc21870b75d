# SPDX-License-Identifier: Apache-2.0
"""mlflow.lightgbm.autolog() in a program that knows nothing of Fathom."""
import lightgbm
import mlflow
import numpy as np
from mlflow import MlflowClient

mlflow.set_experiment("lightgbm")
mlflow.lightgbm.autolog(registered_model_name="light")
rng = np.random.default_rng(1)
X = rng.normal(size=(300, 4))
y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
with mlflow.start_run() as run:
    booster = lightgbm.train({"objective": "binary", "metric": "binary_logloss", "num_leaves": 7, "verbose": -1, "num_threads": 1},
                             lightgbm.Dataset(X, label=y), num_boost_round=10, valid_sets=[lightgbm.Dataset(X, label=y)], valid_names=["valid"])
client = MlflowClient()
got = client.get_run(run.info.run_id)
assert got.data.params["num_leaves"] == "7", got.data.params
history = client.get_metric_history(run.info.run_id, "valid-binary_logloss")
assert len(history) == 10 and history[-1].value < history[0].value, history
loaded = mlflow.lightgbm.load_model("models:/light/1")
assert np.allclose(loaded.predict(X), booster.predict(X))
