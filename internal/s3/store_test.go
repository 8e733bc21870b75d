// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
	if _, err := p.store.createUpload("neuro", "u", attributes{}, checksum{}); err != nil {
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

func TestCloseBeforeServe(t *testing.T) {
	cert, _ := certificate(t)
	dir := t.TempDir()
	for range 50 {
		d, err := New(Options{Dir: dir, KeyFile: dir + ".key", Authenticator: &pods{}, Authorizer: roles{}, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- d.Serve(ctx, l) }() // anywhere between not begun and serving
		cancel()
		if err := errors.Join(d.Close(), d.Close(), <-served); err != nil {
			t.Fatal(err)
		}
	}
}
