// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/plan"
)

// TestRails: every line leads from an object to its readers and nowhere else.
func TestRails(t *testing.T) {
	for _, c := range []struct {
		name  string
		order string
		reads plan.Graph
		want  string
	}{
		{"alone", "a b", nil, "●\n●"},
		{"a chain", "a b c", plan.Graph{"b": {"a"}, "c": {"b"}}, "●\n●\n●"},
		{"two readers", "a b c", plan.Graph{"b": {"a"}, "c": {"a"}}, "●\n├─●\n●"},
		{"joined", "a b c d", plan.Graph{"b": {"a"}, "c": {"a"}, "d": {"b", "c"}}, "●\n├─●\n● │\n●─╯"},
		{"past another", "a b c d e", plan.Graph{"c": {"a"}, "d": {"b"}, "e": {"a"}}, "●\n│ ●\n├─│─●\n│ ●\n●"},
		{"three meet", "a b c d", plan.Graph{"d": {"a", "b", "c"}}, "●\n│ ●\n│ │ ●\n●─┴─╯"},
		{"reads twice", "a b", plan.Graph{"b": {"a", "a"}}, "●\n●"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rails(strings.Fields(c.order), c.reads)
			for i := range got {
				got[i] = strings.TrimRight(got[i], " ")
			}
			if text := strings.Join(got, "\n"); text != c.want {
				t.Errorf("got\n%s\nwant\n%s", text, c.want)
			}
		})
	}
}

