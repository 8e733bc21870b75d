// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"testing"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// TestStation does what the Model station does for one training, and again as after a crash between any two steps.
func TestStation(t *testing.T) {
	s := open(t)
	w, other := in(t, s, "neurology"), in(t, s, "oncology")
	ctx := t.Context()
	for range 3 {
		experiment := must(w.EnsureExperiment(ctx, "parkinsons", []Tag{{"fathom.dev/model", "parkinsons"}}))(t)
		run := must(w.EnsureRun(ctx, NewRun{ID: RunID("uid-1"), Experiment: experiment, Name: "parkinsons-1", User: "fathom"}))(t)
		must(other.EnsureRun(ctx, NewRun{ID: RunID("uid-1"), User: "fathom"}))(t) // ids are a workspace's own
		if err := w.LogBatch(ctx, run.ID, Batch{Metrics: []Metric{{Key: "roc_auc", Value: 0.72, Time: 1}}}); err != nil {
			t.Fatal(err)
		}
		root := must(ArtifactRoot(run.Location))(t)
		if err := w.PutArtifacts(ctx, root+"/model", []Artifact{{Path: "model.onnx", Digest: ref.DigestOf([]byte("onnx")), Size: 4}}); err != nil {
			t.Fatal(err)
		}
		version := must(w.Publish(ctx, "parkinsons", Tag{"fathom.dev/version", "parkinsons-1"}, NewVersion{Source: "runs:/" + run.ID + "/model", User: "fathom"}))(t)
		if version.Version != 1 || version.Run != run.ID || version.Location != run.Location+"/model" {
			t.Errorf("the version is %+v", version)
		}
		if err := w.SetAlias(ctx, "parkinsons", "production", version.Version); err != nil {
			t.Fatal(err)
		}
		must(w.UpdateRun(ctx, run.ID, RunChange{Status: Finished, Ended: 5}))(t)
	}
	second := must(w.Publish(ctx, "parkinsons", Tag{"fathom.dev/version", "parkinsons-2"}, NewVersion{Source: "runs:/" + RunID("uid-1")}))(t)
	if second.Version != 2 {
		t.Errorf("the second version is %d", second.Version)
	}
	production := must(w.VersionByAlias(ctx, "parkinsons", "production"))(t)
	if production.Version != 1 {
		t.Errorf("production is %d", production.Version)
	}
	run := must(w.Run(ctx, RunID("uid-1")))(t)
	if run.Status != Finished || len(run.Metrics) != 1 {
		t.Errorf("the run is %+v", run)
	}
	for _, id := range []string{"", "x", "../x"} {
		_, err := w.EnsureRun(ctx, NewRun{ID: id})
		wantKind(t, err, fault.Invalid)
	}
}
