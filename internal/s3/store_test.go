// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func openStore(t *testing.T, dir string) *store {
	t.Helper()
	s, err := newStore(dir, time.Now, func(string, string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	if err := s.ensureBucket("neuro"); err != nil {
		t.Fatal(err)
	}
	return s
}

func write(s *store, key, body string) error {
	g, err := s.stage()
	if err != nil {
		return err
	}
	defer g.discard()
	if _, err := io.WriteString(g, body); err != nil {
		return err
	}
	_, err = g.publish("neuro", key, attributes{}, nil)
	return err
}

func TestList(t *testing.T) {
	p := start(t, nil)
	for _, path := range []string{"inbox/voice/a.csv", "inbox/voice/b.csv", "inbox/voice/b.txt", "inbox/voice/old/c.csv",
		"inbox/scans/p1/1.dcm", "inbox/scans/p1/2.dcm", "inbox/scans/p2/s/3.dcm", "top.csv", "inbox/voice/.hidden.csv"} {
		p.put("neuro/"+path, "content of "+path)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(p.dir, "neuro/inbox/voice/link.csv")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(p.dir, "neuro/inbox/voice/pipe.csv"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "neuro/inbox/voice/\xff.csv"), nil, 0o600); err != nil {
		t.Log("the file system refuses odd names:", err)
	}
	tests := []struct {
		pattern string
		want    string
		kind    fault.Kind
	}{
		{"inbox/voice/*.csv", "inbox/voice/.hidden.csv inbox/voice/a.csv inbox/voice/b.csv", ""},
		{"inbox/scans/**", "inbox/scans/p1/1.dcm inbox/scans/p1/2.dcm inbox/scans/p2/s/3.dcm", ""},
		{"inbox/**/*.csv", "inbox/voice/.hidden.csv inbox/voice/a.csv inbox/voice/b.csv inbox/voice/old/c.csv", ""},
		{"top.csv", "top.csv", ""},
		{"inbox/voice/{a,b}.*", "inbox/voice/a.csv inbox/voice/b.csv inbox/voice/b.txt", ""},
		{"nothing/*", "", ""},
		{"inbox/voice", "", ""},
		{"../other/*", "", fault.Invalid},
		{"/etc/*", "", fault.Invalid},
		{"a/../../b", "", fault.Invalid},
		{"inbox/[", "", fault.Invalid},
		{"", "", fault.Invalid},
	}
	for _, tt := range tests {
		got, err := p.List(t.Context(), "neuro", tt.pattern)
		if fault.KindOf(err) != tt.kind {
			t.Errorf("%q: %v", tt.pattern, err)
		}
		var keys []string
		for _, o := range got {
			keys = append(keys, o.Key)
			if want := ref.DigestOf([]byte("content of " + o.Key)); o.Digest != want || o.Size != int64(len("content of "+o.Key)) || o.ETag == "" {
				t.Errorf("%+v, want digest %s", o, want)
			}
		}
		if strings.Join(keys, " ") != tt.want {
			t.Errorf("%q: %v, want %s", tt.pattern, keys, tt.want)
		}
	}
	if _, err := p.List(t.Context(), "nobody", "*"); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such bucket: %v", err)
	}
}

func TestDigestFollowsTheFile(t *testing.T) {
	p := start(t, nil)
	digest := func() ref.Digest {
		t.Helper()
		got, err := p.List(t.Context(), "neuro", "f")
		if err != nil || len(got) != 1 {
			t.Fatalf("%v %v", got, err)
		}
		return got[0].Digest
	}
	path := p.put("neuro/f", "one")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil { // settled: the digest is remembered with the file
		t.Fatal(err)
	}
	for range 2 {
		if digest() != ref.DigestOf([]byte("one")) {
			t.Error("wrong digest of the first content")
		}
	}
	p.put("neuro/f", "two") // in place: the same file, as cp does
	if digest() != ref.DigestOf([]byte("two")) {
		t.Error("wrong digest after an overwrite in place")
	}
	// Twice within the clock's grain: nothing recent is remembered.
	p.put("neuro/f", "six")
	if digest() != ref.DigestOf([]byte("six")) {
		t.Error("wrong digest after a second overwrite")
	}
	if err := write(p.store, "f", "through the door"); err != nil {
		t.Fatal(err)
	}
	if digest() != ref.DigestOf([]byte("through the door")) {
		t.Error("wrong digest of an uploaded object")
	}
	p.put("neuro/f", "THROUGH THE DOOR")
	if digest() != ref.DigestOf([]byte("THROUGH THE DOOR")) {
		t.Error("the attributes of the old content still count")
	}
}

