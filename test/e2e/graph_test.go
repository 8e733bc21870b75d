// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The graph of these tests: visits come from files, summary is their SQL, passed is summary through a program, joined
// reads visits and passed, and sites reads only visits.
const graphYAML = `kind: Workspace
metadata: {name: graph}
spec: {}
---
kind: Dataset
metadata: {name: visits, namespace: graph}
spec:
  from: {files: {url: inbox/visits/*, format: csv}}
  privacy: {}
---
kind: Dataset
metadata: {name: summary, namespace: graph}
spec: {from: {query: {file: ./summary.sql}}}
---
kind: Dataset
metadata: {name: passed, namespace: graph}
spec:
  from: {code: {path: ./pass, command: [python3, pass.py], inputs: [summary]}}
---
kind: Dataset
metadata: {name: joined, namespace: graph}
spec: {from: {query: {sql: "select v.*, p.mean from visits v join passed p using (person) order by v.person, v.visit"}}}
---
kind: Dataset
metadata: {name: sites, namespace: graph}
spec: {from: {query: {sql: "select site, count(*) as visits from visits group by site order by site"}}}
`

// passProgram takes its time, so that it can be interrupted.
const passProgram = `import os, pathlib, shutil, time
time.sleep(1.5)
for file in pathlib.Path(os.environ["FATHOM_INPUTS"], "summary").glob("*.parquet"):
    shutil.copy(file, pathlib.Path(os.environ["FATHOM_OUTPUT"], file.name))
`

var graphNames = []string{"visits", "summary", "passed", "joined", "sites"}

func summarySQL(measure string) string {
	return "select person, " + measure + "(jitter) as mean\nfrom visits\ngroup by person\norder by person\n"
}

// visits are CSV rows of persons from..to, two visits each.
func visits(from, to int) string {
	var b strings.Builder
	b.WriteString("person,site,visit,jitter\n")
	for p := from; p < to; p++ {
		for v := range 2 {
			fmt.Fprintf(&b, "p%03d,%c,%d,%.4f\n", p, 'a'+rune(p%3), v, 0.001*float64(p)+0.0005*float64(v))
		}
	}
	return b.String()
}

// graph writes the study and the first file into a folder, and returns it.
func (f *fathom) graph() string {
	f.Helper()
	return f.folder(map[string]string{
		"study.yaml": graphYAML, "summary.sql": summarySQL("avg"), "pass/pass.py": passProgram, "data/first.csv": visits(0, 20),
	})
}

// version is a line of a dataset's history.
type version struct {
	Number      int
	Fingerprint string
	Rows        int
}

// versions is a dataset's history, oldest first.
func (f *fathom) versions(name string) []version {
	f.Helper()
	var answer struct{ Versions []version }
	f.getJSON(&answer, "/api/workspaces/graph/datasets/%s/versions", name)
	slices.SortFunc(answer.Versions, func(a, b version) int { return a.Number - b.Number })
	return answer.Versions
}

// checkVersions: numbers without gaps, no fingerprint twice, and as many as expected.
func (f *fathom) checkVersions(t *testing.T, want int) {
	t.Helper()
	for _, name := range graphNames {
		seen := map[string]bool{}
		got := f.versions(name)
		for i, v := range got {
			if v.Number != i+1 {
				t.Errorf("%s: version %d stands in place %d: %+v", name, v.Number, i+1, got)
			}
			if seen[v.Fingerprint] {
				t.Errorf("%s: fingerprint %.12s was committed twice", name, v.Fingerprint)
			}
			seen[v.Fingerprint] = true
		}
		if len(got) != want {
			t.Errorf("%s has %d versions, want %d: %+v", name, len(got), want, got)
		}
	}
}

// runs counts ended runs by object.
func (f *fathom) runs() map[string]int {
	f.Helper()
	var list []struct{ ForName string }
	f.read(&list, "runs", "-n", "graph")
	count := map[string]int{}
	for _, r := range list {
		count[r.ForName]++
	}
	return count
}

