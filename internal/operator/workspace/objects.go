// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"fathom.dev/fathom/api/v1alpha1"
)

// Identities of a workspace's pods. Each may do only what its kind of pod needs.
const (
	// AccountSteps runs Fathom's own steps.
	AccountSteps = "steps"
	// AccountCode runs the users' code.
	AccountCode = "code"
	// AccountEndpoints runs model servers.
	AccountEndpoints = "endpoints"
)

// pseudonymSecret is agreed with the Dataset station.
const pseudonymSecret = "fathom-pseudonyms"

func owner(w *v1alpha1.Workspace) []metav1.OwnerReference {
	return []metav1.OwnerReference{*metav1.NewControllerRef(w, v1alpha1.GroupVersion.WithKind("Workspace"))}
}

// namespace makes the namespace. One that exists and is not a workspace's is left alone.
func (s *Station) namespace(ctx context.Context, w *v1alpha1.Workspace) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Name}}
	_, err := controllerutil.CreateOrUpdate(ctx, s.Client, ns, func() error {
		if ns.ResourceVersion != "" && ns.Labels[v1alpha1.LabelWorkspace] == "" {
			return fmt.Errorf("namespace %s exists and is no workspace; name the workspace otherwise, or label the namespace %s=true",
				w.Name, v1alpha1.LabelWorkspace)
		}
		if ns.Labels == nil {
			ns.Labels = map[string]string{}
		}
		ns.Labels[v1alpha1.LabelWorkspace] = "true"
		for _, mode := range []string{"enforce", "warn"} {
			ns.Labels["pod-security.kubernetes.io/"+mode] = "restricted"
		}
		ns.OwnerReferences = owner(w)
		return nil
	})
	return err
}

// objects are what every workspace has.
func (s *Station) objects(w *v1alpha1.Workspace) []client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: w.Name, Name: name} }
	no := false
	out := []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta("fathom-ca"), Data: map[string]string{"ca.crt": string(s.CA)}},
		&networkingv1.NetworkPolicy{ObjectMeta: meta("default-deny"), Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		}},
	}
	for _, account := range []string{AccountSteps, AccountCode, AccountEndpoints} {
		out = append(out,
			&corev1.ServiceAccount{ObjectMeta: meta(account), AutomountServiceAccountToken: &no},
			&rbacv1.RoleBinding{
				ObjectMeta: meta("fathom-" + account),
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "fathom-pod-" + account},
				Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.Name, Name: account}},
			})
	}
	return out
}

// put creates the object or corrects the one that is there.
func (s *Station) put(ctx context.Context, w *v1alpha1.Workspace, object client.Object) error {
	want := object.DeepCopyObject().(client.Object)
	if binding, ok := object.(*rbacv1.RoleBinding); ok {
		if err := s.removeOther(ctx, binding); err != nil {
			return err
		}
	}
	_, err := controllerutil.CreateOrUpdate(ctx, s.Client, object, func() error {
		object.SetOwnerReferences(owner(w))
		switch have := object.(type) {
		case *corev1.ConfigMap:
			have.Data = want.(*corev1.ConfigMap).Data
		case *networkingv1.NetworkPolicy:
			have.Spec = want.(*networkingv1.NetworkPolicy).Spec
		case *corev1.ServiceAccount:
			have.AutomountServiceAccountToken = want.(*corev1.ServiceAccount).AutomountServiceAccountToken
		case *rbacv1.RoleBinding:
			have.Subjects, have.RoleRef = want.(*rbacv1.RoleBinding).Subjects, want.(*rbacv1.RoleBinding).RoleRef
		}
		return nil
	})
	return err
}

// removeOther removes a binding of the same name to another role: a binding's role cannot be changed.
func (s *Station) removeOther(ctx context.Context, want *rbacv1.RoleBinding) error {
	var have rbacv1.RoleBinding
	err := s.Client.Get(ctx, client.ObjectKeyFromObject(want), &have)
	if err != nil || have.RoleRef == want.RoleRef {
		return client.IgnoreNotFound(err)
	}
	return client.IgnoreNotFound(s.Client.Delete(ctx, &have, client.Preconditions{UID: &have.UID}))
}

// bindings gives each role its members; a role without members has no binding.
func (s *Station) bindings(ctx context.Context, w *v1alpha1.Workspace) error {
	subjects := map[string][]rbacv1.Subject{}
	for _, m := range w.Spec.Members {
		subject := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: m.Group}
		if m.User != "" {
			subject.Kind, subject.Name = rbacv1.UserKind, m.User
		}
		subjects[m.Role] = append(subjects[m.Role], subject)
	}
	for _, role := range []string{"viewer", "editor", "steward", "approver", "admin"} {
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: "fathom-members-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "fathom-" + role},
			Subjects:   subjects[role],
		}
		if len(subjects[role]) == 0 {
			if err := s.Client.Delete(ctx, binding); client.IgnoreNotFound(err) != nil {
				return err
			}
			continue
		}
		if err := s.put(ctx, w, binding); err != nil {
			return err
		}
	}
	return nil
}

// key makes the workspace's pseudonym key once. It is never replaced: pseudonyms must stay the same.
func (s *Station) key(ctx context.Context, w *v1alpha1.Workspace) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: pseudonymSecret}}
	err := s.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	if !apierrors.IsNotFound(err) {
		return err
	}
	material := make([]byte, 32)
	if _, err := rand.Read(material); err != nil {
		return err
	}
	yes := true
	secret.Data, secret.Immutable, secret.OwnerReferences = map[string][]byte{"pseudonyms": material}, &yes, owner(w)
	if err := s.Client.Create(ctx, secret); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}
