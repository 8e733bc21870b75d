// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/fault"
)

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Fatalf("error %v has kind %q, want %q", err, fault.KindOf(err), kind)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plant makes a folder with what a state directory has: private and public files, links, attributes, odd names.
func plant(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"pki/ca.key": "secret", "lake/blobs/sha256/aa/aabb": "blob", "lake/objects/b/with space/ü=ö\n.csv": "a,b\n1,2\n",
		"lake/objects/b/empty": "", "audit/1.log": strings.Repeat("line\n", 100_000),
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	must(t, os.Chmod(filepath.Join(dir, "lake/blobs/sha256/aa/aabb"), 0o444))
	must(t, os.MkdirAll(filepath.Join(dir, "lake/warehouse/w"), 0o755))
	must(t, os.Link(filepath.Join(dir, "lake/blobs/sha256/aa/aabb"), filepath.Join(dir, "lake/warehouse/w/part.parquet")))
	object := filepath.Join(dir, "lake/objects/b/empty")
	must(t, os.Chtimes(object, time.Time{}, time.Unix(1_700_000_000, 123_456_789)))
	_ = unix.Setxattr(object, "user.fathom.object", []byte("{\"etag\":\"\x00\"}"), 0)
	return dir
}

func backupOf(t testing.TB, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "b.fathom")
	w, err := Create(file, Options{Header: Header{State: dir, Created: time.Unix(1, 0).UTC()}})
	must(t, err)
	must(t, w.Tree(t.Context(), dir, "", nil))
	s, err := w.Close()
	must(t, err)
	if s.Files != 6 || s.Path != file {
		t.Fatalf("summary %+v", s)
	}
	return file
}

// facts of every file below dir, by path.
func facts(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		value := make([]byte, 100)
		n, _ := unix.Getxattr(path, "user.fathom.object", value)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = fmt.Sprintf("%v %d %x %q links %d", info.Mode(), info.ModTime().UnixNano(), content[:min(len(content), 50)],
			value[:max(n, 0)], info.Sys().(*syscall.Stat_t).Nlink)
		return err
	}))
	return out
}

func TestRoundTrip(t *testing.T) {
	dir := plant(t)
	file := backupOf(t, dir)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has mode %v, %v: it holds keys", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("beside the backup lies %v", left)
	}
	verified, err := Verify(t.Context(), file, nil)
	must(t, err)
	out := t.TempDir()
	root, err := os.OpenRoot(out)
	must(t, err)
	defer root.Close()
	got, err := Extract(t.Context(), file, root, nil)
	must(t, err)
	if !reflect.DeepEqual(got, verified) || got.State != dir {
		t.Errorf("extracted %+v, verified %+v", got, verified)
	}
	if want, have := facts(t, dir), facts(t, out); !reflect.DeepEqual(want, have) {
		t.Errorf("restored\n%v, was\n%v", have, want)
	}
	for folder, mode := range map[string]fs.FileMode{"pki": 0o700, "lake": 0o700, "lake/blobs/sha256": 0o755, "audit": 0o700} {
		if info, err := os.Stat(filepath.Join(out, folder)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v", folder, info.Mode(), err)
		}
	}
	_, err = Create(file, Options{})
	wantKind(t, err, fault.Conflict)
}

func TestDamagedBackupIsRefused(t *testing.T) {
	file := backupOf(t, plant(t))
	whole, err := os.ReadFile(file)
	must(t, err)
	damaged := filepath.Join(t.TempDir(), "damaged")
	try := func(what string, content []byte) {
		must(t, os.WriteFile(damaged, content, 0o600))
		_, err := Verify(t.Context(), damaged, nil)
		if fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%s: %v", what, err)
		}
	}
	for at := 0; at < len(whole); at += max(1, len(whole)/200) {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 0x10
		try(fmt.Sprint("flipped byte ", at), flipped)
		try(fmt.Sprint("cut at ", at), whole[:at])
	}
	try("something else", []byte("PK\x03\x04"))
	_, err = Verify(t.Context(), filepath.Join(t.TempDir(), "none"), nil)
	wantKind(t, err, fault.NotFound)
}

// hostile is a backup with one entry of a stranger's.
func hostile(t *testing.T, header *tar.Header) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hostile")
	f, err := os.Create(file)
	must(t, err)
	z, err := zstd.NewWriter(f)
	must(t, err)
	w := tar.NewWriter(z)
	head := `{"format":1}`
	must(t, w.WriteHeader(&tar.Header{Name: headerName, Size: int64(len(head)), Typeflag: tar.TypeReg}))
	_, err = io.WriteString(w, head)
	must(t, err)
	must(t, w.WriteHeader(header))
	must(t, w.Close())
	must(t, z.Close())
	must(t, f.Close())
	return file
}

