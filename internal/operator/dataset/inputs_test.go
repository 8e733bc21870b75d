// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"strings"
	"testing"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// TestIdentified: what is made from identified rows is identified.
func TestIdentified(t *testing.T) {
	identified := func(d *v1alpha1.Dataset) { d.Status.Identified = true }
	for _, c := range []struct {
		name   string
		d      *v1alpha1.Dataset
		report map[string]any
		want   bool
	}{
		{"files without a policy", fromFiles("x", "inbox/*.csv"), nil, true},
		{"files with one", fromFiles("x", "inbox/*.csv", func(d *v1alpha1.Dataset) {
			d.Spec.Privacy = &v1alpha1.Privacy{Subject: "p", Pseudonymise: []string{"p"}}
		}), nil, false},
		{"files whose policy leaves the subject", fromFiles("x", "inbox/*.csv", func(d *v1alpha1.Dataset) { d.Spec.Privacy = &v1alpha1.Privacy{Subject: "p"} }),
			map[string]any{"identified": true}, true},
		{"query of safe rows", queried("x", "select * from safe"), nil, false},
		{"query of identified rows", queried("x", "select * from safe join risky"), nil, true},
		{"code on identified rows", from("x", v1alpha1.Source{Code: &v1alpha1.DatasetCode{Code: v1alpha1.Code{Bundle: "sha256:" + strings.Repeat("a", 64)}, Inputs: []string{"risky"}}}), nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.d, ready("safe", 1), ready("risky", 1, identified))
			for _, name := range []string{"safe", "risky"} {
				w.commit(name)
			}
			w.put("inbox/a.csv", "a")
			output := []lake.File{w.parquet("p1")}
			if c.report != nil {
				output = append(output, w.report(c.report))
			}
			if d := w.made("x", output...); d.Status.Identified != c.want {
				t.Errorf("identified %v", d.Status.Identified)
			}
		})
	}
}

// commit stores a first version of a dataset that is kept true elsewhere.
func (w *world) commit(name string) {
	w.Helper()
	manifest, err := lake.NewManifest([]lake.File{w.parquet("p1")})
	if err == nil {
		_, err = w.lake.Commit(w.Context(), lake.CommitRequest{Name: ref.Name{Workspace: "neurology", Name: name}, Fingerprint: strings.Repeat("1", 64), Files: manifest})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// TestQueryAndItsInputs: a new version of an input rebuilds the query; the run reads exactly the versions that were planned.
func TestQueryAndItsInputs(t *testing.T) {
	w := newWorld(t, ready("voice", 1), ready("scan-features", 3), queried("x", "select * from voice join scan_features", func(d *v1alpha1.Dataset) {
		d.Spec.Checks = []v1alpha1.Check{{Expect: "count(*) > 0"}}
	}))
	d := w.want("x", v1alpha1.ReasonRunning, "starts a run")
	run := w.live("x")
	if in := run.Spec.Inputs; len(in) != 2 || in[0].Dataset != "voice" || in[0].Version != 1 || in[1].Dataset != "scan-features" || in[1].Version != 3 {
		t.Errorf("inputs %+v", in)
	}
	if strings.Join(d.Status.Inputs, " ") != "voice scan-features" {
		t.Errorf("status.inputs %v", d.Status.Inputs)
	}
	var p query.TransformParams
	w.read(ref.Digest(run.Spec.Parameters), &p)
	if len(p.Tables) != 2 || p.Tables[1].Name != "scan_features" || p.Tables[1].Files[0] != "scan-features/*.parquet" || len(p.Checks) != 1 || p.Workspace != "neurology" {
		t.Errorf("parameters %+v", p)
	}
	w.succeed(run, w.parquet("p1"))
	w.want("x", v1alpha1.ReasonReady, "version 1")
	voice := w.get("voice")
	voice.Status.Version, voice.Status.Fingerprint = 2, strings.Repeat("2", 64)
	if err := w.Status().Update(t.Context(), voice); err != nil {
		t.Fatal(err)
	}
	w.want("x", v1alpha1.ReasonRunning, "starts a run; version 1 stays in use")
	if in := w.live("x").Spec.Inputs[0]; in.Version != 2 {
		t.Errorf("it reads version %d", in.Version)
	}
	if got := w.s.readers(t.Context(), voice); len(got) != 2 {
		t.Errorf("%d datasets are asked whether they read voice", len(got))
	}
}

// TestCapture: traffic becomes a version at most once a minute, and a run that works on it is let end.
func TestCapture(t *testing.T) {
	w := newWorld(t, from("x", v1alpha1.Source{Capture: &v1alpha1.CaptureSource{Endpoint: "e"}}))
	w.captured = []lake.File{w.blob("capture/1.ndjson", "{}")}
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
	run := w.live("x")
	w.captured = append(w.captured, w.blob("capture/2.ndjson", "{}{}"))
	w.want("x", v1alpha1.ReasonRunning, run.Name)
	if len(w.runs("x")) != 1 {
		t.Fatal("more traffic restarted the run")
	}
	var p privacy.IngestParams
	w.read(ref.Digest(run.Spec.Parameters), &p)
	if p.Format != "ndjson" || len(p.Files) != 1 {
		t.Errorf("parameters %+v", p)
	}
	w.succeed(run, w.parquet("p1"))
	if d := w.want("x", v1alpha1.ReasonReady, "version 1"); d.Status.Identified {
		t.Error("traffic counts as identified")
	}
	w.now = w.now.Add(Collect / 2)
	w.want("x", v1alpha1.ReasonReady, "version 1 is in use; more traffic is being captured")
	w.now = w.now.Add(Collect / 2)
	w.want("x", v1alpha1.ReasonRunning, "starts a run")
}

// TestPlanDoesNothing: planning tells what would happen and leaves no trace.
func TestPlanDoesNothing(t *testing.T) {
	w := newWorld(t, fromFiles("voice", "inbox/*.csv"))
	w.put("inbox/a.csv", "a")
	decision, wanted, err := w.s.Plan(t.Context(), w.get("voice"))
	if err != nil || decision.Message != "starts a run" || len(wanted) != 64 || len(w.runs("voice")) != 0 {
		t.Errorf("%+v, %q, %v", decision, wanted, err)
	}
}
