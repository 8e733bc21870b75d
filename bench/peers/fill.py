# SPDX-License-Identifier: Apache-2.0
"""Writes runs straight into an MLflow server's SQLite: through its door it would take an hour. fill.py DATABASE EXPERIMENT COUNT"""
import sqlite3
import sys

database, experiment, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(database)
ids = [f"{i:032x}" for i in range(1, count + 1)]


def loss(i):
    return (i * 7919 % 1000003) / 1000003


db.executemany(
    "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, lifecycle_stage,"
    " artifact_uri, experiment_id) values (?, ?, 'UNKNOWN', '', '', 'bench', 'FINISHED', ?, 'active', 'mlflow-artifacts:/x', ?)",
    [(r, f"run-{i}", 1700000000000 + i, experiment) for i, r in enumerate(ids)],
)
for table in ("metrics", "latest_metrics"):
    db.executemany(
        f"insert into {table} (key, value, timestamp, step, is_nan, run_uuid) values (?, ?, ?, 0, 0, ?)",
        ((k, v, 1700000000000 + i, r) for i, r in enumerate(ids) for k, v in (("loss", loss(i)), ("accuracy", 1 - loss(i)))),
    )
db.executemany("insert into params (key, value, run_uuid) values ('model', ?, ?)", [("abcd"[i % 4], r) for i, r in enumerate(ids)])
db.executemany("insert into tags (key, value, run_uuid) values ('mlflow.runName', ?, ?)", [(f"run-{i}", r) for i, r in enumerate(ids)])
db.commit()
