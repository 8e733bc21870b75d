// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// calls are the places where a process may be killed, with the most that are tried of each by default. FATHOM_CRASH_POINTS
// multiplies it; 100 tries every one.
var calls = map[string]int{
	"fsync": 12, "fdatasync": 12, "renameat": 12, "linkat": 6, "mkdirat": 4, "ftruncate": 3, "unlinkat": 4, "write": 8, "pwrite64": 12,
}

func factor(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("FATHOM_CRASH_POINTS"))
	if err != nil {
		return 1
	}
	return n
}

func strace(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace: make setup installs it when root")
	}
	if out, err := exec.Command(path, "-f", "-qq", "-o", os.DevNull, "--seccomp-bpf", "-e", "trace=fsync", "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %v %s", err, out)
	}
	return path
}

// run drives a component under strace with an injection, which may be empty; it returns what the driver said and the traced calls.
func run(t *testing.T, tracer string, c component, dir, trace, inject string) (said, log string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "calls")
	arguments := []string{"-f", "-qq", "-o", out, "-e", "trace=" + trace, "-e", "signal=none"}
	if inject == "" {
		arguments = append(arguments, "--seccomp-bpf") // quicker, but it injects nothing
	} else {
		arguments = append(arguments, "-e", "inject="+inject)
	}
	cmd := exec.Command(tracer, append(arguments, os.Args[0])...)
	cmd.Env = append(os.Environ(), driverEnv+"="+c.name+" "+dir)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	traced, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return both.String(), string(traced)
}

var tracedCall = regexp.MustCompile(`(?m)^(\d+) +(\w+)\(`)

// most calls of each kind that one thread makes.
func most(log string) map[string]int {
	each, out := map[[2]string]int{}, map[string]int{}
	for _, m := range tracedCall.FindAllStringSubmatch(log, -1) {
		key := [2]string{m[1], m[2]}
		each[key]++
		out[m[2]] = max(out[m[2]], each[key])
	}
	return out
}

// spread takes at most n numbers of 1 to last, both ends among them.
func spread(last, n int) []int {
	if last <= n {
		n = last
	}
	var out []int
	for i := range n {
		out = append(out, 1+i*(last-1)/max(1, n-1))
	}
	return out
}

// acknowledged is what the driver has said was kept.
func acknowledged(said string) map[int]bool {
	out := map[int]bool{}
	for line := range strings.Lines(said) {
		var i int
		if _, err := fmt.Sscanf(line, "kept %d", &i); err == nil {
			out[i] = true
		}
	}
	return out
}

// inspect opens the store as the next start does, and compares it with what was acknowledged; then the writes are made again.
func inspect(t *testing.T, c component, dir, said string) {
	t.Helper()
	s, err := c.open(dir)
	if err != nil {
		t.Fatalf("it does not open again: %v\nthe driver said:\n%s", err, said)
	}
	kept := acknowledged(said)
	for i, w := range s.writes {
		err := w.kept()
		switch {
		case err == nil, errors.Is(err, errAbsent) && !kept[i]:
		case kept[i]:
			t.Errorf("%s was acknowledged, and is now: %v\nthe driver said:\n%s", w.name, err, said)
		default:
			t.Errorf("%s was not acknowledged, and is neither whole nor absent: %v", w.name, err)
		}
	}
	for _, w := range s.writes {
		if w.kept() == nil {
			continue
		}
		if err := w.do(); err != nil {
			t.Errorf("%s again: %v", w.name, err)
		} else if err := w.kept(); err != nil {
			t.Errorf("%s, made again, is: %v", w.name, err)
		}
	}
	if s.whole != nil {
		if err := s.whole(); err != nil {
			t.Errorf("not whole: %v", err)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestKilledAtEveryWritePoint(t *testing.T) {
	tracer := strace(t)
	for _, c := range components() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			names := make([]string, 0, len(calls))
			for call := range calls {
				names = append(names, call)
			}
			dir := t.TempDir()
			said, log := run(t, tracer, c, dir, strings.Join(names, ","), "")
			if !strings.Contains(said, "done\n") || strings.Contains(said, "failed") {
				t.Fatalf("the driver failed by itself: %s", said)
			}
			inspect(t, c, dir, said)
			killed := 0
			for call, last := range most(log) {
				for _, k := range spread(last, calls[call]*factor(t)) {
					dir := t.TempDir()
					said, _ := run(t, tracer, c, dir, call, fmt.Sprintf("%s:signal=SIGKILL:when=%d", call, k))
					if !strings.Contains(said, "done\n") {
						killed++
					}
					if t.Run(fmt.Sprintf("%s-%d", call, k), func(t *testing.T) { inspect(t, c, dir, said) }); t.Failed() {
						return
					}
				}
			}
			if killed == 0 {
				t.Error("the driver was never killed")
			}
			t.Logf("killed at %d points", killed)
		})
	}
}

// After a failed fsync nobody knows what is on the disk: the write that asked for it is not acknowledged.
func TestFailedFsyncIsNotAcknowledged(t *testing.T) {
	tracer := strace(t)
	for _, c := range components() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, log := run(t, tracer, c, t.TempDir(), "fsync,fdatasync", "")
			injected := 0
			for call, last := range most(log) {
				for _, k := range spread(last, 6*factor(t)) {
					dir := t.TempDir()
					said, log := run(t, tracer, c, dir, "write,"+call, fmt.Sprintf("%s:error=EIO:when=%d", call, k))
					injected += strings.Count(log, "(INJECTED)")
					t.Run(fmt.Sprintf("%s-%d", call, k), func(t *testing.T) {
						notAcknowledged(t, log)
						inspect(t, c, dir, said)
					})
				}
			}
			if injected == 0 && c.name != "environments" { // they are written through in the background
				t.Error("no call failed")
			}
		})
	}
}

// notAcknowledged reads the calls in order: after a failed one, the write that is under way must not be told as kept.
func notAcknowledged(t *testing.T, log string) {
	t.Helper()
	failed := false
	for line := range strings.Lines(log) {
		switch {
		case strings.Contains(line, `write(1, "begin `):
			failed = false
		case strings.Contains(line, "(INJECTED)"):
			failed = true
		case failed && strings.Contains(line, `write(1, "kept `):
			t.Errorf("acknowledged after a failed fsync: %s", line)
			return
		}
	}
}

// A disk that is full for a moment loses nothing, and when it has room again writing goes on.
func TestFullDisk(t *testing.T) {
	tracer := strace(t)
	for _, c := range components() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, log := run(t, tracer, c, t.TempDir(), "write,pwrite64", "")
			for call, last := range most(log) {
				for _, k := range spread(last, 5*factor(t)) {
					dir := t.TempDir()
					said, _ := run(t, tracer, c, dir, call, fmt.Sprintf("%s:error=ENOSPC:when=%d", call, k))
					t.Run(fmt.Sprintf("%s-%d", call, k), func(t *testing.T) { inspect(t, c, dir, said) })
				}
			}
		})
	}
}
