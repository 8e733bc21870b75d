// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func TestVerifyFinds(t *testing.T) {
	at := func(s *Store, pattern string) string {
		m, err := filepath.Glob(filepath.Join(s.tables.dir(voice), pattern))
		if err != nil || len(m) == 0 {
			panic(fmt.Sprint(pattern, m, err))
		}
		return m[len(m)-1]
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, s *Store, v Version)
		want   []string // "kind object-substring detail-substring"
		mends  bool     // Mend puts it right
	}{
		{"nothing", func(*testing.T, *Store, Version) {}, nil, true},
		{"flipped byte in a data file", func(t *testing.T, s *Store, v Version) {
			files, _ := s.Files(t.Context(), v)
			flip(t, s.BlobPath(files[0].Digest))
		}, []string{"Corrupt sha256: digest"}, false}, // a table's file is the same file
		{"missing object", func(t *testing.T, s *Store, v Version) {
			files, _ := s.Files(t.Context(), v)
			os.Remove(s.BlobPath(files[1].Digest))
		}, []string{"NotFound neurology/voice-2@2 objects/1.dcm"}, false},
		{"missing manifest", func(t *testing.T, s *Store, v Version) { os.Remove(s.BlobPath(v.Manifest)) },
			[]string{"NotFound neurology/voice-2@2 manifest"}, false},
		{"missing table file", func(t *testing.T, s *Store, v Version) { os.Remove(at(s, "data/00002/*")) },
			[]string{"NotFound neurology/voice-2@2 table"}, true},
		{"changed copy of a table file", func(t *testing.T, s *Store, v Version) {
			path := at(s, "data/00002/*")
			b, _ := os.ReadFile(path)
			os.Remove(path)
			os.WriteFile(path, append(b, 'x'), 0o600)
		}, []string{"Corrupt neurology/voice-2@2 digest"}, true},
		{"whole copy of a table file", func(t *testing.T, s *Store, v Version) {
			path := at(s, "data/00002/*")
			b, _ := os.ReadFile(path)
			os.Remove(path)
			os.WriteFile(path, b, 0o600)
		}, nil, true},
		{"flipped byte in a blob whose table file is a copy", func(t *testing.T, s *Store, v Version) {
			path := at(s, "data/00002/*")
			b, _ := os.ReadFile(path)
			os.Remove(path)
			os.WriteFile(path, b, 0o600)
			files, _ := s.Files(t.Context(), v)
			flip(t, s.BlobPath(files[0].Digest))
		}, []string{"Corrupt sha256: digest"}, true},
		{"missing blob whose table file is there", func(t *testing.T, s *Store, v Version) {
			files, _ := s.Files(t.Context(), v)
			os.Remove(s.BlobPath(files[0].Digest))
		}, []string{"NotFound neurology/voice-2@2 data.parquet"}, true},
		{"no table", func(t *testing.T, s *Store, v Version) {
			if err := s.tables.drop(t.Context(), voice); err != nil {
				t.Fatal(err)
			}
		}, []string{"NotFound neurology/voice-2@1 snapshot", "NotFound neurology/voice-2@2 snapshot"}, true},
		{"no row", func(t *testing.T, s *Store, v Version) { s.history.Exec("delete from versions where number = 2") },
			[]string{"Conflict neurology/voice-2@2 no version"}, false},
		{"row of another snapshot", func(t *testing.T, s *Store, v Version) {
			s.history.Exec(`update versions set record = replace(record, '"fp2"', '"fp9"')`)
		}, []string{"Conflict neurology/voice-2@2 differ"}, false},
		{"unreadable metadata", func(t *testing.T, s *Store, v Version) {
			all, _ := filepath.Glob(filepath.Join(s.tables.dir(voice), "metadata", "*.metadata.json"))
			for _, p := range all {
				os.WriteFile(p, nil, 0o600)
			}
		}, []string{"Corrupt neurology/voice-2 metadata"}, true},
		{"missing snapshot metadata", func(t *testing.T, s *Store, v Version) {
			all, _ := filepath.Glob(filepath.Join(s.tables.dir(voice), "metadata", "*.avro"))
			for _, p := range all {
				os.Remove(p)
			}
		}, []string{"Corrupt neurology/voice-2@1 metadata", "Corrupt neurology/voice-2@2 metadata"}, true},
		{"a stranger among the blobs", func(t *testing.T, s *Store, v Version) {
			os.WriteFile(filepath.Join(s.blobDir, "sha256", "notes.txt"), nil, 0o600)
		}, []string{"Conflict notes.txt not a blob"}, true},
		{"missing log", func(t *testing.T, s *Store, v Version) {
			r := aRun("u1", "train-1")
			r.Log = ref.DigestOf([]byte("gone"))
			if err := s.RecordRun(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}, []string{"NotFound neurology/runs/train-1 log"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openTest(t, dir)
			commit(t, s, first(t, s))
			r := second(t, s)
			r.Files.Files = append(r.Files.Files, put(t, s, "objects/1.dcm", []byte("pixels")))
			c.damage(t, s, commit(t, s, r))
			got, err := s.Verify(t.Context())
			if err != nil || len(got) != len(c.want) {
				t.Fatalf("found %+v, %v; want %q", got, err, c.want)
			}
			for i, want := range c.want {
				kind, rest, _ := strings.Cut(want, " ")
				object, detail, _ := strings.Cut(rest, " ")
				if string(got[i].Kind) != kind || !strings.Contains(got[i].Object, object) || !strings.Contains(got[i].Detail, detail) {
					t.Errorf("found %+v, want %q", got[i], want)
				}
			}
			wantSeenFromOutside(t, dir, got)
			mended, err := s.Mend(t.Context(), got, nil)
			if err != nil || c.mends != (len(mended) == len(got)) {
				t.Errorf("mended %+v, %v", mended, err)
			}
			s.Close()
			s = openTest(t, dir) // damage of one dataset never keeps the lake closed
			if c.mends {
				wantClean(t, s)
				for _, v := range []int{1, 2} {
					known, err := s.Version(t.Context(), voice, v)
					if err != nil {
						t.Fatal(err)
					}
					if got := scan(t, s, known); len(got) != 1 {
						t.Errorf("version %d holds %q after mending", v, got)
					}
				}
			}
		})
	}
}

