// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/promotion"
	"fathom.dev/fathom/internal/ref"
)

// register makes the ModelVersion of a finished pipeline, with its lineage. The version's name follows from its number,
// so that two attempts to register cannot both succeed.
func (s *Station) register(ctx context.Context, m *v1alpha1.Model, w *work) error {
	final := w.pipeline.runs[partFinal]
	if final == nil || w.pipeline.runs[partEvaluate] == nil {
		return fault.New(fault.Conflict, "model "+m.Name, "the runs of the pipeline are gone; waiting for the next look")
	}
	trained, err := s.outputFile(ctx, final, "model.onnx")
	if err != nil {
		return err
	}
	judged, err := s.outputFile(ctx, w.pipeline.runs[partEvaluate], "evaluation.json")
	if err != nil {
		return err
	}
	number := w.newest() + 1
	v := v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: m.Namespace, Name: fmt.Sprintf("%s-%d", m.Name, number),
			Labels:          map[string]string{v1alpha1.LabelFor: "model." + m.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(m, v1alpha1.GroupVersion.WithKind("Model"))},
		},
		Spec: v1alpha1.ModelVersionSpec{
			Model: m.Name, Number: number, Digest: string(trained.Digest), Fingerprint: w.Wanted, Recipe: w.recipe,
			Dataset: w.data.Name, DatasetVersion: w.data.Status.Version, Evaluation: string(judged.Digest),
			Code: final.Spec.Code, Environment: final.Status.Environment, TrackingRun: final.Spec.TrackingRun,
		},
	}
	if err := s.remember(ctx, m, w, &v); err != nil {
		return err
	}
	if err := s.Client.Create(ctx, &v); err != nil {
		if apierrors.IsAlreadyExists(err) { // the cache is behind: look again
			return fault.Wrap(fault.Conflict, "model version "+v.Name, err)
		}
		return err
	}
	w.versions = append(w.versions, v)
	return nil
}

// remember records lineage, subjects and the registry entry of a version before it exists for others.
func (s *Station) remember(ctx context.Context, m *v1alpha1.Model, w *work, v *v1alpha1.ModelVersion) error {
	data := ref.Name{Workspace: m.Namespace, Name: w.data.Name}
	version, err := s.Lake.Version(ctx, data, int(v.Spec.DatasetVersion))
	if err != nil {
		return err
	}
	self := lake.ModelArtifact(nameOf(m), int(v.Spec.Number), ref.Digest(v.Spec.Digest))
	edges := []lake.Edge{{From: self, To: version.Artifact(), Role: lake.RoleInput}}
	for _, used := range []struct{ kind, digest string }{
		{lake.KindCode, v.Spec.Code}, {lake.KindEnvironment, v.Spec.Environment},
	} {
		if used.digest != "" {
			edges = append(edges, lake.Edge{From: self, Role: used.kind, To: lake.Artifact{
				Kind: used.kind, Workspace: m.Namespace, Name: m.Name, Digest: ref.Digest(used.digest),
			}})
		}
	}
	if err := s.Lake.RecordEdges(ctx, edges); err != nil {
		return err
	}
	var subjects []string
	if err := s.readOutput(ctx, w.pipeline.runs[partSplit], "subjects.json", &subjects); err == nil {
		if err := s.Lake.RecordSubjects(ctx, self, subjects); err != nil {
			return err
		}
	} else if !fault.Is(err, fault.NotFound) {
		return err
	}
	return s.Tracker.Register(ctx, nameOf(m), v.Spec.Number, v.Spec.TrackingRun, ref.Digest(v.Spec.Digest))
}

// judge gives every version that has no final stage one, and takes replaced versions out of production.
func (s *Station) judge(ctx context.Context, m *v1alpha1.Model, w *work) error {
	for i := range w.versions {
		v := &w.versions[i]
		before := v.DeepCopy()
		if err := s.judgeOne(ctx, m, w, v); err != nil {
			return err
		}
		if before.Status.Stage == v.Status.Stage && before.Status.Why == v.Status.Why {
			continue
		}
		if err := s.Client.Status().Patch(ctx, v, client.MergeFrom(before)); err != nil {
			return err
		}
		if v.Status.Stage == v1alpha1.StageProduction {
			if err := s.Tracker.Promote(ctx, nameOf(m), v.Spec.Number); err != nil {
				return err
			}
		}
	}
	return s.archive(ctx, w)
}

