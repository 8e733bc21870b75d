// SPDX-License-Identifier: Apache-2.0

// Package workspace keeps Workspace objects true: the namespace, who may do what in it, the identities of its pods, its
// pseudonym key, its bucket, and a default-deny network policy.
package workspace

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"fathom.dev/fathom/api/v1alpha1"
)

// Refresh is how often usage and isolation are looked at again.
const Refresh = 15 * time.Second

// Options is what the station works with. All fields are required.
type Options struct {
	Client client.Client
	Now    func() time.Time
	// CA is the certificate authority of Fathom's doors, PEM.
	CA []byte
	// EnsureBucket makes the workspace's bucket.
	EnsureBucket func(ctx context.Context, bucket string) error
	// Storage is how many bytes the versions of the workspace's datasets hold.
	Storage func(ctx context.Context, workspace string) (int64, error)
	// Isolation says what pods really get, and what is not enforced.
	Isolation func() string
}

// Station reconciles Workspaces.
type Station struct{ Options }

// New makes the station.
func New(o Options) *Station { return &Station{o} }

// SetupWithManager registers the station.
func (s *Station) SetupWithManager(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("workspace").
		For(&v1alpha1.Workspace{}).
		Complete(reconcile.AsReconciler(m.GetClient(), s))
}

// Reconcile makes what belongs to the workspace and writes the status once.
func (s *Station) Reconcile(ctx context.Context, w *v1alpha1.Workspace) (ctrl.Result, error) {
	if w.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	before := w.DeepCopy()
	err := s.make(ctx, w)
	reason, message := v1alpha1.ReasonReady, fmt.Sprintf("namespace %s is ready for %d members", w.Name, len(w.Spec.Members))
	if err != nil {
		reason, message = v1alpha1.ReasonFailed, err.Error()
	} else if err = s.measure(ctx, w); err != nil {
		return ctrl.Result{}, err
	}
	w.Status.ObservedGeneration, w.Status.Isolation = w.Generation, s.Isolation()
	v1alpha1.SetReady(&w.Status.Conditions, reason, message, w.Generation, s.Now())
	if !equality.Semantic.DeepEqual(before.Status, w.Status) {
		if patchErr := s.Client.Status().Patch(ctx, w, client.MergeFrom(before)); patchErr != nil {
			return ctrl.Result{}, client.IgnoreNotFound(patchErr)
		}
	}
	return ctrl.Result{RequeueAfter: Refresh}, err
}

func (s *Station) make(ctx context.Context, w *v1alpha1.Workspace) error {
	if err := s.namespace(ctx, w); err != nil {
		return err
	}
	for _, object := range s.objects(w) {
		if err := s.put(ctx, w, object); err != nil {
			return fmt.Errorf("%T %s: %w", object, object.GetName(), err)
		}
	}
	if err := s.bindings(ctx, w); err != nil {
		return err
	}
	if err := s.key(ctx, w); err != nil {
		return err
	}
	return s.EnsureBucket(ctx, w.Name)
}

// measure sums what the workspace's live pods ask for, and what its datasets hold.
func (s *Station) measure(ctx context.Context, w *v1alpha1.Workspace) error {
	var pods corev1.PodList
	if err := s.Client.List(ctx, &pods, client.InNamespace(w.Name)); err != nil {
		return err
	}
	cpu, memory := resource.NewMilliQuantity(0, resource.DecimalSI), resource.NewQuantity(0, resource.BinarySI)
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, c := range p.Spec.Containers {
			cpu.Add(*c.Resources.Requests.Cpu())
			memory.Add(*c.Resources.Requests.Memory())
		}
	}
	bytes, err := s.Storage(ctx, w.Name)
	if err != nil {
		return err
	}
	w.Status.Used = v1alpha1.Quota{CPU: cpu, Memory: memory, Storage: resource.NewQuantity(bytes, resource.BinarySI)}
	return nil
}
