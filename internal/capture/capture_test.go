// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

var endpoint = ref.Name{Workspace: "neurology", Name: "parkinsons"}

func open(t *testing.T, opt Options) *Store {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 5000, time.FixedZone("", 3600))

func record(id string, rows int) Record {
	numbers := make([]float64, rows)
	texts := make([]string, rows)
	for i := range rows {
		numbers[i], texts[i] = float64(i)+0.5, "f"
	}
	return Record{RequestID: id, Time: noon, Version: 3, Status: 200, Rows: rows,
		Columns: []Column{{Name: "jitter", Numbers: numbers}, {Name: "sex", Texts: texts}, {Name: "p_yes", Numbers: numbers[:rows-1]}}}
}

// lines reads all sealed segments and checks their digests.
func lines(t *testing.T, s *Store) []string {
	t.Helper()
	files, err := s.Captured(t.Context(), endpoint.Workspace, endpoint.Name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	before := ""
	for _, f := range files {
		content, size, err := s.Open(t.Context(), f.Digest)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(content)
		_ = content.Close()
		if err != nil || ref.DigestOf(b) != f.Digest || int64(len(b)) != f.Size || size != f.Size || f.Path <= before {
			t.Fatalf("%+v: %d bytes, %v", f, len(b), err)
		}
		before = f.Path
		all = append(all, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	return all
}

func TestLines(t *testing.T) {
	r := record("a", 2)
	r.Columns = append(r.Columns, Column{Name: "smokes", Numbers: []float64{1, 0}, Boolean: true},
		Column{Name: `odd "näme"`, Numbers: []float64{math.NaN(), math.Inf(1)}}, Column{Name: "predicted", Texts: []string{"a\"\n\xff"}})
	want := `{"request_id":"a","row":0,"time":"2026-01-02T11:00:00.000005Z","version":3,"status":200,"jitter":0.5,"sex":"f","p_yes":0.5,"smokes":true,"odd \"näme\"":null,"predicted":"a\"\n` + "\ufffd" + `"}
{"request_id":"a","row":1,"time":"2026-01-02T11:00:00.000005Z","version":3,"status":200,"jitter":1.5,"sex":"f","p_yes":null,"smokes":false,"odd \"näme\"":null,"predicted":null}
`
	if got := string(r.appendLines(nil)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestSealing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Rows: 10, Age: time.Hour})
	for i := range 25 {
		if err := s.Append(t.Context(), endpoint, record(fmt.Sprint(i), 2)); err != nil {
			t.Fatal(err)
		}
		if i%5 == 4 { // ten rows
			s.prod()
			await(t, s, func() bool { return len(lines(t, s)) == 2*(i+1) })
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), endpoint, record("late", 1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("append after close: %v", err)
	}
	s = open(t, Options{Dir: dir})
	all := lines(t, s)
	if len(all) != 50 || !strings.Contains(all[48], `"request_id":"24","row":0`) {
		t.Errorf("%d lines", len(all))
	}
	if files, _ := s.Captured(t.Context(), "neurology", "other"); files != nil {
		t.Errorf("another endpoint has %v", files)
	}
	if _, _, err := s.Open(t.Context(), ref.DigestOf(nil)); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown digest: %v", err)
	}
}

// await waits for what the writer does, and looks after each of its passes.
func await(t *testing.T, s *Store, done func() bool) {
	t.Helper()
	late := false
	patience := time.AfterFunc(10*time.Second, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.changed.Broadcast()
	})
	defer patience.Stop()
	for {
		s.mu.Lock()
		seen := s.passes
		s.mu.Unlock()
		if done() {
			return
		}
		s.mu.Lock()
		for s.passes == seen && !late {
			s.changed.Wait()
		}
		given := late
		s.mu.Unlock()
		if given {
			t.Fatal("waited in vain")
		}
	}
}

// TestAge seals a quiet segment by the clock, after which nothing runs.
func TestAge(t *testing.T) {
	var now atomic.Int64
	now.Store(noon.UnixNano())
	s := open(t, Options{Age: time.Minute, Now: func() time.Time { return time.Unix(0, now.Load()) }})
	if err := s.Append(t.Context(), endpoint, record("a", 1)); err != nil {
		t.Fatal(err)
	}
	s.prod()
	await(t, s, func() bool { _, err := os.Stat(filepath.Join(s.dir(endpoint), growing(1))); return err == nil })
	if n := len(lines(t, s)); n != 0 {
		t.Errorf("%d lines before their time", n)
	}
	now.Add(int64(time.Minute))
	s.prod()
	await(t, s, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return !s.writing })
	if n := len(lines(t, s)); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestBounds(t *testing.T) {
	s := open(t, Options{Buffer: 1000})
	if err := s.Append(t.Context(), endpoint, record("a", 1_000_000_000/1_000_000)); !fault.Is(err, fault.Exhausted) {
		t.Errorf("many rows: %v", err)
	}
	refused := 0
	for range 100 {
		if err := s.Append(t.Context(), endpoint, record("a", 1)); fault.Is(err, fault.Exhausted) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("a buffer of 1000 bytes holds 100 rows")
	}
	for _, name := range []ref.Name{{}, {Workspace: "..", Name: "x"}, {Workspace: "a", Name: "b/c"}} {
		if err := s.Append(t.Context(), name, record("a", 1)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", name, err)
		}
	}
}

// TestDiskFails loses rows, says so and goes on.
func TestDiskFails(t *testing.T) {
	var lost atomic.Int64
	s := open(t, Options{Age: time.Nanosecond, Lost: func(_ ref.Name, rows int, _ error) { lost.Add(int64(rows)) }})
	blocked := filepath.Join(s.opt.Dir, endpoint.Workspace)
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), endpoint, record("a", 3)); err != nil {
		t.Fatal(err)
	}
	s.prod()
	await(t, s, func() bool { return lost.Load() == 3 })
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), endpoint, record("b", 2)); err != nil {
		t.Fatal(err)
	}
	s.prod()
	await(t, s, func() bool { return len(lines(t, s)) == 2 })
}

