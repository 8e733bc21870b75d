// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/promotion"
	"fathom.dev/fathom/internal/ref"
)

// work is an observation with what is needed to act on it.
type work struct {
	plan.Observation
	data     *v1alpha1.Dataset
	versions []v1alpha1.ModelVersion // by number
	recipe   string                  // fingerprint without the data
	pipeline pipeline
	others   []*v1alpha1.Run // live runs for other fingerprints
	finished []*v1alpha1.Run // ended runs
	progress string
	replay   bool
	// again is true when the current version is an earlier one that is declared again: it is judged anew.
	again bool
	// lookAgain is when to reconcile without an event; zero for never.
	lookAgain time.Duration
}

// label marks the runs of the pipeline; a replay's are kept apart, so that neither takes the other's for its own.
func (w *work) label(m *v1alpha1.Model) string {
	if w.replay {
		return "replay." + m.Name
	}
	return "model." + m.Name
}

// latest is the version with the greatest number; nil before the first.
func (w *work) latest() *v1alpha1.ModelVersion {
	if len(w.versions) == 0 {
		return nil
	}
	return &w.versions[len(w.versions)-1]
}

// inUse is the version that the declaration asked for last, by its fingerprint: the newest one, or an earlier one that was
// declared again.
func (w *work) inUse(fingerprint string) *v1alpha1.ModelVersion {
	for i := range w.versions {
		if w.versions[i].Spec.Fingerprint == fingerprint {
			return &w.versions[i]
		}
	}
	return w.latest()
}

func (w *work) newest() int64 {
	if v := w.latest(); v != nil {
		return v.Spec.Number
	}
	return 0
}

// version is the one with the number; nil when there is none.
func (w *work) version(number int64) *v1alpha1.ModelVersion {
	for i := range w.versions {
		if w.versions[i].Spec.Number == number {
			return &w.versions[i]
		}
	}
	return nil
}

// production is the version that was put into production last and not taken out.
func (w *work) production() *v1alpha1.ModelVersion {
	var found *v1alpha1.ModelVersion
	for i := range w.versions {
		v := &w.versions[i]
		if v.Status.Stage != v1alpha1.StageProduction {
			continue
		}
		if found == nil || found.Status.PromotedAt.Before(v.Status.PromotedAt) ||
			found.Status.PromotedAt.Equal(v.Status.PromotedAt) && v.Spec.Number > found.Spec.Number {
			found = v
		}
	}
	return found
}

func (s *Station) versions(ctx context.Context, m *v1alpha1.Model) ([]v1alpha1.ModelVersion, error) {
	var list v1alpha1.ModelVersionList
	err := s.Client.List(ctx, &list, client.InNamespace(m.Namespace), client.MatchingLabels{v1alpha1.LabelFor: "model." + m.Name})
	if err != nil {
		return nil, err
	}
	sort.Slice(list.Items, func(i, j int) bool { return list.Items[i].Spec.Number < list.Items[j].Spec.Number })
	return list.Items, nil
}

func (s *Station) observe(ctx context.Context, m *v1alpha1.Model, versions []v1alpha1.ModelVersion) (*work, error) {
	w := &work{versions: versions}
	if current := w.inUse(m.Status.Fingerprint); current != nil {
		w.Current, w.CurrentVersion = current.Spec.Fingerprint, current.Spec.Number
	}
	if err := s.observeData(ctx, m, w); err != nil {
		if fault.Is(err, fault.Invalid) {
			w.Refusal = err.Error()
			return w, nil
		}
		return nil, err
	}
	if len(w.Waiting) > 0 {
		return w, nil
	}
	recipe := recipeOf(m)
	w.recipe = recipe.Fingerprint()
	recipe.Inputs = []plan.Input{{Name: w.data.Name, Fingerprint: w.data.Status.Fingerprint}}
	w.Wanted = recipe.Fingerprint()
	for _, v := range versions {
		if v.Spec.Fingerprint == w.Wanted {
			w.ExistingVersion = v.Spec.Number
		}
	}
	s.pause(m, w)
	return w, s.observeRuns(ctx, m, w)
}

// observeData finds the dataset and holds the declaration against its columns.
func (s *Station) observeData(ctx context.Context, m *v1alpha1.Model, w *work) error {
	if err := s.checkDeclaration(m); err != nil {
		return err
	}
	name := m.Spec.Data.Dataset
	var d v1alpha1.Dataset
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: m.Namespace, Name: name}, &d)
	if apierrors.IsNotFound(err) {
		w.Waiting = append(w.Waiting, fmt.Sprintf("dataset %s: there is none; declare it, or correct spec.data.dataset", name))
		return nil
	} else if err != nil {
		return err
	}
	w.data = &d
	if reason, _ := v1alpha1.Ready(d.Status.Conditions); reason != v1alpha1.ReasonReady || d.Status.Version == 0 {
		w.Waiting = append(w.Waiting, fmt.Sprintf("dataset %s: %s", name, orUnknown(reason)))
		return nil
	}
	version, err := s.Lake.Version(ctx, ref.Name{Workspace: m.Namespace, Name: name}, int(d.Status.Version))
	if fault.Is(err, fault.NotFound) {
		return nil // a plan over a version that is not made yet: its columns are not known
	} else if err != nil {
		return err
	}
	return checkColumns(m, version.Columns)
}

