// SPDX-License-Identifier: Apache-2.0

package model

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/ref"
)

// TrainParams is what training code sees at FATHOM_PARAMS.
type TrainParams struct {
	// Parameters are spec.train.parameters.
	Parameters json.RawMessage `json:"parameters"`
	// Dataset is the folder below FATHOM_INPUTS that holds train.parquet.
	Dataset string `json:"dataset"`
	Target  string `json:"target"`
	Subject string `json:"subject,omitempty"`
	// Features are the columns to learn from, in the order that the model must take them.
	Features []string `json:"features"`
	Task     string   `json:"task"`
	Classes  []string `json:"classes,omitempty"`
	// Part is "final" or "fold-<k>".
	Part string `json:"part"`
	Seed int64  `json:"seed"`
}

// observeRuns sorts the model's runs into the pipeline of the wanted version and the rest.
func (s *Station) observeRuns(ctx context.Context, m *v1alpha1.Model, w *work) error {
	var runs v1alpha1.RunList
	err := s.Client.List(ctx, &runs, client.InNamespace(m.Namespace), client.MatchingLabels{v1alpha1.LabelFor: w.label(m)})
	if err != nil {
		return err
	}
	w.pipeline.runs = map[string]*v1alpha1.Run{}
	for i := range runs.Items {
		r := &runs.Items[i]
		switch {
		case r.Name == s.runName(m, w, r.Spec.Part):
			w.pipeline.runs[r.Spec.Part] = r
		case ended(r):
			w.finished = append(w.finished, r)
		case !r.Spec.Cancel:
			w.others = append(w.others, r)
		}
	}
	if split := w.pipeline.runs[partSplit]; succeeded(split) {
		document, err := s.split(ctx, split)
		if err != nil {
			return err
		}
		w.pipeline.folds = len(document.Folds)
	}
	if len(w.others) > 0 {
		w.Other = &plan.RunState{Name: w.others[0].Name, Phase: w.others[0].Status.Phase}
	}
	w.Run, w.progress = w.pipeline.state(w.Wanted), w.pipeline.progress()
	return nil
}

func (s *Station) runName(m *v1alpha1.Model, w *work, part string) string {
	return plan.RunName(m.Name, w.Wanted, m.Annotations[v1alpha1.AnnotationRetry], part)
}

// split reads what the split found.
func (s *Station) split(ctx context.Context, run *v1alpha1.Run) (evaluate.Split, error) {
	var document evaluate.Split
	return document, s.readOutput(ctx, run, "split.json", &document)
}

// readOutput decodes one JSON file of a run's output.
func (s *Station) readOutput(ctx context.Context, run *v1alpha1.Run, path string, into any) error {
	file, err := s.outputFile(ctx, run, path)
	if err != nil {
		return err
	}
	return s.readJSON(ctx, file.Digest, into)
}

func (s *Station) readJSON(ctx context.Context, digest ref.Digest, into any) error {
	f, _, err := s.Lake.OpenBlob(ctx, digest)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, 256<<20)).Decode(into); err != nil {
		return fault.New(fault.Corrupt, "blob "+digest.Short(), "not the expected JSON: %v", err)
	}
	return nil
}

func (s *Station) output(ctx context.Context, run *v1alpha1.Run) (lake.FileManifest, error) {
	digest, err := ref.ParseDigest(run.Status.Output)
	if err != nil {
		return lake.FileManifest{}, fault.New(fault.Corrupt, "run "+run.Name, "it succeeded without an output")
	}
	return s.Lake.GetManifest(ctx, digest)
}

func (s *Station) outputFile(ctx context.Context, run *v1alpha1.Run, path string) (lake.File, error) {
	manifest, err := s.output(ctx, run)
	if err != nil {
		return lake.File{}, err
	}
	file, ok := manifest.Find(path)
	if !ok {
		return lake.File{}, fault.New(fault.NotFound, "run "+run.Name, "its output has no file %s", path).
			WithHint("write it to $FATHOM_OUTPUT/%s", path)
	}
	return file, nil
}

// advance starts the runs that are due.
func (s *Station) advance(ctx context.Context, m *v1alpha1.Model, w *work) error {
	for _, part := range w.pipeline.due() {
		run, params, err := s.build(ctx, m, w, part)
		if err != nil {
			return err
		}
		digest, err := s.putJSON(ctx, params)
		if err != nil {
			return err
		}
		run.Spec.Parameters = string(digest)
		if err := s.Client.Create(ctx, run); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

func (s *Station) putJSON(ctx context.Context, v any) (ref.Digest, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fault.Wrap(fault.Internal, "parameters", err)
	}
	digest, _, err := s.Lake.PutBlob(ctx, bytes.NewReader(b), "")
	return digest, err
}

// build makes the run of a part and its parameters.
func (s *Station) build(ctx context.Context, m *v1alpha1.Model, w *work, part string) (*v1alpha1.Run, any, error) {
	run := &v1alpha1.Run{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: m.Namespace, Name: s.runName(m, w, part),
			Labels:          map[string]string{v1alpha1.LabelFor: w.label(m)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(m, v1alpha1.GroupVersion.WithKind("Model"))},
		},
		Spec: v1alpha1.RunSpec{
			For: v1alpha1.RunFor{Kind: "Model", Name: m.Name}, Part: part, Fingerprint: w.Wanted,
			Workers: 1, Framework: "python",
		},
	}
	data := v1alpha1.RunInput{Name: w.data.Name, Dataset: w.data.Name, Version: w.data.Status.Version}
	switch part {
	case partSplit:
		run.Spec.Step, run.Spec.Command = v1alpha1.StepSplit, []string{"fathom-step", "split"}
		run.Spec.Inputs = []v1alpha1.RunInput{data}
		return run, splitParams(m), nil
	case partEvaluate:
		run.Spec.Step, run.Spec.Command = v1alpha1.StepEvaluate, []string{"fathom-step", "evaluate"}
		models, err := s.models(ctx, w)
		run.Spec.Inputs = []v1alpha1.RunInput{data, {Name: ".", Manifest: string(models)}}
		return run, evaluateParams(m), err
	}
	params, err := s.train(ctx, m, w, run)
	return run, params, err
}

