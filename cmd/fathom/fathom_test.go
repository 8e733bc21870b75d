// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

const studyYAML = `apiVersion: fathom.dev/v1alpha1
kind: Dataset
metadata: {name: voice, namespace: neurology}
spec: {from: {files: {url: "inbox/voice/*.csv", format: csv}}, privacy: {subject: patient_id, consent: {dataset: consents, purpose: research}}}
---
kind: Dataset
metadata: {name: cohort, namespace: neurology}
spec: {from: {query: {file: ./cohort.sql}}}
---
kind: Model
metadata: {name: parkinsons, namespace: neurology}
spec:
  data: {dataset: cohort, target: status}
  train: {code: {path: ./train, command: [python, train.py], environment: {python: requirements.txt}}}
---
kind: Endpoint
metadata: {name: parkinsons, namespace: neurology}
spec: {model: parkinsons}
---
kind: Report
metadata: {name: findings, namespace: neurology}
spec: {page: ./findings.md}
---
---
kind: Workspace
metadata: {name: neurology}
spec: {members: [{group: researchers, role: editor}]}
`

// study writes the study's folder.
func (w *world) study() {
	w.Helper()
	w.file("study/study.yaml", studyYAML)
	w.file("study/cohort.sql", "select * from voice")
	w.file("study/train/train.py", "pass\n")
	w.file("study/train/requirements.txt", "scikit-learn\n")
	w.file("study/findings.md", "# Findings\n")
	w.file("study/scan.png", "png")
}

// TestApply: a folder is declared, its code uploaded once and the same again changes nothing.
func TestApply(t *testing.T) {
	w := newWorld(t)
	w.study()
	w.workspace("neurology")
	digest := string(ref.DigestOf([]byte("anything")))
	w.answers["POST /api/workspaces/neurology/bundles"] = fmt.Sprintf(`{"digest":%q,"size":8}`, digest)
	out := w.want(0, "dataset/neurology/voice created", "apply", "-f", "{dir}/study")
	first, _, _ := strings.Cut(out, "\n")
	if !strings.HasPrefix(first, "workspace/neurology ") || strings.Count(out, "created") < 5 || len(w.asked) != 3 {
		t.Errorf("applied\n%s\nasked %d times", out, len(w.asked))
	}
	var cohort v1alpha1.Dataset
	w.must(w.Get(t.Context(), client.ObjectKey{Namespace: "neurology", Name: "cohort"}, &cohort))
	var m v1alpha1.Model
	w.must(w.Get(t.Context(), client.ObjectKey{Namespace: "neurology", Name: "parkinsons"}, &m))
	if cohort.Spec.From.Query.SQL != "select * from voice" || m.Spec.Train.Code.Bundle != digest || m.Spec.Train.Code.Environment.Requirements != digest || *m.Spec.Evaluate.Folds != 5 {
		t.Errorf("cohort %+v, model %+v", cohort.Spec, m.Spec)
	}
	var results []struct{ Object, Outcome string }
	w.must(json.Unmarshal([]byte(w.want(0, "", "apply", "-f", "{dir}/study", "-o", "json")), &results))
	for _, r := range results {
		if r.Outcome != "unchanged" {
			t.Errorf("applied again: %+v", r)
		}
	}
	w.file("study/cohort.sql", "select * from voice where true")
	w.want(0, "dataset/neurology/cohort configured", "apply", "-f", "{dir}/study")
	w.want(0, "dataset/neurology/voice unchanged", "apply", "-f", "{dir}/study/study.yaml")
}

