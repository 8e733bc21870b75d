// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/staging"
)

// binary is fathom-launch as it is shipped; it must be a process of its own because it waits for any child.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fathom-launch")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "fathom-launch")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func TestRunEndToEnd(t *testing.T) {
	p := newPlatform(t, map[string]string{"sub/go.sh": `#!/bin/sh
set -e
cat "$FATHOM_INPUTS/cohort/a.csv" lib/b.txt "$FATHOM_PARAMS" > "$FATHOM_OUTPUT/all"
mkdir "$FATHOM_OUTPUT/deep"; echo "$FATHOM_RANK/$FATHOM_WORKERS $FATHOM_PEERS $GREETING" > "$FATHOM_OUTPUT/deep/env"
: > "$FATHOM_OUTPUT/empty"; echo hello
`}, "./go.sh")
	p.plan.Stage.Workdir = "sub"
	p.plan.Stage.Inputs = []gang.File{p.blobs.add("inputs/cohort/a.csv", "1\n"), p.blobs.add("code/sub/lib/b.txt", "2\n")}
	p.plan.Stage.Params = json.RawMessage(`{"C":1}`)
	p.plan.Stage.Env = map[string]string{"GREETING": "stage", "FATHOM_RANK": "99"}
	p.busy.Store(2) // the door is restarting
	if code, log := p.run(1, 0); code != 0 || !strings.Contains(log, "hello") {
		t.Fatalf("exit code %d: %s", code, log)
	}
	want := map[string]string{"all": "1\n2\n{\"C\":1}", "empty": "", "deep/env": "0/1 127.0.0.1:29584 stage\n"}
	got := p.output()
	for path, text := range want {
		if got[path] != text {
			t.Errorf("%s is %q, want %q", path, got[path], text)
		}
	}
	if len(got) != len(want) || p.commits.Load() != 1 {
		t.Errorf("output %v, %d commits", got, p.commits.Load())
	}
	if code, _ := p.run(2, 0); code == 0 {
		t.Error("a second attempt ran after the commit")
	}
}

func TestFailureIsTold(t *testing.T) {
	p := newPlatform(t, nil, "sh", "-c", `echo '{"kind":"Invalid","reason":"UnknownColumn","message":"no column x","field":"spec.sql"}' > $FATHOM_TERMINATION; echo oops >&2; exit 7`)
	if code, _ := p.run(1, 0); code != 7 {
		t.Fatalf("exit code %d, want 7", code)
	}
	failures := p.report().Failures
	if len(failures) != 1 {
		t.Fatalf("%d failures", len(failures))
	}
	want := gang.Failure{Termination: gang.Termination{Kind: fault.Invalid, Reason: "UnknownColumn", Message: "no column x", Field: "spec.sql", ExitCode: 7, Tail: "oops\n"}}
	if failures[0] != want {
		t.Errorf("told %+v, want %+v", failures[0], want)
	}
}

func TestFailuresBeforeAndAfterTheCommand(t *testing.T) {
	tests := []struct {
		name     string
		command  []string
		spoil    func(*platform)
		wantCode int
		wantText string
	}{
		{"no such program", []string{"no-such-thing"}, nil, 127, "no-such-thing"},
		{"output is a link", []string{"sh", "-c", "ln -s /etc/passwd $FATHOM_OUTPUT/x"}, nil, 65, "link"},
		{"bundle is not a tar", []string{"true"}, func(p *platform) { f := p.blobs.add("", "junk junk"); p.plan.Stage.Code = &f }, 65, "not a bundle"},
		{"input is gone", []string{"true"}, func(p *platform) {
			p.plan.Stage.Inputs = []gang.File{{Path: "inputs/x", Digest: ref.DigestOf(nil)}}
		}, 65, "no blob"},
		{"killed", []string{"sh", "-c", "kill -9 $$"}, nil, 137, ""},
		{"path escapes", []string{"true"}, func(p *platform) { p.plan.Stage.Inputs = []gang.File{p.blobs.add("inputs/../../x", "x")} }, 65, "relative path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlatform(t, nil, tt.command...)
			if tt.spoil != nil {
				tt.spoil(p)
			}
			if code, log := p.run(1, 0); code != tt.wantCode || !strings.Contains(log, tt.wantText) {
				t.Errorf("exit code %d: %q; want %d and %q", code, log, tt.wantCode, tt.wantText)
			}
			if r := p.report(); len(r.Failures) != 1 || r.Output != "" {
				t.Errorf("report %+v, want one failure and no output", r)
			}
		})
	}
}

