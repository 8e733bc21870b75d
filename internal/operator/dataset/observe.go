// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/source"
)

// work is an observation with what is needed to act on it.
type work struct {
	plan.Observation
	inputs []*v1alpha1.Dataset // datasets that are read, in order, without the consents
	// consents is the dataset of consents; nil without one.
	consents *v1alpha1.Dataset
	sources  []source.File
	asOf     time.Time // recipe's moment of judging consents; zero before a boundary was passed
	// reads names all datasets that are read, also those that are not there.
	reads []string
	// ended are runs for other fingerprints that have succeeded.
	ended []*v1alpha1.Run
	// lookAgain is when to reconcile without an event, if sooner than usual.
	lookAgain time.Duration
}

// Quiet is how long no file may have changed before a dataset of files is read, so that a copy under way is read once.
const Quiet = time.Second

func newest(files []source.File) time.Time {
	var t time.Time
	for _, f := range files {
		if f.Modified.After(t) {
			t = f.Modified
		}
	}
	return t
}

func nameOf(d *v1alpha1.Dataset) ref.Name { return ref.Name{Workspace: d.Namespace, Name: d.Name} }

// observe finds out what the dataset is made from and what is there already. An error is worth another try; what the
// person who declared the dataset must mend is in the observation.
func (s *Station) observe(ctx context.Context, d *v1alpha1.Dataset) (*work, error) {
	w := &work{}
	w.Current, w.CurrentVersion = d.Status.Fingerprint, d.Status.Version
	if err := s.observeInputs(ctx, d, w); err != nil {
		return refuse(w, err)
	}
	if w.Refusal != "" || len(w.Waiting) > 0 {
		return w, nil
	}
	recipe, err := s.recipe(ctx, d, w)
	if err != nil {
		return refuse(w, err)
	}
	if len(w.Waiting) > 0 {
		return w, nil
	}
	if err := s.want(ctx, d, w, recipe); err != nil {
		return nil, err
	}
	// A moment in the future is that of another clock and tells nothing.
	if age := s.Now().Sub(newest(w.sources)); age >= 0 && age < Quiet && d.Spec.From.Files != nil {
		w.Paused = "files are still arriving"
		w.lookAgain = Quiet
	}
	if err := s.observeRuns(ctx, d, w); err != nil {
		return nil, err
	}
	if d.Spec.From.Capture != nil {
		err = s.collect(ctx, d, w)
	}
	return w, err
}

// observeInputs finds the datasets that are read, and a cycle among them.
func (s *Station) observeInputs(ctx context.Context, d *v1alpha1.Dataset, w *work) error {
	var list v1alpha1.DatasetList
	if err := s.Client.List(ctx, &list, client.InNamespace(d.Namespace)); err != nil {
		return err
	}
	reads, err := s.reads(ctx, d, list.Items)
	if err != nil {
		return err
	}
	if cycle := s.graph(ctx, list.Items).Cycle(d.Name); cycle != nil {
		w.Refusal = "spec.from: " + plan.CycleMessage(cycle)
		return nil
	}
	byName := map[string]*v1alpha1.Dataset{}
	for i := range list.Items {
		byName[list.Items[i].Name] = &list.Items[i]
	}
	for _, name := range reads {
		w.inputs = append(w.inputs, w.input(byName, name))
	}
	if p := d.Spec.Privacy; p != nil && p.Consent != nil {
		w.consents = w.input(byName, p.Consent.Dataset)
	}
	w.reads = reads
	return nil
}

// refuse tells an Invalid error as the refusal; any other error is worth another try.
func refuse(w *work, err error) (*work, error) {
	if fault.Is(err, fault.Invalid) {
		w.Refusal = err.Error()
		return w, nil
	}
	return nil, err
}

// input finds a dataset that is read and notes when it is not there yet.
func (w *work) input(byName map[string]*v1alpha1.Dataset, name string) *v1alpha1.Dataset {
	in, ok := byName[name]
	if !ok {
		w.Waiting = append(w.Waiting, fmt.Sprintf("dataset %s: there is none%s", name, nearest(name, byName)))
		return nil
	}
	if reason, _ := v1alpha1.Ready(in.Status.Conditions); reason != v1alpha1.ReasonReady || in.Status.Version == 0 {
		if reason == "" {
			reason = "not looked at yet"
		}
		w.Waiting = append(w.Waiting, fmt.Sprintf("dataset %s: %s", name, reason))
	}
	return in
}

