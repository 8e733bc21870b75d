// SPDX-License-Identifier: Apache-2.0

// Package endpoint keeps Endpoint objects true: one Deployment a served version, and a switch of traffic only after the
// new version's replicas are ready.
package endpoint

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/ref"
)

// Drain is how long a replaced version's pods live on after the switch, for requests that are under way.
const Drain = 15 * time.Second

// Options is what the station works with. All fields are required.
type Options struct {
	Client client.Client
	Now    func() time.Time
	// URL is the address that clients call for an endpoint.
	URL func(ref.Name) string
	// Door is the address of Fathom's doors as pods see it, for example "https://10.1.2.1:7443".
	Door func() string
	// Image of the pods.
	Image string
}

// Station reconciles Endpoints.
type Station struct{ Options }

// New makes the station.
func New(o Options) *Station { return &Station{o} }

// SetupWithManager registers the station: it looks at an Endpoint when the Endpoint, one of its Deployments, its model or
// a version of it changes.
func (s *Station) SetupWithManager(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("endpoint").
		For(&v1alpha1.Endpoint{}).
		Owns(&appsv1.Deployment{}).
		Owns(&v1alpha1.Dataset{}).
		Watches(&v1alpha1.Model{}, handler.EnqueueRequestsFromMapFunc(s.followers)).
		Complete(reconcile.AsReconciler(m.GetClient(), s))
}

func (s *Station) followers(ctx context.Context, changed client.Object) []reconcile.Request {
	var list v1alpha1.EndpointList
	if err := s.Client.List(ctx, &list, client.InNamespace(changed.GetNamespace())); err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, e := range list.Items {
		if e.Spec.Model == changed.GetName() {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: e.Namespace, Name: e.Name}})
		}
	}
	return out
}

// Reconcile observes, plans, applies, and writes the status once.
func (s *Station) Reconcile(ctx context.Context, e *v1alpha1.Endpoint) (ctrl.Result, error) {
	if e.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	before := e.DeepCopy()
	o, err := s.observe(ctx, e)
	if err != nil {
		return ctrl.Result{}, err
	}
	p := decide(o, s.Now())
	if err := s.apply(ctx, e, o, p); err != nil {
		return ctrl.Result{}, err
	}
	s.describe(e, o, p)
	if !equality.Semantic.DeepEqual(before.Status, e.Status) {
		if err := s.Client.Status().Patch(ctx, e, client.MergeFrom(before)); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	return ctrl.Result{RequeueAfter: p.lookAgain}, nil
}

// observe finds the wanted version and the Deployments that exist.
func (s *Station) observe(ctx context.Context, e *v1alpha1.Endpoint) (observation, error) {
	o := observation{current: e.Status.Version, replicas: e.Spec.Scale.Min, deployments: map[int64]deployment{}}
	if e.Status.SwitchedAt != nil {
		o.switchedAt = e.Status.SwitchedAt.Time
	}
	var list appsv1.DeploymentList
	err := s.Client.List(ctx, &list, client.InNamespace(e.Namespace), client.MatchingLabels{v1alpha1.LabelEndpoint: e.Name})
	if err != nil {
		return o, err
	}
	for i := range list.Items {
		d := &list.Items[i]
		var number int64
		if _, err := fmt.Sscan(d.Labels[v1alpha1.LabelModelVersion], &number); err != nil || d.DeletionTimestamp != nil {
			continue
		}
		o.deployments[number] = deployment{ready: d.Status.ReadyReplicas, want: *d.Spec.Replicas, message: problem(d)}
	}
	return o, s.observeModel(ctx, e, &o)
}

// observeModel finds the version to serve: the pinned or the promoted one.
func (s *Station) observeModel(ctx context.Context, e *v1alpha1.Endpoint, o *observation) error {
	var m v1alpha1.Model
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: e.Namespace, Name: e.Spec.Model}, &m)
	if apierrors.IsNotFound(err) {
		o.waiting = fmt.Sprintf("waits for model %s: there is none; declare it, or correct spec.model", e.Spec.Model)
		return nil
	} else if err != nil {
		return err
	}
	o.wanted = m.Status.Promoted
	if e.Spec.Version != nil {
		o.wanted = *e.Spec.Version
	}
	if o.wanted == 0 {
		reason, _ := v1alpha1.Ready(m.Status.Conditions)
		o.waiting = fmt.Sprintf("waits for model %s: no version is in production yet (%s)", e.Spec.Model, reason)
		return nil
	}
	var v v1alpha1.ModelVersion
	name := fmt.Sprintf("%s-%d", e.Spec.Model, o.wanted)
	err = s.Client.Get(ctx, types.NamespacedName{Namespace: e.Namespace, Name: name}, &v)
	if apierrors.IsNotFound(err) {
		o.refusal = fmt.Sprintf("spec.version: model %s has no version %d; its latest is %d", e.Spec.Model, o.wanted, m.Status.Latest)
		return nil
	}
	return err
}

func problem(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure || c.Type == appsv1.DeploymentProgressing && c.Status == "False" {
			return c.Message
		}
	}
	return ""
}

func (s *Station) apply(ctx context.Context, e *v1alpha1.Endpoint, o observation, p step) error {
	if p.bringUp != 0 {
		if err := s.deploy(ctx, e, p.bringUp); err != nil {
			return err
		}
	}
	for _, number := range p.remove {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: deploymentName(e, number)}}
		if err := s.Client.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	if e.Spec.Capture != nil {
		return s.captureDataset(ctx, e)
	}
	return nil
}

func (s *Station) describe(e *v1alpha1.Endpoint, o observation, p step) {
	st := &e.Status
	st.ObservedGeneration, st.URL, st.Next = e.Generation, s.URL(ref.Name{Workspace: e.Namespace, Name: e.Name}), p.next
	if p.switchTo != 0 {
		now := metav1.NewTime(s.Now().Truncate(time.Second))
		st.Version, st.SwitchedAt = p.switchTo, &now
	}
	if st.Version != 0 {
		d := o.deployments[st.Version]
		st.Replicas = fmt.Sprintf("%d/%d", d.ready, e.Spec.Scale.Min)
	}
	v1alpha1.SetReady(&st.Conditions, p.reason, p.message, e.Generation, s.Now())
}
