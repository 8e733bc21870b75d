// SPDX-License-Identifier: Apache-2.0

// Package platform starts the whole of Fathom for tests, as people do: `fathom up` from the built binaries, on an empty
// state directory. Tests then use the command line, the Kubernetes API and the doors.
package platform

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/testenv"
)

const (
	startLimit = 2 * time.Minute
	stopLimit  = 30 * time.Second
)

// Platform is a running Fathom.
type Platform struct {
	*testing.T
	State string // its directory
	Bin   string // the folder of its binaries
	// Isolation is what the node says about its pods, "sandbox" or "process" first.
	Isolation string
	Config    *rest.Config // of the owner
	Client    client.Client
	Clientset *kubernetes.Clientset
	Doors, S3 string // addresses: https://host:port
	CA        []byte // PEM
}

// Start runs `fathom up` with more flags until the test ends. The test is skipped, with the reason, when a binary is
// missing.
func Start(t *testing.T, flags ...string) *Platform {
	t.Helper()
	bin := filepath.Dir(testenv.Binary(t))
	for _, name := range []string{"fathom", "fathom-step", "fathom-launch", "fathom-keep", "runc"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Skipf("needs the built binaries (make build, or set FATHOM_BIN): %v", err)
		}
	}
	state, err := os.MkdirTemp("", "fathom-test") // short: paths of sockets are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	p := &Platform{T: t, State: state, Bin: bin}
	p.up(flags)
	p.connect()
	return p
}

func (p *Platform) up(flags []string) {
	p.Helper()
	out, err := os.Create(filepath.Join(p.State, "up.txt"))
	if err != nil {
		p.Fatal(err)
	}
	command := exec.Command(filepath.Join(p.Bin, "fathom"), append([]string{"up", "--state", p.State}, flags...)...)
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		p.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait()
	}()
	p.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopLimit):
			_ = command.Process.Kill()
			<-ended
			p.Errorf("fathom up did not stop within %s", stopLimit)
		}
		out.Close()
	})
	deadline := time.After(startLimit)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		said, _ := os.ReadFile(out.Name())
		if bytes.Contains(said, []byte("Fathom is ready")) {
			_, after, _ := strings.Cut(string(said), "isolation ")
			p.Isolation, _, _ = strings.Cut(after, "\n")
			return
		}
		select {
		case <-ended:
			p.Fatalf("fathom up ended: %s", said)
		case <-deadline:
			p.Fatalf("fathom up is not ready after %s: %s", startLimit, said)
		case <-tick.C:
		}
	}
}

func (p *Platform) connect() {
	p.Helper()
	var err error
	if p.Config, err = clientcmd.BuildConfigFromFlags("", filepath.Join(p.State, "kubeconfig")); err != nil {
		p.Fatal(err)
	}
	p.Config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			p.Fatal(err)
		}
	}
	if p.Client, err = client.New(p.Config, client.Options{Scheme: scheme}); err != nil {
		p.Fatal(err)
	}
	if p.Clientset, err = kubernetes.NewForConfig(p.Config); err != nil {
		p.Fatal(err)
	}
	var where corev1.ConfigMap
	if err := p.Client.Get(p.Context(), client.ObjectKey{Namespace: "fathom-system", Name: "fathom-doors"}, &where); err != nil {
		p.Fatal(err)
	}
	p.Doors, p.S3, p.CA = where.Data["url"], where.Data["s3"], []byte(where.Data["ca.crt"])
}

// Fathom runs a verb as the owner and returns what it printed; the test fails if the verb does.
func (p *Platform) Fathom(arguments ...string) string {
	p.Helper()
	command := exec.CommandContext(p.Context(), filepath.Join(p.Bin, "fathom"), arguments...)
	command.Env = append(os.Environ(), "FATHOM_STATE="+p.State, "KUBECONFIG="+filepath.Join(p.State, "kubeconfig"))
	out, err := command.CombinedOutput()
	if err != nil {
		p.Fatalf("fathom %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// Write makes a folder of files and returns its path.
func (p *Platform) Write(files map[string]string) string {
	p.Helper()
	dir := p.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			p.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			p.Fatal(err)
		}
	}
	return dir
}

// Get reads an object, which must be there.
func (p *Platform) Get(namespace, name string, into client.Object) {
	p.Helper()
	if err := p.Client.Get(p.Context(), client.ObjectKey{Namespace: namespace, Name: name}, into); err != nil {
		p.Fatal(err)
	}
}

// Await waits until done says so; it fails the test after the limit, telling what the objects of a workspace say.
func (p *Platform) Await(what string, limit time.Duration, done func(context.Context) (bool, error)) {
	p.Helper()
	if err := wait.PollUntilContextTimeout(p.Context(), 200*time.Millisecond, limit, true, done); err != nil {
		p.Fatalf("waiting for %s: %v\n%s", what, err, p.Said())
	}
}

// Ready waits until a dataset has a version.
func (p *Platform) Ready(workspace, dataset string) *v1alpha1.Dataset {
	p.Helper()
	var d v1alpha1.Dataset
	p.Await("dataset "+workspace+"/"+dataset, 90*time.Second, func(ctx context.Context) (bool, error) {
		err := p.Client.Get(ctx, client.ObjectKey{Namespace: workspace, Name: dataset}, &d)
		reason, _ := v1alpha1.Ready(d.Status.Conditions)
		return reason == v1alpha1.ReasonReady && d.Status.Version > 0, err
	})
	return &d
}

// Said lists the objects of all workspaces with their conditions.
func (p *Platform) Said() string {
	var out strings.Builder
	var runs v1alpha1.RunList
	_ = p.Client.List(context.Background(), &runs)
	for _, r := range runs.Items {
		out.WriteString("run " + r.Namespace + "/" + r.Name + ": " + r.Status.Phase + " " + r.Status.Message + "\n")
	}
	tell := func(kind string, meta metav1.ObjectMeta, conditions []metav1.Condition) {
		reason, message := v1alpha1.Ready(conditions)
		out.WriteString(kind + " " + meta.Namespace + "/" + meta.Name + ": " + reason + " " + message + "\n")
	}
	var workspaces v1alpha1.WorkspaceList
	var datasets v1alpha1.DatasetList
	var models v1alpha1.ModelList
	for _, list := range []client.ObjectList{&workspaces, &datasets, &models} {
		_ = p.Client.List(context.Background(), list)
	}
	for _, o := range workspaces.Items {
		tell("workspace", o.ObjectMeta, o.Status.Conditions)
	}
	for _, o := range datasets.Items {
		tell("dataset", o.ObjectMeta, o.Status.Conditions)
	}
	for _, o := range models.Items {
		tell("model", o.ObjectMeta, o.Status.Conditions)
	}
	return out.String()
}
