# SPDX-License-Identifier: Apache-2.0
"""Searching runs: filters, orders and pages."""
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

client = MlflowClient()
one, two = client.create_experiment("one"), client.create_experiment("two")
ids = []
for i in range(30):
    run = client.create_run(one if i % 3 else two, start_time=1000 + i, run_name=f"Run-{i}", tags={"parity": "even" if i % 2 == 0 else "odd"})
    client.log_batch(run.info.run_id, [Metric("auc", i / 30, 1, 0), Metric("val loss", 1 - i / 30, 1, 0)],
                     [Param("solver", "lbfgs" if i < 15 else "SAGA"), Param("a.b/c", str(i))], [RunTag("mlflow.note.content", f"n{i}")])
    if i % 5 == 0:
        client.set_terminated(run.info.run_id, end_time=5000 + i)
    ids.append(run.info.run_id)


def found(filter="", order=None, experiments=(one, two), **kwargs):
    return [ids.index(r.info.run_id) for r in client.search_runs(list(experiments), filter, order_by=order, **kwargs)]


everything = list(range(29, -1, -1))
assert found() == everything
assert found("metrics.auc > 0.5") == list(range(29, 15, -1))
assert found("metrics.auc >= 0.5 and params.solver = 'lbfgs'") == []
assert found("metrics.`val loss` <= 0.1", ["metrics.`val loss` ASC"]) == [29, 28, 27]
assert found('metrics."auc" > 0.9 AND tags.parity != "odd"') == [28]
assert found("params.solver LIKE 'lb%' and tags.parity = 'even'") == list(range(14, -1, -2))
assert found("params.solver ILIKE 'saga'") == list(range(29, 14, -1))
assert found("params.solver LIKE 'saga'") == []
assert found("params.`a.b/c` = '7'") == [7]
assert found("attributes.status = 'FINISHED'") == [25, 20, 15, 10, 5, 0]
assert found("status = 'RUNNING' and run_name = 'Run-3'") == [3]
assert found("attributes.`run name` = 'Run-3'") == [3]
assert found("tags.`mlflow.note.content` = 'n4'") == [4]
assert found(f"run_id IN ('{ids[3]}', '{ids[9]}')") == [9, 3]
assert found(f"attributes.run_id NOT IN ('{ids[3]}')", experiments=[two]) == [27, 24, 21, 18, 15, 12, 9, 6, 0]
assert found("attributes.start_time < 1003") == [2, 1, 0]
assert found("end_time > 5010") == [25, 20, 15]
assert found("tags.absent IS NULL and tags.parity IS NOT NULL") == everything
assert found("tags.absent IS NOT NULL") == []
assert found("metrics.absent > 0") == []
assert found("user_id = 'alice'") == everything
assert found("", ["metrics.auc ASC"])[:3] == [0, 1, 2]
assert found("", ["params.solver DESC", "start_time ASC"])[:2] == [0, 1]
assert found("", ["attributes.end_time DESC"])[:7] == [25, 20, 15, 10, 5, 0, 29]  # what has no value comes last
assert found(experiments=[one]) == [i for i in everything if i % 3]
assert found(experiments=["777"]) == []

seen, token = [], None
while True:
    page = client.search_runs([one, two], "metrics.auc > 0.1", order_by=["metrics.auc DESC"], max_results=7, page_token=token)
    seen += [ids.index(r.info.run_id) for r in page]
    token = page.token
    if not token:
        break
assert seen == list(range(29, 3, -1)), seen

assert len(mlflow.search_runs([one, two], "params.solver = 'lbfgs'")) == 15
assert {e.name for e in client.search_experiments(filter_string="name LIKE 't%'")} == {"two"}
assert [e.name for e in client.search_experiments(order_by=["name ASC"])] == ["Default", "one", "two"]
assert len(client.search_experiments(max_results=2)) == 2

for wrong in ["metrics.auc > 'x'", "params.solver = 3", "nothing.x = 'y'", "metrics.auc LIKE 'x'", "status = 'x' OR status = 'y'", "metrics.auc >",
              "attributes.nope = 'x'", "run_id IN ()", "metrics.auc > 1; drop table runs", "params.solver IN ('a')"]:
    try:
        found(wrong)
        raise AssertionError(wrong)
    except MlflowException as e:
        assert e.error_code == "INVALID_PARAMETER_VALUE", (wrong, e)
print("search: ok")
