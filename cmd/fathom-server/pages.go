// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/audit"
	"fathom.dev/fathom/internal/console"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/promotion"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/tracking"
	"fathom.dev/fathom/internal/traffic"
)

// watchTraffic samples the gateway's metrics until the platform stops.
func (p *platform) watchTraffic(from prometheus.Gatherer) *traffic.Log {
	log := traffic.New(traffic.Options{From: from})
	done := make(chan struct{})
	p.onStop(func(context.Context) error { close(done); return nil })
	go func() {
		tick := time.NewTicker(traffic.Every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := log.Sample(); err != nil {
					p.logger.Warn("traffic is not remembered", "error", err)
				}
			case <-done:
				return
			}
		}
	}()
	return log
}

// auditLines reads what pages and people ask of the audit log.
func (p *platform) auditLines(ctx context.Context, q console.AuditQuery) (any, error) {
	lines, err := p.audit.Tail(ctx, audit.Filter{
		Workspace: q.Workspace, User: q.User, Action: q.Action, Decision: q.Decision, Before: q.Before,
	}, q.Limit)
	if lines == nil {
		lines = []audit.Entry{}
	}
	return lines, err
}

// aboutVersion tells of a model's version what its evaluation does not hold.
func (p *platform) aboutVersion(ctx context.Context, v *v1alpha1.ModelVersion) (console.About, error) {
	out := console.About{Version: v.Spec.Number, Rules: []console.Rule{}, LeftOut: []console.LeftOut{}, Caveats: []string{}}
	var m v1alpha1.Model
	name := ref.Name{Workspace: v.Namespace, Name: v.Spec.Model}
	if err := p.objects.Get(ctx, types.NamespacedName{Namespace: name.Workspace, Name: name.Name}, &m); err != nil {
		return out, notThere(err, name)
	}
	page, err := p.insight(ctx, &m, v)
	if err != nil {
		return out, err
	}
	for _, e := range page.Exclusions {
		out.LeftOut = append(out.LeftOut, console.LeftOut{Dataset: e.Dataset, Reason: e.Reason, Rows: e.Rows, Subjects: e.Subjects})
	}
	out.Caveats = append(out.Caveats, page.Caveats...)
	before, err := p.before(ctx, v)
	if err != nil {
		return out, err
	}
	out.Rules = rules(&m, v, page.Evaluation, before)
	return out, nil
}

// before is the evaluation of the version that was in production when this one was judged: the newest earlier one that ever
// was; nil without one.
func (p *platform) before(ctx context.Context, v *v1alpha1.ModelVersion) (*evaluate.Evaluation, error) {
	var list v1alpha1.ModelVersionList
	err := p.objects.List(ctx, &list, client.InNamespace(v.Namespace), client.MatchingLabels{v1alpha1.LabelFor: "model." + v.Spec.Model})
	if err != nil {
		return nil, err
	}
	earlier := slices.DeleteFunc(list.Items, func(o v1alpha1.ModelVersion) bool {
		return o.Spec.Number >= v.Spec.Number || o.Status.PromotedAt == nil
	})
	if len(earlier) == 0 {
		return nil, nil
	}
	newest := slices.MaxFunc(earlier, func(a, b v1alpha1.ModelVersion) int { return int(a.Spec.Number - b.Spec.Number) })
	return p.evaluation(ctx, &newest)
}

