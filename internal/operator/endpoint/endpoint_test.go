// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/ref"
)

// world is an API without controllers; the test plays the Deployments' and the clock.
type world struct {
	*testing.T
	client.Client
	s      *Station
	now    time.Time
	writes []string
}

func newWorld(t *testing.T, e *v1alpha1.Endpoint, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	wrote := func(verb string, o client.Object) {
		w.writes = append(w.writes, fmt.Sprintf("%s %T %s", verb, o, o.GetName()))
	}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, e)...).
		WithStatusSubresource(&v1alpha1.Endpoint{}, &v1alpha1.Model{}, &appsv1.Deployment{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				wrote("create", o)
				return c.Create(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				wrote("patch", o)
				return c.Patch(ctx, o, p, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				wrote("delete", o)
				return c.Delete(ctx, o, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				wrote(sub, o)
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	w.s = New(Options{Client: w.Client, Now: func() time.Time { return w.now }, Image: "host",
		URL: func(n ref.Name) string { return "https://fathom.test/endpoints/" + n.String() }, Door: func() string { return "https://10.0.0.1:7443" }})
	return w
}

func declared(change ...func(*v1alpha1.Endpoint)) *v1alpha1.Endpoint {
	e := &v1alpha1.Endpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "parkinsons", Generation: 1},
		Spec: v1alpha1.EndpointSpec{Model: "parkinsons", Scale: v1alpha1.Scale{Min: 2, Max: 2, Concurrency: 8}}}
	for _, c := range change {
		c(e)
	}
	return e
}

// model is a Model with this version in production, and its versions.
func model(promoted int64, versions ...int64) []client.Object {
	m := &v1alpha1.Model{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "parkinsons"}}
	m.Status.Promoted = promoted
	out := []client.Object{m}
	for _, number := range versions {
		m.Status.Latest = max(m.Status.Latest, number)
		out = append(out, &v1alpha1.ModelVersion{
			ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: fmt.Sprintf("parkinsons-%d", number)},
			Spec:       v1alpha1.ModelVersionSpec{Model: "parkinsons", Number: number},
		})
	}
	v1alpha1.SetReady(&m.Status.Conditions, v1alpha1.ReasonRefused, "", 1, time.Time{})
	return out
}

func (w *world) get() *v1alpha1.Endpoint {
	w.Helper()
	var e v1alpha1.Endpoint
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "neurology", Name: "parkinsons"}, &e); err != nil {
		w.Fatal(err)
	}
	return &e
}

// want reconciles once and compares the condition.
func (w *world) want(reason, message string) *v1alpha1.Endpoint {
	w.Helper()
	w.writes = nil
	if _, err := w.s.Reconcile(w.Context(), w.get()); err != nil {
		w.Fatal(err)
	}
	e := w.get()
	gotReason, gotMessage := v1alpha1.Ready(e.Status.Conditions)
	if gotReason != reason || !strings.Contains(gotMessage, message) {
		w.Fatalf("it is %s: %s\nwant %s: …%s…", gotReason, gotMessage, reason, message)
	}
	return e
}

// quiet reconciles once and expects that nothing is written.
func (w *world) quiet() {
	w.Helper()
	w.writes = nil
	if _, err := w.s.Reconcile(w.Context(), w.get()); err != nil || len(w.writes) > 0 {
		w.Errorf("a look at what is true wrote %q, %v", w.writes, err)
	}
}

// promote plays the Model station.
func (w *world) promote(number int64) {
	w.Helper()
	var m v1alpha1.Model
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "neurology", Name: "parkinsons"}, &m); err != nil {
		w.Fatal(err)
	}
	m.Status.Promoted = number
	if err := w.Status().Update(w.Context(), &m); err != nil {
		w.Fatal(err)
	}
}

func (w *world) deployment(number int64) *appsv1.Deployment {
	w.Helper()
	var d appsv1.Deployment
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: "neurology", Name: fmt.Sprintf("parkinsons-v%d", number)}, &d); err != nil {
		w.Fatal(err)
	}
	return &d
}