func TestTimeLeft(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		done          float64
		elapsed, last time.Duration
		want          string
	}{
		{0, 0, 0, ""}, {0, 10 * s, 0, ""}, {0, 10 * s, 25 * s, "about 15s left"}, {0, 30 * s, 25 * s, ""}, {0.5, 60 * s, 0, "about 60s left"},
		{0.01, 10 * s, 70 * s, "about 60s left"}, {1, 10 * s, 70 * s, ""}, {0.1, 600 * s, 0, "about 90m left"}, {0.9, 18 * s, 0, "about 2.0s left"},
	} {
		if got := remaining(left(c.done, c.elapsed, c.last)); got != c.want {
			t.Errorf("%v done in %s, last time %s: %q, want %q", c.done, c.elapsed, c.last, got, c.want)
		}
	}
	for text, want := range map[string]float64{"0.42 query 3 of 12": 0.42, "train 0/6": 0, "": 0, "7": 0, "NaN": 0, "1.00": 1} {
		if got := share(text); got != want {
			t.Errorf("share of %q is %v", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1536: "1.5 KiB", 5 << 30: "5.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// TestMeter tells files, bytes and the time that is left; it is silent where nobody looks.
func TestMeter(t *testing.T) {
	begin := time.Unix(1000, 0)
	m := meter{begin: begin, files: 4, total: 4 << 20}
	if _, err := m.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	m.file()
	if got := m.says(begin.Add(20 * time.Second)); got != "1 of 4 files, 1.0 MiB of 4.0 MiB, about 60s left" {
		t.Errorf("it says %q", got)
	}
	if got := (&meter{files: 1}).says(begin); got != "0 of 1 files, 0 bytes of 0 bytes" {
		t.Errorf("of an empty file it says %q", got)
	}
	var out strings.Builder
	m.out = &out
	m.show(begin.Add(time.Hour))
	m.show(begin.Add(time.Hour + time.Millisecond))
	if strings.Count(out.String(), "\r") != 1 {
		t.Errorf("it draws %q", out.String())
	}
}

// TestSame: who follows is not told that what an object waits for went from one state to the next.
func TestSame(t *testing.T) {
	waits := line{Kind: "Dataset", Name: "c", State: "Waiting", Message: "waits for dataset a: Waiting, dataset b: Running"}
	for _, c := range []struct {
		now  line
		same bool
	}{
		{line{State: "Waiting", Message: "waits for dataset a: Running, dataset b: Running"}, true},
		{line{State: "Waiting", Message: "waits for dataset b: Running"}, false},
		{line{State: "Running", Message: waits.Message}, false},
		{line{State: "Waiting", Message: waits.Message, Left: "about 3.0s left"}, true},
		{line{State: "Waiting", Message: waits.Message, Detail: "3 rows"}, false},
	} {
		if got := c.now.same(waits); got != c.same {
			t.Errorf("%+v: %v", c.now, got)
		}
	}
}

// TestScreen is the live graph: it reads again and again, fits the terminal, tells trouble and ends with q.
func TestScreen(t *testing.T) {
	answer := []line{{Kind: "Dataset", Name: "a", State: "Ready"}, {Kind: "Model", Name: "m", State: "Running", Reads: []string{"dataset/a"}}}
	var err error
	s := screen{read: func() ([]line, error) { return answer, err }, workspace: "neurology"}
	do := func(m tea.Msg) tea.Cmd {
		next, cmd := s.Update(m)
		s = next.(screen)
		return cmd
	}
	do(s.Init()())
	if text := s.View().Content; !strings.Contains(text, "●  dataset/a") || !strings.Contains(text, "workspace neurology, 1 Ready, 1 Running; q ends") {
		t.Errorf("it shows\n%s", text)
	}
	do(tea.WindowSizeMsg{Width: 20, Height: 4})
	for _, l := range strings.Split(s.View().Content, "\n") {
		if len([]rune(l)) > 20 {
			t.Errorf("%q is longer than the terminal", l)
		}
	}
	if text := s.View().Content; !strings.Contains(text, "… and 2 more;") {
		t.Errorf("more lines than the terminal has:\n%s", text)
	}
	err = errors.New("nothing answers")
	if cmd := do(do(look{})()); cmd == nil || !strings.Contains(s.View().Content, "no answer, tryin") {
		t.Errorf("in trouble it shows\n%s", s.View().Content)
	}
	if cmd := do(tea.KeyPressMsg{Code: 'q', Text: "q"}); cmd == nil {
		t.Error("q does not end it")
	}
}

// TestWatchInAPipe tells every change as a plain line until it is interrupted.
func TestWatchInAPipe(t *testing.T) {
	w := newWorld(t)
	w.workspace("pipe")
	w.must(w.Create(t.Context(), &v1alpha1.Report{ObjectMeta: metav1.ObjectMeta{Namespace: "pipe", Name: "r"}, Spec: v1alpha1.ReportSpec{Page: "p.md"}}))
	g := &global{kubeconfig: w.kubeconfig, state: w.state, workspace: "pipe"}
	c, err := g.in(t.Context())
	w.must(err)
	told := make(chan line)
	go func() {
		_ = c.tellChanges(t.Context(), func(_ time.Duration, l line) { told <- l })
	}()
	if l := <-told; l.id() != "report/r" || l.State != "Pending" {
		t.Errorf("told %+v", l)
	}
	r := &v1alpha1.Report{ObjectMeta: metav1.ObjectMeta{Namespace: "pipe", Name: "r"}}
	w.status(r, func() {
		r.Status.ObservedGeneration = r.Generation
		v1alpha1.SetReady(&r.Status.Conditions, v1alpha1.ReasonReady, "version 1", 1, time.Now())
	})
	if l := <-told; l.State != "Ready" {
		t.Errorf("told %+v", l)
	}
}

// TestLookVerbs: verbs that tell of runs, subjects, differences, versions and oneself.
func TestLookVerbs(t *testing.T) {
	w := newWorld(t)
	w.workspace("neurology")
	const ws = " /api/workspaces/neurology"
	for at, text := range map[string]string{
		"GET" + ws + "/runs?name=":                                `{"runs":[{"name":"voice-1","step":"Ingest","forKind":"Dataset","forName":"voice","phase":"Succeeded","attempt":1,"started":"2026-01-01T00:00:00Z","finished":"2026-01-01T00:00:03Z"}]}`,
		"GET" + ws + "/subjects/p-1":                              `{"subject":"p-1","knownBy":[{"kind":"dataset","name":"voice","version":"2"},{"kind":"model","name":"parkinsons","version":"1"}]}`,
		"GET" + ws + "/subjects/p-2":                              `{"subject":"p-2","knownBy":[]}`,
		"GET" + ws + "/subjects/p-3":                              `403 {"error":"user \"eve\" may not get datasets/identified","kind":"Forbidden"}`,
		"GET" + ws + "/datasets/d/diff":                           `{"name":"d","from":{"version":1,"rows":9,"summary":{"excluded":[{"reason":"denied","rows":2}]}},"to":{"version":2,"rows":12,"summary":{"excluded":[{"reason":"denied","rows":3}]}},"columns":[{"name":"a","from":"long","to":"double"},{"name":"b","to":"string"}],"rows":{"compared":true,"added":4,"removed":1},"inputs":[{"kind":"dataset","name":"voice","from":"1","to":"2"},{"kind":"file","name":"x.csv","to":"sha256:1"},{"kind":"code","name":"d","from":"a","to":"b"}]}`,
		"GET" + ws + "/datasets/d/diff?from=1&key=a&to=2":         `{"name":"d","from":{"version":1},"to":{"version":2},"columns":[],"rows":{"compared":true,"key":["a"],"changed":7},"inputs":[]}`,
		"GET /mlflow/neurology/api/2.0/mlflow/runs/get?run_id=r1": `{"run":{"data":{"params":[{"key":"C","value":"1"},{"key":"k","value":"2"}]}}}`,
		"GET /mlflow/neurology/api/2.0/mlflow/runs/get?run_id=r2": `{"run":{"data":{"params":[{"key":"C","value":"3"},{"key":"k","value":"2"}]}}}`,
	} {
		w.answers[at] = text
	}
	w.lookObjects()
	for _, c := range []struct {
		line string
		code int
		want string
		json string
	}{
		{"runs", 0, "voice-9  dataset/voice  Ingest  Running    1      ", `"phase": "Running"`},
		{"runs", 0, "voice-1  dataset/voice  Ingest  Succeeded  1      3.0s", `"progress": "0.50 half"`},
		{"runs", 0, "0.50 half, about ", `"leftSeconds"`},
		{"run voice-1", 0, "run voice-1: Succeeded", `"name": "voice-1"`},
		{"run nobody", 8, "run nobody: there is none among the last 2; see `fathom runs`", ""},
		{"subject p-1", 0, "p-1 was in\n  dataset voice version 2\n  model parkinsons version 1\n", `"kind": "model"`},
		{"subject p-2", 0, "Nothing in workspace neurology was made with rows of p-2.", `"knownBy": []`},
		{"subject p-3", 6, "`fathom login` tells who you are and what you may do", ""},
		{"diff d", 0, "rows       9 to 12 (+3)\n             4 added, 1 removed; one that changed counts as both", `"removed": 1`},
		{"diff d", 0, "column     a: long to double\n  column     b came: string\n  left out   2 to 3 rows: denied\n  because    dataset voice: version 1 to 2\n  because    file x.csv came\n  because    code changed", `"kind": "code"`},
		{"diff dataset d v1 2 --key a", 0, "0 added, 0 removed, 7 changed, told apart by a\n  columns    the same\n  because    no input differs", ""},
		{"diff m", 0, "roc_auc  0.9        0.8 to 0.95    0.92       0.85 to 0.97", `"toInterval": "0.85 to 0.97"`},
		{"diff model m 1 2", 0, "parameter  C: 1 to 3\n  because    data: cohort version 1 to cohort version 2", `"name": "C"`},
		{"diff m 2 9", 8, "model m: it has no version 9; see `fathom show model m`", ""},
		{"diff nobody", 8, "workspace neurology has neither a dataset nor a model nobody; see `fathom status`", ""},
		{"diff endpoint e", 2, "only datasets and models have versions", ""},
		{"diff m one two", 2, `"one" is not a version; use a number, as in`, ""},
		{"login", 0, "you are    ", `"name": `},
		{"login", 0, "  may      read data\n", `"read identified data"`},
		{"version", 0, "\nkubernetes  v", `"kubernetes": "v`},
		{"version --client", 0, "client      v0", `"client": `},
	} {
		line := append(strings.Fields(c.line), "-n", "neurology")
		w.want(c.code, c.want, line...)
		if c.json != "" {
			w.want(0, c.json, append(line, "-o", "json")...)
		}
	}
	w.want(0, "client: v0", "version", "--client", "-o", "yaml")
	w.answers["POST"+ws+"/sql"] = "{\"age\":3}\n{\"age\":4}\n"
	w.want(0, "- age: 3\n- age: 4\n", "sql", "select", "-o", "yaml", "-n", "neurology")
	w.want(0, "phase: Succeeded", "run", "voice-1", "-o", "yaml", "-n", "neurology")
}

// lookObjects makes a run that lives, a dataset and a model with two versions.
func (w *world) lookObjects() {
	w.Helper()
	in := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "neurology", Name: name, Labels: map[string]string{v1alpha1.LabelFor: "model.m"}}
	}
	create := func(o client.Object) { w.must(client.IgnoreAlreadyExists(w.Create(w.Context(), o))) }
	run := &v1alpha1.Run{ObjectMeta: in("voice-9"), Spec: v1alpha1.RunSpec{For: v1alpha1.RunFor{Kind: "Dataset", Name: "voice"}, Step: v1alpha1.StepIngest, Command: []string{"x"}}}
	create(run)
	w.status(run, func() {
		run.Status.Phase, run.Status.Attempt, run.Status.Progress = v1alpha1.RunRunning, 1, "0.50 half"
		run.Status.StartedAt = &metav1.Time{Time: time.Now().Add(-time.Minute)}
	})
	create(&v1alpha1.Dataset{ObjectMeta: in("d"), Spec: v1alpha1.DatasetSpec{From: v1alpha1.Source{Query: &v1alpha1.Query{SQL: "select 1"}}}})
	m := &v1alpha1.Model{ObjectMeta: in("m"), Spec: v1alpha1.ModelSpec{Data: v1alpha1.ModelData{Dataset: "d", Target: "t"}, Train: v1alpha1.Train{Code: v1alpha1.Code{Command: []string{"x"}}}}}
	create(m)
	w.status(m, func() { m.Status.Latest = 2 })
	for i, metric := range []v1alpha1.Metric{{Name: "roc_auc", Value: "0.9", Low: "0.8", High: "0.95"}, {Name: "roc_auc", Value: "0.92", Low: "0.85", High: "0.97"}} {
		number := int64(i + 1)
		name := []string{"m-1", "m-2"}[i]
		v := &v1alpha1.ModelVersion{ObjectMeta: in(name), Spec: v1alpha1.ModelVersionSpec{Model: "m", Number: number, Digest: "sha256:d", Fingerprint: "f", Recipe: "r",
			Dataset: "cohort", DatasetVersion: number, Evaluation: "e", TrackingRun: []string{"r1", "r2"}[i]}}
		create(v)
		w.status(v, func() { v.Status.Metrics, v.Status.Stage = []v1alpha1.Metric{metric}, "Candidate" })
	}
}

// TestCompletion offers kinds, names as they are now, and values of flags.
func TestCompletion(t *testing.T) {
	w := newWorld(t)
	w.workspace("neurology")
	w.lookObjects()
	for _, c := range []struct {
		line []string
		want string
		not  string
	}{
		{[]string{"show", ""}, "dataset\n", "d\n"},
		{[]string{"show", "dataset", ""}, "\nd\n", "\nm\n"},
		{[]string{"show", "model", ""}, "m\n", "\nd\n"},
		{[]string{"why", "model", ""}, "m\n", ""},
		{[]string{"promote", ""}, "m\n", ""},
		{[]string{"logs", ""}, "voice-9\n", ""},
		{[]string{"show", "dataset", "d", ""}, ":4", "\nd\n"},
		{[]string{"runs", "--for", ""}, "\nd\n", ""},
		{[]string{"status", "-o", ""}, "json\nyaml\nwide\n", ""},
		{[]string{"status", "-n", ""}, "neurology\n", ""},
		{[]string{"de"}, "delete\t", "apply"},
	} {
		// Completion runs the words after "__complete"; flags of the test come before what is completed.
		args := append([]string{"__complete"}, c.line[:len(c.line)-1]...)
		if len(c.line) > 1 && c.line[len(c.line)-2] != "-n" {
			args = slices.Insert(args, 2, "--kubeconfig", w.kubeconfig, "-n", "neurology")
		} else if len(c.line) > 1 {
			args = slices.Insert(args, 2, "--kubeconfig", w.kubeconfig)
		}
		var out strings.Builder
		code := run(t.Context(), append(args, c.line[len(c.line)-1]), &out, io.Discard)
		got := "\n" + out.String()
		if code != 0 || !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
			t.Errorf("fathom %s: exit %d\n%s\nwant …%s…, not %q", strings.Join(c.line, " "), code, got, c.want, c.not)
		}
	}
}

// TestHelpFits: help is made for a small terminal, and every exit code is told.
func TestHelpFits(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		var out strings.Builder
		if code := run(t.Context(), []string{cmd.Name(), "--help"}, &out, &out); code != 0 || cmd.Name() == "up" || cmd.Name() == "completion" {
			continue
		}
		for l := range strings.Lines(out.String()) {
			if len([]rune(strings.TrimRight(l, "\n"))) > 80 && !strings.HasPrefix(l, "  fathom ") {
				t.Errorf("%s: %q is too long", cmd.Name(), l)
			}
		}
	}
	var out strings.Builder
	run(t.Context(), []string{"help", "exit-codes"}, &out, &out)
	for _, c := range codes {
		if !strings.Contains(out.String(), strings.Fields(c.meaning)[0]) {
			t.Errorf("exit code %d is not told:\n%s", c.number, out.String())
		}
	}
}
