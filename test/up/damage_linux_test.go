// SPDX-License-Identifier: Apache-2.0

package up

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted is a damage: what is done to which file, what doctor must say, and whether it can be mended without a backup.
type planted struct {
	name    string
	pattern string // of the file below the state directory; the largest is taken
	damage  func(f *fathom, path string)
	says    []string
	mended  bool
}

func flipped(f *fathom, path string) {
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		f.Fatalf("%s: %d bytes, %v", path, len(content), err)
	}
	content[len(content)/2] ^= 1
	info, err := os.Stat(path)
	if err != nil {
		f.Fatal(err)
	}
	rewrite(f, path, content)
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil { // a disk does not tell either
		f.Fatal(err)
	}
}

func removed(f *fathom, path string) {
	if err := os.RemoveAll(path); err != nil {
		f.Fatal(err)
	}
}

func emptied(f *fathom, path string) { rewrite(f, path, nil) }

func garbled(f *fathom, path string) { rewrite(f, path, []byte(strings.Repeat("{\"half\": \n", 500))) }

func readable(f *fathom, path string) {
	if err := os.Chmod(path, 0o644); err != nil {
		f.Fatal(err)
	}
}

// apart makes a file its own, where it was a second name of another.
func apart(f *fathom, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	removed(f, path)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		f.Fatal(err)
	}
}

var damages = []planted{
	{"a key is gone", "pki/ca.key", removed, []string{"DAMAGE keys ca.key", "missing", "fathom restore"}, false},
	{"a key is garbled", "pki/encryption.yaml", garbled, []string{"DAMAGE keys encryption.yaml", "fathom restore"}, false},
	{"a key that others can read", "pki/ca.key", readable, []string{"DAMAGE keys ca.key", "others can read it", "chmod 600"}, true},
	{"the objects' log", "etcd/member/wal/*.wal", emptied, []string{"DAMAGE objects", "etcd", "backup"}, false},
	{"a database is gone", "db/tracking.db", removed, []string{"DAMAGE database tracking.db", "missing", "fathom restore"}, false},
	{"a database is garbled", "db/lineage.db", garbled, []string{"DAMAGE database lineage.db", "fathom restore"}, false},
	{"the catalog is garbled", "db/catalog.db", garbled, []string{"DAMAGE database catalog.db"}, false},
	{"a line of the audit log", "audit/*.log", flipped, []string{"DAMAGE audit", "line", "evidence"}, false},
	{"the audit log's signatures", "audit/checkpoints", removed, []string{"DAMAGE audit", "checkpoint"}, false},
	{"a blob", "lake/blobs/sha256/*/*", flipped, []string{"DAMAGE lake sha256:", "digest", "needed by", "backup"}, false},
	{"a blob is gone", "lake/blobs/sha256/*/*", removed, []string{"DAMAGE lake", "missing", "blob"}, false},
	{"a stranger among the blobs", "lake/blobs/sha256/*/*", func(f *fathom, path string) {
		rewriteNew(f, filepath.Join(filepath.Dir(path), "notes.txt"))
	}, []string{"DAMAGE lake notes.txt", "not a blob"}, true},
	{"a file of a table is gone", "lake/warehouse/small/*/data/*/*.parquet", removed, []string{"DAMAGE lake small/", "missing", "--repair"}, true},
	{"a file of a table, which is a copy", "lake/warehouse/small/*/data/*/*.parquet", func(f *fathom, path string) {
		apart(f, path)
		flipped(f, path)
	}, []string{"DAMAGE lake small/", "digest", "--repair"}, true},
	{"a table's metadata", "lake/warehouse/small/people/metadata/*.metadata.json", emptiedAll, []string{"DAMAGE lake small/people", "metadata", "--repair"}, true},
	{"a table's manifests", "lake/warehouse/small/people/metadata/*.avro", emptiedAll, []string{"DAMAGE lake small/people", "metadata", "--repair"}, true},
	{"an object in a bucket", "lake/objects/small/inbox/*.csv", flipped, []string{"DAMAGE sources s3://small/inbox/", "digest", "put the file again"}, false},
	{"captured traffic", "capture", func(f *fathom, path string) {
		sealed := filepath.Join(path, "small", "copied", "0000000001-"+strings.Repeat("0", 64)+".ndjson")
		if err := os.MkdirAll(filepath.Dir(sealed), 0o700); err != nil {
			f.Fatal(err)
		}
		rewriteNew(f, sealed)
	}, []string{"DAMAGE capture small/", "digest", "--repair"}, true},
}

func rewriteNew(f *fathom, path string) {
	if err := os.WriteFile(path, []byte("notes"), 0o644); err != nil {
		f.Fatal(err)
	}
}

func emptiedAll(f *fathom, path string) {
	all, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"+filepath.Ext(path)))
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range all {
		emptied(f, p)
	}
}

// Every kind of damage is named with its object and its file, and what doctor says is the way to be whole again.
func TestDoctorNamesEveryDamage(t *testing.T) {
	f := empty(t)
	f.up()
	f.declare()
	f.do("predict", "copied", "-d", `{"a": 1, "b": 0.5}`)
	f.interrupt() // seals what was captured
	f.healthy()
	file := filepath.Join(filepath.Dir(f.state), "whole.fathom")
	f.do("backup", file)
	whole := f.state
	for _, c := range damages {
		t.Run(c.name, func(t *testing.T) {
			f := f.in(t)
			f.state = filepath.Join(filepath.Dir(whole), strings.ReplaceAll(c.name, " ", "-"))
			if out, err := exec.Command("cp", "-a", whole, f.state).CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			defer os.RemoveAll(f.state)
			f.do("doctor", "--repair") // it was copied: the tables' paths are rewritten
			path := largestOf(f, c.pattern)
			c.damage(f, path)
			f.refuses(5, c.says, "doctor")
			out, code := f.try("doctor", "--repair")
			switch {
			case c.mended && (code != 0 || !strings.Contains(out, "MENDED")):
				t.Errorf("it should be mended: %d %s", code, out)
			case c.mended:
				f.healthy()
			case code != 5 || strings.Contains(out, "goroutine"):
				t.Errorf("it cannot be mended, but: %d %s", code, out)
			case strings.HasPrefix(c.pattern, "lake/blobs"): // what the other hints say is the same
				removed(f, f.state)
				f.do("restore", file)
				f.healthy()
			}
		})
	}
}

// largestOf the files that the pattern means.
func largestOf(f *fathom, pattern string) string {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join(f.state, filepath.FromSlash(pattern)))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no file %s: %v", pattern, err)
	}
	found, most := "", int64(-1)
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.Size() > most {
			found, most = p, info.Size()
		}
	}
	return found
}
