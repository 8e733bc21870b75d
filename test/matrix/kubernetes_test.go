// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

// wishes are what members may want of the Kubernetes API itself: "verb resource", of group fathom.dev unless it says.
var wishes = []string{
	"get secrets.", "list secrets.", "create secrets.", "get configmaps.", "create configmaps.", "get pods.", "list pods.", "create pods.", "delete pods.",
	"get pods/log.", "create pods/exec.", "create pods/attach.", "create pods/portforward.", "patch pods/ephemeralcontainers.", "create services.",
	"get serviceaccounts.", "create serviceaccounts.", "create serviceaccounts/token.", "impersonate users.", "impersonate groups.",
	"create jobs.batch", "create deployments.apps", "create rolebindings.rbac.authorization.k8s.io", "escalate roles.rbac.authorization.k8s.io", "bind clusterroles.rbac.authorization.k8s.io",
	"update networkpolicies.networking.k8s.io", "delete networkpolicies.networking.k8s.io", "create certificatesigningrequests.certificates.k8s.io",
	"get datasets", "create datasets", "update datasets", "delete datasets", "update datasets/status", "get datasets/data", "get datasets/identified",
	"get models", "create models", "update models", "delete models", "update models/status", "update models/promotion", "get models/tracking", "update models/tracking",
	"create endpoints", "update endpoints/status", "create endpoints/predict", "create reports", "update reports/status",
	"get runs", "create runs", "update runs", "delete runs", "update runs/status", "get runs/log", "get runs/output", "update runs/output", "create runs/cancel",
	"get modelversions", "create modelversions", "update modelversions", "delete modelversions", "update modelversions/status", "patch modelversions/status", "get modelversions/files",
	"get workspaces", "list workspaces", "create workspaces", "update workspaces", "delete workspaces", "get workspaces/objects", "create workspaces/objects", "delete workspaces/objects", "create workspaces/bundles",
	"get workspaces/images", "create workspaces/images", "update workspaces/images", "delete workspaces/images",
}