// current waits until the datasets that grow with the rows have them all and everything is settled.
func (f *fathom) current(persons int) {
	f.Helper()
	f.await(fmt.Sprintf("%d persons everywhere", persons), 90*time.Second, func() bool {
		said := f.status("graph")
		for name, rows := range map[string]int{"visits": 2 * persons, "summary": persons, "passed": persons, "joined": 2 * persons, "sites": 3} {
			l := said["dataset/"+name]
			if l.State != "Ready" || !strings.HasPrefix(l.Detail, fmt.Sprint(rows)+" rows") {
				return false
			}
		}
		return true
	})
	f.settle("graph")
}

// planned asks what applying would do, by object.
func (f *fathom) planned(study string) map[string]string {
	f.Helper()
	var list []struct{ Object, Action string }
	f.read(&list, "plan", "-f", study)
	out := map[string]string{}
	for _, p := range list {
		out[strings.TrimPrefix(p.Object, "dataset/")] = p.Action
	}
	return out
}

func actions(rebuilt ...string) map[string]string {
	out := map[string]string{}
	for _, name := range graphNames {
		out[name] = "keep"
		if slices.Contains(rebuilt, name) {
			out[name] = "rebuild"
		}
	}
	return out
}

// TestNoop: what has not changed is not made again, and plan says beforehand what will be.
func TestNoop(t *testing.T) {
	f := start(t)
	study := f.graph()
	f.do("apply", "-f", study)
	f.do("put", "-n", "graph", filepath.Join(study, "data", "first.csv"), "inbox/visits/")
	f.current(20)
	first := f.runs()
	if want := map[string]int{"visits": 1, "summary": 1, "passed": 1, "joined": 1, "sites": 1}; !maps.Equal(first, want) {
		t.Errorf("runs %v, want one each", first)
	}

	t.Run("applying again runs nothing", func(t *testing.T) {
		if out := f.do("apply", "-f", study); strings.Contains(out, "created") || strings.Contains(out, "configured") {
			t.Errorf("apply: %s", out)
		}
		f.do("put", "-n", "graph", filepath.Join(study, "data", "first.csv"), "inbox/visits/") // the same bytes
		f.current(20)
		if got := f.runs(); !maps.Equal(got, first) {
			t.Errorf("runs %v, want %v", got, first)
		}
		if got := f.planned(study); !maps.Equal(got, actions()) {
			t.Errorf("plan %v, want all kept", got)
		}
	})

	t.Run("a changed statement reruns exactly its descendants", func(t *testing.T) {
		f.write(filepath.Join(study, "summary.sql"), summarySQL("max"))
		want := actions("summary", "passed", "joined")
		if got := f.planned(study); !maps.Equal(got, want) {
			t.Errorf("plan %v, want %v", got, want)
		}
		if got := f.runs(); !maps.Equal(got, first) {
			t.Errorf("plan ran something: %v", got)
		}
		f.do("apply", "-f", study)
		f.await("the new summary", time.Minute, func() bool { return f.status("graph")["dataset/joined"].Version == 2 })
		f.current(20)
		after := f.runs()
		if want := map[string]int{"visits": 1, "summary": 2, "passed": 2, "joined": 2, "sites": 1}; !maps.Equal(after, want) {
			t.Errorf("runs %v, want %v", after, want)
		}
	})

	t.Run("an earlier statement finds its version again", func(t *testing.T) {
		before := f.runs()
		f.write(filepath.Join(study, "summary.sql"), summarySQL("avg"))
		got := f.planned(study)
		for _, name := range []string{"summary", "passed", "joined"} {
			if got[name] != "reuse" {
				t.Errorf("plan for %s is %q, want reuse", name, got[name])
			}
		}
		f.do("apply", "-f", study)
		f.await("the old summary", time.Minute, func() bool { return f.status("graph")["dataset/joined"].Version == 1 })
		f.current(20)
		if got := f.runs(); !maps.Equal(got, before) {
			t.Errorf("runs %v, want %v", got, before)
		}
	})

	t.Run("a replay gives the same bytes", func(t *testing.T) {
		for _, name := range graphNames {
			if out, ok := f.try("replay", "dataset", name, "-n", "graph"); !ok || !strings.Contains(out, "byte for byte") {
				t.Errorf("replay of %s: %s", name, out)
			}
		}
	})

	t.Run("a new file is taken in", func(t *testing.T) {
		f.write(filepath.Join(study, "data", "second.csv"), visits(20, 25))
		f.do("put", "-n", "graph", filepath.Join(study, "data", "second.csv"), "inbox/visits/")
		f.current(25)
		if got := len(f.versions("visits")); got != 2 {
			t.Errorf("visits has %d versions, want 2", got)
		}
	})
}

