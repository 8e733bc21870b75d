// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/logs"
	"fathom.dev/fathom/internal/node/network"
	"fathom.dev/fathom/internal/node/process"
	"fathom.dev/fathom/internal/node/sandbox"
)

// runtimes are the implementations that the suite below runs on.
func runtimes(t *testing.T) map[string]func(t *testing.T) isolation.Runtime {
	t.Helper()
	return map[string]func(t *testing.T) isolation.Runtime{
		"process": func(t *testing.T) isolation.Runtime {
			r, err := process.New(process.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
		"sandbox": func(t *testing.T) isolation.Runtime {
			runc := runcPath(t)
			r, err := sandbox.New(sandbox.Options{Dir: stateDir(t), RuncPath: runc, Directory: nobody{}})
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
	}
}

// runcPath finds runc as `make` builds it; FATHOM_RUNC overrides.
func runcPath(t *testing.T) string {
	t.Helper()
	path := os.Getenv("FATHOM_RUNC")
	if path == "" {
		path, _ = filepath.Abs("../../bin/runc")
	}
	if err := sandbox.Permitted(path); err != nil {
		t.Skip("sandbox:", err)
	}
	return path
}

// stateDir is a directory that unprivileged containers may traverse.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fathom-node-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

type nobody struct{}

func (nobody) Resolve(string, string, string) ([]netip.Addr, bool) { return nil, false }
func (nobody) NamespaceOf(netip.Addr) string                       { return "" }
func (nobody) Backends(network.ServiceName, int) []netip.AddrPort  { return nil }

// fixture is an opened pod of a runtime.
type fixture struct {
	t       *testing.T
	runtime isolation.Runtime
	pod     isolation.Pod
	dir     string
	output  string
}

func openFixture(t *testing.T, make func(t *testing.T) isolation.Runtime) *fixture {
	t.Helper()
	r := make(t)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := stateDir(t)
	pod, err := r.Open(t.Context(), isolation.PodConfig{ID: "pod-1", Dir: dir, Hostname: "train-0", Namespace: "neurology", Subdomain: "train"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pod.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &fixture{t: t, runtime: r, pod: pod, dir: dir, output: filepath.Join(dir, "output")}
}

func (f *fixture) container(args ...string) isolation.Container {
	f.t.Helper()
	dir := filepath.Join(f.dir, "c")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	_ = os.Remove(f.output)
	return isolation.Container{ID: "c-" + filepath.Base(f.dir), Dir: dir, Args: args, User: isolation.User{UID: 65532, GID: 65532}, Log: f.output}
}

func (f *fixture) start(c isolation.Container) isolation.Process {
	f.t.Helper()
	p, err := f.pod.Start(f.t.Context(), c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		_ = p.Kill()
		<-p.Done()
		if err := p.Close(context.Background()); err != nil {
			f.t.Error(err)
		}
	})
	return p
}

// run waits for the container's end and returns what it wrote.
func (f *fixture) run(c isolation.Container) (isolation.Exit, string) {
	f.t.Helper()
	p := f.start(c)
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		f.t.Fatal("container did not end")
	}
	p.Flush()
	return p.Exit(), strings.TrimSpace(f.written())
}

func TestIsolation(t *testing.T) {
	for name, make := range runtimes(t) {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				name string
				test func(t *testing.T, f *fixture)
			}{
				{"exit code", testExitCode}, {"signal", testSignal}, {"kill ends everything", testKill},
				{"mounts", testMounts}, {"program not found", testNotFound}, {"exec", testExec}, {"terminal", testTerminal},
				{"environment", testEnvironment}, {"out of memory", testOutOfMemory}, {"nothing of the host", testHidden},
				{"start is quick", testQuick},
			} {
				t.Run(c.name, func(t *testing.T) { c.test(t, openFixture(t, make)) })
			}
		})
	}
}

func testExitCode(t *testing.T, f *fixture) {
	exit, out := f.run(f.container("/bin/sh", "-c", "echo out; echo err >&2; exit 7"))
	if exit.Code != 7 || out != "out\nerr" && out != "err\nout" {
		t.Errorf("code %d, output %q; want 7, out and err", exit.Code, out)
	}
}

func testSignal(t *testing.T, f *fixture) {
	p := f.start(f.container("/bin/sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"))
	f.waitFor("ready")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Exit().Code != 3 {
		t.Errorf("code %d after SIGTERM was handled; want 3", p.Exit().Code)
	}
}

// written is what the container has written so far.
func (f *fixture) written() string {
	var out bytes.Buffer
	_ = logs.Read(context.Background(), f.output, logs.ReadOptions{}, &out, &out) // nothing yet
	return out.String()
}

// waitFor reads the output until it holds the text.
func (f *fixture) waitFor(text string) {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if strings.Contains(f.written(), text) {
			return
		}
	}
	f.t.Fatalf("output never held %q", text)
}

func testKill(t *testing.T, f *fixture) {
	p := f.start(f.container("/bin/sh", "-c", "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo ready; sleep 1000.25' & wait"))
	f.waitFor("ready")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Exit().Code != 137 {
		t.Errorf("code %d; want 137", p.Exit().Code)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if exec.Command("pgrep", "-f", "sleep 1000.25").Run() != nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a process of the container still runs")
		}
	}
}