// TestApplyMistakes: nothing is declared, and the message names file, document and what to do.
func TestApplyMistakes(t *testing.T) {
	w := newWorld(t)
	w.workspace("neurology")
	const head = "kind: Dataset\nmetadata: {name: x, namespace: neurology}\nspec: "
	files := map[string]string{
		"syntax.yaml":    head + "{from: {query: {sql: select 1}}}\n---\nkind: [\n",
		"on.yaml":        "kind: Model\nmetadata: {name: x, namespace: neurology}\nspec: {retrain: {on: [data]}}\n",
		"kind.yaml":      "kind: Datset\nmetadata: {name: x}\n",
		"nokind.yaml":    "---\nmetadata: {name: x}\n",
		"noname.yaml":    "kind: Dataset\n",
		"foreign.yaml":   "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x, namespace: neurology}\n",
		"nons.yaml":      "kind: Dataset\nmetadata: {name: x}\nspec: {from: {query: {sql: select 1}}}\n",
		"nows.yaml":      "kind: Dataset\nmetadata: {name: x, namespace: nowhere}\nspec: {from: {query: {sql: select 1}}}\n",
		"field.yaml":     head + "{from: {query: {sql: select 1}}, cheks: []}\n",
		"twice.yaml":     head + "{from: {query: {sql: select 1}, capture: {endpoint: e}}}\n",
		"codecheck.yaml": head + "{from: {code: {path: ./train, command: [python], inputs: [voice]}}, checks: [{column: a, notNull: true}]}\n",
		"sqlfile.yaml":   head + "{from: {query: {file: ./none.sql}}}\n",
		"code.yaml":      head + "{from: {code: {path: ./none, command: [python], inputs: [a]}}}\n",
		"train/train.py": "pass\n",
	}
	for name, text := range files {
		w.file("wrong/"+name, text)
	}
	w.file("empty/readme.txt", "")
	w.answers["POST /api/workspaces/neurology/bundles"] = `{"digest":"` + string(ref.DigestOf(nil)) + `"}`
	for _, c := range []struct {
		file string
		code int
		want string
	}{
		{"wrong/none.yaml", 8, "there is no file or folder"},
		{"empty", 8, "holds no *.yaml file"},
		{"wrong/syntax.yaml", 2, "syntax.yaml: document 2:"},
		{"wrong/on.yaml", 2, "document 1: spec.retrain.true is a key that YAML reads as true or false"},
		{"wrong/kind.yaml", 2, `document 1: kind "Datset" is not one of Workspace, Dataset, Model, Endpoint, Report`},
		{"wrong/nokind.yaml", 2, "kind is missing; one of Workspace"},
		{"wrong/noname.yaml", 2, "document 1: Dataset has no metadata.name"},
		{"wrong/foreign.yaml", 2, `no matches for kind "Thing"`},
		{"wrong/nons.yaml", 2, "Dataset x has no metadata.namespace; name its workspace there, or with -n"},
		{"wrong/nows.yaml", 8, "workspace nowhere: there is none; declare it: kind: Workspace"},
		{"wrong/field.yaml", 2, "cheks"},
		{"wrong/twice.yaml", 2, "name exactly one of files, query, code and capture"},
		{"wrong/codecheck.yaml", 2, "checks do not go with from.code: declare a query dataset over this one and give it the checks"},
		{"wrong/sqlfile.yaml", 8, "dataset/neurology/x spec.from.query.file"},
		{"wrong/code.yaml", 8, "spec.from.code.path"},
	} {
		w.want(c.code, c.want, "apply", "-f", "{dir}/"+c.file)
	}
	w.want(2, "no file is named; for example `fathom apply -f study/`", "apply")
	var list v1alpha1.DatasetList
	w.must(w.List(t.Context(), &list, client.InNamespace("neurology")))
	for _, d := range list.Items {
		if d.Name == "x" {
			t.Error("something was declared")
		}
	}
	w.file("named.yaml", files["nons.yaml"])
	w.want(0, "dataset/neurology/x created", "apply", "-f", "{dir}/named.yaml", "-n", "neurology")
	w.want(0, "dataset/x deleted", "delete", "ds", "x", "-n", "neurology")
	w.want(8, "dataset x: there is none in this workspace; see `fathom status`", "delete", "dataset", "x", "-n", "neurology")
}

// TestConnect: whom a verb talks to, and what is said when nobody answers.
func TestConnect(t *testing.T) {
	w := newWorld(t)
	good := w.kubeconfig
	w.kubeconfig = w.dir + "/none"
	w.want(4, "kubeconfig: "+w.dir+"/none is not there; start Fathom with `fathom up --state "+w.state+"`, or name a kubeconfig with --kubeconfig", "status")
	w.file("closed", "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\nusers: [{name: u, user: {}}]\n")
	w.kubeconfig = w.dir + "/closed"
	w.want(4, "nothing answers at https://127.0.0.1:1; start Fathom with `fathom up`, or name another kubeconfig with --kubeconfig", "status")
	w.file("broken", "clusters: 7")
	w.kubeconfig = w.dir + "/broken"
	w.want(2, "kubeconfig "+w.dir+"/broken", "status")
	w.kubeconfig = good
	w.workspace("neurology")
	w.workspace("cardiology")
	w.want(2, "there are several: cardiology, neurology; name one with -n", "status")
	w.want(0, "Nothing is declared yet: `fathom apply -f FOLDER`.", "status", "-n", "cardiology")
	w.must(w.Delete(t.Context(), &v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: "cardiology"}}))
}

