# SPDX-License-Identifier: Apache-2.0
"""mlflow.sklearn.autolog() in a program that knows nothing of Fathom."""
import mlflow
import mlflow.sklearn
import numpy as np
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mlflow.set_experiment("autolog")
mlflow.sklearn.autolog(registered_model_name="auto")
rng = np.random.default_rng(1)
X = rng.normal(size=(200, 4))
y = (X[:, 0] + rng.normal(size=200) > 0).astype(int)
with mlflow.start_run() as run:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X, y)
    score = pipeline.score(X, y)
client = MlflowClient()
got = client.get_run(run.info.run_id)
assert got.data.params["logisticregression__C"] == "0.5", got.data.params
assert abs(got.data.metrics["training_accuracy_score"] - score) < 1e-12
assert got.outputs.model_outputs, "the run names the model that it made"
model_id = got.outputs.model_outputs[0].model_id
loaded = mlflow.sklearn.load_model(f"models:/{model_id}")
assert (loaded.predict(X) == pipeline.predict(X)).all()
version = client.get_model_version_by_alias("auto", "latest")
assert version.run_id == run.info.run_id
client.set_registered_model_alias("auto", "production", version.version)
loaded = mlflow.pyfunc.load_model("models:/auto@production")
assert (loaded.predict(X) == pipeline.predict(X)).all()
assert len(client.list_artifacts(run.info.run_id)) >= 1, client.list_artifacts(run.info.run_id)
mlflow.sklearn.autolog(registered_model_name=None)
with mlflow.start_run() as parent:
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1, 10]}, cv=3).fit(X, y)
children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
assert len(children) == 3, len(children)
models = client.search_logged_models([run.info.experiment_id])
assert model_id in [m.model_id for m in models]
print("autolog: ok")