func orUnknown(reason string) string {
	if reason == "" {
		return "not looked at yet"
	}
	return reason
}

// checkDeclaration finds mistakes that need no data.
func (s *Station) checkDeclaration(m *v1alpha1.Model) error {
	code := m.Spec.Train.Code
	switch {
	case code.Bundle == "":
		return fault.New(fault.Invalid, "spec.train.code.bundle", "the code is not uploaded").
			WithHint("apply with `fathom apply`, which uploads spec.train.code.path")
	case code.Environment.Python != "" && code.Environment.Requirements == "":
		return fault.New(fault.Invalid, "spec.train.code.environment.requirements", "%s is not uploaded", code.Environment.Python).
			WithHint("apply with `fathom apply`")
	}
	if err := s.uploaded(m.Namespace, code.Bundle, code.Environment.Requirements); err != nil {
		return err
	}
	known := map[string]bool{}
	var all []string
	for _, task := range []evaluate.Task{evaluate.Binary, evaluate.Multiclass, evaluate.Regression} {
		for _, name := range evaluate.MetricNames(task) {
			if !known[name] {
				all = append(all, name)
			}
			known[name] = true
		}
	}
	for i, name := range m.Spec.Evaluate.Metrics {
		if !known[name] {
			return fault.New(fault.Invalid, fmt.Sprintf("spec.evaluate.metrics[%d]", i), "there is no metric %q", name).
				WithHint("use one of %s", strings.Join(all, ", "))
		}
	}
	return promotion.Check(m.Spec.Promote.When, all)
}

// uploaded refuses digests of what other workspaces uploaded, as if they were of nothing.
func (s *Station) uploaded(workspace, bundle, requirements string) error {
	if s.Uploaded == nil {
		return nil
	}
	if err := s.Uploaded(workspace, bundle); err != nil {
		return fault.Wrap(fault.KindOf(err), "spec.train.code.bundle", err)
	}
	if requirements == "" {
		return nil
	}
	return fault.Wrap(fault.Invalid, "spec.train.code.environment.requirements", s.Uploaded(workspace, requirements))
}

// checkColumns finds columns that the dataset does not have.
func checkColumns(m *v1alpha1.Model, columns []lake.Column) error {
	have := map[string]bool{}
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		have[c.Name] = true
		names = append(names, c.Name)
	}
	data := m.Spec.Data
	wanted := []struct{ field, column string }{
		{"spec.data.target", data.Target}, {"spec.data.subject", data.Subject}, {"spec.evaluate.column", m.Spec.Evaluate.Column},
	}
	for field, list := range map[string][]string{
		"spec.data.features": data.Features, "spec.data.ignore": data.Ignore, "spec.evaluate.slices": m.Spec.Evaluate.Slices,
	} {
		for i, column := range list {
			wanted = append(wanted, struct{ field, column string }{fmt.Sprintf("%s[%d]", field, i), column})
		}
	}
	for _, w := range wanted {
		if w.column != "" && !have[w.column] {
			return fault.New(fault.Invalid, w.field, "dataset %s has no column %q", data.Dataset, w.column).
				WithHint("its columns are %s", strings.Join(names, ", "))
		}
	}
	return nil
}

// recipeOf is what determines a version besides its data. How a version is promoted changes no version.
func recipeOf(m *v1alpha1.Model) plan.Recipe {
	train := m.Spec.Train.DeepCopy()
	code := train.Code
	train.Code = v1alpha1.Code{Command: code.Command}
	train.Resources, train.Timeout, train.Retries = v1alpha1.Resources{}, nil, nil
	return plan.Recipe{
		Kind: "model", Code: code.Bundle, Requirements: code.Environment.Requirements,
		Spec: struct {
			Data     v1alpha1.ModelData
			Train    *v1alpha1.Train
			Evaluate v1alpha1.Evaluate
		}{m.Spec.Data, train, m.Spec.Evaluate},
	}
}

// pause holds back a version that only new data asks for, by the retrain rule.
func (s *Station) pause(m *v1alpha1.Model, w *work) {
	latest, current := w.latest(), w.version(w.CurrentVersion)
	if current == nil || current.Spec.Recipe != w.recipe || current.Spec.Fingerprint == w.Wanted {
		return
	}
	onData := false
	for _, trigger := range m.Spec.Retrain.Triggers {
		onData = onData || trigger == "data"
	}
	if !onData {
		w.Resting = "the data has changed, but spec.retrain.triggers does not name data"
		return
	}
	if c := m.Spec.Retrain.Cooldown; c != nil {
		if left := latest.CreationTimestamp.Add(c.Duration).Sub(s.Now()); left > 0 {
			w.Resting = fmt.Sprintf("the data has changed; spec.retrain.cooldown ends in %s", left.Round(time.Second))
			w.lookAgain = left
		}
	}
}