// TestStatus: objects stand behind what they are made from, and messages fit the terminal.
func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.workspace("flow")
	in := func(kind client.Object, name string) client.Object {
		kind.SetNamespace("flow")
		kind.SetName(name)
		return kind
	}
	dataset := func(name string, from v1alpha1.Source, inputs ...string) {
		d := in(&v1alpha1.Dataset{Spec: v1alpha1.DatasetSpec{From: from}}, name).(*v1alpha1.Dataset)
		if name == "voice" {
			d.Spec.Privacy = &v1alpha1.Privacy{Subject: "p", Consent: &v1alpha1.Consent{Dataset: "zz-consents", Purpose: "research"}}
		}
		w.must(w.Create(t.Context(), d))
		w.status(d, func() {
			d.Status.Inputs, d.Status.ObservedGeneration, d.Status.Version, d.Status.Rows = inputs, d.Generation, 2, 7
			v1alpha1.SetReady(&d.Status.Conditions, v1alpha1.ReasonReady, "version 2 is up to date, and this message is long", 1, time.Now())
		})
	}
	files := v1alpha1.Source{Files: &v1alpha1.Files{URL: "a/*.csv", Format: "csv"}}
	sql := v1alpha1.Source{Query: &v1alpha1.Query{SQL: "select 1"}}
	dataset("cohort", sql, "voice", "scan-features")
	dataset("requests", v1alpha1.Source{Capture: &v1alpha1.CaptureSource{Endpoint: "e"}})
	dataset("scan-features", sql)
	dataset("voice", files)
	dataset("zz-consents", files)
	w.must(w.Create(t.Context(), in(&v1alpha1.Model{Spec: v1alpha1.ModelSpec{Data: v1alpha1.ModelData{Dataset: "cohort", Target: "t"},
		Train: v1alpha1.Train{Code: v1alpha1.Code{Command: []string{"x"}}}}}, "m")))
	w.must(w.Create(t.Context(), in(&v1alpha1.Endpoint{Spec: v1alpha1.EndpointSpec{Model: "m"}}, "e")))
	var lines []line
	out := w.want(0, "", "status", "-n", "flow", "-o", "json")
	w.must(json.Unmarshal([]byte(out), &lines))
	var order []string
	for _, l := range lines {
		order = append(order, l.id())
	}
	at := func(id string) int { return slices.Index(order, id) }
	for _, pair := range [][2]string{
		{"dataset/zz-consents", "dataset/voice"}, {"dataset/voice", "dataset/cohort"}, {"dataset/scan-features", "dataset/cohort"},
		{"dataset/cohort", "model/m"}, {"model/m", "endpoint/e"}, {"endpoint/e", "dataset/requests"},
	} {
		if at(pair[0]) < 0 || at(pair[0]) > at(pair[1]) {
			t.Errorf("%s does not stand before %s: %v", pair[0], pair[1], order)
		}
	}
	w.want(0, "model/m                Pending                   not looked at yet", "status", "-n", "flow")
	if cut := drawn(lines, 60, false, false); !strings.Contains(cut, "version 2…\n") {
		t.Errorf("cut to 60:\n%s", cut)
	}
	w.want(4, "not everything was ready in 300ms", "status", "-n", "flow", "--wait", "--timeout", "300ms")
	w.want(0, "reads", "show", "dataset", "cohort", "-n", "flow")
}

