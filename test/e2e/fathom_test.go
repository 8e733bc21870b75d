// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	startLimit = 2 * time.Minute
	stopLimit  = 40 * time.Second
	glance     = 100 * time.Millisecond // between two looks at what is waited for
)

// fathom is a Fathom on a state directory of the test's own.
type fathom struct {
	*testing.T
	bin, state string
	server     *exec.Cmd
	ended      chan struct{}
	doors      string // https://host:port
	client     *http.Client
}

// start runs `fathom up` on an empty directory until the test ends.
func start(t *testing.T) *fathom {
	t.Helper()
	f := newFathom(t)
	f.up()
	return f
}

func newFathom(t *testing.T) *fathom {
	t.Helper()
	bin := os.Getenv("FATHOM_BIN") // path of fathom-server
	if bin == "" {
		bin = filepath.Join("..", "..", "bin", "fathom-server")
	}
	bin, err := filepath.Abs(filepath.Dir(bin))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fathom", "fathom-server", "fathom-step", "fathom-launch", "runc"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Skipf("needs the built binaries (make build, or set FATHOM_BIN): %v", err)
		}
	}
	state, err := os.MkdirTemp("", "fathom-e2e") // short: paths of sockets are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	return &fathom{T: t, bin: bin, state: state}
}

// up starts the server and waits until it is ready.
func (f *fathom) up() {
	f.Helper()
	said, err := os.Create(filepath.Join(f.state, "up.txt"))
	if err != nil {
		f.Fatal(err)
	}
	defer said.Close()
	f.server = exec.Command(filepath.Join(f.bin, "fathom"), "up", "--state", f.state)
	f.server.Stdout, f.server.Stderr = said, said
	if err := f.server.Start(); err != nil {
		f.Fatal(err)
	}
	ended := make(chan struct{})
	f.ended = ended
	go func(server *exec.Cmd) {
		defer close(ended)
		_ = server.Wait()
	}(f.server)
	f.Cleanup(f.stop)
	f.await("fathom up", startLimit, func() bool {
		select {
		case <-ended:
			f.Fatalf("fathom up ended: %s", f.said())
		default:
		}
		return strings.Contains(f.said(), "Fathom is ready")
	})
	_, after, _ := strings.Cut(f.said(), "doors at ")
	f.doors, _, _ = strings.Cut(after, ",")
	f.client = f.certified()
}

// said is what the server printed since its last start.
func (f *fathom) said() string {
	b, err := os.ReadFile(filepath.Join(f.state, "up.txt"))
	if err != nil {
		f.Fatal(err)
	}
	return string(b)
}

// stop ends the server as Ctrl-C does; a server that is gone already is no error.
func (f *fathom) stop() {
	_ = f.server.Process.Signal(syscall.SIGINT)
	select {
	case <-f.ended:
	case <-time.After(stopLimit):
		f.kill()
		f.Errorf("fathom up did not stop within %s", stopLimit)
	}
}

// kill ends the server as a power cut does.
func (f *fathom) kill() {
	_ = f.server.Process.Kill()
	<-f.ended
}

// try runs a verb. The answer is what it printed, errors included, and whether it succeeded.
func (f *fathom) try(arguments ...string) (string, bool) {
	f.Helper()
	verb := exec.CommandContext(f.Context(), filepath.Join(f.bin, "fathom"), arguments...)
	verb.Env = append(os.Environ(), "FATHOM_STATE="+f.state, "KUBECONFIG="+filepath.Join(f.state, "kubeconfig"))
	out, err := verb.CombinedOutput()
	var refused *exec.ExitError
	if err != nil && !errors.As(err, &refused) {
		f.Fatal(err)
	}
	return string(out), err == nil
}

// do runs a verb that must succeed.
func (f *fathom) do(arguments ...string) string {
	f.Helper()
	out, ok := f.try(arguments...)
	if !ok {
		f.Fatalf("fathom %s: %s", strings.Join(arguments, " "), out)
	}
	return out
}

// read decodes what a verb prints with -o json.
func (f *fathom) read(into any, arguments ...string) {
	f.Helper()
	out := f.do(append(arguments, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		f.Fatalf("fathom %s: %v in %s", strings.Join(arguments, " "), err, out)
	}
}

// line is an object in `fathom status`.
type line struct {
	Kind, Name, State, Detail, Message string
	Version                            int64
}

// status is what the objects of a workspace say, by "kind/name".
func (f *fathom) status(workspace string) map[string]line {
	f.Helper()
	var lines []line
	f.read(&lines, "status", "-n", workspace)
	out := map[string]line{}
	for _, l := range lines {
		out[strings.ToLower(l.Kind)+"/"+l.Name] = l
	}
	return out
}

// settle waits until all of a workspace's objects are as declared.
func (f *fathom) settle(workspace string) {
	f.Helper()
	f.do("status", "-n", workspace, "--wait", "--timeout", "10m")
}

// await looks until done says so.
func (f *fathom) await(what string, limit time.Duration, done func() bool) {
	f.Helper()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for deadline := time.After(limit); !done(); {
		select {
		case <-deadline:
			out, _ := f.try("status")
			log, _ := os.ReadFile(filepath.Join(f.state, "logs", "fathom.log"))
			f.Fatalf("waited %s for %s:\n%s\nfathom.log ends with\n%s", limit, what, out, log[max(0, len(log)-8<<10):])
		case <-tick.C:
		}
	}
}

// certified is an HTTP client with the certificate and the authority of the kubeconfig.
func (f *fathom) certified() *http.Client {
	f.Helper()
	text, err := os.ReadFile(filepath.Join(f.state, "kubeconfig"))
	if err != nil {
		f.Fatal(err)
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				CA []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		f.Fatal(err)
	}
	pair, err := tls.X509KeyPair(config.Users[0].User.Certificate, config.Users[0].User.Key)
	if err != nil {
		f.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.Clusters[0].Cluster.CA)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}}
}

// get asks a door.
func (f *fathom) get(path string) []byte {
	f.Helper()
	answer, err := f.client.Get(f.doors + path)
	if err != nil {
		f.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		f.Fatalf("GET %s: %s %v %s", path, answer.Status, err, body)
	}
	return body
}

// getJSON asks a door and decodes the answer.
func (f *fathom) getJSON(into any, format string, arguments ...any) {
	f.Helper()
	path := fmt.Sprintf(format, arguments...)
	if err := json.NewDecoder(bytes.NewReader(f.get(path))).Decode(into); err != nil {
		f.Fatalf("GET %s: %v", path, err)
	}
}

// folder writes files into a new folder and returns its path.
func (f *fathom) folder(files map[string]string) string {
	f.Helper()
	dir := f.TempDir()
	for name, content := range files {
		f.write(filepath.Join(dir, filepath.FromSlash(name)), content)
	}
	return dir
}

func (f *fathom) write(path, content string) {
	f.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		f.Fatal(err)
	}
}