func TestOpen(t *testing.T) {
	p := start(t, nil)
	p.put("neuro/inbox/f", "content")
	f, o, err := p.Open(t.Context(), "neuro", "inbox/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "content" || o.Size != 7 {
		t.Errorf("%q %+v %v", b, o, err)
	}
	for key, kind := range map[string]fault.Kind{"inbox": fault.NotFound, "inbox/": fault.Invalid, "none": fault.NotFound, "inbox/f/x": fault.NotFound,
		"../other": fault.Invalid, "/etc/passwd": fault.Invalid, "a\x00": fault.Invalid, "": fault.Invalid} {
		if _, _, err := p.Open(t.Context(), "neuro", key); !fault.Is(err, kind) {
			t.Errorf("%q: %v, want %s", key, err, kind)
		}
	}
}

func TestBuckets(t *testing.T) {
	p := start(t, nil)
	p.put("neuro/a/b", "x")
	if _, err := p.store.createUpload("neuro", "u", attributes{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.EnsureBucket("neuro"); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(p.dir, "neuro/a/b")); err != nil {
		t.Error("EnsureBucket removed something")
	}
	for range 2 {
		if err := p.RemoveBucket("neuro"); err != nil {
			t.Error(err)
		}
	}
	if files := p.files(); strings.Contains(files, "neuro") || strings.Contains(files, "removed") {
		t.Errorf("something is left:\n%s", files)
	}
	for _, name := range []string{"", ".", "..", ".stage", "a/b", "A", "-a", "../x"} {
		if p.EnsureBucket(name) == nil || p.RemoveBucket(name) == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	if err := os.Symlink("/tmp", filepath.Join(p.dir, "linked")); err != nil {
		t.Fatal(err)
	}
	if err := p.EnsureBucket("linked"); err == nil {
		t.Error("a link was taken for a bucket")
	}
}

func TestRecordsAndChanges(t *testing.T) {
	p := start(t, nil)
	p.put("neuro/inbox/x", "raw")
	send := func(user Keys, method, path, body string) int {
		r, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", hexSum(body))
		status, _ := p.do(sign(t, r, user))
		return status
	}
	ada, vic := p.keysOf(editor), p.keysOf(viewer)
	steps := []struct {
		user         Keys
		method, path string
		status       int
		want         string
	}{
		{ada, "PUT", "/neuro/out/a", 200, "ada create out/a allowed"},
		{vic, "GET", "/neuro/out/a", 200, "vic get out/a allowed"},
		{vic, "DELETE", "/neuro/out/a", 403, "vic delete out/a refused"},
		{vic, "GET", "/neuro/inbox/x", 403, "vic get inbox/x refused"},
		{vic, "GET", "/neuro/Inbox/x", 403, "vic get Inbox/x refused"},
		{vic, "GET", "/neuro?list-type=2&prefix=out/", 200, "vic list out/ allowed"},
		{vic, "GET", "/other/secret", 403, "vic get secret refused"},
		{ada, "DELETE", "/neuro/out/a", 204, "ada delete out/a allowed"},
		{vic, "HEAD", "/neuro", 200, ""},
	}
	for _, s := range steps {
		if status := send(s.user, s.method, s.path, ""); status != s.status {
			t.Errorf("%s %s: %d, want %d", s.method, s.path, status, s.status)
		}
		var got []string
		for _, r := range p.takeRecords() {
			decision := "allowed"
			if r.Decision != nil {
				decision = "refused"
			}
			got = append(got, fmt.Sprintf("%s %s %s %s", r.User.Name, r.Action.Verb, r.Key, decision))
			if !r.Action.Data || r.Remote == "" || r.Bucket != r.Action.Namespace {
				t.Errorf("incomplete entry: %+v", r)
			}
		}
		if strings.Join(got, ", ") != s.want {
			t.Errorf("%s %s: recorded %q, want %q", s.method, s.path, got, s.want)
		}
	}
	if got := strings.Join(p.changes, " "); got != "neuro/out/a neuro/out/a" {
		t.Errorf("changes = %q", got)
	}
	// No record, no access; nothing is written either.
	p.mu.Lock()
	p.auditErr = errors.New("disk full")
	p.mu.Unlock()
	if status := send(ada, "PUT", "/neuro/unrecorded", "x"); status != 503 {
		t.Errorf("write without a record: %d", status)
	}
	if status := send(vic, "GET", "/neuro?list-type=2", ""); status != 503 {
		t.Errorf("read without a record: %d", status)
	}
	if strings.Contains(p.files(), "unrecorded") {
		t.Error("an unrecorded write was stored")
	}
}

func TestConcurrentWritersAndReaders(t *testing.T) {
	s := openStore(t, t.TempDir())
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 40 {
				key := fmt.Sprintf("d%d/e/%d", i%3, i%5)
				body := strings.Repeat(string(rune('a'+w)), 100+i)
				if err := write(s, key, body); err != nil {
					t.Error(err)
				}
				if f, info, err := s.open("neuro", key); err == nil {
					b, _ := io.ReadAll(f)
					if int64(len(b)) != info.Size() || len(bytes.Trim(b, string(b[:1]))) != 0 {
						t.Errorf("a mixed object: %q", b)
					}
					if d, _, err := s.digest(t.Context(), f, info); err != nil || d != ref.DigestOf(b) {
						t.Errorf("attributes of another content: %v", err)
					}
					_ = f.Close()
				}
				if i%4 == 0 {
					if err := s.remove("neuro", key, nil); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if left, _ := fs.ReadDir(s.root.FS(), stageDir); len(left) != 0 {
		t.Errorf("%d bodies are left in the stage", len(left))
	}
}

// TestKilledStore kills a writing process again and again: each acknowledged object is there and whole, and no other
// is there in part.
func TestKilledStore(t *testing.T) {
	content := func(i int) string { return strings.Repeat(fmt.Sprintf("%08d", i), 5000) }
	if dir := os.Getenv("STORE_WRITER"); dir != "" {
		s := openStore(t, dir)
		for i := 0; ; i++ {
			if err := write(s, fmt.Sprintf("d%d/%d", i%7, i), content(i)); err != nil {
				t.Fatal(err)
			}
			fmt.Println("done", i)
		}
	}
	for round := range 5 {
		dir, acknowledged := t.TempDir(), -1
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledStore$")
		cmd.Env = append(os.Environ(), "STORE_WRITER="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		for n := 0; in.Scan(); n++ {
			_, _ = fmt.Sscanf(in.Text(), "done %d", &acknowledged)
			if n == 20+17*round {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		s := openStore(t, dir)
		found := 0
		for i := 0; ; i++ {
			f, info, err := s.open("neuro", fmt.Sprintf("d%d/%d", i%7, i))
			if fault.Is(err, fault.NotFound) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(f)
			if string(b) != content(i) || readAttributes(f, info).SHA256 == "" {
				t.Errorf("round %d: object %d is not whole", round, i)
			}
			_ = f.Close()
			found++
		}
		if found <= acknowledged || acknowledged < 0 {
			t.Errorf("round %d: %d objects acknowledged, %d found", round, acknowledged+1, found)
		}
		if left, _ := fs.ReadDir(s.root.FS(), stageDir); len(left) != 0 {
			t.Errorf("round %d: the stage was not swept", round)
		}
	}
}

func TestSweepOldUploads(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	id, err := s.createUpload("neuro", "k", attributes{})
	if err != nil {
		t.Fatal(err)
	}
	for _, days := range []int{6, 8} {
		later, err := newStore(dir, func() time.Time { return time.Now().AddDate(0, 0, days) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = later.findUpload("neuro", "k", id)
		_ = later.close()
		if (err == nil) != (days < 7) {
			t.Errorf("after %d days: %v", days, err)
		}
	}
	if all, err := s.uploads("neuro"); err != nil || len(all) != 0 {
		t.Errorf("after 8 days: %v %v", all, err)
	}
}

func TestDamagedPartIsNotJoined(t *testing.T) {
	s := openStore(t, t.TempDir())
	id, err := s.createUpload("neuro", "k", attributes{})
	if err != nil {
		t.Fatal(err)
	}
	_, dir, err := s.findUpload("neuro", "k", id)
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.stage()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(g, "part")
	part, err := g.addPart(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.root.OpenFile(part.file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("q")
	_ = f.Close()
	parts, err := s.parts(dir)
	if err != nil || len(parts) != 1 {
		t.Fatalf("%v %v", parts, err)
	}
	joined, err := s.stage()
	if err != nil {
		t.Fatal(err)
	}
	defer joined.discard()
	if _, err := joined.join(parts); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a damaged part was joined: %v", err)
	}
}

func BenchmarkPut(b *testing.B) {
	s, err := newStore(b.TempDir(), time.Now, func(string, string) {})
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	if err := s.ensureBucket("neuro"); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		if err := write(s, fmt.Sprintf("k/%d", i), "a small object"); err != nil {
			b.Fatal(err)
		}
	}
}