// wantSeenFromOutside: who only looks, beside the open store, finds the same.
func wantSeenFromOutside(t *testing.T, dir string, want []Damage) {
	t.Helper()
	s, err := Look(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Verify(t.Context())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("from outside: %+v, %v; want %+v", got, err, want)
	}
}

func aRun(uid, name string) RunRecord {
	return RunRecord{UID: uid, Workspace: "neurology", Name: name, Step: "train", ForKind: "Model", ForName: "parkinsons",
		Phase: "Succeeded", Finished: time.UnixMilli(1_700_000_000_000)}
}

func TestRepairedRowAfterLoss(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	commit(t, s, first(t, s))
	v := commit(t, s, second(t, s))
	if _, err := s.history.Exec("delete from versions where number = 2"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.history.Exec("update datasets set location = ''"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openTest(t, dir)
	got, err := s.Version(t.Context(), voice, 2)
	if err != nil || canonical(t, got) != canonical(t, v) {
		t.Fatalf("rebuilt %+v, %v; want %+v", got, err, v)
	}
	_, err = s.Version(t.Context(), voice, 3)
	wantKind(t, err, fault.NotFound)
}

func TestLakeUnderAnotherNameOfItsFolder(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, filepath.Join(dir, "here"))
	commit(t, s, first(t, s))
	s.Close()
	if err := os.Rename(filepath.Join(dir, "here"), filepath.Join(dir, "there")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "there"), filepath.Join(dir, "here")); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, filepath.Join(dir, "there"))
	if v := commit(t, s, second(t, s)); v.Number != 2 {
		t.Fatalf("%+v", v)
	}
	wantClean(t, s)
}
