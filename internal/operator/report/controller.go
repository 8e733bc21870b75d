// SPDX-License-Identifier: Apache-2.0

// Package report keeps Report objects true: it reads the page, finds the datasets that its SQL reads, and has it rendered
// again whenever the page or one of them has a new version.
package report

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// Options is what the station works with. All fields but URL are required.
type Options struct {
	Client client.Client
	Lake   *lake.Store
	// Check parses SQL and finds its tables and mistakes.
	Check func(context.Context, query.CheckParams) (query.Checked, error)
	Now   func() time.Time
	// Uploaded is nil when the workspace has uploaded what a digest names, else Invalid. Nil: every digest will do.
	Uploaded func(workspace, digest string) error
	// URL is the address of a report's page.
	URL func(ref.Name) string
}

// Station reconciles Reports.
type Station struct {
	Options
	pages *pageCache
}

// New makes the station.
func New(o Options) *Station { return &Station{Options: o, pages: newPageCache()} }

// SetupWithManager registers the station: it looks at a Report when the Report, its run, or a dataset of its workspace
// changes.
func (s *Station) SetupWithManager(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("report").
		For(&v1alpha1.Report{}).
		Owns(&v1alpha1.Run{}).
		Watches(&v1alpha1.Dataset{}, handler.EnqueueRequestsFromMapFunc(s.readers)).
		Complete(reconcile.AsReconciler(m.GetClient(), s))
}

// readers maps a dataset to the reports of its workspace that read it, and to those whose page was not read yet.
func (s *Station) readers(ctx context.Context, changed client.Object) []reconcile.Request {
	var list v1alpha1.ReportList
	if err := s.Client.List(ctx, &list, client.InNamespace(changed.GetNamespace())); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if r := &list.Items[i]; reads(r, changed.GetName()) {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: r.Namespace, Name: r.Name}})
		}
	}
	return out
}

// Reconcile observes, decides, acts, and writes the status once.
func (s *Station) Reconcile(ctx context.Context, r *v1alpha1.Report) (ctrl.Result, error) {
	if r.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	before := r.DeepCopy()
	w, err := s.observe(ctx, r)
	if err != nil {
		return ctrl.Result{}, err
	}
	decision, actErr := s.act(ctx, r, w, plan.Decide(w.Observation))
	s.describe(r, w, decision)
	if !equality.Semantic.DeepEqual(before.Status, r.Status) {
		if err := s.Client.Status().Patch(ctx, r, client.MergeFrom(before)); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	return ctrl.Result{}, actErr
}

// act does what was decided and returns the decision to tell, which a commit changes.
func (s *Station) act(ctx context.Context, r *v1alpha1.Report, w *work, d plan.Decision) (plan.Decision, error) {
	switch d.Action {
	case plan.Start:
		return d, s.start(ctx, r, w)
	case plan.Replace:
		return d, s.cancel(ctx, r.Namespace, w.Other.Name)
	case plan.Commit:
		return s.commit(ctx, r, w)
	case plan.Keep:
		return d, s.forget(ctx, r)
	}
	return d, nil
}

func (s *Station) describe(r *v1alpha1.Report, w *work, d plan.Decision) {
	st := &r.Status
	st.ObservedGeneration = r.Generation
	st.Run = ""
	if w.Run != nil && d.Action == plan.Watch || d.Action == plan.Start {
		st.Run = w.runName(r)
	}
	if w.read {
		st.Inputs = w.names
	}
	message := d.Message
	if d.Reason != v1alpha1.ReasonReady && st.Version > 0 {
		message += fmt.Sprintf("; version %d stays on show", st.Version)
	}
	v1alpha1.SetReady(&st.Conditions, d.Reason, message, r.Generation, s.Now())
}