// kubernetes asks the API server who may do what in the workspace.
func (w *world) kubernetes(t *testing.T) [][]string {
	who := map[string]authorizationv1.SubjectAccessReviewSpec{
		"other": {User: "olaf", Groups: []string{"others", "system:authenticated"}},
		"pod":   {User: "system:serviceaccount:clinic:code", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:clinic", "system:authenticated"}},
		"step":  {User: "system:serviceaccount:clinic:steps", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:clinic", "system:authenticated"}},
		"model": {User: "system:serviceaccount:clinic:endpoints", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:clinic", "system:authenticated"}},
	}
	names := []string{"other"}
	for _, role := range roles {
		who[role] = authorizationv1.SubjectAccessReviewSpec{User: "the " + role, Groups: []string{role + "s", "system:authenticated"}}
		names = append(names, role)
	}
	names = append(names, "pod", "step", "model")
	table := [][]string{append([]string{"verb", "resource"}, names...)}
	for _, wish := range wishes {
		verb, resource, _ := strings.Cut(wish, " ")
		what, group, named := strings.Cut(resource, ".")
		if !named {
			group = v1alpha1.GroupVersion.Group
		}
		kind, sub, _ := strings.Cut(what, "/")
		line := []string{verb, resource}
		for _, name := range names {
			spec := who[name]
			spec.ResourceAttributes = &authorizationv1.ResourceAttributes{Namespace: clinic, Verb: verb, Group: group, Resource: kind, Subresource: sub}
			review, err := w.Clientset.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			line = append(line, map[bool]string{true: "yes", false: "no"}[review.Status.Allowed])
		}
		table = append(table, line)
	}
	return table
}

// api tries for real what would get around the doors.
func (w *world) api(t *testing.T) {
	v := &v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Namespace: clinic, Name: "bypass-1", Labels: map[string]string{v1alpha1.LabelFor: "model.bypass"}},
		Spec: v1alpha1.ModelVersionSpec{Model: "bypass", Number: 1, Digest: "sha256:" + strings.Repeat("0", 64), Fingerprint: "f", Recipe: "r", Dataset: "d", DatasetVersion: 1,
			Evaluation: "sha256:" + strings.Repeat("0", 64)},
	}
	m := &v1alpha1.Model{
		ObjectMeta: metav1.ObjectMeta{Namespace: clinic, Name: "bypass"},
		Spec: v1alpha1.ModelSpec{
			Data:  v1alpha1.ModelData{Dataset: "nothing", Target: "t"},
			Train: v1alpha1.Train{Code: v1alpha1.Code{Path: "x", Command: []string{"true"}}},
		},
	}
	for _, object := range []client.Object{v, m} {
		if err := w.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	v.Status.Stage = v1alpha1.StageAwaiting
	if err := w.Client.Status().Update(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	promote := client.RawPatch(types.MergePatchType, []byte(`{"status":{"stage":"Production","approvedBy":"me"}}`))
	finish := client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Succeeded"}}`))
	for _, role := range append([]string{"other"}, roles...) {
		c := w.as(t, role)
		for what, try := range map[string]func() error{
			"promote by status":    func() error { return c.Status().Patch(t.Context(), v.DeepCopy(), promote) },
			"end a run by status":  func() error { return c.Status().Patch(t.Context(), w.run("other"), finish) },
			"read secrets":         func() error { return c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(clinic)) },
			"read all secrets":     func() error { return c.List(t.Context(), &corev1.SecretList{}) },
			"read another's runs":  func() error { return c.List(t.Context(), &v1alpha1.RunList{}, client.InNamespace("kube-system")) },
			"run as a trusted pod": func() error { return c.Create(t.Context(), pod("steps")) },
		} {
			if err := try(); !apierrors.IsForbidden(err) {
				t.Errorf("%s may %s: %v", role, what, err)
			}
		}
	}
	const path = "/api/workspaces/" + clinic + "/models/bypass/promotion"
	for _, role := range []string{"viewer", "editor", "steward", "other", "pod"} {
		if got := w.post(t, w.caller(role), path, `{"action":"approve","version":1}`); got != http.StatusForbidden {
			t.Errorf("%s approves: %d, want 403", role, got)
		}
	}
	w.Await("the approval", 10*time.Second, func(context.Context) (bool, error) { // until the door has seen the version
		return w.post(t, w.caller("approver"), path, `{"action":"approve","version":1}`) == http.StatusOK, nil
	})
	w.Get(clinic, v.Name, v)
	if v.Status.ApprovedBy != "the approver" {
		t.Errorf("the version was approved by %q", v.Status.ApprovedBy)
	}
}

func (w *world) run(name string) *v1alpha1.Run {
	return &v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: clinic, Name: name}}
}

func pod(account string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: clinic, GenerateName: "mine-"}, Spec: corev1.PodSpec{
		ServiceAccountName: account, Containers: []corev1.Container{{Name: "c", Image: "host", Command: []string{"true"}}}}}
}

// caller finds one of the certified by name.
func (w *world) caller(name string) caller {
	w.Helper()
	i := slices.IndexFunc(w.certified, func(c caller) bool { return c.name == name })
	if i < 0 {
		w.Fatalf("nobody is called %s", name)
	}
	return w.certified[i]
}

// as is a client of the Kubernetes API with the certificate of a role.
func (w *world) as(t *testing.T, role string) client.Client {
	t.Helper()
	user, group := "the "+role, role+"s"
	pair, err := w.authority.Client(user, []string{group}, certificateLife)
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: w.Config.Host, TLSClientConfig: rest.TLSClientConfig{CAData: w.CA, CertData: pair.Cert, KeyData: pair.Key}}
	c, err := client.New(config, client.Options{Scheme: w.Client.Scheme(), Mapper: w.Client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
