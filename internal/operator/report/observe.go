// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/ref"
)

// work is an observation with what is needed to act on it.
type work struct {
	plan.Observation
	read   bool                // the page could be read
	names  []string            // of the datasets that it reads, sorted
	inputs []*v1alpha1.Dataset // those that are there, in the order of names
}

func (w *work) runName(r *v1alpha1.Report) string {
	return plan.RunName(r.Name, w.Wanted, r.Annotations[v1alpha1.AnnotationRetry], "")
}

// observe finds out what the page reads and what is there already. An error is worth another try; what the author must
// mend is in the observation.
func (s *Station) observe(ctx context.Context, r *v1alpha1.Report) (*work, error) {
	w := &work{}
	w.Current, w.CurrentVersion = r.Status.Fingerprint, r.Status.Version
	found, err := s.readPage(ctx, r)
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge) {
		w.Refusal = err.Error()
		return w, nil
	} else if err != nil {
		return nil, err
	}
	w.read = true
	var list v1alpha1.DatasetList
	if err := s.Client.List(ctx, &list, client.InNamespace(r.Namespace)); err != nil {
		return nil, err
	}
	w.find(list.Items, found, path.Base(r.Spec.Page))
	if w.Refusal != "" || len(w.Waiting) > 0 {
		return w, nil
	}
	w.Wanted = w.recipe(r).Fingerprint()
	return w, s.observeRuns(ctx, r, w)
}

// find matches tables with datasets. A page is for everybody who may see the workspace's reports, so it reads no dataset
// whose rows may be traced to a person.
func (w *work) find(all []v1alpha1.Dataset, tables []table, page string) {
	for _, t := range tables {
		d := datasetOf(t.name, all)
		name := strings.ReplaceAll(t.name, "_", "-")
		if d != nil {
			name = d.Name
		}
		if slices.Contains(w.names, name) {
			continue
		}
		w.names = append(w.names, name)
		switch reason := ""; {
		case d == nil:
			w.Waiting = append(w.Waiting, fmt.Sprintf("dataset %s: there is none (%s, line %d)", name, page, t.line))
		case d.Status.Identified:
			w.Refusal = fmt.Sprintf("%s: line %d: dataset %s holds rows that may be traced to persons, and a page may not show them; "+
				"give it spec.privacy, or read a dataset that was made from it without them", page, t.line, name)
		default:
			w.inputs = append(w.inputs, d)
			if reason, _ = v1alpha1.Ready(d.Status.Conditions); reason != v1alpha1.ReasonReady || d.Status.Version == 0 {
				if reason == "" {
					reason = "not looked at yet"
				}
				w.Waiting = append(w.Waiting, fmt.Sprintf("dataset %s: %s", name, reason))
			}
		}
	}
	slices.Sort(w.names)
	slices.SortFunc(w.inputs, func(a, b *v1alpha1.Dataset) int { return strings.Compare(a.Name, b.Name) })
}

// datasetOf is the dataset whose table has the name: "scan-features" for "scan_features".
func datasetOf(table string, all []v1alpha1.Dataset) *v1alpha1.Dataset {
	for i := range all {
		if strings.EqualFold(ref.Table(all[i].Name), table) {
			return &all[i]
		}
	}
	return nil
}

// recipe is everything that determines the page.
func (w *work) recipe(r *v1alpha1.Report) plan.Recipe {
	recipe := plan.Recipe{Kind: "report", Spec: map[string]string{"name": r.Name}, Code: r.Spec.Bundle}
	for _, d := range w.inputs {
		recipe.Inputs = append(recipe.Inputs, plan.Input{Name: d.Name, Fingerprint: d.Status.Fingerprint})
	}
	return recipe
}

// observeRuns looks for the run of the wanted fingerprint and for a live one of another.
func (s *Station) observeRuns(ctx context.Context, r *v1alpha1.Report, w *work) error {
	runs, err := s.runs(ctx, r)
	if err != nil {
		return err
	}
	for i := range runs {
		run := &runs[i]
		state := &plan.RunState{
			Name: run.Name, Fingerprint: run.Spec.Fingerprint, Phase: run.Status.Phase,
			Reason: run.Status.Reason, Message: run.Status.Message, Progress: run.Status.Progress,
		}
		switch {
		case run.Name == w.runName(r):
			w.Run = state
		case !finished(run) && !run.Spec.Cancel:
			w.Other = state
		}
	}
	return nil
}

func finished(r *v1alpha1.Run) bool {
	switch r.Status.Phase {
	case v1alpha1.RunSucceeded, v1alpha1.RunFailed, v1alpha1.RunCancelled:
		return true
	}
	return false
}

// reads tells whether a change of the dataset may concern the report.
func reads(r *v1alpha1.Report, dataset string) bool {
	return len(r.Status.Inputs) == 0 || slices.Contains(r.Status.Inputs, dataset)
}