func (s *Station) judgeOne(ctx context.Context, m *v1alpha1.Model, w *work, v *v1alpha1.ModelVersion) error {
	switch v.Status.Stage {
	case "", v1alpha1.StageCandidate:
		return s.decide(ctx, m, w, v)
	case v1alpha1.StageAwaiting:
		if v.Status.ApprovedBy != "" {
			s.promote(v, fmt.Sprintf("%s; approved by %s", v.Status.Why, v.Status.ApprovedBy))
		}
	}
	return nil
}

// decide holds the version's evaluation against the rules.
func (s *Station) decide(ctx context.Context, m *v1alpha1.Model, w *work, v *v1alpha1.ModelVersion) error {
	var e evaluate.Evaluation
	if err := s.readJSON(ctx, ref.Digest(v.Spec.Evaluation), &e); err != nil {
		return err
	}
	candidate := promotion.Candidate{Metrics: promotionMetrics(e.Metrics), Leakage: string(e.Leakage.Verdict)}
	for _, f := range e.Leakage.Findings {
		candidate.Findings = append(candidate.Findings, f.Message)
	}
	if p := w.production(); p != nil {
		var production evaluate.Evaluation
		if err := s.readJSON(ctx, ref.Digest(p.Spec.Evaluation), &production); err != nil {
			return err
		}
		candidate.Production = promotionMetrics(production.Metrics)
	}
	tell(v, m, e)
	verdict, err := promotion.Decide(m.Spec.Promote.When, candidate)
	switch {
	case err != nil:
		v.Status.Stage, v.Status.Why = v1alpha1.StageRefused, err.Error()
	case !verdict.Promote:
		v.Status.Stage, v.Status.Why = v1alpha1.StageRefused, verdict.Why
	case m.Spec.Promote.Approval != nil:
		v.Status.Stage, v.Status.Why = v1alpha1.StageAwaiting, verdict.Why
	default:
		s.promote(v, verdict.Why)
	}
	numbers := map[string]float64{}
	for name, metric := range e.Metrics {
		numbers[name] = metric.Value
	}
	return s.Tracker.Finish(ctx, nameOf(m), v.Spec.TrackingRun, numbers)
}

func (s *Station) promote(v *v1alpha1.ModelVersion, why string) {
	now := metav1.NewTime(s.Now().Truncate(time.Second))
	v.Status.Stage, v.Status.Why, v.Status.PromotedAt = v1alpha1.StageProduction, why, &now
}

// archive takes all versions but the one promoted last out of production.
func (s *Station) archive(ctx context.Context, w *work) error {
	current := w.production()
	for i := range w.versions {
		v := &w.versions[i]
		if v.Status.Stage != v1alpha1.StageProduction || v == current {
			continue
		}
		before := v.DeepCopy()
		v.Status.Stage = v1alpha1.StageArchived
		v.Status.Why = fmt.Sprintf("replaced by version %d", current.Spec.Number)
		if err := s.Client.Status().Patch(ctx, v, client.MergeFrom(before)); err != nil {
			return err
		}
	}
	return nil
}

func promotionMetrics(in map[string]evaluate.Metric) map[string]promotion.Metric {
	out := make(map[string]promotion.Metric, len(in))
	for name, m := range in {
		out[name] = promotion.Metric{Value: m.Value, Low: m.Low, High: m.High}
	}
	return out
}

// tell writes the version's numbers: the declared metrics first, then the rest of the task's.
func tell(v *v1alpha1.ModelVersion, m *v1alpha1.Model, e evaluate.Evaluation) {
	order := append(append([]string{}, m.Spec.Evaluate.Metrics...), evaluate.MetricNames(e.Task)...)
	seen := map[string]bool{}
	v.Status.Metrics = nil
	for _, name := range order {
		metric, ok := e.Metrics[name]
		if seen[name] || !ok {
			continue
		}
		seen[name] = true
		v.Status.Metrics = append(v.Status.Metrics, v1alpha1.Metric{
			Name: name, Value: decimal(&metric.Value), Low: decimal(metric.Low), High: decimal(metric.High),
		})
	}
	if len(v.Status.Metrics) > 0 {
		first := v.Status.Metrics[0]
		v.Status.Headline = first.Name + " " + first.Value
		if first.Low != "" {
			v.Status.Headline += fmt.Sprintf(" [%s, %s]", first.Low, first.High)
		}
	}
	v.Status.Leakage = string(e.Leakage.Verdict)
	kinds := map[string]bool{}
	for _, f := range e.Leakage.Findings {
		kinds[f.Kind] = true
	}
	var names []string
	for k := range kinds {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		v.Status.Leakage += " " + k
	}
}

func decimal(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', 4, 64)
}