// TestDoorVerbs: what each verb asks the door, how it tells people, and how programs.
func TestDoorVerbs(t *testing.T) {
	w := newWorld(t)
	w.workspace("neurology")
	const ws = " /api/workspaces/neurology"
	w.file("inbox/a.csv", "a,b\n")
	w.file("inbox/b c.csv", "a,b\n")
	w.file("inbox/.hidden", "")
	for at, text := range map[string]string{
		"PUT" + ws + "/objects/inbox/voice/a.csv":       "",
		"PUT" + ws + "/objects/inbox/voice/b%20c.csv":   "",
		"GET" + ws + "/runs/voice-1/log?follow=false":   "first line\nsecond line\n",
		"GET" + ws + "/runs?name=voice":                 `{"runs":[{"name":"voice-1","step":"Ingest","forKind":"Dataset","forName":"voice","phase":"Failed","attempt":2,"message":"no file","started":"2026-01-01T00:00:00Z","finished":"2026-01-01T00:00:03Z"}]}`,
		"GET" + ws + "/models/cohort/why":               `404 {"error":"there is no cohort","kind":"NotFound"}`,
		"GET" + ws + "/datasets/cohort/why":             `{"kind":"dataset","name":"cohort","version":"2","inputs":[{"kind":"file","name":"a"},{"kind":"file","name":"b"},{"kind":"file","name":"c"},{"kind":"file","name":"d"}]}`,
		"POST" + ws + "/sql":                            "n\n3\n",
		"POST" + ws + "/models/parkinsons/promotion":    `{"version":2,"by":"ada"}`,
		"POST" + ws + "/datasets/cohort/replay":         `{"same":true,"version":2,"message":"version 2 was made again: the same"}`,
		"POST" + ws + "/models/m/replay?version=1":      `{"same":false,"version":1,"message":"version 1 was made again: roc_auc differs"}`,
		"POST" + ws + "/models/denied/promotion":        `403 {"error":"eve may not update models/promotion","kind":"Forbidden"}`,
		"POST" + ws + "/models/full/promotion":          `507 {"error":"the disk is full","kind":"Exhausted"}`,
		"POST" + ws + "/models/odd/promotion":           "502 bad gateway",
		"POST /api/sessions":                            `{"path":"/ui/login?code=abc"}`,
		"POST" + ws + "/plan":                           `[{"object":"dataset/voice","action":"rebuild","why":"a file changed"}]`,
		"GET" + ws + "/models/parkinsons/evaluation":    `{"examples":[{"inputs":{"jitter":0.5}}]}`,
		"POST /endpoints/neurology/e/v2/models/m/infer": `{"model_version":"2","outputs":[{"name":"label","data":["1"]}]}`,
	} {
		w.answers[at] = text
	}
	w.must(client.IgnoreAlreadyExists(w.Create(t.Context(), &v1alpha1.Endpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "e"}, Spec: v1alpha1.EndpointSpec{Model: "m"}})))
	w.must(client.IgnoreAlreadyExists(w.Create(t.Context(), &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "voice"},
		Spec: v1alpha1.DatasetSpec{From: v1alpha1.Source{Query: &v1alpha1.Query{SQL: "select 1"}}}})))
	w.file("d.yaml", "kind: Dataset\nmetadata: {name: voice, namespace: neurology}\nspec: {from: {query: {sql: select 1}}}\n")
	for _, c := range []struct {
		line string
		code int
		want string
		json string // a part of what -o json says; "" where the verb prints no object
		last string // the door's last request
	}{
		{"put {dir}/inbox inbox/voice/", 0, "2 files put into neurology/inbox/voice", `"files": 2`, "PUT" + ws + "/objects/inbox/voice/b%20c.csv a,b"},
		{"put {dir}/nowhere inbox/", 8, "there is no file or folder", "", ""},
		{"put {dir}/inbox", 2, "use it as `fathom put FILE_OR_FOLDER... TARGET/ [flags]`, for example `fathom put visits/*.csv inbox/voice/`", "", ""},
		{"logs voice-1", 0, "first line\nsecond line\n", "", ""},
		{"logs nobody", 8, "run nobody: there is none, and no log of one that has ended; see `fathom runs`", "", ""},
		{"runs --for voice", 0, "voice-1  dataset/voice  Ingest  Failed  2      3.0s  no file", `"phase": "Failed"`, ""},
		{"why cohort", 0, "└─ … and 1 more source files (--all lists them)", `"version": "2"`, "GET" + ws + "/datasets/cohort/why"},
		{"why neurology/cohort --all", 0, "└─ file d", `"name": "d"`, ""},
		{"why dashboard cohort", 2, `"dashboard" is not a kind; use workspace, dataset, model, endpoint or report`, "", ""},
		{"sql select", 0, "n\n3\n", "n\n3\n", `POST` + ws + `/sql {"format":"table","limit":1000,"sql":"select"}`},
		{"promote parkinsons", 0, "approve of model parkinsons: version 2, by ada", `"by": "ada"`, `POST` + ws + `/models/parkinsons/promotion {"action":"approve","version":0}`},
		{"rollback parkinsons --version 1", 0, "rollback of model parkinsons", `"version": 2`, `POST` + ws + `/models/parkinsons/promotion {"action":"rollback","version":1}`},
		{"promote denied", 6, "eve may not update models/promotion", "", ""},
		{"promote full", 7, "the disk is full", "", ""},
		{"promote odd", 1, "bad gateway", "", ""},
		{"promote", 2, "for example `fathom promote parkinsons`", "", ""},
		{"replay dataset cohort", 0, "version 2 was made again: the same", `"same": true`, ""},
		{"replay endpoint e", 2, "only datasets and models", "", ""},
		{"open", 0, "/ui/login?code=abc", `"url": "https://`, ""},
		{"open /ui/workspaces/neurology", 0, "&next=%2Fui%2Fworkspaces%2Fneurology", `"url"`, ""},
		{"open https://evil.test", 2, "does not begin with /ui/", "", ""},
		{"plan -f {dir}/d.yaml", 0, "dataset/voice  rebuild  a file changed", `"action": "rebuild"`, ""},
		{"predict e -d {\"jitter\":0.25}", 0, "asked    jitter=0.25\nanswered label = [1]\nby       version 2", `"model_version"`, ""},
		{"predict e -d nonsense", 2, "what -d gives is not JSON", "", ""},
		{"predict nobody", 8, "endpoint nobody: there is none in this workspace", "", ""},
		{"retry dataset voice", 0, "dataset/voice will be tried again", `"outcome": "will be tried again"`, ""},
		{"retry dataset nobody", 8, "dataset nobody: there is none in this workspace", "", ""},
		{"show dataset voice", 0, "dataset voice:", `"kind": "Dataset"`, ""},
		{"show model nobody", 8, "model nobody: there is none in this workspace", "", ""},
		{"delete endpoint nobody", 8, "endpoint nobody: there is none in this workspace", "", ""},
		{"stats", 2, `there is no verb "stats"; did you mean status?`, "", ""},
		{"status --nonsense", 2, "unknown flag: --nonsense; see `fathom status --help`", "", ""},
		{"status -o xml", 2, `--output: "xml" is no format; use json, yaml or wide`, "", ""},
	} {
		line := append(strings.Fields(c.line), "-n", "neurology")
		w.want(c.code, c.want, line...)
		if c.last != "" && w.last() != c.last {
			t.Errorf("%s asked %s\nwant %s", c.line, w.last(), c.last)
		}
		if c.json != "" {
			w.want(0, c.json, append(line, "-o", "json")...)
		}
	}
	if code, out, errs := w.fathom("replay", "model", "m", "--version", "1", "-n", "neurology"); code != 1 || !strings.Contains(out, "roc_auc differs") || errs != "" {
		t.Errorf("a replay that differs: exit %d %s %s", code, out, errs)
	}
}

