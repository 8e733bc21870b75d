// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// startLimit is how long a control plane may take to become ready on a busy machine.
const startLimit = 2 * time.Minute

// Binary is the path of fathom-server: FATHOM_BIN when set, else bin/fathom-server in the repository. It skips the
// test when there is no such file.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Skip(err)
	}
	return path
}

func binary() (string, error) {
	path := os.Getenv("FATHOM_BIN")
	if path == "" {
		path = filepath.Join(repository(), "bin", "fathom-server")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("needs the built server (make build, or set FATHOM_BIN): %w", err)
	}
	return path, nil
}

// repository is the root of the source tree that this file was compiled from.
func repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Server is a running `fathom-server kube`.
type Server struct {
	Dir      string // its state directory
	Endpoint string // its API server's base URL
	Pid      int

	command *exec.Cmd
	stdin   io.Closer
	stderr  *tail
	exited  chan struct{}
}

// Launch starts a control plane on dir and waits until it is ready. Further arguments follow `kube --state-dir dir`.
// The server is killed when the test ends.
func Launch(t testing.TB, dir string, arguments ...string) *Server {
	t.Helper()
	s, err := launch(Binary(t), dir, arguments)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// LaunchFails starts a control plane that is expected to refuse, and returns its exit code and what it said.
func LaunchFails(t testing.TB, dir string, arguments ...string) (code int, message string) {
	t.Helper()
	s, err := launch(Binary(t), dir, arguments)
	if err == nil {
		s.Kill()
		t.Fatalf("the control plane on %s started; want a refusal", dir)
	}
	var refused *refusal
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	return refused.code, refused.message
}

// refusal is the end of a server before it was ready.
type refusal struct {
	code    int
	message string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("fathom-server ended with code %d before it was ready: %s", r.code, r.message)
}

func launch(binary, dir string, arguments []string) (*Server, error) {
	command := exec.Command(binary, append([]string{"kube", "--attached", "--state-dir", dir}, arguments...)...)
	s := &Server{Dir: dir, command: command, stderr: &tail{}, exited: make(chan struct{})}
	command.Stderr = s.stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.stdin = stdin
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s.Pid = command.Process.Pid
	ready := make(chan string, 1)
	go func() {
		defer close(s.exited)
		readLines(stdout, ready)
		_ = command.Wait()
	}()
	return s, s.await(ready)
}

// readLines sends the endpoint of the "ready" line and reads the rest away.
func readLines(r io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if _, endpoint, found := strings.Cut(lines.Text(), "https://"); found && strings.HasPrefix(lines.Text(), "ready") {
			ready <- "https://" + endpoint
		}
	}
}

func (s *Server) await(ready <-chan string) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case s.Endpoint = <-ready:
		return nil
	case <-s.exited:
		return &refusal{code: s.command.ProcessState.ExitCode(), message: s.stderr.String()}
	case <-limit.C:
		s.Kill()
		return fmt.Errorf("fathom-server was not ready after %s: %s", startLimit, s.stderr)
	}
}

// Kill ends the server with SIGKILL, as a power cut would, and waits for its end. It may be called again.
func (s *Server) Kill() {
	_ = s.command.Process.Kill()
	<-s.exited
	_ = s.stdin.Close()
}

// Interrupt ends the server as Ctrl-C does, and returns its exit code.
func (s *Server) Interrupt() int {
	_ = s.command.Process.Signal(syscall.SIGINT)
	<-s.exited
	return s.command.ProcessState.ExitCode()
}

// Exited is closed when the server has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// As is a client configuration for an identity: "owner", "operator", "doors" or "node". Its clients follow the
// renewal of certificates.
func (s *Server) As(identity string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig(identity))
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return config, nil
}

// Kubeconfig is the path of an identity's kubeconfig.
func (s *Server) Kubeconfig(identity string) string {
	if identity == "owner" {
		return filepath.Join(s.Dir, "kubeconfig")
	}
	return filepath.Join(s.Dir, "pki", identity+".kubeconfig")
}

// tail keeps what a process wrote last.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 8 << 10

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if extra := len(w.text) - tailSize; extra > 0 {
		w.text = w.text[extra:]
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.TrimSpace(w.text))
}
