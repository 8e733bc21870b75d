// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"fathom.dev/fathom/internal/kube/manifest"
)

// NodeName is the name for which the node identity of a shared server is issued.
const NodeName = "local"

// Env is the control plane that all tests of a process share, as one test sees it.
type Env struct {
	*Server
	t testing.TB
}

// shared starts the server on the first call. It is never stopped: it ends when this process does, because its
// standard input closes then.
var shared = sync.OnceValues(func() (*Server, error) {
	path, err := binary()
	if err != nil {
		return nil, errors.Join(errNoBinary, err)
	}
	dir, err := emptyDirectory()
	if err != nil {
		return nil, err
	}
	return launch(path, dir, []string{"--node-name", NodeName})
})

var errNoBinary = errors.New("skipped")

// Shared is the process's control plane, started on the first call (about 3 s). Objects of other tests are visible:
// work in a namespace of your own ([Env.Namespace]).
func Shared(t testing.TB) *Env {
	t.Helper()
	s, err := shared()
	switch {
	case errors.Is(err, errNoBinary):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return &Env{Server: s, t: t}
}

// emptyDirectory makes the state directory, and removes those of processes that have ended: the server that uses a
// directory outlives this process by a moment, so it cannot be removed at the end.
func emptyDirectory() (string, error) {
	parent := filepath.Join(os.TempDir(), "fathom-testenv")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	old, _ := filepath.Glob(filepath.Join(parent, "*"))
	for _, dir := range old {
		removeUnused(dir)
	}
	return os.MkdirTemp(parent, "")
}

// removeUnused removes a state directory on which no server holds the lock. One without a lock file may be about to
// be used; it goes after an hour.
func removeUnused(dir string) {
	lock, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(dir)
		}
		return
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		_ = os.RemoveAll(dir)
	}
}

// Owner is the client configuration of the person who owns the machine.
func (e *Env) Owner() *rest.Config { return e.config("owner") }

// Operator is the client configuration that stations run with.
func (e *Env) Operator() *rest.Config { return e.config("operator") }

// Doors is the client configuration that the doors run with.
func (e *Env) Doors() *rest.Config { return e.config("doors") }

// Node is the client configuration of the node [NodeName].
func (e *Env) Node() *rest.Config { return e.config("node") }

func (e *Env) config(identity string) *rest.Config {
	e.t.Helper()
	config, err := e.As(identity)
	if err != nil {
		e.t.Fatal(err)
	}
	return config
}

// Namespace makes a namespace for the test, ready for pods (its default service account exists), and deletes it at
// the end.
func (e *Env) Namespace() string {
	e.t.Helper()
	client := kubernetes.NewForConfigOrDie(e.Owner())
	ctx := e.t.Context()
	ns, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
	}, metav1.CreateOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.WithoutCancel(ctx), ns.Name, metav1.DeleteOptions{})
	})
	Eventually(e.t, "the default service account of "+ns.Name, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	return ns.Name
}

// InstallCRDs makes CustomResourceDefinitions (YAML, several documents allowed) true and waits until they are served.
// Installing the same again is quick.
func (e *Env) InstallCRDs(manifests ...[]byte) {
	e.t.Helper()
	if err := manifest.Apply(e.t.Context(), e.Owner(), manifests...); err != nil {
		e.t.Fatal(err)
	}
}

// Eventually waits until done says so, asking every 20 ms, and fails the test after 30 s or on an error. It is for
// what Kubernetes' own controllers do; reconcile our stations by hand instead.
func Eventually(t testing.TB, what string, done wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, done); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
