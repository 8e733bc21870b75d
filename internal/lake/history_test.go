// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func TestRuns(t *testing.T) {
	s := openTest(t, t.TempDir())
	start := time.UnixMilli(1_700_000_000_000).UTC()
	for i := range 25 {
		r := aRun(fmt.Sprint("uid", i), fmt.Sprintf("run-%d", i%20))
		r.Finished = start.Add(time.Duration(i/2) * time.Second) // some end at the same moment
		if i%5 == 0 {
			r.Phase, r.Reason, r.Message = "Failed", "OOMKilled", "used more than 1Gi"
		}
		if err := s.RecordRun(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	again := aRun("uid3", "other")
	if err := s.RecordRun(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Run(t.Context(), "neurology", "run-3"); err != nil || r.UID != "uid23" {
		t.Fatalf("the latest of a name: %+v, %v", r, err)
	}
	_, err := s.Run(t.Context(), "neurology", "other")
	wantKind(t, err, fault.NotFound)
	var uids []string
	page := Page{Limit: 7}
	for {
		runs, next, err := s.Runs(t.Context(), RunFilter{Workspace: "neurology"}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			uids = append(uids, strings.TrimPrefix(r.UID, "uid"))
		}
		if next == "" {
			break
		}
		page.After = next
	}
	want := "24 23 22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0"
	if strings.Join(uids, " ") != want {
		t.Fatalf("pages gave %v", uids)
	}
	for _, c := range []struct {
		filter RunFilter
		want   int
	}{
		{RunFilter{}, 25}, {RunFilter{Workspace: "other"}, 0}, {RunFilter{Workspace: "neurology", Phase: "Failed"}, 5},
		{RunFilter{ForKind: "Model", ForName: "parkinsons", Step: "train"}, 25}, {RunFilter{Fingerprint: "none"}, 0},
	} {
		if got, _, err := s.Runs(t.Context(), c.filter, Page{}); err != nil || len(got) != c.want {
			t.Errorf("%+v: %d runs, %v; want %d", c.filter, len(got), err, c.want)
		}
	}
	_, _, err = s.Runs(t.Context(), RunFilter{}, Page{After: "x"})
	wantKind(t, err, fault.Invalid)
	_, _, err = s.Runs(t.Context(), RunFilter{}, Page{Limit: 1001})
	wantKind(t, err, fault.Invalid)
	wantKind(t, s.RecordRun(t.Context(), RunRecord{UID: "x"}), fault.Invalid)
}

// outline draws a tree: two spaces a level, "role kind name version".
func outline(t Tree, depth int) string {
	repeated := ""
	if t.Repeated {
		repeated = " …"
	}
	out := strings.Repeat("  ", depth) + strings.TrimSpace(fmt.Sprintf("%s %s %s %s", t.Role, t.Kind, t.Name, t.Version)) + repeated + "\n"
	for _, in := range t.Inputs {
		out += outline(in, depth+1)
	}
	return out
}

func TestWhyWalksFromModelToSources(t *testing.T) {
	s := openTest(t, t.TempDir())
	name := func(n string) ref.Name { return ref.Name{Workspace: "neurology", Name: n} }
	file := func(path string) Artifact {
		return Artifact{Kind: KindFile, Workspace: "neurology", Name: path, Digest: ref.DigestOf([]byte(path)),
			Facts: map[string]string{"size": "12", "modified": "2026-01-02T03:04:05Z"}}
	}
	r := request(t, "consents", put(t, s, "c.parquet", parquetOf(t, ints("x", 1))))
	r.Name, r.Inputs = name("consents"), []Input{{Role: RoleSource, Artifact: file("inbox/consents/1.ndjson")}}
	consents := commit(t, s, r)
	r.Name, r.Fingerprint = name("voice"), "voice"
	r.Inputs = []Input{{Role: RoleSource, Artifact: file("inbox/voice/1.csv")}, {Role: RoleConsent, Artifact: consents.Artifact()}}
	voice := commit(t, s, r)
	run := aRun("u-1", "train-1")
	model := ModelArtifact(name("parkinsons"), 1, ref.DigestOf([]byte("onnx")))
	run.Inputs = []Input{{Role: RoleInput, Artifact: voice.Artifact()}, {Role: RoleConsent, Artifact: consents.Artifact()}}
	run.Outputs = []Artifact{model}
	run.Code, run.Environment = ref.DigestOf([]byte("code")), ref.DigestOf([]byte("env"))
	if err := s.RecordRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	tree, err := s.Why(t.Context(), Artifact{Kind: KindModel, Workspace: "neurology", Name: "parkinsons", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	want := `model parkinsons 1
  run run train-1 u-1
    code code
    consent dataset consents 1
      source file inbox/consents/1.ndjson
    environment environment
    input dataset voice 1
      consent dataset consents 1 …
      source file inbox/voice/1.csv
`
	if got := strings.ReplaceAll(outline(tree, 0), " \n", "\n"); got != want {
		t.Fatalf("lineage\n%s\nwant\n%s", got, want)
	}
	source := tree.Inputs[0].Inputs[1].Inputs[0]
	if source.Digest != file("inbox/consents/1.ndjson").Digest || source.Facts["size"] != "12" {
		t.Fatalf("source %+v", source)
	}
	users, err := s.UsedBy(t.Context(), consents.Artifact())
	if err != nil || len(users) != 2 || users[0].Name != "voice" || users[1].Name != "train-1" {
		t.Fatalf("used by %+v, %v", users, err)
	}
	_, err = s.Why(t.Context(), Artifact{Kind: KindModel, Workspace: "neurology", Name: "none", Version: "1"})
	wantKind(t, err, fault.NotFound)
	wantKind(t, s.RecordEdges(t.Context(), []Edge{{From: model, To: Artifact{Kind: KindFile}}}), fault.Invalid)
}

func TestCycleInLineageEnds(t *testing.T) {
	s := openTest(t, t.TempDir())
	a := Artifact{Kind: KindDataset, Workspace: "w", Name: "a", Version: "1"}
	b := Artifact{Kind: KindDataset, Workspace: "w", Name: "b", Version: "1"}
	if err := s.RecordEdges(t.Context(), []Edge{{a, b, RoleInput}, {b, a, RoleInput}, {a, b, RoleInput}}); err != nil {
		t.Fatal(err)
	}
	tree, err := s.Why(t.Context(), a)
	if err != nil || outline(tree, 0) != "dataset a 1\n  input dataset b 1\n    input dataset a 1 …\n" {
		t.Fatalf("%s, %v", outline(tree, 0), err)
	}
}

func TestSubjects(t *testing.T) {
	s := openTest(t, t.TempDir())
	model := func(n int) Artifact { return ModelArtifact(ref.Name{Workspace: "neurology", Name: "m"}, n, "") }
	for n, subjects := range map[int][]string{1: {"b", "a", "b"}, 2: {"a", "b"}, 10: {"b"}, 3: {}} {
		if err := s.RecordSubjects(t.Context(), model(n), subjects); err != nil {
			t.Fatal(err)
		}
	}
	for subject, want := range map[string]string{"a": "1 2", "b": "1 2 10", "c": ""} {
		got, err := s.KnewSubject(t.Context(), "neurology", subject)
		if err != nil {
			t.Fatal(err)
		}
		var versions []string
		for _, a := range got {
			versions = append(versions, a.Version)
		}
		if strings.Join(versions, " ") != want {
			t.Errorf("%s was known to %v, want %s", subject, versions, want)
		}
	}
	if got, _ := s.KnewSubject(t.Context(), "other", "a"); len(got) != 0 {
		t.Errorf("another workspace sees %v", got)
	}
	if got, err := s.Subjects(t.Context(), model(1)); err != nil || !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("subjects %v %v", got, err)
	}
	if got, err := s.Subjects(t.Context(), model(3)); err != nil || len(got) != 0 {
		t.Errorf("subjects %v %v", got, err)
	}
	if err := s.RecordSubjects(t.Context(), model(1), []string{"z"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Subjects(t.Context(), model(1)); !reflect.DeepEqual(got, []string{"z"}) {
		t.Errorf("replaced subjects %v", got)
	}
	wantKind(t, s.RecordSubjects(t.Context(), model(1), []string{"a\nb"}), fault.Invalid)
	_, err := s.Subjects(t.Context(), model(99))
	wantKind(t, err, fault.NotFound)
}
