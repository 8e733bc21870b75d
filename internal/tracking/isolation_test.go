// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"reflect"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

// TestIsolation calls every method of a workspace with identifiers of another workspace. A method that is added must be
// added here too.
func TestIsolation(t *testing.T) {
	s := open(t)
	ours, theirs := in(t, s, "ours"), in(t, s, "theirs")
	f := fill(t, ours)
	before := must(ours.Run(t.Context(), f.run))(t)

	// What is asked for is not there, or has nothing.
	refused := map[string]func(context.Context) error{
		"Experiment":          func(ctx context.Context) error { return second(theirs.Experiment(ctx, f.experiment)) },
		"ExperimentByName":    func(ctx context.Context) error { return second(theirs.ExperimentByName(ctx, "study of ours")) },
		"RenameExperiment":    func(ctx context.Context) error { return theirs.RenameExperiment(ctx, f.experiment, "x") },
		"DeleteExperiment":    func(ctx context.Context) error { return theirs.DeleteExperiment(ctx, f.experiment) },
		"RestoreExperiment":   func(ctx context.Context) error { return theirs.RestoreExperiment(ctx, f.experiment) },
		"SetExperimentTag":    func(ctx context.Context) error { return theirs.SetExperimentTag(ctx, f.experiment, Tag{"a", "x"}) },
		"DeleteExperimentTag": func(ctx context.Context) error { return theirs.DeleteExperimentTag(ctx, f.experiment, "a") },
		"CreateRun": func(ctx context.Context) error {
			return second(theirs.CreateRun(ctx, NewRun{Experiment: f.experiment}))
		},
		"Run":          func(ctx context.Context) error { return second(theirs.Run(ctx, f.run)) },
		"UpdateRun":    func(ctx context.Context) error { return second(theirs.UpdateRun(ctx, f.run, RunChange{Name: "x"})) },
		"DeleteRun":    func(ctx context.Context) error { return theirs.DeleteRun(ctx, f.run) },
		"RestoreRun":   func(ctx context.Context) error { return theirs.RestoreRun(ctx, f.run) },
		"LogBatch":     func(ctx context.Context) error { return theirs.LogBatch(ctx, f.run, Batch{Tags: []Tag{{"t", "x"}}}) },
		"DeleteRunTag": func(ctx context.Context) error { return theirs.DeleteRunTag(ctx, f.run, "t") },
		"RecordModel":  func(ctx context.Context) error { return theirs.RecordModel(ctx, f.run, "{}") },
		"LogInputs":    func(ctx context.Context) error { return theirs.LogInputs(ctx, f.run, nil, nil) },
		"LogOutputs":   func(ctx context.Context) error { return theirs.LogOutputs(ctx, f.run, nil) },
		"MetricHistory": func(ctx context.Context) error {
			_, _, err := theirs.MetricHistory(ctx, f.run, "auc", 0, "")
			return err
		},
		"MetricInterval": func(ctx context.Context) error {
			return second(theirs.MetricInterval(ctx, []string{f.run}, "auc", 0, 9, 0))
		},
		"CreateLoggedModel": func(ctx context.Context) error {
			return second(theirs.CreateLoggedModel(ctx, NewLoggedModel{Run: f.run}))
		},
		"LoggedModel": func(ctx context.Context) error { return second(theirs.LoggedModel(ctx, f.logged)) },
		"FinalizeLoggedModel": func(ctx context.Context) error {
			return second(theirs.FinalizeLoggedModel(ctx, f.logged, "LOGGED_MODEL_READY"))
		},
		"AddLoggedModelParams":     func(ctx context.Context) error { return theirs.AddLoggedModelParams(ctx, f.logged, nil) },
		"SetLoggedModelTags":       func(ctx context.Context) error { return second(theirs.SetLoggedModelTags(ctx, f.logged, nil)) },
		"DeleteLoggedModelTag":     func(ctx context.Context) error { return theirs.DeleteLoggedModelTag(ctx, f.logged, "t") },
		"DeleteLoggedModel":        func(ctx context.Context) error { return theirs.DeleteLoggedModel(ctx, f.logged) },
		"RegisteredModel":          func(ctx context.Context) error { return second(theirs.RegisteredModel(ctx, f.model)) },
		"UpdateRegisteredModel":    func(ctx context.Context) error { return second(theirs.UpdateRegisteredModel(ctx, f.model, "x")) },
		"RenameRegisteredModel":    func(ctx context.Context) error { return second(theirs.RenameRegisteredModel(ctx, f.model, "x")) },
		"DeleteRegisteredModel":    func(ctx context.Context) error { return theirs.DeleteRegisteredModel(ctx, f.model) },
		"SetRegisteredModelTag":    func(ctx context.Context) error { return theirs.SetRegisteredModelTag(ctx, f.model, Tag{"a", "x"}) },
		"DeleteRegisteredModelTag": func(ctx context.Context) error { return theirs.DeleteRegisteredModelTag(ctx, f.model, "a") },
		"SetAlias":                 func(ctx context.Context) error { return theirs.SetAlias(ctx, f.model, "production", 1) },
		"DeleteAlias":              func(ctx context.Context) error { return theirs.DeleteAlias(ctx, f.model, "production") },
		"CreateVersion": func(ctx context.Context) error {
			return second(theirs.CreateVersion(ctx, f.model, NewVersion{Source: "models:/" + f.logged}))
		},
		"Publish": func(ctx context.Context) error {
			return second(theirs.Publish(ctx, f.model, Tag{"a", "b"}, NewVersion{Source: "models:/" + f.logged}))
		},
		"Version":          func(ctx context.Context) error { return second(theirs.Version(ctx, f.model, 1)) },
		"VersionByAlias":   func(ctx context.Context) error { return second(theirs.VersionByAlias(ctx, f.model, "production")) },
		"UpdateVersion":    func(ctx context.Context) error { return second(theirs.UpdateVersion(ctx, f.model, 1, "x")) },
		"DeleteVersion":    func(ctx context.Context) error { return theirs.DeleteVersion(ctx, f.model, 1) },
		"SetVersionTag":    func(ctx context.Context) error { return theirs.SetVersionTag(ctx, f.model, 1, Tag{"a", "x"}) },
		"DeleteVersionTag": func(ctx context.Context) error { return theirs.DeleteVersionTag(ctx, f.model, 1, "a") },
		"TransitionStage": func(ctx context.Context) error {
			return second(theirs.TransitionStage(ctx, f.model, 1, "Staging", false))
		},
		"LatestVersions":  func(ctx context.Context) error { return second(theirs.LatestVersions(ctx, f.model, nil)) },
		"Artifact":        func(ctx context.Context) error { return second(theirs.Artifact(ctx, f.artifact)) },
		"DeleteArtifacts": func(ctx context.Context) error { return theirs.DeleteArtifacts(ctx, f.artifact) },
	}
	empty := map[string]func(context.Context) int{
		"Artifacts": func(ctx context.Context) int { return len(must(theirs.Artifacts(ctx, ""))(t)) },
		"SearchRuns": func(ctx context.Context) int {
			page, _, err := theirs.SearchRuns(ctx, Query{Experiments: []string{"0", f.experiment}, Filter: "metrics.auc > 0", View: All})
			return len(must(page, err)(t))
		},
		"SearchExperiments": func(ctx context.Context) int {
			page, _, err := theirs.SearchExperiments(ctx, Query{Filter: "name != 'Default'", View: All})
			return len(must(page, err)(t))
		},
		"SearchLoggedModels": func(ctx context.Context) int {
			page, _, err := theirs.SearchLoggedModels(ctx, Query{Experiments: []string{"0", f.experiment}}, nil)
			return len(must(page, err)(t))
		},
		"SearchRegisteredModels": func(ctx context.Context) int {
			page, _, err := theirs.SearchRegisteredModels(ctx, Query{})
			return len(must(page, err)(t))
		},
		"SearchVersions": func(ctx context.Context) int {
			page, _, err := theirs.SearchVersions(ctx, Query{})
			return len(must(page, err)(t))
		},
	}
	own := map[string]bool{ // these take no identifier of anything that exists
		"Name": true, "CreateExperiment": true, "EnsureExperiment": true, "CreateRegisteredModel": true,
		"PutArtifact": true, "PutArtifacts": true, "EnsureRun": true,
	}
	methods := reflect.TypeFor[*Workspace]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		switch {
		case own[name]:
		case refused[name] != nil:
			if err := refused[name](t.Context()); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s with another workspace's identifier: %v, want NotFound", name, err)
			}
		case empty[name] != nil:
			if n := empty[name](t.Context()); n != 0 {
				t.Errorf("%s sees %d of another workspace", name, n)
			}
		default:
			t.Errorf("%s is not in this test", name)
		}
	}
	if after := must(ours.Run(t.Context(), f.run))(t); !reflect.DeepEqual(before, after) {
		t.Errorf("the run changed from\n%+v to\n%+v", before, after)
	}
	// A version's source cannot reach over either.
	must(theirs.CreateRegisteredModel(t.Context(), "mine", "", nil))(t)
	for _, source := range []string{"models:/" + f.logged, "models:/" + f.model + "/1", "runs:/" + f.run + "/model"} {
		_, err := theirs.CreateVersion(t.Context(), "mine", NewVersion{Source: source})
		wantKind(t, err, fault.NotFound)
	}
}

func second[T any](_ T, err error) error { return err }
