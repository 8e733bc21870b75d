// SPDX-License-Identifier: Apache-2.0

package up

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A backup that was taken while Fathom works is restored at another path, and goes on there: the same versions, nothing is
// computed again.
func TestBackupAndRestore(t *testing.T) {
	f := empty(t)
	file := filepath.Join(filepath.Dir(f.state), "monday.fathom")
	f.refuses(8, []string{f.state, "not a state directory"}, "backup", file)
	f.up()
	f.declare()
	before, why, answer := f.versions(), f.do("why", "copied", "-n", "small"), f.do("predict", "copied", "-d", `{"a": 1, "b": 0.5}`)
	ran := f.ran()
	if said := f.do("backup", file); !strings.Contains(said, "holds the keys") {
		t.Errorf("backup: %s", said)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup, which holds keys, has mode %v, %v", info.Mode(), err)
	}
	f.refuses(3, []string{"exists already"}, "backup", file)
	f.refuses(3, []string{f.state, "not empty"}, "restore", file)
	f.put("people-2.csv", 100) // after the backup: not in it
	f.do("status", "--wait", "--timeout", "2m")
	f.interrupt()

	original := f.state
	f.state = filepath.Join(filepath.Dir(original), "another place")
	if said := f.do("restore", file); !strings.Contains(said, "every blob matches its digest") || strings.Contains(said, "DAMAGE") {
		t.Errorf("restore: %s", said)
	}
	if err := os.RemoveAll(original); err != nil { // nothing of it is needed
		t.Fatal(err)
	}
	f.again(answer, before, nil)
	if got := f.do("why", "copied", "-n", "small"); got != why {
		t.Errorf("before:\n%s\nrestored:\n%s", why, got)
	}
	if got := f.ran(); got != ran {
		t.Errorf("runs before:\n%s\nrestored:\n%s", ran, got)
	}
	f.healthy() // beside the running one
	f.put("people-3.csv", 200)
	f.do("status", "--wait", "--timeout", "2m")
	if got := f.versions(); got == before || !strings.Contains(got, "dataset/people Ready 2") {
		t.Errorf("new data after the restore: %s", got)
	}
	f.interrupt()
	f.healthy()
	stoppedBackup(f)
}

// ran lists the runs of everything but captured requests, which go on.
func (f *fathom) ran() string {
	f.Helper()
	var all []struct{ Name, ForName, Phase string }
	if err := json.Unmarshal([]byte(f.do("runs", "-n", "small", "-o", "json")), &all); err != nil {
		f.Fatal(err)
	}
	var names []string
	for _, r := range all {
		if !strings.HasSuffix(r.ForName, "-requests") {
			names = append(names, r.Name+" "+r.Phase)
		}
	}
	return strings.Join(names, "\n")
}

// stoppedBackup: a stopped Fathom is backed up too; what is wrong with a file is told before anything is made of it.
func stoppedBackup(f *fathom) {
	file := filepath.Join(filepath.Dir(f.state), "tuesday.fathom")
	var told struct {
		SHA256  string
		Running bool
		Files   int
	}
	if err := json.Unmarshal([]byte(f.do("backup", file, "-o", "json")), &told); err != nil || told.Files == 0 || told.Running {
		f.Errorf("backup -o json: %+v, %v", told, err)
	}
	if said := f.do("backup", "--verify", file); !strings.Contains(said, "every file matches its digest") || !strings.Contains(said, told.SHA256) {
		f.Errorf("verify: %s", said)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	rewrite(f, file, whole)
	f.refuses(5, []string{file, "damaged", "another backup"}, "backup", "--verify", file)
	to := filepath.Join(filepath.Dir(f.state), "none")
	f.refuses(5, []string{file, "damaged"}, "restore", file, "--state", to)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.state), "*none*")); len(left) > 0 {
		f.Errorf("a refused restore left %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.state), ".fathom-*")); len(left) > 0 {
		f.Errorf("scratch was left: %v", left)
	}
}