func TestNothingEscapes(t *testing.T) {
	for _, h := range []*tar.Header{
		{Name: "../out", Typeflag: tar.TypeReg}, {Name: "/etc/out", Typeflag: tar.TypeReg}, {Name: "a/../../out", Typeflag: tar.TypeReg},
		{Name: "a", Linkname: "/etc", Typeflag: tar.TypeSymlink}, {Name: "a", Linkname: "../../etc/passwd", Typeflag: tar.TypeLink},
		{Name: "a", Typeflag: tar.TypeChar}, {Name: "a\\..\\b", Typeflag: tar.TypeReg},
	} {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		must(t, err)
		_, err = Extract(t.Context(), hostile(t, h), root, nil)
		if err == nil {
			t.Errorf("%s %c was taken", h.Name, h.Typeflag)
		}
		_ = root.Close()
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s left %v", h.Name, left)
		}
	}
}

func TestNewerFormat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b")
	w, err := Create(file, Options{})
	must(t, err)
	w.opt.Header.Format = formatVersion + 1
	w.tar = tar.NewWriter(w.zip) // begins again; the first header is lost
	must(t, w.document(headerName, w.opt.Header))
	_, err = w.Close()
	must(t, err)
	_, err = Verify(t.Context(), file, nil)
	if err == nil {
		t.Error("a backup of an unknown format was taken")
	}
}

// A database is copied as of one moment, while somebody writes to it.
func TestDatabaseThatChanges(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "x.db")+"?_journal_mode=WAL&_txlock=immediate&_busy_timeout=10000")
	must(t, err)
	defer db.Close()
	_, err = db.Exec("create table a (n integer); create table b (n integer); pragma user_version = 7")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ { // both rows or none
			_, _ = db.Exec(fmt.Sprintf("begin immediate; insert into a values (%d); insert into b values (%d); commit", n, n))
		}
	}()
	for i := range 5 {
		file := filepath.Join(t.TempDir(), "b")
		w, err := Create(file, Options{})
		must(t, err)
		must(t, w.SQLite(t.Context(), filepath.Join(dir, "x.db"), "db/x.db"))
		must(t, w.SQLite(t.Context(), filepath.Join(dir, "none.db"), "db/none.db"))
		_, err = w.Close()
		must(t, err)
		out := t.TempDir()
		root, err := os.OpenRoot(out)
		must(t, err)
		_, err = Extract(t.Context(), file, root, nil)
		must(t, err)
		_ = root.Close()
		copied, err := sql.Open("sqlite3", "file:"+filepath.Join(out, "db/x.db"))
		must(t, err)
		var same bool
		var version int
		must(t, copied.QueryRow("select (select count(*) from a) = (select count(*) from b)").Scan(&same))
		must(t, copied.QueryRow("pragma user_version").Scan(&version))
		if !same || version != 7 {
			t.Errorf("copy %d: a half transaction, or version %d", i, version)
		}
		_ = copied.Close()
	}
	stop()
	<-done
}

func TestDamagedDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600))
	wantKind(t, CheckSQLite(t.Context(), path), fault.Corrupt)
	file := filepath.Join(t.TempDir(), "b")
	w, err := Create(file, Options{})
	must(t, err)
	wantKind(t, w.SQLite(t.Context(), path, "db/x.db"), fault.Corrupt)
	must(t, w.Discard())
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 0 {
		t.Errorf("a backup that failed left %v", left)
	}
}

func TestInterrupted(t *testing.T) {
	dir := plant(t)
	ctx, stop := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "b")
	w, err := Create(file, Options{Progress: func(int64) { stop() }})
	must(t, err)
	wantKind(t, w.Tree(ctx, dir, "", nil), fault.Unavailable)
	must(t, w.Discard())
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 0 {
		t.Errorf("an interrupted backup left %v", left)
	}
}

// FuzzBackup: no bytes bring the reader down, and nothing is written outside.
func FuzzBackup(f *testing.F) {
	whole, err := os.ReadFile(backupOf(f, plant(f)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(t.TempDir(), "b")
		must(t, os.WriteFile(file, b, 0o600))
		if _, err := Verify(t.Context(), file, nil); err == nil && !bytes.Equal(b, whole) {
			t.Log("another valid backup")
		}
	})
}