func TestRemove(t *testing.T) {
	s := open(t, Options{Age: time.Hour})
	other := ref.Name{Workspace: "neurology", Name: "other"}
	for _, name := range []ref.Name{endpoint, other} {
		if err := s.Append(t.Context(), name, record("a", 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remove(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.dir(endpoint)); !os.IsNotExist(err) {
		t.Errorf("it left files: %v", err)
	}
	if err := s.Remove(t.Context(), endpoint); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if files, _ := s.Captured(t.Context(), other.Workspace, other.Name); len(files) != 1 {
		t.Errorf("the other endpoint has %v", files)
	}
}

// TestRecovery: whatever a crash left behind a line's end is cut.
func TestRecovery(t *testing.T) {
	first := record("a", 1)
	whole := string(first.appendLines(nil))
	cases := map[string]struct {
		content string
		want    int
	}{
		"nothing written": {"", 0}, "torn first line": {whole[:20], 0}, "torn second line": {whole + whole[:40], 1},
		"whole": {whole + whole, 2}, "zeros after power loss": {whole + strings.Repeat("\x00", 4096), 1},
		"zeros and a line": {whole + strings.Repeat("\x00", 100) + "\n" + whole, 1}, "other text": {"hello\n", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at := filepath.Join(dir, endpoint.Workspace, endpoint.Name)
			if err := os.MkdirAll(at, 0o700); err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string]string{growing(4): c.content, "notes.txt": "x"} {
				if err := os.WriteFile(filepath.Join(at, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, Options{Dir: dir, Age: time.Nanosecond})
			if got := len(lines(t, s)); got != c.want {
				t.Errorf("%d lines, want %d", got, c.want)
			}
			if err := s.Append(t.Context(), endpoint, first); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			files, _ := s.Captured(t.Context(), endpoint.Workspace, endpoint.Name)
			if got := len(lines(t, s)); got != c.want+1 || files[len(files)-1].Path != shown(5) {
				t.Errorf("%d lines, %v", got, files)
			}
		})
	}
}

// TestKilled kills a process that captures, many times; what remains is whole, ordered and without gaps but at its end.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	if os.Getenv("CAPTURE_DIR") != "" {
		return
	}
	var sealedBefore []File
	for round := range 8 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
		child.Env = append(os.Environ(), "CAPTURE_DIR="+dir, fmt.Sprint("CAPTURE_ROUND=", round))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(out)
		for range 1 + 3*round { // each line is a sealed segment
			if _, err := r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		_ = child.Process.Kill()
		_ = child.Wait()
		s, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		next := map[string]int{}
		for _, line := range lines(t, s) {
			var got struct {
				RequestID string `json:"request_id"`
				Row       int
				Jitter    float64
				N         int
			}
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if got.N != next[got.RequestID] {
				t.Fatalf("round %s: row %d follows %d", got.RequestID, got.N, next[got.RequestID]-1)
			}
			next[got.RequestID]++
		}
		files, _ := s.Captured(t.Context(), endpoint.Workspace, endpoint.Name)
		for i, f := range sealedBefore {
			if files[i] != f {
				t.Fatalf("segment %v became %v", f, files[i])
			}
		}
		sealedBefore = files
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChild is the process that TestKilled kills.
func TestChild(t *testing.T) {
	dir := os.Getenv("CAPTURE_DIR")
	if dir == "" {
		t.Skip("only for TestKilled")
	}
	s, err := Open(Options{Dir: dir, Rows: 500})
	if err != nil {
		t.Fatal(err)
	}
	sealed := 0
	if files, _ := s.Captured(context.Background(), endpoint.Workspace, endpoint.Name); files != nil {
		sealed = len(files)
	}
	for n := 0; ; n++ {
		r := record(os.Getenv("CAPTURE_ROUND"), 1)
		r.Columns = append(r.Columns, Column{Name: "n", Numbers: []float64{float64(n)}})
		if err := s.Append(context.Background(), endpoint, r); fault.Is(err, fault.Exhausted) {
			n--
			continue
		}
		if n%100 == 0 {
			s.prod()
			if files, _ := s.Captured(context.Background(), endpoint.Workspace, endpoint.Name); len(files) > sealed {
				sealed = len(files)
				fmt.Println(sealed)
			}
		}
	}
}