func (s *Station) train(ctx context.Context, m *v1alpha1.Model, w *work, run *v1alpha1.Run) (any, error) {
	document, err := s.split(ctx, w.pipeline.runs[partSplit])
	if err != nil {
		return nil, err
	}
	train, spec := m.Spec.Train, &run.Spec
	spec.Step, spec.Command, spec.Framework, spec.Workers = v1alpha1.StepTrain, train.Code.Command, train.Framework, train.Workers
	spec.Code, spec.Requirements = train.Code.Bundle, train.Code.Environment.Requirements
	spec.Identified = w.data.Status.Identified
	spec.Resources, spec.Timeout, spec.Retries = train.Resources, train.Timeout, 1
	if train.Retries != nil {
		spec.Retries = *train.Retries
	}
	spec.Inputs = []v1alpha1.RunInput{{
		Name: w.data.Name, Manifest: w.pipeline.runs[partSplit].Status.Output, Path: spec.Part,
	}}
	params := TrainParams{
		Parameters: json.RawMessage("{}"), Dataset: w.data.Name, Target: m.Spec.Data.Target, Subject: m.Spec.Data.Subject,
		Task: string(document.Task), Classes: document.Classes, Part: spec.Part, Seed: m.Spec.Evaluate.Seed,
	}
	if train.Parameters != nil && len(train.Parameters.Raw) > 0 {
		params.Parameters = train.Parameters.Raw
	}
	for _, f := range document.Features {
		params.Features = append(params.Features, f.Name)
	}
	spec.TrackingRun, err = s.Tracker.Begin(ctx, nameOf(m), run.Name, s.trackingParams(w, params))
	return params, err
}

// trackingParams are shown beside the run in the tracking server.
func (s *Station) trackingParams(w *work, p TrainParams) map[string]string {
	out := map[string]string{
		"fathom.part": p.Part, "fathom.dataset": p.Dataset, "fathom.dataset.version": fmt.Sprint(w.data.Status.Version),
	}
	var given map[string]any
	if json.Unmarshal(p.Parameters, &given) == nil {
		for k, v := range given {
			out[k] = fmt.Sprint(v)
		}
	}
	return out
}

// models gathers what the evaluation needs into one manifest: the split's assignment and every trained model.
func (s *Station) models(ctx context.Context, w *work) (ref.Digest, error) {
	var list []lake.File
	for _, name := range []string{"split.json", "assignment.parquet"} {
		file, err := s.outputFile(ctx, w.pipeline.runs[partSplit], name)
		if err != nil {
			return "", err
		}
		file.Path = "split/" + name
		list = append(list, file)
	}
	for _, part := range w.pipeline.trainings() {
		file, err := s.outputFile(ctx, w.pipeline.runs[part], "model.onnx")
		if err != nil {
			return "", err
		}
		file.Path = part + "/model.onnx"
		list = append(list, file)
	}
	manifest, err := lake.NewManifest(list)
	if err != nil {
		return "", err
	}
	return s.Lake.PutManifest(ctx, manifest)
}

func splitParams(m *v1alpha1.Model) evaluate.SplitParams {
	e, d := m.Spec.Evaluate, m.Spec.Data
	p := evaluate.SplitParams{
		Dataset: d.Dataset, Target: d.Target, Subject: d.Subject, Task: evaluate.Task(d.Task), By: evaluate.By(e.By),
		FoldColumn: e.Column, Features: d.Features, Drop: d.Ignore, Seed: uint64(e.Seed),
	}
	if e.Folds != nil {
		p.Folds, p.LeaveOneOut = int(*e.Folds), *e.Folds == 0
	}
	return p
}

func evaluateParams(m *v1alpha1.Model) evaluate.Params {
	e := m.Spec.Evaluate
	p := evaluate.Params{Dataset: m.Spec.Data.Dataset, Slices: e.Slices, Seed: uint64(e.Seed)}
	if t, err := strconv.ParseFloat(e.Threshold, 64); err == nil {
		p.Threshold = t
	}
	return p
}

// cancelOthers stops what is no longer wanted: runs of other fingerprints, and the rest of a pipeline that has failed.
func (s *Station) cancelOthers(ctx context.Context, w *work) error {
	stop := w.others
	for _, r := range w.pipeline.runs {
		if len(w.others) == 0 && !ended(r) && !r.Spec.Cancel {
			stop = append(stop, r)
		}
	}
	for _, r := range stop {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true}}`))
		if err := s.Client.Patch(ctx, r, patch); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// forget removes runs whose outcome is registered and whose history is durable.
func (s *Station) forget(ctx context.Context, w *work) error {
	all := w.finished
	for _, r := range w.pipeline.runs {
		all = append(all, r)
	}
	for _, r := range all {
		if !ended(r) || !r.Status.Recorded {
			continue
		}
		if err := s.Client.Delete(ctx, r, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}
