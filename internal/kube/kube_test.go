// SPDX-License-Identifier: Apache-2.0

// These tests drive the built server, so that this test binary need not link Kubernetes.
package kube_test

import (
	"bytes"
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"fathom.dev/fathom/internal/testenv"
)

func TestObjectsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	server := testenv.Launch(t, dir)
	client := connect(t, server, "owner")
	const secret, plain = "canary-9f8a7b6c5d4e", "canary-0123456789ab"
	_, err := client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "canary"}, StringData: map[string]string{"key": secret}}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "canary"}, Data: map[string]string{"key": plain}}, metav1.CreateOptions{})
	must(t, err)
	server.Kill()

	if found := search(t, dir, plain); !found {
		t.Error("the ConfigMap's value is not on disk, so this test could not find the Secret's either")
	}
	if found := search(t, dir, secret); found {
		t.Error("the Secret's value is on disk in the clear")
	}

	again := testenv.Launch(t, dir)
	if again.Endpoint != server.Endpoint {
		t.Errorf("the address changed from %s to %s", server.Endpoint, again.Endpoint)
	}
	got, err := connect(t, again, "owner").CoreV1().Secrets("default").Get(t.Context(), "canary", metav1.GetOptions{})
	must(t, err)
	if string(got.Data["key"]) != secret {
		t.Errorf("the Secret holds %q after the restart, want %q", got.Data["key"], secret)
	}
	if code := again.Interrupt(); code != 0 {
		t.Errorf("exit code %d after an interrupt, want 0", code)
	}
}

// search reports whether any file of the directory contains text.
func search(t *testing.T, dir, text string) (found bool) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return err
	}))
	return found
}

func TestRefusals(t *testing.T) {
	running := testenv.Shared(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(running.Endpoint, "https://"))
	must(t, err)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct {
		name      string
		dir       string
		arguments []string
		wantCode  int
		want      string
	}{
		{"directory in use", running.Dir, nil, 3, "process " + strconv.Itoa(running.Pid)},
		{"port taken", t.TempDir(), []string{"--port", port}, 4, "port " + port},
		{"directory cannot be written", filepath.Join(file, "state"), nil, 6, "cannot be written"},
		{"bad service range", t.TempDir(), []string{"--service-cidr", "10.96"}, 2, "10.96"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, message := testenv.LaunchFails(t, c.dir, c.arguments...)
			if code != c.wantCode || !strings.Contains(message, c.want) {
				t.Errorf("code %d, %q; want code %d and %q", code, message, c.wantCode, c.want)
			}
		})
	}
	if _, err := connect(t, running.Server, "owner").CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Errorf("the running server was disturbed: %v", err)
	}
}

func TestDamagedDirectoryIsRefusedAndKept(t *testing.T) {
	original := t.TempDir()
	server := testenv.Launch(t, original)
	if code := server.Interrupt(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, c := range []struct{ name, file, how string }{
		{"database cut short", "etcd/member/snap/db", "cut"},
		{"database overwritten", "etcd/member/snap/db", "overwrite"},
		{"database pages flipped", "etcd/member/snap/db", "flip"},
		{"log overwritten", "etcd/member/wal/0000000000000000-0000000000000000.wal", "overwrite"},
		{"log flipped", "etcd/member/wal/0000000000000000-0000000000000000.wal", "flip"},
		{"authority's key gone", "pki/ca.key", "remove"},
		{"authority's key damaged", "pki/ca.key", "overwrite"},
		{"encryption key gone", "pki/encryption.yaml", "remove"},
		{"token key gone", "pki/service-accounts.key", "remove"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.CopyFS(dir, os.DirFS(original)))
			damage(t, filepath.Join(dir, c.file), c.how)
			before := contents(t, filepath.Join(dir, "etcd"))
			code, message := testenv.LaunchFails(t, dir)
			if code != 5 || !strings.Contains(message, "restore the state directory from a backup") {
				t.Errorf("code %d, %q; want code 5 and what to do next", code, message)
			}
			if strings.Contains(message, "goroutine ") {
				t.Errorf("the message is a stack trace: %s", message)
			}
			for path, data := range contents(t, filepath.Join(dir, "etcd")) {
				if data != before[path] {
					t.Errorf("%s was changed", path)
				}
			}
		})
	}
}

func damage(t *testing.T, path, how string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	switch how {
	case "remove":
		must(t, os.Remove(path))
		return
	case "cut":
		data = data[:20_000]
	case "overwrite":
		copy(data, bytes.Repeat([]byte("damaged "), min(2048, len(data)/8)))
	case "flip":
		for i := 2500; i < len(data) && i < 400_000; i += 1009 {
			data[i] ^= 0x55
		}
	}
	must(t, os.WriteFile(path, data, 0o600))
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}))
	return files
}

func TestCertificatesAreRenewed(t *testing.T) {
	server := testenv.Launch(t, t.TempDir(), "--certificate-ttl", "10s")
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