// rules are those by which the version was judged, or will be, with what is known of the outcome.
func rules(m *v1alpha1.Model, v *v1alpha1.ModelVersion, own, before *evaluate.Evaluation) []console.Rule {
	texts := v.Status.Rules
	if len(texts) == 0 {
		texts = m.Spec.Promote.When
	}
	candidate := promotion.Candidate{Metrics: metricsOf(own), Leakage: string(own.Leakage.Verdict)}
	if before != nil {
		candidate.Production = metricsOf(before)
	}
	numbers := promotion.Numbers(texts, candidate)
	out := []console.Rule{}
	for i, text := range texts {
		r := console.Rule{Text: text, Numbers: numbers[i]}
		if role, ok := strings.CutPrefix(text, "approval by "); ok {
			approved := v.Status.ApprovedBy != ""
			r.Numbers = "nobody has approved yet"
			if approved {
				r.Numbers = "approved by " + v.Status.ApprovedBy
			} else if v.Status.PromotedAt != nil {
				approved, r.Numbers = true, "an earlier decision of the role "+role
			}
			if v.Status.Stage != v1alpha1.StageRefused {
				r.Holds = &approved
			} else {
				r.Numbers = "not asked for: another rule does not hold"
			}
			out = append(out, r)
			continue
		}
		if v.Status.Stage != "" && v.Status.Stage != v1alpha1.StageCandidate {
			holds := v.Status.Stage != v1alpha1.StageRefused || !strings.Contains(v.Status.Why, fmt.Sprintf("%q does not hold", text))
			r.Holds = &holds
		}
		out = append(out, r)
	}
	return out
}

func metricsOf(e *evaluate.Evaluation) map[string]promotion.Metric {
	out := map[string]promotion.Metric{}
	for name, m := range e.Metrics {
		out[name] = promotion.Metric{Value: m.Value, Low: m.Low, High: m.High}
	}
	return out
}

const (
	maxTracked = 40  // tracking runs of a version that are told
	maxSeries  = 60  // metrics of one
	maxCurve   = 200 // points of one metric
)

// trainingOf tells what the trainings of a version logged: those of its folds, and the final one. Their tracking runs are named
// like the Fathom runs, which begin alike.
func (p *platform) trainingOf(ctx context.Context, v *v1alpha1.ModelVersion) (console.Training, error) {
	out := console.Training{Runs: []console.TrackedRun{}}
	if v.Spec.TrackingRun == "" {
		return out, nil
	}
	w, err := p.tracking.In(ctx, v.Namespace)
	if err != nil {
		return out, err
	}
	final, err := w.Run(ctx, v.Spec.TrackingRun)
	if fault.Is(err, fault.NotFound) {
		return out, nil
	} else if err != nil {
		return out, err
	}
	found := []tracking.Run{final}
	if recipe, ok := strings.CutSuffix(final.Name, "-final"); ok {
		found, _, err = w.SearchRuns(ctx, tracking.Query{
			Experiments: []string{final.Experiment}, Limit: maxTracked,
			Filter: fmt.Sprintf("tags.`%s` LIKE '%s-%%'", tagRun, recipe), Order: []string{"tags.`" + tagRun + "` ASC"},
		})
		if err != nil {
			return out, err
		}
	}
	for _, run := range found {
		told, err := tracked(ctx, w, run)
		if err != nil {
			return out, err
		}
		told.Final = run.ID == v.Spec.TrackingRun
		out.Runs = append(out.Runs, told)
	}
	return out, nil
}

func tracked(ctx context.Context, w *tracking.Workspace, run tracking.Run) (console.TrackedRun, error) {
	out := console.TrackedRun{
		ID: run.ID, Name: run.Name, Status: string(run.Status), Started: run.Started, Ended: run.Ended,
		Params: map[string]string{}, Metrics: map[string][]console.MetricPoint{},
	}
	for _, tag := range run.Tags { // what Fathom was told to train with
		if name, ok := strings.CutPrefix(tag.Key, "param."); ok {
			out.Params[name] = tag.Value
		}
	}
	for _, param := range run.Params { // what the code says
		out.Params[param.Key] = param.Value
	}
	for _, metric := range run.Metrics[:min(len(run.Metrics), maxSeries)] {
		points, err := w.MetricInterval(ctx, []string{run.ID}, metric.Key, math.MinInt64, math.MaxInt64, maxCurve)
		if err != nil {
			return out, err
		}
		for _, point := range points {
			if !math.IsNaN(point.Value) && !math.IsInf(point.Value, 0) { // JSON has neither
				out.Metrics[metric.Key] = append(out.Metrics[metric.Key], console.MetricPoint{Step: point.Step, Time: point.Time, Value: point.Value})
			}
		}
	}
	return out, nil
}
