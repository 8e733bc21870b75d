// SPDX-License-Identifier: Apache-2.0

package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"fathom.dev/fathom/internal/testenv"
)

func TestCertificatesAreRenewed(t *testing.T) {
	server := testenv.Launch(t, t.TempDir(), "--certificate-ttl", "30s")
	file := filepath.Join(server.Dir, "pki", "operator.crt")
	first, err := os.ReadFile(file)
	must(t, err)
	testenv.Eventually(t, "a renewed certificate", func(context.Context) (bool, error) {
		now, err := os.ReadFile(file)
		return !bytes.Equal(now, first), err
	})
	_, err = connect(t, server, "operator").CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	_, err = connect(t, server, "owner").CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	must(t, err)
}

func TestAccess(t *testing.T) {
	env := testenv.Shared(t)
	for _, c := range []struct {
		who, verb, group, resource, subresource string
		want                                    bool
	}{
		{"owner", "get", "fathom.dev", "datasets", "", true},
		{"owner", "get", "fathom.dev", "datasets", "data", true},
		{"owner", "get", "fathom.dev", "datasets", "identified", false},
		{"owner", "update", "fathom.dev", "models", "promotion", true},
		{"owner", "create", "fathom.dev", "endpoints", "predict", true},
		{"owner", "patch", "fathom.dev", "datasets", "status", true},
		{"owner", "create", "batch", "jobs", "", true},
		{"owner", "create", "rbac.authorization.k8s.io", "clusterroles", "", true},
		{"owner", "escalate", "rbac.authorization.k8s.io", "clusterroles", "", false},
		{"owner", "impersonate", "", "users", "", false},
		{"operator", "bind", "rbac.authorization.k8s.io", "clusterroles", "", true},
		{"operator", "create", "batch", "jobs", "", true},
		{"operator", "impersonate", "", "users", "", false},
		{"doors", "create", "authentication.k8s.io", "tokenreviews", "", true},
		{"doors", "create", "authorization.k8s.io", "subjectaccessreviews", "", true},
		{"doors", "get", "", "secrets", "", false},
		{"doors", "create", "", "pods", "", false},
		{"node", "list", "", "secrets", "", false},
		{"node", "list", "", "services", "", true},
		{"node", "create", "", "persistentvolumes", "", true},
		{"node", "delete", "apiregistration.k8s.io", "apiservices", "", false},
		{"owner", "list", "metrics.k8s.io", "pods", "", true},
		{"node", "list", "networking.k8s.io", "networkpolicies", "", true},
		{"node", "create", "", "namespaces", "", false},
	} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: "default", Verb: c.verb, Group: c.group, Resource: c.resource, Subresource: c.subresource},
		}}
		got, err := connect(t, env.Server, c.who).AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		must(t, err)
		if got.Status.Allowed != c.want {
			t.Errorf("%s %s %s.%s/%s: allowed %v, want %v", c.who, c.verb, c.resource, c.group, c.subresource, got.Status.Allowed, c.want)
		}
	}
}

func TestNobodyIsAnonymous(t *testing.T) {
	env := testenv.Shared(t)
	nobody := rest.AnonymousClientConfig(env.Owner())
	wrong := rest.CopyConfig(nobody)
	wrong.BearerToken = "wrong"
	for name, config := range map[string]*rest.Config{"no credentials": nobody, "wrong token": wrong} {
		_, err := kubernetes.NewForConfigOrDie(config).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		if !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %v; want 401", name, err)
		}
	}
}

