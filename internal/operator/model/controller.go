// SPDX-License-Identifier: Apache-2.0

// Package model keeps Model objects true: it splits the data by subject, trains one model a fold and a final one, has
// them evaluated on what each never saw, registers the result as a ModelVersion, and promotes it by rule.
package model

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/ref"
)

// Tracker is where trainings and versions are told to people's tools. Every call may be repeated.
type Tracker interface {
	// Begin returns the id of the tracking run with the name in the model's experiment, made on first use.
	Begin(ctx context.Context, model ref.Name, run string, params map[string]string) (string, error)
	// Finish logs metrics to a tracking run and ends it.
	Finish(ctx context.Context, model ref.Name, runID string, metrics map[string]float64) error
	// Register adds a version to the registry.
	Register(ctx context.Context, model ref.Name, number int64, runID string, digest ref.Digest) error
	// Promote points the alias "production" at a version.
	Promote(ctx context.Context, model ref.Name, number int64) error
}

// Options is what the station works with. All fields are required except URL and Uploaded.
type Options struct {
	Client  client.Client
	Lake    *lake.Store
	Tracker Tracker
	Now     func() time.Time
	// Uploaded is nil when the workspace has uploaded what a digest names, else Invalid. Nil: every digest will do.
	Uploaded func(workspace, digest string) error
	// URL is the address of a model's insight page.
	URL func(ref.Name) string
}

// Station reconciles Models.
type Station struct {
	Options
	told sync.Map // of ref.Name: number of the version that the tracker was told to be in production
}

// New makes the station.
func New(o Options) *Station { return &Station{Options: o} }

// SetupWithManager registers the station: it looks at a Model when the Model, its dataset, one of its runs or one of its
// versions changes.
func (s *Station) SetupWithManager(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("model").
		For(&v1alpha1.Model{}).
		Owns(&v1alpha1.Run{}).
		Owns(&v1alpha1.ModelVersion{}).
		Watches(&v1alpha1.Dataset{}, handler.EnqueueRequestsFromMapFunc(s.readers)).
		Complete(reconcile.AsReconciler(m.GetClient(), s))
}

func (s *Station) readers(ctx context.Context, changed client.Object) []reconcile.Request {
	var list v1alpha1.ModelList
	if err := s.Client.List(ctx, &list, client.InNamespace(changed.GetNamespace())); err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, m := range list.Items {
		if m.Spec.Data.Dataset == changed.GetName() {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: m.Namespace, Name: m.Name}})
		}
	}
	return out
}

// Reconcile judges versions that wait for it, then observes, decides and acts on the next version, and writes the status
// once.
func (s *Station) Reconcile(ctx context.Context, m *v1alpha1.Model) (ctrl.Result, error) {
	if m.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	before := m.DeepCopy()
	versions, err := s.versions(ctx, m)
	if err != nil {
		return ctrl.Result{}, err
	}
	w, err := s.observe(ctx, m, versions)
	if err != nil {
		return ctrl.Result{}, err
	}
	decision := plan.Decide(w.Observation)
	decision, actErr := s.act(ctx, m, w, decision)
	if actErr == nil {
		actErr = s.judge(ctx, m, w)
	}
	if actErr == nil && decision.Reason == v1alpha1.ReasonReady {
		actErr = s.forget(ctx, w) // not before its version is judged: that reads what the runs left
	}
	s.describe(m, w, decision)
	if current := w.version(w.CurrentVersion); actErr == nil && current != nil {
		m.Status.Fingerprint = current.Spec.Fingerprint
	}
	if !equality.Semantic.DeepEqual(before.Status, m.Status) {
		if err := s.Client.Status().Patch(ctx, m, client.MergeFrom(before)); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	return ctrl.Result{RequeueAfter: w.lookAgain}, actErr
}

func (s *Station) act(ctx context.Context, m *v1alpha1.Model, w *work, d plan.Decision) (plan.Decision, error) {
	switch d.Action {
	case plan.Start, plan.Watch:
		return wrong(d, s.advance(ctx, m, w))
	case plan.Replace, plan.Fail:
		return d, s.cancelOthers(ctx, w)
	case plan.Commit:
		if err := s.register(ctx, m, w); err != nil {
			return wrong(d, err)
		}
		w.CurrentVersion = w.newest()
		d.Message = fmt.Sprintf("registers version %d", w.CurrentVersion)
	case plan.Adopt:
		w.CurrentVersion, w.again = w.ExistingVersion, true
	}
	if d.Reason == v1alpha1.ReasonReady && len(w.others) > 0 { // what ran for another declaration is of no use
		return d, s.cancelOthers(ctx, w)
	}
	return d, nil
}

// wrong tells what the runs left wrong, such as no model, as a failure; any other error is worth another try.
func wrong(d plan.Decision, err error) (plan.Decision, error) {
	if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.TooLarge) {
		return d, err
	}
	return plan.Decision{Action: plan.Fail, Reason: v1alpha1.ReasonFailed,
		Message: err.Error() + "; then apply, or `fathom retry` it"}, nil
}

func nameOf(m *v1alpha1.Model) ref.Name { return ref.Name{Workspace: m.Namespace, Name: m.Name} }

// describe writes the status from what is known after acting.
func (s *Station) describe(m *v1alpha1.Model, w *work, d plan.Decision) {
	st := &m.Status
	st.ObservedGeneration, st.Wanted, st.Progress = m.Generation, w.Wanted, w.progress
	if s.URL != nil {
		st.URL = s.URL(nameOf(m))
	}
	reason, message := d.Reason, d.Message
	if production := w.production(); production != nil {
		st.Promoted = production.Spec.Number
	} else {
		st.Promoted = 0
	}
	if v := w.version(w.CurrentVersion); v != nil {
		st.Latest = w.newest()
		st.Headline, st.Metrics, st.Why = v.Status.Headline, v.Status.Metrics, v.Status.Why
		created := v.CreationTimestamp
		st.TrainedAt = &created
		if reason == v1alpha1.ReasonReady {
			reason, message = verdict(v, st.Promoted)
			if w.Resting != "" && d.Action == plan.Wait {
				message += "; " + w.Resting
			}
		}
	}
	v1alpha1.SetReady(&st.Conditions, reason, message, m.Generation, s.Now())
}

// verdict tells where the declared version stands. A refused version is no failure of the Model while another one serves.
func verdict(v *v1alpha1.ModelVersion, promoted int64) (reason, message string) {
	number := v.Spec.Number
	switch v.Status.Stage {
	case v1alpha1.StageProduction:
		return v1alpha1.ReasonReady, fmt.Sprintf("version %d is in production: %s", number, v.Status.Why)
	case v1alpha1.StageAwaiting:
		return v1alpha1.ReasonAwaitingApproval, fmt.Sprintf(
			"version %d keeps the rules and awaits approval: `fathom promote %s --version %d`", number, v.Spec.Model, number)
	case v1alpha1.StageRefused:
		if promoted > 0 {
			return v1alpha1.ReasonReady, fmt.Sprintf("version %d stays in production; version %d was refused: %s",
				promoted, number, v.Status.Why)
		}
		return v1alpha1.ReasonRefused, fmt.Sprintf("version %d was refused: %s", number, v.Status.Why)
	case v1alpha1.StageArchived:
		return v1alpha1.ReasonReady, fmt.Sprintf("version %d is in production; version %d is archived: %s",
			promoted, number, v.Status.Why)
	}
	return v1alpha1.ReasonRunning, fmt.Sprintf("version %d is being judged", number)
}
