// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/testenv"
)

// world is a real API; the test reconciles by hand, as the operator.
type world struct {
	*testing.T
	client.Client // of the operator
	owner         client.Client
	s             *Station
	name          string
	buckets       []string
	stored        int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env := testenv.Shared(t)
	crds, err := filepath.Glob(filepath.Join("..", "..", "..", "api", "crds", "*.yaml"))
	if err != nil || len(crds) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	for _, file := range crds {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		env.InstallCRDs(content)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{T: t, name: fmt.Sprintf("ws-%x", time.Now().UnixNano())}
	if w.Client, err = client.New(env.Operator(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if w.owner, err = client.New(env.Owner(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.s = New(Options{
		Client: w.Client, Now: time.Now, CA: []byte("-----BEGIN CERTIFICATE-----\n"),
		EnsureBucket: func(_ context.Context, bucket string) error {
			w.buckets = append(w.buckets, bucket)
			return nil
		},
		Storage:   func(context.Context, string) (int64, error) { return w.stored, nil },
		Isolation: func() string { return "sandbox" },
	})
	return w
}

// declare makes the Workspace.
func (w *world) declare(members ...v1alpha1.Member) {
	w.Helper()
	ws := &v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: w.name}, Spec: v1alpha1.WorkspaceSpec{Members: members}}
	if err := w.owner.Create(w.Context(), ws); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = w.owner.Delete(context.Background(), ws) })
}

func (w *world) workspace() *v1alpha1.Workspace {
	w.Helper()
	var ws v1alpha1.Workspace
	w.read(&ws, "", w.name)
	return &ws
}

func (w *world) read(o client.Object, namespace, name string) {
	w.Helper()
	if err := w.owner.Get(w.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		w.Fatal(err)
	}
}

// want reconciles once and compares the condition.
func (w *world) want(reason, message string) *v1alpha1.Workspace {
	w.Helper()
	_, err := w.s.Reconcile(w.Context(), w.workspace())
	if (err != nil) != (reason == v1alpha1.ReasonFailed) {
		w.Fatal(err)
	}
	ws := w.workspace()
	gotReason, gotMessage := v1alpha1.Ready(ws.Status.Conditions)
	if gotReason != reason || !strings.Contains(gotMessage, message) {
		w.Fatalf("it is %s: %s\nwant %s: …%s…", gotReason, gotMessage, reason, message)
	}
	return ws
}

// versions are the resource versions of everything that the station makes: equal ones mean that nothing was written.
func (w *world) versions() map[string]string {
	w.Helper()
	out := map[string]string{}
	for _, list := range []client.ObjectList{
		&corev1.ConfigMapList{}, &corev1.SecretList{}, &corev1.ServiceAccountList{}, &rbacv1.RoleBindingList{}, &networkingv1.NetworkPolicyList{},
	} {
		if err := w.owner.List(w.Context(), list, client.InNamespace(w.name)); err != nil {
			w.Fatal(err)
		}
		items, err := runtime.DefaultUnstructuredConverter.ToUnstructured(list)
		if err != nil {
			w.Fatal(err)
		}
		for _, item := range items["items"].([]any) {
			meta := item.(map[string]any)["metadata"].(map[string]any)
			out[fmt.Sprintf("%T %s", list, meta["name"])] = meta["resourceVersion"].(string)
		}
	}
	return out
}

// members are the subjects of a role's binding; nil when there is none.
func (w *world) members(role string) []string {
	w.Helper()
	var b rbacv1.RoleBinding
	err := w.owner.Get(w.Context(), client.ObjectKey{Namespace: w.name, Name: "fathom-members-" + role}, &b)
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, s := range b.Subjects {
		out = append(out, s.Kind+" "+s.Name)
	}
	return out
}

func TestWorkspaceIsKeptTrue(t *testing.T) {
	w := newWorld(t)
	w.declare(v1alpha1.Member{Group: "researchers", Role: "editor"}, v1alpha1.Member{User: "ada", Role: "editor"}, v1alpha1.Member{Group: "board", Role: "approver"})
	w.stored = 4096
	ws := w.want(v1alpha1.ReasonReady, "is ready for 3 members")
	if ws.Status.Isolation != "sandbox" || ws.Status.Used.Storage.Value() != 4096 || !slices.Equal(w.buckets, []string{w.name}) {
		t.Errorf("status %+v, buckets %v", ws.Status, w.buckets)
	}
	var ns corev1.Namespace
	w.read(&ns, "", w.name)
	if ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" || ns.Labels[v1alpha1.LabelWorkspace] != "true" || ns.OwnerReferences[0].UID != ws.UID {
		t.Errorf("namespace %+v", ns.ObjectMeta)
	}
	var policy networkingv1.NetworkPolicy
	w.read(&policy, w.name, "default-deny")
	if len(policy.Spec.PolicyTypes) != 2 || len(policy.Spec.Ingress)+len(policy.Spec.Egress) != 0 || len(policy.Spec.PodSelector.MatchLabels) != 0 {
		t.Errorf("policy %+v", policy.Spec)
	}
	if got := w.members("editor"); !slices.Equal(got, []string{"Group researchers", "User ada"}) || w.members("steward") != nil {
		t.Errorf("editors %v, stewards %v", got, w.members("steward"))
	}
	for _, account := range []string{AccountSteps, AccountCode, AccountEndpoints} {
		var b rbacv1.RoleBinding
		w.read(&b, w.name, "fathom-"+account)
		if b.RoleRef.Name != "fathom-pod-"+account || b.Subjects[0].Namespace != w.name {
			t.Errorf("binding %+v", b)
		}
	}
	before := w.versions()
	w.want(v1alpha1.ReasonReady, "")
	for name, version := range w.versions() {
		if before[name] != version {
			t.Errorf("%s was written again although nothing changed", name)
		}
	}

	// Members come and go; what others changed is put right.
	ws.Spec.Members = []v1alpha1.Member{{User: "ada", Role: "viewer"}, {Group: "data-stewards", Role: "steward"}}
	ws.ResourceVersion = ""
	if err := w.owner.Patch(t.Context(), ws, client.Merge); err != nil {
		t.Fatal(err)
	}
	policy.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
	if err := w.owner.Update(t.Context(), &policy); err != nil {
		t.Fatal(err)
	}
	w.want(v1alpha1.ReasonReady, "is ready for 2 members")
	if w.members("editor") != nil || w.members("approver") != nil || !slices.Equal(w.members("viewer"), []string{"User ada"}) || !slices.Equal(w.members("steward"), []string{"Group data-stewards"}) {
		t.Errorf("editors %v, approvers %v, viewers %v, stewards %v", w.members("editor"), w.members("approver"), w.members("viewer"), w.members("steward"))
	}
	w.read(&policy, w.name, "default-deny")
	if len(policy.Spec.Ingress) != 0 {
		t.Error("a hole in the default-deny policy stays")
	}
}

