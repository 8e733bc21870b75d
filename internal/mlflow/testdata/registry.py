# SPDX-License-Identifier: Apache-2.0
"""The model registry and logged models."""
import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

client = MlflowClient()
client.create_registered_model("parkinsons", tags={"team": "neuro"}, description="d")
with mlflow.start_run() as run:
    mlflow.log_text("x", "model/MLmodel")
    logged = mlflow.create_external_model(name="ext", params={"C": "1"}, tags={"k": "v"}, model_type="agent")
    mlflow.log_metric("auc", 0.9, model_id=logged.model_id)
one = client.create_model_version("parkinsons", f"runs:/{run.info.run_id}/model", run_id=run.info.run_id, tags={"a": "b"})
two = client.create_model_version("parkinsons", f"models:/{logged.model_id}", model_id=logged.model_id, description="second")
assert (one.version, two.version) == ("1", "2") or (one.version, two.version) == (1, 2), (one.version, two.version)
assert two.run_id == run.info.run_id and one.user_id == "alice" and one.status == "READY"
assert client.get_model_version_download_uri("parkinsons", "1") == run.info.artifact_uri + "/model"
client.set_registered_model_alias("parkinsons", "production", "1")
assert client.get_model_version_by_alias("parkinsons", "production").version in ("1", 1)
client.set_registered_model_alias("parkinsons", "production", "2")
assert client.get_model_version_by_alias("parkinsons", "production").version in ("2", 2)
assert client.get_model_version("parkinsons", "2").aliases == ["production"]
assert {k: str(v) for k, v in client.get_registered_model("parkinsons").aliases.items()} == {"production": "2"}
client.delete_registered_model_alias("parkinsons", "production")
client.set_registered_model_tag("parkinsons", "x", "y")
client.delete_registered_model_tag("parkinsons", "team")
assert client.get_registered_model("parkinsons").tags == {"x": "y"}
client.set_model_version_tag("parkinsons", "1", "q", "r")
client.delete_model_version_tag("parkinsons", "1", "a")
assert client.get_model_version("parkinsons", "1").tags == {"q": "r"}
client.update_model_version("parkinsons", "1", description="first")
client.update_registered_model("parkinsons", description="changed")
assert client.get_registered_model("parkinsons").description == "changed"
client.transition_model_version_stage("parkinsons", "1", "Production")
client.transition_model_version_stage("parkinsons", "2", "Production", archive_existing_versions=True)
assert client.get_model_version("parkinsons", "1").current_stage == "Archived"
assert [str(v.version) for v in client.get_latest_versions("parkinsons", ["Production"])] == ["2"]
client.create_registered_model("other")
assert [m.name for m in client.search_registered_models()] == ["other", "parkinsons"]
assert [m.name for m in client.search_registered_models("name ILIKE 'PARK%'")] == ["parkinsons"]
assert [m.name for m in client.search_registered_models(order_by=["name DESC"], max_results=1)] == ["parkinsons"]
assert [str(v.version) for v in client.search_model_versions("name = 'parkinsons'", order_by=["version_number ASC"])] == ["1", "2"]
assert [str(v.version) for v in client.search_model_versions(f"run_id = '{run.info.run_id}' and tags.q = 'r'")] == ["1"]
client.rename_registered_model("parkinsons", "renamed")
assert client.get_model_version("renamed", "1").description == "first"
client.delete_model_version("renamed", "2")
three = client.create_model_version("renamed", f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
assert str(three.version) == "3", three.version  # a number is never given twice
client.delete_registered_model("renamed")

model = client.get_logged_model(logged.model_id)
assert model.params == {"C": "1"} and model.tags["k"] == "v" and model.name == "ext" and model.status == "READY", model
assert [(m.key, m.value) for m in model.metrics] == [("auc", 0.9)]
found = client.search_logged_models(["0"], "metrics.auc > 0.5 and params.C = '1'", order_by=[{"field_name": "metrics.auc", "ascending": False}])
assert [m.model_id for m in found] == [logged.model_id]
assert client.search_logged_models(["0"], "metrics.auc > 0.95") == []
mlflow.set_logged_model_tags(logged.model_id, {"z": "1"})
mlflow.delete_logged_model_tag(logged.model_id, "z")
client.finalize_logged_model(logged.model_id, "FAILED")
client.delete_logged_model(logged.model_id)


def fails(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as e:
        assert e.error_code == code, (e.error_code, str(e))
        return
    raise AssertionError(f"{call} did not fail with {code}")


fails("RESOURCE_DOES_NOT_EXIST", client.get_logged_model, logged.model_id)
fails("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "renamed")
fails("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "other", "9")
fails("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "other")
fails("INVALID_PARAMETER_VALUE", client.create_registered_model, "a/b")
fails("INVALID_PARAMETER_VALUE", client.create_model_version, "other", "file:///etc/passwd")
fails("INVALID_PARAMETER_VALUE", client.create_model_version, "other", "https://evil.example/model")
fails("INVALID_PARAMETER_VALUE", client.create_model_version, "other", f"runs:/{run.info.run_id}/../../x")
fails("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, "other", "latest", "1")
fails("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "other", "nope")
fails("NOT_IMPLEMENTED", client.search_traces, locations=["0"])
print("registry: ok")
