# SPDX-License-Identifier: Apache-2.0
"""The same calls to any server of MLflow's protocol. Prints one line of JSON a call: what was asked and what was answered, with
ids, times and addresses replaced by names. Texts of errors are left out: codes count."""
import json
import os
import re
import sys

import requests

base, ca = os.environ["BASE"], os.environ.get("CA")
session = requests.Session()
session.trust_env = False
session.verify = ca or True
if os.environ.get("TOKEN"):
    session.headers["Authorization"] = "Bearer " + os.environ["TOKEN"]

TIMES = {"creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp", "creation_timestamp_ms", "last_updated_timestamp_ms"}
LEFT_OUT = {"user_id", "artifact_uri", "artifact_location", "location", "user", "creator_id", "run_link", "workspace"}
names = {}


def name(value, kind):
    return names.setdefault(value, f"<{kind}-{sum(1 for n in names.values() if n.startswith('<' + kind)) + 1}>")


def plain(value, key=None):
    if isinstance(value, dict):
        shown = {k: plain(v, k) for k, v in sorted(value.items()) if k not in LEFT_OUT}
        return {k: v for k, v in shown.items() if v not in ("", [], {}, None) and (k, v) != ("step", 0)}  # which JSON of protocol buffers may leave out
    if isinstance(value, list):
        items = [plain(v, key) for v in value]
        if key in ("model_versions", "latest_versions"):  # the original tells the aliases of one version, not of those in a list
            items = [{k: v for k, v in i.items() if k != "aliases"} for i in items]
        unordered = key in ("tags", "params", "metrics", "aliases", "experiment_tags", "latest_versions")
        return sorted(items, key=lambda i: json.dumps(i, sort_keys=True)) if unordered else items
    if key in TIMES and value:
        return "<time>"
    if isinstance(value, float) and value == int(value) and abs(value) < 1e15:
        return int(value)
    if isinstance(value, str):
        if set(value) in ({"f"}, {"m", "-", "0"}):
            return "<absent>"
        if key in ("run_id", "run_uuid", "source_run_id") and value:
            return name(value, "run")
        if key in ("experiment_id",) and value != "0":
            return name(value, "experiment")
        if key in ("model_id", "source_id", "destination_id") and value:
            return name(value, "model" if value.startswith("m-") else "run")
        if key in ("next_page_token", "page_token") and value:
            return "<token>"
        for real, stand in names.items():
            if len(real) > 10:
                value = value.replace(real, stand)
    return value


def call(method, path, body=None, label=None, raw=False, **kwargs):
    url = base + path
    if method in ("GET",) and body is not None:
        response = session.request(method, url, params=body, timeout=60)
    elif raw:
        response = session.request(method, url, timeout=60, **kwargs)
    else:
        response = session.request(method, url, json=body, timeout=60)
    try:
        document = response.json()
    except ValueError:
        document = {"body": response.text} if response.text not in ("", "{}") and response.status_code == 200 else {}
    shown = {"error_code": document.get("error_code")} if response.status_code >= 400 else plain(document)
    asked = label or f"{method} {plain(path)} {json.dumps(plain(body), sort_keys=True)[:300]}"
    print(json.dumps([asked, response.status_code, shown], sort_keys=True))
    return document


def api(path):
    return "/api/2.0/mlflow/" + path


def post(path, **body):
    return call("POST", api(path), body)


def get(path, **body):
    return call("GET", api(path), body)


def patch(path, **body):
    return call("PATCH", api(path), body)


def delete(path, **body):
    return call("DELETE", api(path), body)