func TestCheckpointsSurviveAttempts(t *testing.T) {
	p := newPlatform(t, nil, "sh", "-c", `cd $FATHOM_CHECKPOINTS
n=$(cat step 2>/dev/null || echo 0); n=$((n+1)); echo $n > step.tmp; mv step.tmp step; rm -f old; [ $n = 1 ] && echo o > old
echo 0.5 half > $FATHOM_PROGRESS
[ $n -lt 3 ] && exec sleep 60; echo $n > $FATHOM_OUTPUT/n`)
	for attempt := 1; attempt <= 2; attempt++ { // each is killed without warning once its checkpoint is safe
		cmd, _ := p.pod(attempt, 0)
		must(t, cmd.Start())
		text := fmt.Sprintf("%d\n", attempt)
		eventually(t, "checkpoint "+text, func() bool {
			p.blobs.mu.Lock()
			defer p.blobs.mu.Unlock()
			_, ok := p.blobs.blobs[ref.DigestOf([]byte(text))]
			return ok
		})
		eventually(t, "progress", func() bool { return p.report().Progress == gang.Progress{Fraction: 0.5, Message: "half"} })
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		p.restart()
	}
	if code, log := p.run(3, 0); code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	if got := p.output()["n"]; got != "3\n" {
		t.Errorf("the third attempt wrote %q", got)
	}
	if code, log := p.run(2, 0); code == 0 || !strings.Contains(log, "replaced") {
		t.Errorf("a stale attempt: exit code %d, %s", code, log)
	}
}

// TestStartsAgainInItsPod: what a try left that was ended while it fetched or wrote is neither in the way nor handed in.
func TestStartsAgainInItsPod(t *testing.T) {
	p := newPlatform(t, map[string]string{"main.sh": "cat whole > $FATHOM_OUTPUT/out", "whole": "whole"}, "sh", "main.sh")
	for path, text := range map[string]string{
		"code/main.sh": "exit 1", "code/.fathom-bundle.tar": "half", "output/half": "half", "inputs/old/rows": "half",
	} {
		path = filepath.Join(p.dir, "train-1-0", path)
		must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)))
	}
	if code, log := p.run(1, 0); code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	if got := p.output(); len(got) != 1 || got["out"] != "whole" {
		t.Errorf("output %v", got)
	}
}

// restart forgets everything that is not on disk and leaves a torn line behind.
func (p *platform) restart() {
	must(p.t, p.ledger.Close())
	name := filepath.Join(p.dir, "ledger", "w", "train.jsonl")
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	must(p.t, err)
	_, err = f.WriteString(`{"op":"sa`)
	must(p.t, errors.Join(err, f.Close()))
	p.ledger, err = staging.OpenLedger(filepath.Join(p.dir, "ledger"))
	must(p.t, err)
	p.serve()
}

func TestGangCommitsOnce(t *testing.T) {
	p := newPlatform(t, nil, "sh", "-c", `echo $FATHOM_RANK > $FATHOM_OUTPUT/rank-$FATHOM_RANK`)
	p.plan.Gang.Workers = 3
	for rank := range 3 {
		if code, log := p.run(1, rank); code != 0 {
			t.Fatalf("rank %d: %d %s", rank, code, log)
		}
		if committed := p.report().Output != ""; committed != (rank == 2) {
			t.Errorf("after rank %d: committed %v", rank, committed)
		}
	}
	if got := p.output(); len(got) != 3 || got["rank-2"] != "2\n" || p.commits.Load() != 1 {
		t.Errorf("output %v, %d commits", got, p.commits.Load())
	}
}

func TestGangThatWritesOneFileTwice(t *testing.T) {
	p := newPlatform(t, nil, "sh", "-c", `echo $FATHOM_RANK > $FATHOM_OUTPUT/model`)
	p.plan.Gang.Workers = 2
	first, _ := p.run(1, 0)
	second, log := p.run(1, 1)
	if first != 0 || second != 65 || !strings.Contains(log, "two ranks wrote the output file model") {
		t.Errorf("exit codes %d, %d: %s", first, second, log)
	}
}

func TestSIGTERM(t *testing.T) {
	p := newPlatform(t, nil, "sh", "-c", `trap 'echo last > $FATHOM_CHECKPOINTS/c; exit 3' TERM; echo up > $FATHOM_CHECKPOINTS/up; while :; do sleep 0.05; done`)
	cmd, log := p.pod(1, 0)
	must(t, cmd.Start())
	eventually(t, "started", func() bool {
		_, err := os.Stat(filepath.Join(p.dir, "train-1-0", "checkpoints", "up"))
		return err == nil
	})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("exit code %d: %s", code, log)
	}
	if _, ok := p.blobs.blobs[ref.DigestOf([]byte("last\n"))]; !ok {
		t.Error("the checkpoint written on SIGTERM was lost")
	}
}

func TestOrphansAreReaped(t *testing.T) {
	p := newPlatform(t, nil, "sh", "-c", `(sh -c 'sleep 0.1' & ) ; sleep 0.5; ps -o stat= --ppid $PPID | grep -c Z > $FATHOM_OUTPUT/zombies; (setsid sleep 100 &) ; sleep 300 & exit 0`)
	started := time.Now()
	if code, log := p.run(1, 0); code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	if got := p.output()["zombies"]; got != "0\n" {
		t.Errorf("%q zombies", got)
	}
	if time.Since(started) > 20*time.Second {
		t.Error("waited for what the command left behind")
	}
}

func TestOtherRunsPodIsRefused(t *testing.T) {
	p := newPlatform(t, nil, "true")
	cmd, log := p.pod(1, 0)
	must(t, os.WriteFile(filepath.Join(p.dir, "train-1-0.token"), []byte("other-1-0"), 0o600))
	_ = cmd.Run()
	if !strings.Contains(log.String(), "does not belong to run w/train") {
		t.Errorf("said %s", log)
	}
}