// recipe is everything that determines the wanted version.
func (s *Station) recipe(ctx context.Context, d *v1alpha1.Dataset, w *work) (plan.Recipe, error) {
	r := plan.Recipe{Spec: specOf(d)}
	for _, in := range w.inputs {
		r.Inputs = append(r.Inputs, plan.Input{Name: in.Name, Fingerprint: in.Status.Fingerprint})
	}
	from := d.Spec.From
	switch {
	case from.Files != nil:
		r.Kind = "ingest"
		if w.consents != nil {
			r.Inputs = append(r.Inputs, plan.Input{Name: w.consents.Name, Fingerprint: w.consents.Status.Fingerprint})
		}
		found, err := s.Sources.List(ctx, d.Namespace, from.Files.URL)
		if err != nil {
			return r, fault.Wrap(fault.KindOf(err), "spec.from.files.url", err)
		}
		if len(found) == 0 {
			w.Waiting = append(w.Waiting, fmt.Sprintf("files %s in bucket %s: none are there; put them with `fathom put`",
				from.Files.URL, d.Namespace))
		}
		w.sources = found
	case from.Query != nil:
		r.Kind = "transform"
	case from.Code != nil:
		r.Kind, r.Code, r.Requirements = "code", from.Code.Bundle, from.Code.Environment.Requirements
		return r, s.codeComplete(d.Namespace, from.Code)
	case from.Capture != nil:
		r.Kind = "capture"
		if err := s.captured(ctx, d, w); err != nil {
			return r, err
		}
	}
	for _, f := range w.sources {
		r.Files = append(r.Files, plan.SourceFile{Key: f.Key, Digest: string(f.Digest)})
	}
	return r, nil
}

// codeComplete reports what `fathom apply` fills in and kubectl does not.
func (s *Station) codeComplete(workspace string, c *v1alpha1.DatasetCode) error {
	switch {
	case c.Bundle == "":
		return fault.New(fault.Invalid, "spec.from.code.bundle", "the code is not uploaded").
			WithHint("apply with `fathom apply`, which uploads spec.from.code.path")
	case c.Environment.Python != "" && c.Environment.Requirements == "":
		return fault.New(fault.Invalid, "spec.from.code.environment.requirements", "%s is not uploaded", c.Environment.Python).
			WithHint("apply with `fathom apply`")
	}
	return s.uploaded(workspace, c.Bundle, c.Environment.Requirements)
}

// uploaded refuses digests of what other workspaces uploaded, as if they were of nothing.
func (s *Station) uploaded(workspace, bundle, requirements string) error {
	if s.Uploaded == nil {
		return nil
	}
	if err := s.Uploaded(workspace, bundle); err != nil {
		return fault.Wrap(fault.KindOf(err), "spec.from.code.bundle", err)
	}
	if requirements == "" {
		return nil
	}
	return fault.Wrap(fault.Invalid, "spec.from.code.environment.requirements", s.Uploaded(workspace, requirements))
}

// specOf is the part of the declaration that changes the result: not where code lay, not how much it may use.
func specOf(d *v1alpha1.Dataset) any {
	spec := d.Spec.DeepCopy()
	spec.Resources = v1alpha1.Resources{}
	if q := spec.From.Query; q != nil {
		q.File = ""
	}
	if c := spec.From.Code; c != nil {
		c.Path, c.Environment.Python = "", ""
	}
	return spec
}

// observeRuns looks for the run of the wanted fingerprint, and a live run for another one.
func (s *Station) observeRuns(ctx context.Context, d *v1alpha1.Dataset, w *work) error {
	var runs v1alpha1.RunList
	err := s.Client.List(ctx, &runs, client.InNamespace(d.Namespace), client.MatchingLabels{v1alpha1.LabelFor: "dataset." + d.Name})
	if err != nil {
		return err
	}
	wantedRun := plan.RunName(d.Name, w.Wanted, d.Annotations[v1alpha1.AnnotationRetry], "")
	for i := range runs.Items {
		r := &runs.Items[i]
		switch {
		case r.Name == wantedRun:
			w.Run = stateOf(r)
		case !finished(r) && !r.Spec.Cancel:
			w.Other = stateOf(r)
		case r.Status.Phase == v1alpha1.RunSucceeded:
			w.ended = append(w.ended, r)
		}
	}
	return nil
}

func stateOf(r *v1alpha1.Run) *plan.RunState {
	return &plan.RunState{
		Name: r.Name, Fingerprint: r.Spec.Fingerprint, Phase: r.Status.Phase,
		Reason: r.Status.Reason, Message: r.Status.Message, Progress: r.Status.Progress,
	}
}

func finished(r *v1alpha1.Run) bool {
	switch r.Status.Phase {
	case v1alpha1.RunSucceeded, v1alpha1.RunFailed, v1alpha1.RunCancelled:
		return true
	}
	return false
}

// nearest suggests a name that may have been meant, or what to do when none is near.
func nearest(name string, among map[string]*v1alpha1.Dataset) string {
	var names []string
	for n := range among {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if strings.HasPrefix(n, name) || strings.HasPrefix(name, n) || distance(n, name) <= 2 {
			return fmt.Sprintf(" (did you mean %s?)", n)
		}
	}
	return "; declare it, or correct the name"
}