def experiments():
    one = post("experiments/create", name="one", tags=[{"key": "team", "value": "a"}])["experiment_id"]
    two = post("experiments/create", name="Two")["experiment_id"]
    for bad in ({}, {"name": ""}, {"name": "one"}, {"name": 5}, {"name": "x", "tags": [{"value": "v"}]}, {"name": "y", "artifact_location": "x/../y#z"}):
        call("POST", api("experiments/create"), bad)
    get("experiments/get", experiment_id=one)
    get("experiments/get", experiment_id="0")
    get("experiments/get", experiment_id="987654")
    get("experiments/get", experiment_id="abc")
    get("experiments/get")
    get("experiments/get-by-name", experiment_name="Two")
    get("experiments/get-by-name", experiment_name="absent")
    get("experiments/get-by-name")
    post("experiments/update", experiment_id=two, new_name="two")
    post("experiments/update", experiment_id=two, new_name="one")
    post("experiments/update", experiment_id=two)
    post("experiments/update", experiment_id="4242", new_name="z")
    post("experiments/set-experiment-tag", experiment_id=one, key="k", value="v")
    post("experiments/set-experiment-tag", experiment_id=one, key="k" * 300, value="v")
    post("experiments/set-experiment-tag", experiment_id=one, value="v")
    post("experiments/set-experiment-tag", experiment_id="4242", key="k", value="v")
    post("experiments/delete-experiment-tag", experiment_id=one, key="k")
    post("experiments/delete-experiment-tag", experiment_id=one, key="k")
    post("experiments/delete", experiment_id=two)
    post("experiments/delete", experiment_id=two)
    post("experiments/delete", experiment_id="4242")
    post("experiments/delete")
    get("experiments/get", experiment_id=two)
    post("experiments/set-experiment-tag", experiment_id=two, key="k", value="v")
    post("runs/create", experiment_id=two, start_time=1)
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        post("experiments/search", max_results=10, view_type=view, order_by=["name ASC"])
    post("experiments/restore", experiment_id=two)
    post("experiments/restore", experiment_id=two)
    post("experiments/restore", experiment_id="4242")
    for order in (["name"], ["name DESC"], ["experiment_id ASC"], ["creation_time ASC", "name DESC"], ["attribute.name"], ["last_update_time DESC", "experiment_id ASC"],
                  ["nonsense"], ["name ASCENDING"], ["tags.team"], ["name ASC", "name DESC"], [""]):
        call("POST", api("experiments/search"), {"max_results": 10, "order_by": order, "filter": "name != 'Default'" if order[0] != "creation_time ASC" else ""})
    for text in ("name = 'one'", "name LIKE 'o%'", "name ILIKE 'O%'", "name != 'one'", "attribute.name = 'one'", "attributes.name = 'two'", "tags.team = 'a'",
                 "tag.team = 'a'", "tags.`team` LIKE 'A'", "tags.team ILIKE 'A'", "name = 'one' AND tags.team = 'a'", "creation_time > 0", "last_update_time < 1",
                 "experiment_id = '0'", "name = one", "name > 'a'", "name IN ('one','two')", "tags.team IS NULL", "tags.team IS NOT NULL", "params.x = '1'", "name = 'one' OR name = 'two'",
                 "name =", "= 'x'", "'one' = name", "name = 'one' and", "(name = 'one')", "creation_time = 'x'", "creation_time LIKE '1'", "tags = 'x'", "name='one'", "name  =  \"one\"",
                 "NAME = 'one'", "name LIKE '%n%'", "name LIKE 'o_e'", "tags.absent != 'x'"):
        post("experiments/search", max_results=10, filter=text, order_by=["name ASC"])
    for n in (0, -1, 50001, 1):
        post("experiments/search", max_results=n, order_by=["name ASC"])
    post("experiments/search")
    page = post("experiments/search", max_results=2, order_by=["name ASC"])
    post("experiments/search", max_results=2, order_by=["name ASC"], page_token=page.get("next_page_token", ""))
    post("experiments/search", max_results=2, page_token="garbage!")
    return one, two


