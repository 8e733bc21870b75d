// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// copied copies a state directory as cp -a does.
func copied(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestMovedLakeIsTheSame(t *testing.T) {
	for _, c := range []struct {
		name  string
		stays bool // the original is still there
	}{{"moved", false}, {"copied", true}} {
		t.Run(c.name, func(t *testing.T) {
			home, away := t.TempDir(), filepath.Join(t.TempDir(), "another place")
			s := openTest(t, home)
			steps := evolution()
			before := commitAll(t, s, steps)
			s.Close()
			if err := os.MkdirAll(away, 0o755); err != nil {
				t.Fatal(err)
			}
			copied(t, home, away)
			if !c.stays {
				if err := os.RemoveAll(home); err != nil {
					t.Fatal(err)
				}
			}
			s = openTest(t, away)
			wantClean(t, s)
			for i, v := range before {
				now, err := s.ByFingerprint(context.Background(), voice, v.Fingerprint)
				if err != nil || !reflect.DeepEqual(now, v) {
					t.Errorf("version %d is now %+v, %v", v.Number, now, err)
				}
				if got := scan(t, s, now); !reflect.DeepEqual(got, steps[i].want) {
					t.Errorf("version %d holds %q, want %q", v.Number, got, steps[i].want)
				}
			}
			more := commit(t, s, request(t, "after", put(t, s, "data.parquet", parquetOf(t, ints("x", 42)))))
			if got := scan(t, s, more); more.Number != len(before)+1 || !reflect.DeepEqual(got, []string{"42"}) {
				t.Errorf("the next version is %d with %q", more.Number, got)
			}
			wantClean(t, s)
			wantNoMention(t, filepath.Join(away, "lake", "warehouse"), home)
			if c.stays {
				s.Close()
				s = openTest(t, home)
				wantClean(t, s)
				if last, err := s.Latest(context.Background(), voice); err != nil || last.Number != len(before) {
					t.Errorf("the original has now %d versions, %v", last.Number, err)
				}
			}
		})
	}
}

// wantNoMention: no metadata document still names the old place.
func wantNoMention(t *testing.T, warehouse, old string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(warehouse, "*", "*", "metadata", "*.json"))
	if len(files) == 0 {
		t.Error("there is no metadata")
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || strings.Contains(string(b), old) {
			t.Errorf("%s still names %s (%v)", f, old, err)
		}
	}
}

func TestKilledWhileMoving(t *testing.T) {
	for _, point := range []string{"metadata-moved", "catalog-moved"} {
		t.Run(point, func(t *testing.T) {
			home, away := t.TempDir(), t.TempDir()
			s := openTest(t, home)
			want := commitAll(t, s, evolution())
			s.Close()
			copied(t, home, away)
			if err := os.RemoveAll(home); err != nil {
				t.Fatal(err)
			}
			if !dieAt(t, away, "commit", point, 1) {
				t.Fatal("the point was not passed")
			}
			s = openTest(t, away)
			wantClean(t, s)
			for i, v := range want {
				if got := scan(t, s, v); !reflect.DeepEqual(got, evolution()[i].want) {
					t.Errorf("version %d holds %q", v.Number, got)
				}
			}
		})
	}
}

func TestMovedWithoutItsMetadata(t *testing.T) {
	home, away := t.TempDir(), t.TempDir()
	s := openTest(t, home)
	commit(t, s, first(t, s))
	s.Close()
	copied(t, home, away)
	for _, dir := range []string{home, filepath.Join(away, "lake", "warehouse")} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	s = openTest(t, away)
	damage, err := s.Verify(context.Background())
	if err != nil || len(damage) == 0 || !strings.Contains(fmt.Sprint(damage), voice.String()) {
		t.Errorf("damage %+v, %v", damage, err)
	}
	if v, err := s.Commit(context.Background(), second(t, s)); err == nil {
		t.Errorf("a commit into a table without metadata: %+v", v)
	}
}

func TestPyIcebergReadsAMovedLake(t *testing.T) {
	interpreter := python(t, "pyiceberg.catalog.sql, pyarrow, pandas, sqlalchemy")
	home, away := t.TempDir(), t.TempDir()
	s := openTest(t, home)
	commitAll(t, s, evolution())
	s.Close()
	copied(t, home, away)
	read := func(dir string) string {
		out, err := exec.Command(interpreter, "-c", readWithPyIceberg,
			filepath.Join(dir, "db", "catalog.db"), filepath.Join(dir, "lake", "warehouse")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	want := read(home)
	openTest(t, away).Close()
	if err := os.RemoveAll(home); err != nil {
		t.Fatal(err)
	}
	if got := read(away); got != want {
		t.Errorf("PyIceberg reads\n%s, before the move\n%s", got, want)
	}
}