// TestKeyIsNeverReplaced: pseudonyms must stay the same whatever happens to the Secret's neighbours.
func TestKeyIsNeverReplaced(t *testing.T) {
	w := newWorld(t)
	w.declare()
	w.want(v1alpha1.ReasonReady, "")
	var secret corev1.Secret
	w.read(&secret, w.name, pseudonymSecret)
	key := string(secret.Data["pseudonyms"])
	if len(key) != 32 || secret.Immutable == nil || !*secret.Immutable {
		t.Fatalf("a key of %d bytes, immutable %v", len(key), secret.Immutable)
	}
	for range 2 {
		w.want(v1alpha1.ReasonReady, "")
		w.read(&secret, w.name, pseudonymSecret)
		if string(secret.Data["pseudonyms"]) != key {
			t.Fatal("the key was replaced")
		}
	}
}

// TestBindingToAnotherRole: somebody has bound other rights under our name; a binding's role cannot be changed in place.
func TestBindingToAnotherRole(t *testing.T) {
	w := newWorld(t)
	w.declare(v1alpha1.Member{Group: "clinicians", Role: "viewer"})
	w.want(v1alpha1.ReasonReady, "")
	var b rbacv1.RoleBinding
	w.read(&b, w.name, "fathom-members-viewer")
	if err := w.owner.Delete(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	other := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: b.Name},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}}
	if err := w.Create(t.Context(), other); err != nil { // as the operator: the owner may not give rights that it has not
		t.Fatal(err)
	}
	w.want(v1alpha1.ReasonReady, "")
	w.read(&b, w.name, "fathom-members-viewer")
	if b.RoleRef.Name != "fathom-viewer" || len(b.Subjects) != 1 {
		t.Errorf("binding %+v", b)
	}
}

// TestNamespaceThatIsNotOurs: a namespace that was there is never taken over unasked.
func TestNamespaceThatIsNotOurs(t *testing.T) {
	w := newWorld(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	if err := w.owner.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w.declare(v1alpha1.Member{User: "eve", Role: "admin"})
	w.want(v1alpha1.ReasonFailed, "namespace "+w.name+" exists and is no workspace; name the workspace otherwise, or label the namespace fathom.dev/workspace=true")
	if w.members("admin") != nil || len(w.buckets) != 0 {
		t.Errorf("rights were given in it: %v, %v", w.members("admin"), w.buckets)
	}
	w.read(ns, "", w.name)
	ns.Labels[v1alpha1.LabelWorkspace] = "true"
	if err := w.owner.Update(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w.want(v1alpha1.ReasonReady, "is ready for 1 members")
}

// TestUse: only pods that live count.
func TestUse(t *testing.T) {
	w := newWorld(t)
	w.declare()
	w.want(v1alpha1.ReasonReady, "")
	no, yes, user := false, true, int64(1000)
	for i, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: fmt.Sprint("p", i)},
			Spec: corev1.PodSpec{ServiceAccountName: AccountCode, NodeName: "nowhere", SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			}, Containers: []corev1.Container{{Name: "c", Image: "x",
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
				}}}}},
		}
		if err := w.owner.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		pod.Status.Phase = phase
		if err := w.owner.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	used := w.want(v1alpha1.ReasonReady, "").Status.Used
	if used.CPU.String() != "1" || used.Memory.String() != "128Mi" {
		t.Errorf("used %s, %s", used.CPU, used.Memory)
	}
}
