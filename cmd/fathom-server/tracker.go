// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/tracking"
)

// tracker tells the tracking store about the Model station's trainings. Every call may be repeated.
type tracker struct {
	store *tracking.Store
	lake  *lake.Store
	shelf shelf
	now   func() time.Time
}

const (
	trackerUser  = "fathom:operator"
	tagRun       = "fathom.run"
	tagDigest    = "fathom.digest"
	aliasCurrent = "production"
)

// Begin returns the tracking run of a Fathom run, made on first use.
func (t tracker) Begin(ctx context.Context, model ref.Name, run string, params map[string]string) (string, error) {
	w, err := t.store.In(ctx, model.Workspace)
	if err != nil {
		return "", err
	}
	experiment, err := w.EnsureExperiment(ctx, model.Name, nil)
	if err != nil {
		return "", err
	}
	found, _, err := w.SearchRuns(ctx, tracking.Query{
		Experiments: []string{experiment}, Filter: fmt.Sprintf("tags.`%s` = '%s'", tagRun, run), Limit: 1,
	})
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return found[0].ID, nil
	}
	created, err := w.CreateRun(ctx, tracking.NewRun{
		Experiment: experiment, Name: run, User: trackerUser, Tags: []tracking.Tag{{Key: tagRun, Value: run}},
	})
	if err != nil {
		return "", err
	}
	var tags []tracking.Tag // as tags: the code itself may log its parameters under these names
	for _, key := range slices.Sorted(maps.Keys(params)) {
		tags = append(tags, tracking.Tag{Key: "param." + key, Value: params[key]})
	}
	return created.ID, w.LogBatch(ctx, created.ID, tracking.Batch{Tags: tags})
}

// Finish logs the evaluation's metrics and ends the run.
func (t tracker) Finish(ctx context.Context, model ref.Name, runID string, metrics map[string]float64) error {
	if runID == "" {
		return nil
	}
	w, err := t.store.In(ctx, model.Workspace)
	if err != nil {
		return err
	}
	run, err := w.Run(ctx, runID)
	if err != nil {
		return err
	}
	at := max(run.Started, run.Ended) // fixed, so that a repeated call adds no point
	var points []tracking.Metric
	for _, key := range slices.Sorted(maps.Keys(metrics)) {
		points = append(points, tracking.Metric{Key: key, Value: metrics[key], Time: at})
	}
	if err := w.LogBatch(ctx, runID, tracking.Batch{Metrics: points}); err != nil {
		return err
	}
	if run.Status == tracking.Finished {
		return nil
	}
	_, err = w.UpdateRun(ctx, runID, tracking.RunChange{Status: tracking.Finished, Ended: t.now().UnixMilli()})
	return err
}

// Register publishes versions up to the number: the registry counts as the Model station does.
func (t tracker) Register(ctx context.Context, model ref.Name, number int64, runID string, digest ref.Digest) error {
	if err := t.shelf.model(ctx, model, number, runID, digest); err != nil {
		return err
	}
	w, err := t.store.In(ctx, model.Workspace)
	if err != nil {
		return err
	}
	if _, err := w.CreateRegisteredModel(ctx, model.Name, "kept by Fathom", nil); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	if _, err := w.Version(ctx, model.Name, int(number)); !fault.Is(err, fault.NotFound) {
		return err
	}
	size, err := t.lake.StatBlob(ctx, digest)
	if err != nil {
		return err
	}
	folder := fmt.Sprintf("fathom/%s/%d", model.Name, number)
	if err := w.PutArtifact(ctx, folder+"/model.onnx", digest, size); err != nil {
		return err
	}
	_, err = w.CreateVersion(ctx, model.Name, tracking.NewVersion{
		Source: "mlflow-artifacts:/" + folder, Run: runID, User: trackerUser,
		Tags: []tracking.Tag{{Key: tagDigest, Value: string(digest)}},
	})
	return err
}

// Promote points the alias at the version in production.
func (t tracker) Promote(ctx context.Context, model ref.Name, number int64) error {
	w, err := t.store.In(ctx, model.Workspace)
	if err != nil {
		return err
	}
	if err := w.SetAlias(ctx, model.Name, aliasCurrent, int(number)); err != nil {
		return err
	}
	err = t.shelf.production(ctx, model, number)
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	v, err := w.Version(ctx, model.Name, int(number)) // registered before there was a registry to show it in
	if err != nil {
		return err
	}
	for _, tag := range v.Tags {
		if tag.Key == tagDigest {
			if err := t.shelf.model(ctx, model, number, v.Run, ref.Digest(tag.Value)); err != nil {
				return err
			}
		}
	}
	return t.shelf.production(ctx, model, number)
}