func testMounts(t *testing.T, f *fixture) {
	data := filepath.Join(f.dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "in"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	scratch := filepath.Join(f.dir, "scratch")
	if err := os.MkdirAll(scratch, 0o777); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(scratch, 0o777)
	c := f.container("/bin/sh", "-c", `cat /data/in; cp /data/in $OUT/copy; cat copy; touch /data/new 2>/dev/null && echo written; true`)
	c.Mounts = []isolation.Mount{{Source: data, Target: "/data", ReadOnly: true}, {Source: scratch, Target: "/scratch"}}
	c.Env = []string{"OUT=/scratch"}
	c.WorkingDir = "/scratch"
	exit, out := f.run(c)
	want := "hellohello"
	if f.runtime.Level() == isolation.LevelProcess {
		want = "hellohellowritten"
	}
	if exit.Code != 0 || out != want {
		t.Errorf("code %d, output %q; want 0, %q", exit.Code, out, want)
	}
}

func testNotFound(t *testing.T, f *fixture) {
	_, err := f.pod.Start(t.Context(), f.container("no-such-program"))
	var start *isolation.StartError
	if !errors.As(err, &start) || !strings.Contains(start.Message, "not found") {
		t.Errorf("error %v; want a StartError that says it was not found", err)
	}
}

func testExec(t *testing.T, f *fixture) {
	p := f.start(f.container("/bin/sh", "-c", "echo ready; sleep 1000"))
	f.waitFor("ready")
	var out, errs bytes.Buffer
	code, err := p.Exec(t.Context(), isolation.Exec{
		Args: []string{"/bin/sh", "-c", "cat; echo oops >&2; exit 5"}, Stdin: strings.NewReader("input"), Stdout: &out, Stderr: &errs})
	if err != nil || code != 5 || out.String() != "input" || strings.TrimSpace(errs.String()) != "oops" {
		t.Errorf("code %d, %v, output %q, errors %q; want 5, input, oops", code, err, out.String(), errs.String())
	}
	if _, err := p.Exec(t.Context(), isolation.Exec{Args: []string{"no-such-program"}}); err == nil {
		t.Error("exec of a missing program gave no error")
	}
}

func testTerminal(t *testing.T, f *fixture) {
	p := f.start(f.container("/bin/sh", "-c", "echo ready; sleep 1000"))
	f.waitFor("ready")
	var out bytes.Buffer
	in, feed := io.Pipe()
	go func() {
		_, _ = io.WriteString(feed, "stty -echo; test -t 0 && echo is a $((1+1))-way terminal\nexit 4\n")
	}()
	code, err := p.Exec(t.Context(), isolation.Exec{Args: []string{"/bin/sh"}, Stdin: in, Stdout: &out, TTY: true})
	if err != nil || code != 4 || !strings.Contains(out.String(), "2-way terminal") {
		t.Errorf("code %d, %v, output %q; want 4 and a terminal", code, err, out.String())
	}
}

func testEnvironment(t *testing.T, f *fixture) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	env := filepath.Join(f.dir, "env")
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", env).CombinedOutput(); err != nil {
		t.Skip("no venv:", string(out))
	}
	c := f.container("python", "-c", "import sys, ssl, sqlite3; print(sys.prefix != sys.base_prefix)")
	c.Environment = env
	if exit, out := f.run(c); exit.Code != 0 || out != "True" {
		t.Errorf("code %d, output %q; want a virtual environment", exit.Code, out)
	}
}

func testOutOfMemory(t *testing.T, f *fixture) {
	if f.runtime.Level() == isolation.LevelProcess {
		t.Skip("limits are not enforced")
	}
	c := f.container("/bin/sh", "-c", "head -c 200m /dev/zero | tail")
	c.Limits.Memory = 32 << 20
	if exit, _ := f.run(c); !exit.OutOfMemory || exit.Code == 0 {
		t.Errorf("exit %+v; want out of memory", exit)
	}
}

func testHidden(t *testing.T, f *fixture) {
	if f.runtime.Level() == isolation.LevelProcess {
		t.Skip("files are not isolated")
	}
	script := `id -u; cat /etc/hostname
for p in /root/.ssh /home /var/lib /etc/shadow /etc/ssl/private ` + f.dir + `; do test -e $p && echo visible $p; done
touch /x /usr/x /etc/x 2>/dev/null && echo writable
echo pids $(ls /proc | grep -c '^[0-9]')
grep -E '^(CapEff|NoNewPrivs)' /proc/self/status | tr -s '\t' ' '
touch /tmp/x /dev/shm/x && echo scratch
getent hosts train-0.train.neurology.svc | tr -s ' ' | cut -d' ' -f2`
	_, out := f.run(f.container("/bin/sh", "-c", script))
	lines := strings.Split(out, "\n")
	want := []string{"65532", "train-0", "pids", "CapEff: 0000000000000000", "NoNewPrivs: 1", "scratch", "train-0.train.neurology.svc.cluster.local"}
	if len(lines) != len(want) {
		t.Fatalf("output\n%s\nwant lines like %q", out, want)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q; want %q", i+1, lines[i], want[i])
		}
	}
}

func testQuick(t *testing.T, f *fixture) {
	began := time.Now()
	p := f.start(f.container("/bin/true"))
	started := time.Since(began)
	<-p.Done()
	t.Logf("started after %v, ended after %v", started, time.Since(began))
}
