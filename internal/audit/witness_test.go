// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A witness outside knows what the log alone cannot: that the whole folder, its key among it, was set back or made anew.
func TestWitnessKnowsARollback(t *testing.T) {
	file := filepath.Join(t.TempDir(), "witness")
	appendTo := func(dir string, n int, witness bool) {
		o := Options{Dir: dir, CheckpointEvery: 5}
		if witness {
			o.Witness = func(c Checkpoint) {
				f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if err := json.NewEncoder(f).Encode(c); err != nil {
					t.Fatal(err)
				}
			}
		}
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := l.Append(context.Background(), Entry{User: "ada", Action: "get datasets/data", Decision: Allowed}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	copied := func(from string) string {
		to := t.TempDir()
		if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return to
	}
	dir := t.TempDir()
	appendTo(dir, 12, true)
	early := copied(dir)
	appendTo(dir, 20, true)
	kept, err := ReadWitness(file)
	if err != nil || len(kept) < 6 {
		t.Fatalf("the witness kept %d, %v", len(kept), err)
	}
	set, again := copied(early), copied(early)
	appendTo(again, 25, false) // other entries under the same key, as long as the log was
	fresh := t.TempDir()
	appendTo(fresh, 40, false)
	for _, c := range []struct{ name, dir, want string }{
		{"whole", dir, ""},
		{"set back", set, "ends at entry 12, but entry 32 was signed"},
		{"set back and gone on", again, "witnessed with another hash"},
		{"made anew", fresh, "the log was replaced"},
	} {
		alone, err := Verify(c.dir)
		if err != nil || !alone.OK() {
			t.Errorf("%s: alone it should look whole: %+v, %v", c.name, alone, err)
		}
		r, err := Verify(c.dir, kept...)
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" && !r.OK() || c.want != "" && (r.OK() || !strings.Contains(r.Problems[0].String(), c.want)) {
			t.Errorf("%s: %+v", c.name, r.Problems)
		}
	}
	if _, err := ReadWitness(filepath.Join(dir, "none")); err == nil {
		t.Error("a witness that is not there was read")
	}
}
