// SPDX-License-Identifier: Apache-2.0

package mistakes_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"fathom.dev/fathom/internal/kube/pki"
	"fathom.dev/fathom/test/platform"
)

const base = `kind: Workspace
metadata: {name: wrong}
spec: {members: [{group: clinicians, role: viewer}]}
---
kind: Dataset
metadata: {name: people, namespace: wrong}
spec:
  from: {files: {url: inbox/people/*, format: csv}}
  privacy: {}
---
kind: Model
metadata: {name: good, namespace: wrong}
spec:
  data: {dataset: people, target: status, subject: person, features: [age, jitter]}
  train:
    code: {path: ./train, command: [python3, train.py]}
  evaluate: {folds: 2}
---
kind: Endpoint
metadata: {name: good, namespace: wrong}
spec: {model: good}
---
kind: Workspace
metadata: {name: tiny}
spec: {quota: {cpu: 100m, memory: 64Mi}}
`

// newWorld starts a Fathom with a workspace in which some things are right.
func newWorld(t *testing.T) *world {
	p := platform.Start(t)
	w := &world{Platform: p, dir: t.TempDir(), configs: map[string]string{"": filepath.Join(p.State, "kubeconfig")}}
	w.plain = []string{w.dir + "/", "", w.dir, "study", p.State, "/home/ada/.fathom", p.Bin, "/usr/local/bin", p.Doors[strings.LastIndexByte(p.Doors, ':')+1:], "8443"}
	var rows strings.Builder
	rows.WriteString(people)
	for i := range 24 {
		fmt.Fprintf(&rows, "p%02d,%c,%d,%.3f,%d\n", i/2, 'a'+rune(i%3), 40+i, 0.01*float64(i%7), i/4%2)
	}
	files := onnx("softmax")
	files["people.csv"], files["base.yaml"] = rows.String(), base
	w.write("base", files)
	w.do("apply", "-f", "base")
	w.do("put", "-n", "wrong", "base/people.csv", "inbox/people/")
	w.do("status", "-n", "wrong", "--wait", "--timeout", "5m")
	w.people()
	return w
}

// do runs a command line that must succeed.
func (w *world) do(arguments ...string) string {
	w.Helper()
	said, code := w.fathom(mistake{}, arguments...)
	if code != 0 {
		w.Fatal(said)
	}
	return said
}

// write makes files below a folder of the world's.
func (w *world) write(folder string, files map[string]string) {
	w.Helper()
	for name, content := range files {
		path := filepath.Join(w.dir, folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			w.Fatal(err)
		}
	}
}

// people makes kubeconfigs for a viewer, for nobody, for what does not answer, and for clusters that are not Fathom's.
func (w *world) people() {
	w.Helper()
	w.config("viewer", func(c *api.Config) {
		authority, err := pki.Open(filepath.Join(w.State, "pki"), false, time.Now)
		if err != nil {
			w.Fatal(err)
		}
		pair, err := authority.Client("ada", []string{"clinicians"}, time.Hour)
		if err != nil {
			w.Fatal(err)
		}
		for _, u := range c.AuthInfos {
			u.ClientCertificateData, u.ClientKeyData = pair.Cert, pair.Key
		}
	})
	w.config("garbage", func(c *api.Config) {
		for name := range c.AuthInfos {
			c.AuthInfos[name] = &api.AuthInfo{Token: "garbage"}
		}
	})
	w.config("closed", func(c *api.Config) {
		for _, cluster := range c.Clusters {
			cluster.Server = "https://127.0.0.1:" + strconv.Itoa(freePort(w.T))
		}
	})
	w.config("stranger", func(c *api.Config) {
		other, err := pki.Open(w.TempDir(), true, time.Now)
		if err != nil {
			w.Fatal(err)
		}
		for _, cluster := range c.Clusters {
			cluster.CertificateAuthorityData = other.PEM()
		}
	})
	w.configs["missing"] = filepath.Join(w.dir, "nowhere", "kubeconfig")
	w.write("", map[string]string{"broken.kubeconfig": "clusters: 7\n"})
	w.configs["broken"] = filepath.Join(w.dir, "broken.kubeconfig")
	w.configs["other"] = w.otherCluster()
}

// config writes a changed copy of the owner's kubeconfig.
func (w *world) config(name string, change func(*api.Config)) {
	w.Helper()
	c, err := clientcmd.LoadFromFile(w.configs[""])
	if err != nil {
		w.Fatal(err)
	}
	change(c)
	w.configs[name] = filepath.Join(w.dir, name+".kubeconfig")
	if err := clientcmd.WriteToFile(*c, w.configs[name]); err != nil {
		w.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// otherCluster is a Kubernetes without Fathom, until the test ends; its kubeconfig is returned.
func (w *world) otherCluster() string {
	w.Helper()
	state := filepath.Join(w.dir, "other")
	w.background(exec.Command(filepath.Join(w.Bin, "fathom-server"), "kube", "--state-dir", state), "kubeconfig: ")
	return filepath.Join(state, "kubeconfig")
}

// background runs a program until the test ends, and waits until it has said something.
func (w *world) background(command *exec.Cmd, said string) {
	w.Helper()
	log := filepath.Join(w.TempDir(), "said")
	out, err := os.Create(log)
	if err != nil {
		w.Fatal(err)
	}
	defer out.Close()
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(2 * time.Minute); ; {
		text, _ := os.ReadFile(log)
		if bytes.Contains(text, []byte(said)) {
			return
		}
		select {
		case <-deadline:
			w.Fatalf("%s does not say %q: %s", command, said, text)
		case <-tick.C:
		}
	}
}
