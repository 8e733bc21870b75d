// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"strings"
	"testing"
)

func TestDecide(t *testing.T) {
	run := func(phase string) *RunState {
		return &RunState{Name: "voice-12345678", Phase: phase, Message: "column jitter is missing"}
	}
	for _, c := range []struct {
		name        string
		in          Observation
		wantAction  Action
		wantReason  string
		wantMessage string
	}{
		{"first", Observation{Wanted: "a"}, Start, "Running", "starts"},
		{"up to date", Observation{Wanted: "a", Current: "a", CurrentVersion: 2}, Keep, "Ready", "version 2"},
		{"changed", Observation{Wanted: "b", Current: "a", CurrentVersion: 2}, Start, "Running", ""},
		{"made before", Observation{Wanted: "a", Current: "b", CurrentVersion: 2, ExistingVersion: 1}, Adopt, "Ready", "version 1"},
		{"input missing", Observation{Waiting: []string{"dataset x: not found"}}, Wait, "Waiting", "dataset x"},
		{"wrong beats waiting", Observation{Refusal: "no", Waiting: []string{"x"}}, Refuse, "Invalid", "no"},
		{"under way", Observation{Wanted: "a", Run: run("Running")}, Watch, "Running", "voice-12345678"},
		{"done", Observation{Wanted: "a", Run: run("Succeeded")}, Commit, "Running", ""},
		{"failed", Observation{Wanted: "a", Run: run("Failed")}, Fail, "Failed", "column jitter is missing"},
		{"stale run", Observation{Wanted: "a", Other: run("Running")}, Replace, "Running", "inputs have changed"},
		{"files arrive", Observation{Wanted: "b", Current: "a", CurrentVersion: 1, Paused: "arriving"}, Wait, "Waiting", "arriving"},
		{"ready beats pause", Observation{Wanted: "a", Current: "a", CurrentVersion: 1, Paused: "arriving"}, Keep, "Ready", ""},
		{"cooldown", Observation{Wanted: "b", Current: "a", CurrentVersion: 1, Resting: "cooldown"}, Wait, "Ready", "version 1 is in use; cooldown"},
		{"no cooldown before the first", Observation{Wanted: "b", Resting: "cooldown"}, Start, "Running", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Decide(c.in)
			if got.Action != c.wantAction || got.Reason != c.wantReason || !strings.Contains(got.Message, c.wantMessage) {
				t.Errorf("Decide = %+v, want %s %s …%s…", got, c.wantAction, c.wantReason, c.wantMessage)
			}
		})
	}
}

func TestFingerprintChangesWithEverythingThatMatters(t *testing.T) {
	base := Recipe{Kind: "transform", Spec: map[string]string{"sql": "select 1"}, Inputs: []Input{{"voice", "f1"}}}
	same := Recipe{Kind: "transform", Spec: map[string]string{"sql": "select 1"}, Inputs: []Input{{"voice", "f1"}}}
	if base.Fingerprint() != same.Fingerprint() {
		t.Error("equal recipes have different fingerprints")
	}
	seen := map[string]bool{base.Fingerprint(): true}
	for _, change := range []func(*Recipe){
		func(r *Recipe) { r.Kind = "code" },
		func(r *Recipe) { r.Spec = map[string]string{"sql": "select 2"} },
		func(r *Recipe) { r.Inputs = []Input{{"voice", "f2"}} },
		func(r *Recipe) { r.Files = []SourceFile{{"a.csv", "sha256:1"}} },
		func(r *Recipe) { r.Code = "sha256:2" },
		func(r *Recipe) { r.Requirements = "sha256:3" },
		func(r *Recipe) { r.AsOf = "2030-01-01T00:00:00Z" },
	} {
		changed := base
		change(&changed)
		if seen[changed.Fingerprint()] {
			t.Errorf("%+v has a fingerprint that was there before", changed)
		}
		seen[changed.Fingerprint()] = true
	}
}

func TestGraph(t *testing.T) {
	g := Graph{"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"c", "e"}, "f": {"e"}}
	if got := g.Cycle("a"); !reflect.DeepEqual(got, []string{"a", "b", "c", "a"}) {
		t.Errorf("Cycle(a) = %v", got)
	}
	if got := g.Cycle("d"); got != nil {
		t.Errorf("Cycle(d) = %v, want none", got)
	}
	if got := g.Order(); !reflect.DeepEqual(got, []string{"e", "f", "a", "b", "c", "d"}) {
		t.Errorf("Order = %v", got)
	}
}

func TestRunName(t *testing.T) {
	fp := Recipe{Kind: "x"}.Fingerprint()
	if a, b := RunName("voice", fp, "", ""), RunName("voice", fp, "again", ""); a == b || !strings.HasPrefix(a, "voice-") {
		t.Errorf("names %s and %s", a, b)
	}
	if got := RunName("voice", fp, "", "fold-3"); !strings.HasSuffix(got, "-fold-3") {
		t.Errorf("got %s", got)
	}
}
