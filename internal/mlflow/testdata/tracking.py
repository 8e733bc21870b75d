# SPDX-License-Identifier: Apache-2.0
"""Experiments, runs, metrics, parameters and tags through the fluent and the client API."""
import math, os, time
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

client = MlflowClient()
home = os.environ["MLFLOW_TRACKING_URI"]

with mlflow.start_run() as run:  # experiment 0
    mlflow.log_param("C", 1.0)
    mlflow.log_metric("auc", 0.7, step=1)
    mlflow.log_metric("auc", 0.8, step=2)
    mlflow.log_metrics({"loss": float("nan"), "best": math.inf, "worst": -math.inf}, step=1)
    mlflow.set_tag("note", "línea\nzwei")
got = client.get_run(run.info.run_id)
assert got.info.status == "FINISHED" and got.info.experiment_id == "0" and got.info.user_id == "alice", got.info
assert got.data.params == {"C": "1.0"} and got.data.metrics["auc"] == 0.8
assert math.isnan(got.data.metrics["loss"]) and got.data.metrics["best"] == math.inf and got.data.metrics["worst"] == -math.inf
assert got.data.tags["note"] == "línea\nzwei" and got.data.tags["mlflow.runName"] == got.info.run_name
assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "auc")] == [(1, 0.7), (2, 0.8)]
assert client.get_metric_history(run.info.run_id, "nothing") == []

experiment = mlflow.set_experiment("voice/study")
assert experiment.artifact_location == "mlflow-artifacts:/" + experiment.experiment_id
assert client.get_experiment_by_name("voice/study").experiment_id == experiment.experiment_id
assert client.get_experiment_by_name("absent") is None
client.set_experiment_tag(experiment.experiment_id, "team", "a")
client.rename_experiment(experiment.experiment_id, "voice2")
assert client.get_experiment(experiment.experiment_id).name == "voice2"
assert client.get_experiment(experiment.experiment_id).tags["team"] == "a"

run = client.create_run(experiment.experiment_id, run_name="first")
now = int(time.time() * 1000)
metrics = [Metric(f"m{i % 10}", i * 0.5, now + i, i) for i in range(1000)]
for _ in range(2):  # a batch that is sent again adds nothing
    client.log_batch(run.info.run_id, metrics)
    client.log_batch(run.info.run_id, params=[Param("p", "1")], tags=[RunTag("t", "1")])
assert len(client.get_metric_history(run.info.run_id, "m3")) == 100
assert client.get_run(run.info.run_id).data.metrics["m9"] == 999 * 0.5
client.update_run(run.info.run_id, status="FAILED", name="renamed")
assert client.get_run(run.info.run_id).info.run_name == "renamed"
assert client.get_run(run.info.run_id).info.status == "FAILED"
client.set_terminated(run.info.run_id)
client.set_tag(run.info.run_id, "x", "y")
client.delete_tag(run.info.run_id, "x")
assert "x" not in client.get_run(run.info.run_id).data.tags
client.delete_run(run.info.run_id)
assert client.search_runs([experiment.experiment_id]) == []
assert len(client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)) == 1
client.restore_run(run.info.run_id)

with mlflow.start_run(run_id=run.info.run_id) as resumed:  # as a pod with MLFLOW_RUN_ID does
    mlflow.log_metric("after", 1)
    with mlflow.start_run(nested=True) as child:
        mlflow.log_metric("inner", 1)
assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == run.info.run_id

import pandas as pd
data = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2]}), name="cohort", source="https://example.org/x")
with mlflow.start_run() as run:
    mlflow.log_input(data, context="training")
inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
assert inputs[0].dataset.name == "cohort" and inputs[0].tags[0].value == "training"
assert len(mlflow.search_runs(filter_string="dataset.name = 'cohort' and dataset.context = 'training'")) == 1

client.delete_experiment(experiment.experiment_id)
assert client.get_experiment(experiment.experiment_id).lifecycle_stage == "deleted"
client.restore_experiment(experiment.experiment_id)


def fails(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as e:
        assert e.error_code == code, (e.error_code, str(e))
        return
    raise AssertionError(f"{call} did not fail with {code}")


fails("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)
fails("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "12345")
fails("RESOURCE_ALREADY_EXISTS", client.create_experiment, "voice2")
fails("INVALID_PARAMETER_VALUE", client.create_experiment, "elsewhere", artifact_location="file:///etc")
fails("INVALID_PARAMETER_VALUE", client.log_param, run.info.run_id, "a" * 251, "x")
fails("INVALID_PARAMETER_VALUE", client.search_runs, ["0"], "metrics.a ~ 1")
client.log_param(run.info.run_id, "once", "1")
fails("INVALID_PARAMETER_VALUE", client.log_param, run.info.run_id, "once", "2")
fails("INVALID_PARAMETER_VALUE", client.log_metric, run.info.run_id, "../x", 1)

mlflow.set_tracking_uri(os.environ["OTHER_URI"])
assert MlflowClient().search_runs(["0", experiment.experiment_id], run_view_type=ViewType.ALL) == []
fails("RESOURCE_DOES_NOT_EXIST", MlflowClient().get_run, run.info.run_id)
os.environ["MLFLOW_TRACKING_TOKEN"] = "bob-token"
mlflow.set_tracking_uri(home)
fails("PERMISSION_DENIED", MlflowClient().get_run, run.info.run_id)
os.environ["MLFLOW_TRACKING_TOKEN"] = "nobody"
fails("UNAUTHENTICATED", MlflowClient().get_run, run.info.run_id)
print("tracking: ok")