// TestKillAndResume ends the server as a power cut does at several moments and starts it again: the graph converges, and
// no version is committed twice or skipped.
func TestKillAndResume(t *testing.T) {
	f := start(t)
	study := f.graph()
	f.do("apply", "-f", study)
	f.restart("right after apply")
	f.do("put", "-n", "graph", filepath.Join(study, "data", "first.csv"), "inbox/visits/")
	f.restart("right after put")
	for _, name := range []string{"visits", "summary", "passed", "joined"} {
		f.restartWhile(name, 1)
	}
	f.current(20)
	f.checkVersions(t, 1)

	f.write(filepath.Join(study, "data", "second.csv"), visits(20, 25))
	f.do("put", "-n", "graph", filepath.Join(study, "data", "second.csv"), "inbox/visits/")
	for _, name := range []string{"visits", "passed"} {
		f.restartWhile(name, 2)
	}
	f.current(25)
	f.checkVersions(t, 2)
	got := strings.TrimSpace(f.do("sql", "-n", "graph", "--format", "csv", "select count(*), count(distinct person), round(sum(mean), 4) from joined"))
	if !strings.HasSuffix(got, "\n50,25,0.6125") {
		t.Errorf("joined holds %q", got)
	}
	f.checkAttempts(t)
	f.stop()
	if out := f.do("doctor"); !strings.Contains(out, "chain verified") || !strings.Contains(out, "every blob matches") {
		t.Errorf("doctor: %s", out)
	}
}

// checkAttempts: one run a version, each ended well. The slow one, during which Fathom was killed, went on meanwhile.
func (f *fathom) checkAttempts(t *testing.T) {
	t.Helper()
	var list []struct {
		Name, ForName, Phase string
		Attempt              int
	}
	f.read(&list, "runs", "-n", "graph")
	attempts := 0
	for _, r := range list {
		if r.Phase != "Succeeded" {
			t.Errorf("run %s: %s", r.Name, r.Phase)
		}
		if r.ForName == "passed" {
			attempts = max(attempts, r.Attempt)
		}
	}
	if len(list) != 2*len(graphNames) {
		t.Errorf("%d runs, want %d: %+v", len(list), 2*len(graphNames), list)
	}
	if attempts > 1 {
		t.Errorf("the run of passed, whose pods live on, took %d attempts: %+v", attempts, list)
	}
}

// restartWhile kills the server while it makes a version of the dataset, or after, if that was too quick to be seen.
func (f *fathom) restartWhile(dataset string, number int64) {
	f.Helper()
	var seen line
	f.await(dataset+" under way", time.Minute, func() bool {
		seen = f.status("graph")["dataset/"+dataset]
		return seen.Version >= number || seen.State == "Running" && strings.Contains(seen.Message, "running")
	})
	f.restart(fmt.Sprintf("%s %s, %s", dataset, seen.State, seen.Message))
}

func (f *fathom) restart(when string) {
	f.Helper()
	f.kill()
	f.Logf("killed: %s", when)
	f.up()
}