// deployments are the names of all that there are.
func (w *world) deployments() string {
	w.Helper()
	var list appsv1.DeploymentList
	if err := w.List(w.Context(), &list); err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, d := range list.Items {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// ready plays Kubernetes: so many replicas of a version are ready.
func (w *world) ready(number int64, replicas int32, conditions ...appsv1.DeploymentCondition) {
	w.Helper()
	d := w.deployment(number)
	d.Status.ReadyReplicas, d.Status.Conditions = replicas, conditions
	if err := w.Status().Update(w.Context(), d); err != nil {
		w.Fatal(err)
	}
}

func (w *world) change(change func(*v1alpha1.Endpoint)) {
	w.Helper()
	e := w.get()
	change(e)
	if err := w.Update(w.Context(), e); err != nil {
		w.Fatal(err)
	}
}

// TestSwitch follows an endpoint from its first version to its second: traffic moves only to replicas that are ready, and the
// old ones go only after their requests have ended.
func TestSwitch(t *testing.T) {
	w := newWorld(t, declared(), model(0, 1)...)
	w.want(v1alpha1.ReasonWaiting, "waits for model parkinsons: no version is in production yet (Refused)")
	if w.deployments() != "" {
		t.Fatal("something was deployed")
	}
	w.promote(1)
	e := w.want(v1alpha1.ReasonRunning, "brings up version 1: 0 of 2 replicas are ready")
	if e.Status.Next != 1 || e.Status.Version != 0 || e.Status.URL != "https://fathom.test/endpoints/neurology/parkinsons" || len(w.writes) != 2 {
		t.Errorf("status %+v after %q", e.Status, w.writes)
	}
	w.quiet()
	d := w.deployment(1)
	pod := d.Spec.Template.Spec
	env := map[string]string{}
	for _, v := range pod.Containers[0].Env {
		env[v.Name] = v.Value
	}
	if *d.Spec.Replicas != 2 || d.OwnerReferences[0].Name != "parkinsons" || d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 ||
		env["FATHOM_MODEL_URL"] != "https://10.0.0.1:7443/api/workspaces/neurology/modelversions/parkinsons-1/files" || env["FATHOM_MODEL_VERSION"] != "1" || env["FATHOM_CONCURRENCY"] != "8" {
		t.Errorf("deployment %+v, env %v", d.Spec, env)
	}
	if *pod.AutomountServiceAccountToken || !*pod.SecurityContext.RunAsNonRoot || !*pod.Containers[0].SecurityContext.ReadOnlyRootFilesystem || pod.ServiceAccountName != "endpoints" {
		t.Errorf("the pod may too much: %+v", pod)
	}
	w.ready(1, 1)
	w.want(v1alpha1.ReasonRunning, "1 of 2 replicas are ready")
	w.ready(1, 2)
	e = w.want(v1alpha1.ReasonReady, "serves version 1 with 2 of 2 replicas")
	if e.Status.Version != 1 || e.Status.Next != 0 || e.Status.Replicas != "2/2" || e.Status.SwitchedAt == nil {
		t.Errorf("status %+v", e.Status)
	}
	w.quiet()
	w.switchOver()
}

// switchOver promotes a second version and follows the traffic to it.
func (w *world) switchOver() {
	w.Helper()
	w.now = w.now.Add(time.Hour)
	w.promote(2)
	w.want(v1alpha1.ReasonInvalid, "has no version 2")
	if err := w.Create(w.Context(), model(2, 2)[1]); err != nil {
		w.Fatal(err)
	}
	e := w.want(v1alpha1.ReasonRunning, "brings up version 2: 0 of 2 replicas are ready; version 1 goes on serving")
	if e.Status.Version != 1 || e.Status.Next != 2 {
		w.Errorf("status %+v", e.Status)
	}
	w.ready(2, 0, appsv1.DeploymentCondition{Type: appsv1.DeploymentReplicaFailure, Status: "True", Message: "no room for the pod"})
	w.want(v1alpha1.ReasonRunning, "(no room for the pod); version 1 goes on serving")
	w.ready(2, 2)
	if e = w.want(v1alpha1.ReasonReady, "serves version 2"); e.Status.Version != 2 || !e.Status.SwitchedAt.Time.Equal(w.now) {
		w.Errorf("status %+v", e.Status)
	}
	if w.deployments() != "parkinsons-v1 parkinsons-v2" {
		w.Fatalf("the old version's requests were cut: %s", w.deployments())
	}
	w.now = w.now.Add(Drain - time.Second)
	result, err := w.s.Reconcile(w.Context(), w.get())
	if err != nil || result.RequeueAfter != time.Second || w.deployments() != "parkinsons-v1 parkinsons-v2" {
		w.Errorf("%+v, %v, %s", result, err, w.deployments())
	}
	w.now = w.now.Add(time.Second)
	w.want(v1alpha1.ReasonReady, "serves version 2")
	if w.deployments() != "parkinsons-v2" {
		w.Errorf("left: %s", w.deployments())
	}
	w.quiet()
}

// TestPin: a pinned version is served whatever is promoted; one that does not exist changes nothing.
func TestPin(t *testing.T) {
	pin := func(number int64) func(*v1alpha1.Endpoint) {
		return func(e *v1alpha1.Endpoint) { e.Spec.Version = &number }
	}
	w := newWorld(t, declared(pin(1)), model(2, 1, 2)...)
	w.want(v1alpha1.ReasonRunning, "brings up version 1")
	w.ready(1, 2)
	w.want(v1alpha1.ReasonReady, "serves version 1")
	w.change(pin(7))
	if e := w.want(v1alpha1.ReasonInvalid, "spec.version: model parkinsons has no version 7; its latest is 2; version 1 goes on serving"); e.Status.Version != 1 || w.deployments() != "parkinsons-v1" {
		t.Errorf("status %+v, %s", e.Status, w.deployments())
	}
	w.change(func(e *v1alpha1.Endpoint) { e.Spec.Version = nil })
	w.want(v1alpha1.ReasonRunning, "brings up version 2")
	// Back before the second is up: nothing was switched, and what came up goes.
	w.change(pin(1))
	w.now = w.now.Add(time.Hour)
	w.want(v1alpha1.ReasonReady, "serves version 1")
	w.want(v1alpha1.ReasonReady, "serves version 1")
	if w.deployments() != "parkinsons-v1" {
		t.Errorf("left: %s", w.deployments())
	}
}

// TestDeclarationChanges: replicas and resources reach the Deployment that serves.
func TestDeclarationChanges(t *testing.T) {
	w := newWorld(t, declared(), model(1, 1)...)
	w.want(v1alpha1.ReasonRunning, "")
	w.ready(1, 2)
	w.want(v1alpha1.ReasonReady, "2 of 2 replicas")
	memory := resource.MustParse("1Gi")
	w.change(func(e *v1alpha1.Endpoint) {
		e.Spec.Scale.Min, e.Spec.Scale.Max, e.Spec.Scale.Concurrency, e.Spec.Resources.Memory = 3, 3, 16, &memory
	})
	if e := w.want(v1alpha1.ReasonReady, "serves version 1 with 2 of 3 replicas"); e.Status.Replicas != "2/3" {
		t.Errorf("replicas %s", e.Status.Replicas)
	}
	d := w.deployment(1)
	if c := d.Spec.Template.Spec.Containers[0]; *d.Spec.Replicas != 3 || !c.Resources.Limits.Memory().Equal(memory) {
		t.Errorf("deployment %+v", d.Spec)
	}
	w.quiet()
	// All replicas are gone for a moment: it says so and does not pretend.
	w.ready(1, 0)
	w.want(v1alpha1.ReasonRunning, "brings up version 1: 0 of 3 replicas are ready")
}

// TestNoModel: a model that is not there, or is deleted while its version serves.
func TestNoModel(t *testing.T) {
	w := newWorld(t, declared())
	w.want(v1alpha1.ReasonWaiting, "waits for model parkinsons: there is none")
	w = newWorld(t, declared(), model(1, 1)...)
	w.want(v1alpha1.ReasonRunning, "")
	w.ready(1, 2)
	w.want(v1alpha1.ReasonReady, "")
	if err := w.Delete(t.Context(), model(1)[0]); err != nil {
		t.Fatal(err)
	}
	if e := w.want(v1alpha1.ReasonWaiting, "there is none; declare it, or correct spec.model; version 1 goes on serving"); e.Status.Version != 1 || w.deployments() != "parkinsons-v1" {
		t.Errorf("status %+v, %s", e.Status, w.deployments())
	}
}

// TestCapture: an endpoint that captures declares the dataset of its traffic once, and leaves one that is there alone.
func TestCapture(t *testing.T) {
	w := newWorld(t, declared(func(e *v1alpha1.Endpoint) { e.Spec.Capture = &v1alpha1.Capture{} }), model(1, 1)...)
	w.want(v1alpha1.ReasonRunning, "")
	var d v1alpha1.Dataset
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "neurology", Name: "parkinsons-requests"}, &d); err != nil || d.Spec.From.Capture.Endpoint != "parkinsons" {
		t.Fatalf("dataset %+v, %v", d.Spec, err)
	}
	w.quiet()
	if got := w.s.followers(t.Context(), model(1)[0]); len(got) != 1 {
		t.Errorf("%d endpoints follow the model", len(got))
	}
}