func TestTokensForDoors(t *testing.T) {
	env := testenv.Shared(t)
	namespace := env.Namespace()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"fathom"}}}
	token, err := connect(t, env.Server, "operator").CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
	must(t, err)

	for _, c := range []struct {
		audiences []string
		want      bool
	}{{[]string{"fathom"}, true}, {nil, false}, {[]string{"other"}, false}} {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token, Audiences: c.audiences}}
		got, err := connect(t, env.Server, "doors").AuthenticationV1().TokenReviews().Create(t.Context(), review, metav1.CreateOptions{})
		must(t, err)
		if got.Status.Authenticated != c.want {
			t.Errorf("audiences %v: authenticated %v, want %v (%s)", c.audiences, got.Status.Authenticated, c.want, got.Status.Error)
		}
		if user := "system:serviceaccount:" + namespace + ":default"; c.want && got.Status.User.Username != user {
			t.Errorf("user %q, want %q", got.Status.User.Username, user)
		}
	}

	direct := rest.AnonymousClientConfig(env.Owner())
	direct.BearerToken = token.Status.Token
	if _, err := kubernetes.NewForConfigOrDie(direct).Discovery().ServerGroups(); !apierrors.IsUnauthorized(err) {
		t.Errorf("a door's token at the Kubernetes API: %v; want 401", err)
	}
}

// TestNode plays the local node: it registers, is trusted with work, and sees only what its pods need.
func TestNode(t *testing.T) {
	env := testenv.Shared(t)
	namespace := env.Namespace()
	node, owner := connect(t, env.Server, "node"), connect(t, env.Server, "owner")
	must(t, register(t, node, testenv.NodeName))
	if err := register(t, node, "another"); !apierrors.IsForbidden(err) {
		t.Errorf("registering another node: %v; want forbidden", err)
	}
	for _, name := range []string{"mine", "not-mine"} {
		_, err := owner.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(t, err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "work"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "work", Image: "host",
		EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "mine"}}}},
	}}}}
	_, err := owner.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	must(t, err)
	testenv.Eventually(t, "the pod to be given to the node", func(ctx context.Context) (bool, error) {
		got, err := node.CoreV1().Pods(namespace).Get(ctx, "work", metav1.GetOptions{})
		return err == nil && got.Spec.NodeName == testenv.NodeName, nil
	})
	testenv.Eventually(t, "the node to see its pod's Secret", func(ctx context.Context) (bool, error) {
		_, err := node.CoreV1().Secrets(namespace).Get(ctx, "mine", metav1.GetOptions{})
		return err == nil, nil
	})
	if _, err := node.CoreV1().Secrets(namespace).Get(t.Context(), "not-mine", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the node reads a Secret that no pod of its uses: %v; want forbidden", err)
	}
}

func register(t *testing.T, client kubernetes.Interface, name string) error {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		return err
	}
	const ready = `{"status": {
		"capacity": {"cpu": "4", "memory": "4Gi", "pods": "100"}, "allocatable": {"cpu": "4", "memory": "4Gi", "pods": "100"},
		"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": %[1]q, "lastTransitionTime": %[1]q}]}}`
	patch := fmt.Sprintf(ready, time.Now().UTC().Format(time.RFC3339))
	_, err := client.CoreV1().Nodes().PatchStatus(t.Context(), name, []byte(patch))
	return err
}

func TestKubectl(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not installed")
	}
	env := testenv.Shared(t)
	namespace := env.Namespace()
	run := func(arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), kubectl, append([]string{"--kubeconfig", env.Kubeconfig("owner"), "-n", namespace}, arguments...)...)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %v: %v\n%s", arguments, err, out)
		}
		return string(out)
	}
	run("create", "deployment", "web", "--image=host")
	testenv.Eventually(t, "the deployment's pod", func(context.Context) (bool, error) {
		return strings.Contains(run("get", "pods", "-o", "name"), "pod/web-"), nil
	})
	if who := run("auth", "whoami"); !strings.Contains(who, "fathom:owner") {
		t.Errorf("whoami: %s", who)
	}
}

func connect(t *testing.T, server *testenv.Server, identity string) *kubernetes.Clientset {
	t.Helper()
	config, err := server.As(identity)
	must(t, err)
	return kubernetes.NewForConfigOrDie(config)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