// TestHelp: every verb says in a line what it does and shows how.
func TestHelp(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if cmd.IsAdditionalHelpTopicCommand() {
			continue
		}
		if cmd.Short == "" || !strings.Contains(cmd.Example, "  fathom "+cmd.Name()) || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q, example %q", cmd.Name(), cmd.Short, cmd.Example)
		}
	}
	var out strings.Builder
	if code := run(t.Context(), nil, &out, &out); code != 0 || !strings.Contains(out.String(), "Run and keep:") {
		t.Errorf("exit %d\n%s", code, out.String())
	}
}

func TestExitCodes(t *testing.T) {
	for kind, want := range map[fault.Kind]int{
		fault.Invalid: 2, fault.TooLarge: 2, fault.Conflict: 3, fault.Unavailable: 4, fault.Corrupt: 5, fault.Forbidden: 6,
		fault.Unauthenticated: 6, fault.Exhausted: 7, fault.NotFound: 8, fault.Internal: 1,
	} {
		if got := exitCode(fault.New(kind, "x", "y")); got != want {
			t.Errorf("%s: %d, want %d", kind, got, want)
		}
	}
}

func TestSettled(t *testing.T) {
	for _, c := range []struct {
		states string
		done   bool
		failed int
	}{
		{"", true, 0}, {"Ready", true, 0}, {"Ready AwaitingApproval", true, 0}, {"Ready Running", false, 0}, {"Ready Pending", false, 0},
		{"Ready Failed Refused", true, 2}, {"Waiting Invalid", false, 1},
	} {
		var lines []line
		for _, s := range strings.Fields(c.states) {
			lines = append(lines, line{Kind: "Dataset", Name: s, State: s})
		}
		if done, failed := settled(lines); done != c.done || len(failed) != c.failed {
			t.Errorf("%q: %v, %v", c.states, done, failed)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"a long line\nshort\n", 0, "a long line\nshort\n"}, {"a long line\nshort\n", 6, "a lon…\nshort\n"}, {"äöüß", 3, "äö…"}, {"ab  cd", 4, "ab…"},
	} {
		if got := cut(c.text, c.width); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestBooleanKeys(t *testing.T) {
	for text, want := range map[string]bool{
		"on: 1": true, "  no: x": true, "{yes: 1}": true, "a: 1, off: 2": true, "Off : x": true, "\"on\": 1": false, "'yes': 1": false, "upon: 1": false, "note: on": false,
	} {
		if got := booleanWord.MatchString(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
