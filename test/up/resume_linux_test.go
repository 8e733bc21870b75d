// SPDX-License-Identifier: Apache-2.0

package up

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// answerLimit is how soon after a restart the endpoint answers again.
const answerLimit = 20 * time.Second

// One Fathom is stopped, killed, killed while it works, and damaged; each time it is where it was.
func TestResumes(t *testing.T) {
	for _, isolation := range []string{"sandbox", "process"} {
		t.Run(isolation, func(t *testing.T) {
			if isolation == "sandbox" && os.Geteuid() != 0 {
				t.Skip("sandboxes need root")
			}
			f := empty(t)
			f.up("--isolation", isolation)
			if !strings.Contains(f.output(), "isolation "+isolation) {
				t.Fatalf("it runs as %s", f.output())
			}
			f.declare()
			answer := f.do("predict", "copied", "-d", `{"a": 1, "b": 0.5}`)
			flags := []string{"--isolation", isolation}
			for _, part := range []struct {
				name string
				test func(f *fathom, answer string, flags []string)
			}{
				{"Ctrl-C", stopped}, {"kill -9", killed}, {"kill -9 at work", killedAtWork}, {"damage", damaged},
			} {
				if isolation == "process" && os.Geteuid() == 0 && part.name == "kill -9 at work" {
					continue // the same stations and stores as above; it takes a minute
				}
				if !t.Run(part.name, func(t *testing.T) { part.test(f.in(t), answer, flags) }) {
					return
				}
				f.server, f.ended = nil, nil
			}
		})
	}
}

// versions are the objects with what they have.
func (f *fathom) versions() string {
	f.Helper()
	var kept []string
	for line := range strings.Lines(f.do("status", "-n", "small")) {
		if fields := strings.Fields(line); len(fields) > 2 {
			kept = append(kept, strings.Join(fields[:3], " "))
		}
	}
	return strings.Join(kept, "\n")
}

// again starts it anew and holds it to have everything, and to answer.
func (f *fathom) again(answer, versions string, flags []string) {
	f.Helper()
	f.up(flags...)
	f.await("an answer", answerLimit, func() bool {
		got, code := f.try("predict", "copied", "-d", `{"a": 1, "b": 0.5}`)
		if code == 0 && got != answer {
			f.Errorf("it answers %s instead of %s", got, answer)
		}
		return code == 0
	})
	f.do("status", "--wait", "--timeout", "1m")
	if got := f.versions(); got != versions {
		f.Errorf("before:\n%s\nafter:\n%s", versions, got)
	}
}

// healthy holds a stopped Fathom to be whole.
func (f *fathom) healthy() {
	f.Helper()
	if said := f.do("doctor"); !strings.Contains(said, "every blob matches its digest") || strings.Contains(said, "DAMAGE") {
		f.Errorf("doctor: %s", said)
	}
}

func stopped(f *fathom, answer string, flags []string) {
	before, links := f.versions(), f.links()
	f.interrupt()
	f.clean(links)
	f.healthy()
	f.again(answer, before, flags)
	f.interrupt()
}

func killed(f *fathom, answer string, flags []string) {
	f.up(flags...)
	f.do("status", "--wait", "--timeout", "1m")
	before, old, links := f.versions(), f.processes(), f.links()
	if len(old) == 0 {
		f.Fatal("no pod runs")
	}
	f.kill()
	f.again(answer, before, flags)
	if before, after := servers(old), servers(f.processes()); before != after || after == 0 { // adopted, or replaced; never both
		f.Errorf("%d model servers run after the restart, %d before", after, before)
	}
	f.interrupt()
	f.clean(links)
	f.healthy()
}

// servers is how many of the processes serve a model.
func servers(processes map[string]string) (n int) {
	for _, command := range processes {
		if strings.Contains(command, "fathom-step serve") {
			n++
		}
	}
	return n
}

var rows = regexp.MustCompile(`in +(\d+) rows`)

// killedAtWork ends it at several moments after new data: whatever was under way is done once, and whole.
func killedAtWork(f *fathom, _ string, flags []string) {
	f.up(flags...)
	version := 1
	for i, after := range []time.Duration{0, 300 * time.Millisecond, 900 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond} {
		f.put(fmt.Sprintf("people-%d.csv", i+2), 100*(i+1))
		time.Sleep(after) // a moment, not something to wait for
		f.kill()
		f.up(flags...)
		version++
		want := strconv.Itoa(24 * version)
		f.await("the new rows", time.Minute, func() bool {
			said, _ := f.try("show", "dataset", "people", "-n", "small")
			found := rows.FindStringSubmatch(said)
			return len(found) == 2 && found[1] == want
		})
		f.do("status", "--wait", "--timeout", "2m")
		for _, object := range []string{"dataset/people Ready", "dataset/adults Ready", "model/copied Ready", "endpoint/copied Ready"} {
			if want := fmt.Sprintf("%s %d\n", object, version); !strings.Contains(f.versions()+"\n", want) {
				f.Errorf("killed %s after the data: want %s in\n%s", after, want, f.versions())
			}
		}
	}
	links := f.links()
	f.interrupt()
	f.clean(links)
	f.healthy()
}

// damaged flips one byte in what is stored: doctor names it, and is content once it is put right.
func damaged(f *fathom, _ string, _ []string) {
	blob := largest(f, filepath.Join(f.state, "lake", "blobs", "sha256"))
	table := largest(f, filepath.Join(f.state, "lake", "warehouse", "small"))
	log := largest(f, filepath.Join(f.state, "audit"))
	for path, why := range map[string][]string{
		blob:  {"DAMAGE lake", filepath.Base(blob)[:12]},
		table: {"DAMAGE lake"},
		log:   {"DAMAGE audit"},
	} {
		whole, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		flipped := append([]byte(nil), whole...)
		flipped[len(flipped)/2] ^= 1
		rewrite(f, path, flipped)
		f.refuses(5, why, "doctor")
		rewrite(f, path, whole)
	}
	f.healthy()
}

func rewrite(f *fathom, path string, content []byte) {
	f.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		f.Fatal(err)
	}
}

// largest file below dir.
func largest(f *fathom, dir string) string {
	f.Helper()
	var found string
	var most int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > most {
			found, most = path, info.Size()
		}
		return err
	})
	if err != nil || found == "" {
		f.Fatalf("no file below %s: %v", dir, err)
	}
	return found
}
