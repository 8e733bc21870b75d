# SPDX-License-Identifier: Apache-2.0
"""mlflow.xgboost.autolog() in a program that knows nothing of Fathom."""
import mlflow
import numpy as np
import xgboost
from mlflow import MlflowClient

mlflow.set_experiment("xgboost")
mlflow.xgboost.autolog(registered_model_name="boosted", importance_types=["gain"])
rng = np.random.default_rng(1)
X = rng.normal(size=(200, 4))
y = (X[:, 0] + rng.normal(size=200) > 0).astype(int)
data = xgboost.DMatrix(X, label=y)
with mlflow.start_run() as run:
    booster = xgboost.train({"objective": "binary:logistic", "eval_metric": "logloss", "max_depth": 2, "nthread": 1}, data, num_boost_round=12, evals=[(data, "train")])
client = MlflowClient()
got = client.get_run(run.info.run_id)
assert got.data.params["max_depth"] == "2" and got.data.params["num_boost_round"] == "12", got.data.params
history = client.get_metric_history(run.info.run_id, "train-logloss")
assert [m.step for m in history] == list(range(12)), history
assert history[-1].value < history[0].value
assert client.get_model_version_by_alias("boosted", "latest").run_id == run.info.run_id
loaded = mlflow.xgboost.load_model("models:/boosted/1")
assert np.allclose(loaded.predict(data), booster.predict(data))
names = [f.path for f in client.list_artifacts(run.info.run_id)]
assert any(n.startswith("feature_importance_gain") for n in names), names