def runs(experiment):
    ids = []
    for i in range(12):
        run = post("runs/create", experiment_id=experiment, start_time=1000 + i, run_name=f"Run-{i}",
                   tags=[{"key": "parity", "value": "even" if i % 2 == 0 else "odd"}])["run"]["info"]["run_id"]
        body = {"run_id": run, "metrics": [{"key": "auc", "value": i / 12, "timestamp": 1, "step": 0}], "params": [{"key": "solver", "value": "lbfgs" if i < 6 else "SAGA"}]}
        if i % 3 == 0:
            body["metrics"].append({"key": "val loss", "value": 1 - i / 12, "timestamp": 1, "step": 0})
            body["params"].append({"key": "a.b/c", "value": str(i)})
        call("POST", api("runs/log-batch"), body)
        ids.append(run)
    for i in (0, 5, 10):
        post("runs/update", run_id=ids[i], status="FINISHED", end_time=5000 + i)
    post("runs/update", run_id=ids[1], status="FAILED", end_time=5100)
    a = ids[0]
    for bad in ({}, {"experiment_id": "4242"}, {"experiment_id": experiment, "start_time": "x"}, {"experiment_id": experiment, "run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]},
                ):
        if bad:
            call("POST", api("runs/create"), bad)
    for bad in ({"run_id": "f" * 32, "status": "FAILED"}, {"run_id": "../x"}, {}, {"run_id": a, "run_name": "Named"}, {"run_id": a, "end_time": "soon"}):
        call("POST", api("runs/update"), bad)
    get("runs/get", run_id=a)
    get("runs/get", run_uuid=a)
    get("runs/get", run_id="f" * 32)
    get("runs/get")
    metric = dict(run_id=a, key="m", value=1.5, timestamp=10, step=1)
    post("runs/log-metric", **metric)
    post("runs/log-metric", **metric)
    for change in ({"value": "NaN"}, {"value": "Infinity"}, {"value": "-Infinity"}, {"step": 2, "value": -3}, {"timestamp": 5, "step": 2, "value": 7}, {"timestamp": None}, {"key": ""}, {"key": None},
                   {"value": "x"}, {"value": None}, {"key": "../up"}, {"key": "a//b"}, {"key": "é"}, {"key": "k" * 251}, {"run_id": "f" * 32}, {"run_id": None}, {"step": "x"}, {"key": "with:colon"},
                   {"key": "sp ace/ok-1.2_3"}, {"step": -5}, {"timestamp": -1}, {"step": "7"}, {"key": "tab\there"}, {"key": "/abs"}, {"key": "."}):
        body = {k: v for k, v in {**metric, **change}.items() if v is not None}
        call("POST", api("runs/log-metric"), body)
    get("metrics/get-history", run_id=a, metric_key="m")
    get("metrics/get-history", run_id=a, metric_key="m", max_results=2)
    get("metrics/get-history", run_id=a, metric_key="absent")
    get("metrics/get-history", run_id="f" * 32, metric_key="m")
    get("metrics/get-history", run_id=a)
    get("metrics/get-history", metric_key="m")
    get("runs/get", run_id=a)
    for body in (dict(run_id=a, key="p", value="1"), dict(run_id=a, key="p", value="1"), dict(run_id=a, key="p", value="2"), dict(run_id=a, key="", value="2"), dict(run_id=a, value="2"),
                 dict(run_id=a, key="q"), dict(run_id=a, key="long", value="v" * 6001), dict(run_id=a, key="k" * 251, value="v"), dict(run_id="f" * 32, key="p", value="1"), dict(run_id=a, key="n", value=5),
                 dict(run_id=a, key="empty", value="")):
        call("POST", api("runs/log-parameter"), body)
    for body in (dict(run_id=a, key="t", value="1"), dict(run_id=a, key="t", value="2"), dict(run_id=a, key="", value="2"), dict(run_id=a, value="2"),
                 dict(run_id=a, key="k" * 251, value="v"), dict(run_id="f" * 32, key="p", value="1"), dict(run_id=a, key="mlflow.runName", value="Renamed"), dict(run_id=a, key="long", value="v" * 8001)):
        call("POST", api("runs/set-tag"), body)
    post("runs/delete-tag", run_id=a, key="t")
    post("runs/delete-tag", run_id=a, key="t")
    post("runs/delete-tag", run_id=a)
    points = [{"key": "b", "value": i, "timestamp": i, "step": i} for i in range(5)]
    for body in (dict(run_id=a, metrics=points), dict(run_id=a, metrics=points), dict(run_id=a), dict(metrics=points), dict(run_id=a, params=[{"key": "p", "value": "9"}]),
                 dict(run_id=a, params=[{"key": "z", "value": "1"}, {"key": "z", "value": "2"}]), dict(run_id=a, params=[{"key": "zz", "value": "1"}, {"key": "zz", "value": "1"}]),
                 dict(run_id=a, metrics=[{"key": "b"}]), dict(run_id=a, metrics=points * 201), dict(run_id=a, params=[{"key": f"p{i}", "value": "1"} for i in range(101)]),
                 dict(run_id=a, tags=[{"key": f"t{i}", "value": "1"} for i in range(101)]), dict(run_id=a, metrics=[{"key": "c", "value": 1, "timestamp": 1, "step": 0}], params=[{"key": "p", "value": "9"}]),
                 dict(run_id=a, metrics="x"), dict(run_id=a, tags=[{"key": "same", "value": "1"}, {"key": "same", "value": "2"}])):
        label = None if len(json.dumps(body)) < 4000 else "POST log-batch too many " + ",".join(sorted(body))
        call("POST", api("runs/log-batch"), body, label)
    get("metrics/get-history", run_id=a, metric_key="b")
    get("metrics/get-history", run_id=a, metric_key="c")
    get("runs/get", run_id=a)
    search_runs(experiment, ids)
    post("runs/delete", run_id=ids[2])
    post("runs/delete", run_id=ids[2])
    post("runs/delete", run_id="f" * 32)
    get("runs/get", run_id=ids[2])
    post("runs/log-metric", run_id=ids[2], key="m", value=1, timestamp=1)
    post("runs/set-tag", run_id=ids[2], key="m", value="1")
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONSENSE"):
        post("runs/search", experiment_ids=[experiment], run_view_type=view, filter="attributes.start_time < 1004")
    post("runs/restore", run_id=ids[2])
    post("runs/restore", run_id=ids[2])
    post("runs/restore", run_id="f" * 32)
    return ids


def search_runs(experiment, ids):
    def search(text, order=None, **more):
        post("runs/search", experiment_ids=[experiment], filter=text, order_by=order or ["start_time ASC"], **more)

    for text in ("", "metrics.auc > 0.5", "metric.auc >= 0.5 and params.solver = 'lbfgs'", "metrics.`val loss` <= 0.5", 'metrics."val loss" > 0.2', "metrics.auc = 0.5", "metrics.auc != 0.5",
                 "metrics.auc > '0.5'", "metrics.auc LIKE '0%'", "metrics.auc > abc", "metrics.absent > 0", "metrics.absent != 0", "metrics.auc > -1", "metrics.auc < 1e-1", "metrics.auc IN (0.5)",
                 "params.solver = 'SAGA'", "params.solver != 'SAGA'", "params.solver LIKE 'lb%'", "params.solver ILIKE 'saga'", "params.solver LIKE 'saga'", "params.solver = lbfgs", "params.solver > 'a'",
                 "params.`a.b/c` = '3'", "params.\"a.b/c\" = '3'", "params.a.b/c = '3'", "params.absent = 'x'", "params.absent != 'x'", "param.solver = \"SAGA\"", "parameters.solver = 'SAGA'",
                 "params.solver IN ('SAGA')", "params.solver IS NULL", "params.`a.b/c` IS NOT NULL", "params.`a.b/c` IS NULL",
                 "tags.parity = 'odd'", "tag.parity = 'odd'", "tags.parity IS NULL", "tags.absent IS NULL", "tags.parity IS NOT NULL", "tags.parity ILIKE 'OD_'", "tags.parity LIKE '%d%'", "tags.mlflow.runName = 'Run-3'",
                 "tags.`mlflow.runName` LIKE 'Run-1%'", "tags.parity != 'odd'", "tags.absent != 'odd'", "tags.parity NOT LIKE 'o%'", "tags.parity IN ('odd')",
                 "attributes.status = 'FINISHED'", "attribute.status != 'FINISHED'", "attr.status = 'FAILED'", "run.status = 'FAILED'", "status = 'RUNNING'", "status LIKE 'FIN%'", "status = 'finished'", "status IN ('FAILED','FINISHED')",
                 "attributes.start_time > 1005", "start_time >= '1005'", "start_time = 1005", "start_time LIKE '1005'", "end_time > 5000", "attributes.end_time IS NULL", "start_time > abc", "start_time > 1005.5", "start_time != 1005",
                 "attributes.run_name = 'Run-3'", "run_name LIKE 'Run-1%'", "attributes.`run name` = 'Run-3'", "attributes.\"Run name\" = 'Run-3'", "`Run Name` = 'Run-3'", "run_name ILIKE 'run-1_'", "run_name IN ('Run-3', 'Run-4')", "run_name IS NULL",
                 f"run_id = '{ids[3]}'", f"attributes.run_id IN ('{ids[3]}', '{ids[4]}')", f"run_id NOT IN ('{ids[3]}')", "run_id IN ()", "run_id IN ('x')", "run_id LIKE '%a%' and start_time < 0", "run_id IN ('a' 'b')", "run_id IN (5)",
                 "user_id LIKE '%'", "artifact_uri LIKE '%artifacts'", "attributes.nonsense = 'x'", "nonsense.x = 'x'", "nonsense = 'x'", "lifecycle_stage = 'active'", "experiment_id = '1'",
                 "metrics.auc > 0.5 OR params.solver = 'x'", "metrics.auc > 0.5 AND", "AND metrics.auc > 0.5", "metrics.auc >", "metrics.auc 0.5", "metrics. > 0.5", "metrics.auc > 0.1 and metrics.auc < 0.5 and params.solver = 'lbfgs' and tags.parity = 'odd'",
                 "metrics.auc>0.5", "METRICS.auc > 0.5", "metrics.AUC > 0.5", "(metrics.auc > 0.5)", "NOT metrics.auc > 0.5", "metrics.auc BETWEEN 0 AND 1", "metrics.auc > 0.5;", "metrics.auc > 0.5 -- x", "params.solver = 'it''s'", "params.solver = ''",
                 "dataset.name = 'x'", "datasets.name LIKE 'x'", "dataset.digest = 'x'", "datasets.context IN ('x')", "dataset.nonsense = 'x'", "5 > metrics.auc", "true", "metrics", "params.solver"):
        search(text)
    for order in (["metrics.auc DESC"], ["metrics.auc ASC"], ["metrics.`val loss` DESC"], ["metrics.`val loss`"], ["params.solver DESC", "start_time ASC"], ["tags.parity", "metrics.auc DESC"], ["attributes.end_time DESC"],
                  ["end_time"], ["status ASC", "start_time DESC"], ["run_name DESC"], ["attribute.run_name"], ["metrics.absent DESC"], ["params.`a.b/c`"], ["nonsense"], ["metrics.auc UP"], ["metrics"], ["attributes.nonsense ASC"],
                  ["start_time asc"], ["`Run name` ASC"], ["Start Time DESC"], ["created DESC"], ["run_id IN"], [""], ["dataset.name"], ["metrics.auc ASC", "metrics.auc DESC"], ["metrics.auc, start_time"]):
        search("attributes.start_time > 1003", order)
    for n in (0, -3, 50001, 3):
        search("", max_results=n)
    token, seen = None, 0
    while seen < 6:
        page = post("runs/search", experiment_ids=[experiment], max_results=5, order_by=["metrics.`val loss` DESC"], **({"page_token": token} if token else {}))
        token, seen = page.get("next_page_token"), seen + 1
        if not token:
            break
    post("runs/search", experiment_ids=[experiment], page_token="garbage")
    post("runs/search", experiment_ids=["4242"])
    post("runs/search", experiment_ids=[])
    post("runs/search", experiment_ids="x")
    post("runs/search", filter=5)


def registry(run):
    post("registered-models/create", name="alpha", description="first", tags=[{"key": "team", "value": "a"}])
    post("registered-models/create", name="Beta")
    post("registered-models/create", name="gamma ray")
    for bad in ({"name": "alpha"}, {"name": ""}, {}, {"name": "a/b"}, {"name": "a:b"}, {"name": 5}, {"name": "t", "tags": [{"key": "", "value": "x"}]}):
        call("POST", api("registered-models/create"), bad, "create model " + json.dumps(bad)[:60])
    get("registered-models/get", name="alpha")
    get("registered-models/get", name="absent")
    get("registered-models/get")
    patch("registered-models/update", name="alpha", description="changed")
    patch("registered-models/update", name="absent", description="x")
    patch("registered-models/update", name="alpha")
    post("registered-models/rename", name="Beta", new_name="beta")
    post("registered-models/rename", name="beta", new_name="alpha")
    post("registered-models/rename", name="absent", new_name="x")
    post("registered-models/rename", name="beta")
    post("registered-models/rename", name="beta", new_name="x/y")
    post("registered-models/set-tag", name="alpha", key="k", value="v")
    post("registered-models/set-tag", name="absent", key="k", value="v")
    post("registered-models/set-tag", name="alpha", key="", value="v")
    post("registered-models/set-tag", name="alpha", key="k")
    post("registered-models/set-tag", name="alpha", key="long", value="v" * 200000 if False else "v")
    delete("registered-models/delete-tag", name="alpha", key="k")
    delete("registered-models/delete-tag", name="alpha", key="k")
    delete("registered-models/delete-tag", name="alpha")
    for i in range(4):
        post("model-versions/create", name="alpha" if i < 3 else "beta", source=f"runs:/{run}/model", run_id=run, tags=[{"key": "i", "value": str(i)}], description=f"v{i}")
    for bad in ({"name": "absent", "source": f"runs:/{run}/model", "run_id": run}, {"name": "alpha"}, {"source": "x"}, {"name": "alpha", "source": "/etc/passwd", "run_id": run}, {"name": "alpha", "source": "file:///etc"},
                {"name": "alpha", "source": "mlflow-artifacts:/../x"}, {"name": "alpha", "source": "http://host/%2e%2e/x"}, {"name": "alpha", "source": f"runs:/{run}/model", "tags": [{"key": "", "value": "x"}]}):
        call("POST", api("model-versions/create"), bad, "create version " + json.dumps(plain(bad))[:100])
    get("model-versions/get", name="alpha", version="1")
    get("model-versions/get", name="alpha", version="99")
    get("model-versions/get", name="alpha", version="x")
    get("model-versions/get", name="alpha")
    get("model-versions/get", name="absent", version="1")
    get("registered-models/get", name="alpha")
    patch("model-versions/update", name="alpha", version="1", description="new")
    patch("model-versions/update", name="alpha", version="99", description="new")
    patch("model-versions/update", name="alpha", version="1")
    post("model-versions/set-tag", name="alpha", version="1", key="k", value="v")
    post("model-versions/set-tag", name="alpha", version="99", key="k", value="v")
    post("model-versions/set-tag", name="alpha", version="1", key="", value="v")
    post("model-versions/set-tag", name="alpha", version="1")
    delete("model-versions/delete-tag", name="alpha", version="1", key="k")
    delete("model-versions/delete-tag", name="alpha", version="1", key="k")
    for alias, version in (("champion", "1"), ("champion", "2"), ("challenger", "2"), ("latest", "1"), ("v1", "1"), ("", "1"), ("bad alias!", "1"), ("x", "99"), ("Champion2", "3")):
        post("registered-models/alias", name="alpha", alias=alias, version=version)
    post("registered-models/alias", name="absent", alias="a", version="1")
    get("registered-models/alias", name="alpha", alias="champion")
    get("registered-models/alias", name="alpha", alias="absent")
    get("registered-models/alias", name="absent", alias="a")
    get("registered-models/alias", name="alpha")
    delete("registered-models/alias", name="alpha", alias="challenger")
    delete("registered-models/alias", name="alpha", alias="challenger")
    delete("registered-models/alias", name="absent", alias="challenger")
    for stage in ("Staging", "Production", "production", "Nonsense", "Archived", "None"):
        post("model-versions/transition-stage", name="alpha", version="1", stage=stage, archive_existing_versions=False)
    post("model-versions/transition-stage", name="alpha", version="2", stage="Production", archive_existing_versions=True)
    post("model-versions/transition-stage", name="alpha", version="3", stage="Production", archive_existing_versions=True)
    post("model-versions/transition-stage", name="alpha", version="99", stage="Production", archive_existing_versions=True)
    post("model-versions/transition-stage", name="alpha", version="1", stage="Archived", archive_existing_versions=True)
    post("registered-models/get-latest-versions", name="alpha")
    post("registered-models/get-latest-versions", name="alpha", stages=["Production"])
    post("registered-models/get-latest-versions", name="alpha", stages=["Nonsense"])
    post("registered-models/get-latest-versions", name="absent")
    get("registered-models/get-latest-versions", name="alpha")
    get("model-versions/get-download-uri", name="alpha", version="1")
    get("model-versions/get-download-uri", name="alpha", version="99")
    for text in ("", "name = 'alpha'", "name LIKE 'a%'", "name ILIKE 'A%'", "name != 'alpha'", "tags.team = 'a'", "tag.team != 'a'", "tags.team LIKE '%'", "tags.team ILIKE 'A'", "name = 'alpha' and tags.team = 'a'", "name > 'a'", "name = alpha",
                 "name IN ('alpha')", "nonsense = 'x'", "params.x = 'y'", "name =", "name = 'alpha' OR name = 'beta'", "tags.team IS NULL", "attribute.name = 'alpha'", "last_updated_timestamp > 0", "tags.absent = 'x'", "name='alpha' and name LIKE '%a'"):
        get("registered-models/search", filter=text, order_by=["name ASC"])
    for order in (["name DESC"], ["last_updated_timestamp ASC", "name DESC"], ["timestamp DESC"], ["creation_timestamp"], ["nonsense"], ["name UP"], [""], ["tags.team"], ["name asc"]):
        if "timestamp" not in order[0]:
            get("registered-models/search", order_by=order)
    for n in (0, -1, 1001, 2):
        get("registered-models/search", max_results=n)
    page = get("registered-models/search", max_results=2)
    get("registered-models/search", max_results=2, page_token=page.get("next_page_token", ""))
    get("registered-models/search", page_token="garbage")
    for text in ("", "name = 'alpha'", "name='alpha' and version_number > 1", f"run_id = '{run}'", f"run_id IN ('{run}')", "run_id IN ('x','y')", "source_path LIKE 'runs%'", "source = 'x'", "tags.i = '1'", "tags.i != '1'", "tags.i LIKE '%'", "version_number = 2",
                 "version_number = '2'", "version = 2", "name LIKE 'a%'", "name ILIKE 'A%'", "nonsense = 'x'", "name > 'a'", "run_id LIKE '%'", "version_number LIKE '1'", "run_id IN ()", "name IN ('alpha')", "name = 'alpha' OR name = 'b'", "current_stage = 'Production'",
                 "attribute.name = 'alpha'", "creation_timestamp > 0", "tags.i IS NULL", "source_path IN ('x')", "version_number >= 2 and version_number < 3 and name = 'alpha'"):
        get("model-versions/search", filter=text, order_by=["name ASC", "version_number ASC"])
    for order in (["version_number DESC"], ["name DESC", "version_number ASC"], ["nonsense"], ["creation_timestamp UP"], ["source_path", "version_number ASC"], ["tags.i"]):
        get("model-versions/search", order_by=order)
    for n in (0, -1, 200001, 2):
        get("model-versions/search", max_results=n, order_by=["version_number ASC", "name ASC"])
    delete("model-versions/delete", name="alpha", version="2")
    delete("model-versions/delete", name="alpha", version="2")
    get("model-versions/get", name="alpha", version="2")
    get("registered-models/alias", name="alpha", alias="champion")
    post("model-versions/create", name="alpha", source=f"runs:/{run}/model", run_id=run)
    delete("registered-models/delete", name="alpha")
    delete("registered-models/delete", name="alpha")
    delete("registered-models/delete")
    get("model-versions/get", name="alpha", version="1")
    post("registered-models/create", name="alpha")
    post("model-versions/create", name="alpha", source=f"runs:/{run}/model", run_id=run)


def logged_models(experiment, run):
    def model(**body):
        return post("logged-models", experiment_id=experiment, **body)

    ids = [model(name=f"model-{i}", model_type="sklearn" if i % 2 else "onnx", source_run_id=run, params=[{"key": "depth", "value": str(i)}], tags=[{"key": "team", "value": "a"}])["model"]["info"]["model_id"] for i in range(4)]
    model(name="a/b")
    post("logged-models", name="x", experiment_id="4242")
    post("logged-models", name="x")
    path = "logged-models/"
    get(path + ids[0])
    get(path + "m-" + "0" * 32)
    patch(path + ids[0], model_id=ids[0], status="LOGGED_MODEL_READY")
    patch(path + ids[1], model_id=ids[1], status="LOGGED_MODEL_UPLOAD_FAILED")
    patch(path + ids[1], model_id=ids[1])
    patch(path + "m-" + "0" * 32, model_id="m-" + "0" * 32, status="LOGGED_MODEL_READY")
    patch(path + ids[0] + "/tags", tags=[{"key": "k", "value": "v"}, {"key": "team", "value": "b"}])
    delete(path + ids[0] + "/tags/k")
    delete(path + ids[0] + "/tags/k")
    for time in ("first", "second"):
        call("POST", api(path + ids[0] + "/params"), {"model_id": ids[0], "params": [{"key": "lr", "value": "0.1"}]}, f"a model's parameter, {time} time")
    post(path + "m-" + "0" * 32 + "/params", model_id="m-" + "0" * 32, params=[{"key": "lr", "value": "0.1"}])
    for i, m in enumerate(ids):
        post("runs/log-metric", run_id=run, key="acc", value=i / 4, timestamp=1, step=0, model_id=m, dataset_name="d", dataset_digest="x")
    post("runs/outputs", run_id=run, models=[{"model_id": ids[0], "step": 3}])
    post("runs/outputs", run_id="f" * 32, models=[{"model_id": ids[0], "step": 3}])
    post("runs/log-inputs", run_id=run, datasets=[{"dataset": {"name": "d", "digest": "x", "source_type": "local", "source": "s", "schema": "{}", "profile": "{}"}, "tags": [{"key": "mlflow.data.context", "value": "train"}]}],
         models=[{"model_id": ids[1]}])
    post("runs/log-inputs", run_id="f" * 32, datasets=[])
    post("runs/log-inputs")
    get("runs/get", run_id=run)
    get(path + ids[0])
    for text in ("", "name = 'model-1'", "name LIKE 'model%'", "name != 'model-1'", "model_type = 'onnx'", "params.depth = '2'", "params.depth != '2'", "tags.team = 'a'", "tags.team LIKE 'A'", "tags.team ILIKE 'A'", "metrics.acc > 0.3", "metrics.acc >= 0.25 AND name LIKE '%2'",
                 "status = 'READY'", "attributes.status = 'LOGGED_MODEL_READY'", f"model_id = '{ids[2]}'", f"source_run_id = '{run}'", "creation_timestamp > 0", "nonsense = 'x'", "name > 'a'", "metrics.acc LIKE 'x'", "metrics.acc > 'x'", "name = 'a' OR name = 'b'", "name IN ('model-1')",
                 "params.absent = 'x'", "name =", "model_type IN ('onnx', 'x')", "metrics.acc != 0.25", "tags.team IS NULL"):
        post("logged-models/search", experiment_ids=[experiment], filter=text, order_by=[{"field_name": "name", "ascending": True}])
    for order in ([{"field_name": "metrics.acc", "ascending": False}], [{"field_name": "name", "ascending": False}], [{"field_name": "creation_timestamp"}], [{"field_name": "nonsense"}], [{"field_name": "params.depth"}], [{"field_name": "metrics.acc", "dataset_name": "d"}],
                  [{"field_name": "metrics.acc", "dataset_digest": "x"}], [{"ascending": True}]):
        if order[0].get("field_name") != "creation_timestamp":
            post("logged-models/search", experiment_ids=[experiment], order_by=order)
    post("logged-models/search", experiment_ids=[experiment], datasets=[{"dataset_name": "d"}], filter="metrics.acc > 0.3")
    post("logged-models/search", experiment_ids=[experiment], datasets=[{"dataset_name": "other"}], filter="metrics.acc > 0.3")
    post("logged-models/search", experiment_ids=[experiment], datasets=[{"dataset_digest": "x"}], filter="metrics.acc > 0.3")
    page = post("logged-models/search", experiment_ids=[experiment], max_results=3, order_by=[{"field_name": "name"}])
    post("logged-models/search", experiment_ids=[experiment], max_results=3, order_by=[{"field_name": "name"}], page_token=page.get("next_page_token", ""))
    post("logged-models/search", experiment_ids=[experiment], page_token="garbage")
    post("logged-models/search", experiment_ids=[experiment], max_results=0)
    post("logged-models/search", experiment_ids=[])
    delete(path + ids[3])
    delete(path + ids[3])
    get(path + ids[3])
    post("experiments/search-datasets", experiment_ids=[experiment])
    for text in ("dataset.name = 'd'", "datasets.digest = 'x'", "dataset.context = 'train'", "datasets.name LIKE 'D'", "datasets.name ILIKE 'D'", "datasets.context IN ('train', 'x')", "dataset.name = 'other'"):
        post("runs/search", experiment_ids=[experiment], filter=text)


def artifacts(run):
    root = "/api/2.0/mlflow-artifacts/artifacts"
    text = "hello"
    get("artifacts/list", run_id=run)
    get("artifacts/list", run_id="f" * 32)
    get("artifacts/list")
    call("GET", api("artifacts/list"), {"run_id": run, "path": "../x"})
    for path in ("folder/a.txt", "folder/b.txt", "top.txt", "folder/deep/c%20d.txt"):
        call("PUT", f"{root}/9/{run}/artifacts/{path}", raw=True, data=text, label=f"PUT artifact {path}")
    for path in ("folder/a.txt", "folder/absent.txt", "../../x", "%2e%2e/%2e%2e/x", "folder/..%2f..%2f..%2fx", "folder"):
        call("GET", f"{root}/9/{run}/artifacts/{path}", raw=True, label=f"GET artifact {path}")
    for path in (f"9/{run}/artifacts", f"9/{run}/artifacts/folder", f"9/{run}/artifacts/absent", "../x", ""):
        call("GET", root, {"path": path}, label=f"LIST artifacts {plain(path)}" if path else "LIST artifacts at the top") if path else None
    call("DELETE", f"{root}/9/{run}/artifacts/folder/a.txt", raw=True, label="DELETE artifact")
    call("DELETE", f"{root}/9/{run}/artifacts/folder/a.txt", raw=True, label="DELETE artifact again")
    call("GET", f"{root}/9/{run}/artifacts/folder/a.txt", raw=True, label="GET deleted artifact")


def others():
    bad = post("experiments/create", name="bad")["experiment_id"]
    call("POST", api("registered-models/create"), {"name": "n" * 300}, "a long name")
    run = post("runs/create", experiment_id=bad, run_name="good", start_time=5)["run"]["info"]["run_id"]
    model = post("logged-models", experiment_id=bad, name="good")["model"]["info"]["model_id"]
    post("runs/log-inputs", run_id=run, datasets=[{"dataset": {"name": "d"}}])
    post("runs/update", run_id=run, status="NONSENSE")
    post("runs/set-tag", run_id=run, key="without a value")
    post("runs/create", experiment_id=bad, tags=[{"key": "x" * 300, "value": "v"}], run_name="long")
    post("runs/create", experiment_id=bad, tags="x", run_name="text")
    patch("logged-models/" + model, model_id=model, status="NONSENSE")
    patch("logged-models/" + model + "/tags", tags=[{"key": "", "value": "v"}])
    post("logged-models", experiment_id=bad, name="x", params=[{"key": "k" * 300, "value": "v"}])
    post("logged-models", experiment_id=bad, name="x", tags=[{"key": "", "value": "v"}])
    call("GET", "/health", raw=True)
    call("GET", "/version", raw=True)
    post("nonsense/call")
    get("experiments/create")
    call("POST", api("experiments/create"), raw=True, data="{", headers={"Content-Type": "application/json"}, label="broken JSON")
    call("POST", api("experiments/create"), raw=True, data="[]", headers={"Content-Type": "application/json"}, label="a list")
    call("POST", api("experiments/create"), raw=True, data=json.dumps({"name": "typed"}), headers={"Content-Type": "text/plain"}, label="text/plain")
    call("POST", api("experiments/create"), raw=True, data="", label="no body")


one, two = experiments()
ids = runs(one)
registry(ids[4])
logged_models(two, post("runs/create", experiment_id=two, start_time=1, run_name="models")["run"]["info"]["run_id"])
artifacts(ids[4])
others()
sys.stdout.flush()
