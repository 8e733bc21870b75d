# SPDX-License-Identifier: Apache-2.0
"""Artifacts: upload, list, download, delete, with folders and names that need quoting."""
import os, pathlib, tempfile
import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

client = MlflowClient()
work = pathlib.Path(tempfile.mkdtemp())
(work / "dir" / "deep").mkdir(parents=True)
(work / "dir" / "a b+c.txt").write_text("spaces")
(work / "dir" / "deep" / "ü.bin").write_bytes(bytes(range(256)) * 4096)
(work / "dir" / "empty").write_bytes(b"")

with mlflow.start_run() as run:
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_dict({"a": 1}, "config.json")
    mlflow.log_artifacts(str(work / "dir"), "data")
run_id = run.info.run_id
assert sorted(f.path for f in client.list_artifacts(run_id)) == ["config.json", "data", "notes"]
listed = {f.path: (f.is_dir, f.file_size) for f in client.list_artifacts(run_id, "data")}
assert listed == {"data/a b+c.txt": (False, 6), "data/deep": (True, None), "data/empty": (False, 0)}, listed
assert client.list_artifacts(run_id, "config.json") == []
assert client.list_artifacts(run_id, "absent") == []
local = pathlib.Path(client.download_artifacts(run_id, "data"))
assert (local / "a b+c.txt").read_text() == "spaces"
assert (local / "deep" / "ü.bin").read_bytes() == bytes(range(256)) * 4096
assert (local / "empty").read_bytes() == b""
assert mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/hello.txt") == "hello"
assert mlflow.artifacts.load_dict(f"runs:/{run_id}/config.json") == {"a": 1}

big = work / "big"
with open(big, "wb") as f:
    for i in range(48):
        f.write(os.urandom(1 << 20))
client.log_artifact(run_id, str(big))
assert pathlib.Path(client.download_artifacts(run_id, "big")).read_bytes() == big.read_bytes()

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
repo = get_artifact_repository(run.info.artifact_uri)
repo.delete_artifacts("data")
repo.delete_artifacts("config.json")
assert sorted(f.path for f in client.list_artifacts(run_id)) == ["big", "notes"]
try:
    client.download_artifacts(run_id, "config.json")
    raise AssertionError("a deleted artifact was served")
except MlflowException:
    pass
print("artifacts: ok")
