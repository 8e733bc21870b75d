// SPDX-License-Identifier: Apache-2.0

package up

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = 2 * time.Minute
	stopLimit  = 15 * time.Second // what Ctrl-C may take
	glance     = 100 * time.Millisecond
)

// fathom is a state directory and, while it runs, the Fathom on it.
type fathom struct {
	*testing.T
	bin, state string
	said       string // file that keeps what the last start printed
	server     *exec.Cmd
	ended      chan struct{}
}

// binaries is the folder of the built binaries; without them the test is skipped.
func binaries(t *testing.T) string {
	t.Helper()
	server := os.Getenv("FATHOM_BIN") // path of fathom-server
	if server == "" {
		server = filepath.Join("..", "..", "bin", "fathom-server")
	}
	bin, err := filepath.Abs(filepath.Dir(server))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fathom", "fathom-server", "fathom-step", "fathom-launch", "runc"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Skipf("needs the built binaries (make build, or set FATHOM_BIN): %v", err)
		}
	}
	return bin
}

// empty is a Fathom that was never started.
func empty(t *testing.T) *fathom {
	t.Helper()
	dir, err := os.MkdirTemp("", "fathom-up") // short: paths of sockets are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &fathom{T: t, bin: binaries(t), state: filepath.Join(dir, "state"), said: filepath.Join(dir, "said")}
}

// in gives the Fathom to a sub-test.
func (f *fathom) in(t *testing.T) *fathom {
	own := *f
	own.T = t
	return &own
}

// up starts it and waits until it is ready.
func (f *fathom) up(flags ...string) {
	f.Helper()
	out, err := os.Create(f.said)
	if err != nil {
		f.Fatal(err)
	}
	defer out.Close()
	server := exec.Command(filepath.Join(f.bin, "fathom"), append([]string{"up", "--state", f.state}, flags...)...)
	server.Stdout, server.Stderr = out, out
	if err := server.Start(); err != nil {
		f.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Wait()
	}()
	f.server, f.ended = server, ended
	f.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(2 * stopLimit):
			_ = server.Process.Kill()
			<-ended
		}
	})
	f.await("fathom up", startLimit, func() bool {
		select {
		case <-ended:
			f.Fatalf("fathom up ended: %s", f.output())
		default:
		}
		return strings.Contains(f.output(), "Fathom is ready")
	})
}

// output is what the last start has printed.
func (f *fathom) output() string {
	said, err := os.ReadFile(f.said)
	if err != nil {
		f.Fatal(err)
	}
	return string(said)
}

// port of a line that begins so.
func (f *fathom) port(after string) string {
	f.Helper()
	_, rest, found := strings.Cut(f.output(), after)
	_, rest, _ = strings.Cut(rest, "127.0.0.1:")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if !found || end <= 0 {
		f.Fatalf("no port after %q in %s", after, f.output())
	}
	return rest[:end]
}

// interrupt ends it as Ctrl-C does, and holds it to the time and the exit code.
func (f *fathom) interrupt() {
	f.Helper()
	_ = f.server.Process.Signal(syscall.SIGINT)
	select {
	case <-f.ended:
	case <-time.After(stopLimit):
		f.Fatalf("fathom up did not stop within %s: %s", stopLimit, f.output())
	}
	if code := f.server.ProcessState.ExitCode(); code != 0 {
		f.Errorf("after Ctrl-C fathom up ended with %d: %s", code, f.output())
	}
	if _, rest, _ := strings.Cut(f.output(), "next start resumes\n"); rest != "stopping\n" {
		f.Errorf("while it stopped it printed %q", rest)
	}
}

// kill ends it as a power cut does.
func (f *fathom) kill() {
	_ = f.server.Process.Kill()
	<-f.ended
}

// try runs a verb. The answer is what it printed, errors included, and its exit code.
func (f *fathom) try(arguments ...string) (string, int) {
	f.Helper()
	return f.run(exec.CommandContext(f.Context(), filepath.Join(f.bin, "fathom"), arguments...))
}

func (f *fathom) run(verb *exec.Cmd) (string, int) {
	f.Helper()
	verb.Env = append(os.Environ(), "FATHOM_STATE="+f.state, "KUBECONFIG="+filepath.Join(f.state, "kubeconfig"))
	out, err := verb.CombinedOutput()
	var refused *exec.ExitError
	if err != nil && !errors.As(err, &refused) {
		f.Fatal(err)
	}
	return string(out), verb.ProcessState.ExitCode()
}

// do runs a verb that must succeed.
func (f *fathom) do(arguments ...string) string {
	f.Helper()
	out, code := f.try(arguments...)
	if code != 0 {
		f.Fatalf("fathom %s ended with %d: %s", strings.Join(arguments, " "), code, out)
	}
	return out
}

// refuses runs a verb that must end with a code and say why.
func (f *fathom) refuses(code int, why []string, arguments ...string) {
	f.Helper()
	out, got := f.try(arguments...)
	f.refused(out, got, code, why)
}

func (f *fathom) refused(out string, got, code int, why []string) {
	f.Helper()
	if got != code {
		f.Errorf("exit code %d, want %d: %s", got, code, out)
	}
	for _, part := range why {
		if !strings.Contains(out, part) {
			f.Errorf("%q does not say %q", out, part)
		}
	}
	if strings.Contains(out, "panic") || strings.Contains(out, "goroutine ") {
		f.Errorf("it crashed: %s", out)
	}
}

func (f *fathom) await(what string, limit time.Duration, done func() bool) {
	f.Helper()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	deadline := time.After(limit)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			f.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// declare puts the study up and waits until its model is served.
func (f *fathom) declare() {
	f.Helper()
	folder := f.TempDir()
	study, err := os.ReadFile(filepath.Join("testdata", "study.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join("..", "..", "internal", "predict", "testdata", "sigmoid.onnx"))
	if err != nil {
		f.Fatal(err)
	}
	for name, content := range map[string][]byte{"study.yaml": study, "train/model.onnx": model} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
			f.Fatal(err)
		}
	}
	f.do("apply", "-f", folder)
	f.put("people-1.csv", 0)
	f.do("status", "--wait", "--timeout", "2m")
}

// put uploads a file of 24 rows of 12 people, all of them new.
func (f *fathom) put(name string, first int) {
	f.Helper()
	folder := f.TempDir()
	var rows bytes.Buffer
	rows.WriteString("person,a,b,status\n")
	for i := range 24 {
		person := first + i/2
		fmt.Fprintf(&rows, "p%03d,%.3f,%.3f,%d\n", person, float64(person%5)-2+float64(i%2)/2, float64(i%7)/10, person/2%2)
	}
	if err := os.WriteFile(filepath.Join(folder, name), rows.Bytes(), 0o644); err != nil {
		f.Fatal(err)
	}
	f.do("put", "-n", "small", folder, "inbox")
}
