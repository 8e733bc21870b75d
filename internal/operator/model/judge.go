// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/promotion"
	"fathom.dev/fathom/internal/ref"
)

// remember records lineage, subjects and the registry entry of a version that was just made. All of it may be repeated.
func (s *Station) remember(ctx context.Context, m *v1alpha1.Model, w *work, v *v1alpha1.ModelVersion) error {
	data := ref.Name{Workspace: m.Namespace, Name: v.Spec.Dataset}
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
	if split := w.splitOf(v); split != nil {
		var subjects []string
		if err := s.readOutput(ctx, split, "subjects.json", &subjects); err == nil {
			if err := s.Lake.RecordSubjects(ctx, self, subjects); err != nil {
				return err
			}
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return s.Tracker.Register(ctx, nameOf(m), v.Spec.Number, v.Spec.TrackingRun, ref.Digest(v.Spec.Digest))
}

// splitOf is the split that a version was made from; nil once its run is gone.
func (w *work) splitOf(v *v1alpha1.ModelVersion) *v1alpha1.Run {
	if w.Wanted == v.Spec.Fingerprint {
		return w.pipeline.runs[partSplit]
	}
	for _, r := range w.finished {
		if r.Spec.Part == partSplit && r.Spec.Fingerprint == v.Spec.Fingerprint && succeeded(r) {
			return r
		}
	}
	return nil
}

// judge gives every version that has no final stage one, takes replaced versions out of production, and tells the tracker
// which one is in production.
func (s *Station) judge(ctx context.Context, m *v1alpha1.Model, w *work) error {
	for i := range w.versions {
		v := &w.versions[i]
		before := v.DeepCopy()
		if v.Spec.Number == w.CurrentVersion {
			reopen(m, w, v)
		}
		if err := s.judgeOne(ctx, m, w, v); err != nil {
			return err
		}
		if before.Status.Stage == v.Status.Stage && before.Status.Why == v.Status.Why && slices.Equal(before.Status.Rules, v.Status.Rules) {
			continue
		}
		if err := s.Client.Status().Patch(ctx, v, client.MergeFrom(before)); err != nil {
			return err
		}
	}
	if err := s.archive(ctx, w); err != nil {
		return err
	}
	return s.tellProduction(ctx, m, w)
}

// reopen makes the declared version a candidate again: when it is an earlier one that is declared again, or when the rules
// that refused it, or that it waits under, have changed. What is in production stays there.
func reopen(m *v1alpha1.Model, w *work, v *v1alpha1.ModelVersion) {
	changed := !slices.Equal(v.Status.Rules, rulesOf(m))
	switch v.Status.Stage {
	case v1alpha1.StageArchived:
		if !w.again {
			return
		}
	case v1alpha1.StageRefused:
		if !w.again && !changed {
			return
		}
	case v1alpha1.StageAwaiting:
		if !changed || v.Status.ApprovedBy != "" {
			return
		}
	default:
		return
	}
	v.Status.Stage, v.Status.ApprovedBy = v1alpha1.StageCandidate, ""
}

// rulesOf are the rules by which a version is judged, with who must agree.
func rulesOf(m *v1alpha1.Model) []string {
	rules := slices.Clone(m.Spec.Promote.When)
	if a := m.Spec.Promote.Approval; a != nil {
		rules = append(rules, "approval by "+a.Role)
	}
	return rules
}

func (s *Station) judgeOne(ctx context.Context, m *v1alpha1.Model, w *work, v *v1alpha1.ModelVersion) error {
	switch v.Status.Stage {
	case "":
		if w.pipeline.runs == nil {
			return nil // the runs that made it were not looked at
		}
		if err := s.remember(ctx, m, w, v); err != nil {
			return err
		}
		return s.decide(ctx, m, w, v)
	case v1alpha1.StageCandidate:
		return s.decide(ctx, m, w, v)
	case v1alpha1.StageAwaiting:
		if v.Status.ApprovedBy != "" {
			s.promote(w, v, fmt.Sprintf("%s; approved by %s", v.Status.Why, v.Status.ApprovedBy))
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
	v.Status.Rules = rulesOf(m)
	verdict, err := promotion.Decide(m.Spec.Promote.When, candidate)
	switch {
	case err != nil:
		v.Status.Stage, v.Status.Why = v1alpha1.StageRefused, err.Error()
	case !verdict.Promote:
		v.Status.Stage, v.Status.Why = v1alpha1.StageRefused, verdict.Why
	case m.Spec.Promote.Approval != nil:
		v.Status.Stage, v.Status.Why = v1alpha1.StageAwaiting, verdict.Why
	default:
		s.promote(w, v, verdict.Why)
	}
	numbers := map[string]float64{}
	for name, metric := range e.Metrics {
		numbers[name] = metric.Value
	}
	return s.Tracker.Finish(ctx, nameOf(m), v.Spec.TrackingRun, numbers)
}

// promote puts a version into production, later than any other: what was promoted last is served.
func (s *Station) promote(w *work, v *v1alpha1.ModelVersion, why string) {
	now := metav1.NewTime(s.Now().Truncate(time.Second))
	for _, other := range w.versions {
		if at := other.Status.PromotedAt; at != nil && !at.Before(&now) {
			now = metav1.NewTime(at.Add(time.Second))
		}
	}
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

// tellProduction tells the tracker once which version is in production, however it got there: by the rules or by a person.
func (s *Station) tellProduction(ctx context.Context, m *v1alpha1.Model, w *work) error {
	v := w.production()
	if v == nil {
		return nil
	}
	if told, ok := s.told.Load(nameOf(m)); ok && told == v.Spec.Number {
		return nil
	}
	if err := s.Tracker.Promote(ctx, nameOf(m), v.Spec.Number); err != nil {
		return err
	}
	s.told.Store(nameOf(m), v.Spec.Number)
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
