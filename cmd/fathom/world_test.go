// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/testenv"
)

// world is a real API without stations, and a door that answers what the test tells it to.
type world struct {
	*testing.T
	client.Client
	dir        string
	kubeconfig string
	state      string

	mu      sync.Mutex
	answers map[string]string // by method and path; a text that begins with a status, as "404 {…}", has that status
	asked   []string          // "POST /path body"
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env := testenv.Shared(t)
	crds, err := filepath.Glob(filepath.Join("..", "..", "api", "crds", "*.yaml"))
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
	w := &world{T: t, dir: t.TempDir(), state: t.TempDir(), answers: map[string]string{}}
	if w.Client, err = client.New(env.Operator(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", "")
	w.open(env.Kubeconfig("owner"))
	return w
}

// open starts the door, tells the cluster where it is, and writes a kubeconfig that trusts it.
func (w *world) open(kubeconfig string) {
	w.Helper()
	door := httptest.NewTLSServer(http.HandlerFunc(w.answer))
	w.Cleanup(door.Close)
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range config.Clusters {
		c.CertificateAuthorityData = append(c.CertificateAuthorityData, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: door.Certificate().Raw})...)
	}
	w.kubeconfig = filepath.Join(w.dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, w.kubeconfig); err != nil {
		w.Fatal(err)
	}
	w.must(client.IgnoreAlreadyExists(w.Create(w.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "fathom-system"}})))
	where := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "fathom-system", Name: "fathom-doors"}, Data: map[string]string{"url": door.URL}}
	if err := w.Create(w.Context(), where); client.IgnoreAlreadyExists(err) != nil {
		w.Fatal(err)
	} else if err != nil {
		w.must(w.Update(w.Context(), where))
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) answer(out http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	at := r.Method + " " + r.URL.RequestURI()
	w.asked = append(w.asked, strings.TrimSpace(at+" "+string(body)))
	text, known := w.answers[at]
	if !known {
		text = `404 {"error":"there is no ` + at + `","kind":"NotFound"}`
	}
	var status int
	if _, err := fmt.Sscanf(text, "%d ", &status); err == nil && status >= 200 && status < 600 {
		out.WriteHeader(status)
		text = text[4:]
	}
	_, _ = io.WriteString(out, text)
}

// file writes a file below the world's folder.
func (w *world) file(path, text string) {
	w.Helper()
	full := filepath.Join(w.dir, path)
	w.must(os.MkdirAll(filepath.Dir(full), 0o755))
	w.must(os.WriteFile(full, []byte(text), 0o600))
}

// fathom runs a command line; {dir} in it is the world's folder.
func (w *world) fathom(line ...string) (code int, stdout, stderr string) {
	w.Helper()
	args := []string{"--kubeconfig", w.kubeconfig, "--state", w.state}
	for _, a := range line {
		args = append(args, strings.ReplaceAll(a, "{dir}", w.dir))
	}
	var out, errs bytes.Buffer
	code = run(w.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// want runs a command line and compares its exit code and a part of what it says: on standard output when it succeeds, on
// standard error when it does not.
func (w *world) want(code int, part string, line ...string) string {
	w.Helper()
	got, stdout, stderr := w.fathom(line...)
	said := stdout
	if code != 0 {
		said = stderr
	}
	if got != code || !strings.Contains(said, part) {
		w.Errorf("fathom %s: exit %d\n%s%s\nwant exit %d and …%s…", strings.Join(line, " "), got, stdout, stderr, code, part)
	}
	return stdout
}

// last is the door's last request.
func (w *world) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) == 0 {
		return ""
	}
	return w.asked[len(w.asked)-1]
}

// workspace makes a workspace that is ready, as its station does.
func (w *world) workspace(name string) {
	w.Helper()
	ws := &v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.must(client.IgnoreAlreadyExists(w.Create(w.Context(), ws)))
	w.must(w.Get(w.Context(), client.ObjectKeyFromObject(ws), ws))
	w.must(client.IgnoreAlreadyExists(w.Create(w.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})))
	w.status(ws, func() { v1alpha1.SetReady(&ws.Status.Conditions, v1alpha1.ReasonReady, "", ws.Generation, time.Now()) })
}

// status writes an object's status, as its station does.
func (w *world) status(o client.Object, change func()) {
	w.Helper()
	w.must(w.Get(w.Context(), client.ObjectKeyFromObject(o), o))
	change()
	w.must(w.Status().Update(w.Context(), o))
}
