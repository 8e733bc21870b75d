// SPDX-License-Identifier: Apache-2.0

// Package dataset keeps Dataset objects true: it observes what a dataset is made from, decides with package plan, starts
// a Run where something must be made, and commits the run's output as one version of the lake.
package dataset

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/query"
	files "fathom.dev/fathom/internal/source"
)

// Options is what the station works with. All fields but SourceEvents are required.
type Options struct {
	Client client.Client
	Lake   *lake.Store
	// Sources lists the files of the workspaces' buckets.
	Sources *files.Index
	// Check parses SQL and finds its tables and mistakes.
	Check func(context.Context, query.CheckParams) (query.Checked, error)
	// Captured lists the files of captured traffic of an endpoint, oldest first.
	Captured func(ctx context.Context, workspace, endpoint string) ([]lake.File, error)
	// Uploaded is nil when the workspace has uploaded what a digest names, else Invalid. Nil: every digest will do.
	Uploaded func(workspace, digest string) error
	Now      func() time.Time
	// SourceEvents tells that files of a workspace changed: the object's namespace is the workspace.
	SourceEvents <-chan event.GenericEvent
	// Rescan is how often sources are listed again in case an event was missed. Zero: 30 s.
	Rescan time.Duration
}

// Station reconciles Datasets.
type Station struct {
	Options
	checks checkCache
}

// New makes the station.
func New(o Options) *Station {
	if o.Rescan == 0 {
		o.Rescan = 30 * time.Second
	}
	return &Station{Options: o, checks: newCheckCache(o.Check)}
}

// SetupWithManager registers the station: it looks at a Dataset when the Dataset, one that it reads, its run, or a source
// file changes.
func (s *Station) SetupWithManager(m ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(m).Named("dataset").
		For(&v1alpha1.Dataset{}).
		Owns(&v1alpha1.Run{}).
		Watches(&v1alpha1.Dataset{}, handler.EnqueueRequestsFromMapFunc(s.readers))
	if s.SourceEvents != nil {
		b = b.WatchesRawSource(source.Channel(s.SourceEvents, handler.EnqueueRequestsFromMapFunc(s.fileDatasets)))
	}
	return b.Complete(reconcile.AsReconciler(m.GetClient(), s))
}

// Reconcile observes, decides, acts, and writes the status once.
func (s *Station) Reconcile(ctx context.Context, d *v1alpha1.Dataset) (ctrl.Result, error) {
	if d.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	before := d.DeepCopy()
	w, err := s.observe(ctx, d)
	if err != nil {
		return ctrl.Result{}, err
	}
	decision := plan.Decide(w.Observation)
	decision, actErr := s.act(ctx, d, w, decision)
	s.describe(d, w, decision)
	if !equality.Semantic.DeepEqual(before.Status, d.Status) {
		if err := s.Client.Status().Patch(ctx, d, client.MergeFrom(before)); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	return s.next(d, w), actErr
}

// act does what was decided and returns the decision to tell, which a commit changes.
func (s *Station) act(ctx context.Context, d *v1alpha1.Dataset, w *work, decision plan.Decision) (plan.Decision, error) {
	switch decision.Action {
	case plan.Adopt:
		v, err := s.Lake.ByFingerprint(ctx, nameOf(d), w.Wanted)
		if err != nil {
			return decision, err
		}
		return decision, s.use(ctx, d, v)
	case plan.Start:
		return decision, s.start(ctx, d, w)
	case plan.Replace:
		return decision, s.cancel(ctx, d.Namespace, w.Other.Name)
	case plan.Commit:
		return s.commit(ctx, d, w)
	case plan.Keep:
		if w.Other != nil {
			return decision, s.cancel(ctx, d.Namespace, w.Other.Name)
		}
		return decision, s.forget(ctx, d)
	case plan.Wait:
		if w.Resting != "" {
			return decision, s.forget(ctx, d)
		}
	}
	return decision, nil
}

func (s *Station) describe(d *v1alpha1.Dataset, w *work, decision plan.Decision) {
	d.Status.ObservedGeneration = d.Generation
	d.Status.Wanted = w.Wanted
	if decision.Action != plan.Refuse {
		d.Status.Inputs = w.reads
	}
	d.Status.Run = ""
	if w.Run != nil && decision.Action == plan.Watch || decision.Action == plan.Start {
		d.Status.Run = plan.RunName(d.Name, w.Wanted, d.Annotations[v1alpha1.AnnotationRetry], "")
	}
	message := decision.Message
	if decision.Reason != v1alpha1.ReasonReady && d.Status.Version > 0 {
		message += stillServed(d.Status.Version)
	}
	v1alpha1.SetReady(&d.Status.Conditions, decision.Reason, message, d.Generation, s.Now())
}

// next is when to look again without an event: for files, and when a consent begins or ends.
func (s *Station) next(d *v1alpha1.Dataset, w *work) ctrl.Result {
	after := w.lookAgain
	if after == 0 && (d.Spec.From.Files != nil || d.Spec.From.Capture != nil) {
		after = s.Rescan
	}
	if d.Status.RefreshAfter != nil {
		if until := d.Status.RefreshAfter.Sub(s.Now()); after == 0 || until < after {
			after = max(until, time.Second)
		}
	}
	return ctrl.Result{RequeueAfter: after}
}

// readers maps a dataset to the datasets of its workspace that may read it.
func (s *Station) readers(ctx context.Context, changed client.Object) []reconcile.Request {
	return s.requests(ctx, changed.GetNamespace(), func(d *v1alpha1.Dataset) bool {
		return d.Name != changed.GetName() && d.Spec.From.Capture == nil
	})
}

// fileDatasets maps a change in a bucket to the datasets that read files.
func (s *Station) fileDatasets(ctx context.Context, changed client.Object) []reconcile.Request {
	return s.requests(ctx, changed.GetNamespace(), func(d *v1alpha1.Dataset) bool {
		return d.Spec.From.Files != nil || d.Spec.From.Capture != nil
	})
}

func (s *Station) requests(ctx context.Context, namespace string, want func(*v1alpha1.Dataset) bool) []reconcile.Request {
	var list v1alpha1.DatasetList
	if err := s.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if want(&list.Items[i]) {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{
				Namespace: namespace, Name: list.Items[i].Name,
			}})
		}
	}
	return out
}
