// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

const firstSegment = "00000000000000000001.log"

// rechain recomputes every hash from line i on: what somebody without the signing key can do.
func rechain(t *testing.T, in [][]byte, from int, change func(*Entry)) [][]byte {
	t.Helper()
	prev, seq := "", uint64(0)
	for i, line := range in {
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if i == from {
			change(&e)
		}
		if i >= from {
			out, err := e.seal(seq+1, prev)
			if err != nil {
				t.Fatal(err)
			}
			in[i] = out
		}
		prev, seq = e.Hash, e.Seq
	}
	return in
}

func TestTampering(t *testing.T) {
	const n = 30
	tests := []struct {
		name   string
		change func(t *testing.T, l [][]byte) [][]byte
		want   string // in the first problem
	}{
		{"nothing", func(_ *testing.T, l [][]byte) [][]byte { return l }, ""},
		{"edit", func(_ *testing.T, l [][]byte) [][]byte {
			l[11] = bytes.Replace(l[11], []byte("ada"), []byte("eve"), 1)
			return l
		}, "line 12: changed"},
		{"white space", func(_ *testing.T, l [][]byte) [][]byte { l[4] = append([]byte(" "), l[4]...); return l }, "line 5: changed"},
		{"edit and fix its hash", func(t *testing.T, l [][]byte) [][]byte {
			var e Entry
			_ = json.Unmarshal(l[11], &e)
			e.User = "eve"
			l[11], _ = e.seal(e.Seq, e.Prev)
			return l
		}, "line 13: it does not continue"},
		{"remove", func(_ *testing.T, l [][]byte) [][]byte { return append(l[:11], l[12:]...) }, "line 12: entry 13 follows entry 11"},
		{"remove the first", func(_ *testing.T, l [][]byte) [][]byte { return l[1:] }, "line 1: entry 2 follows entry 0"},
		{"insert", func(_ *testing.T, l [][]byte) [][]byte {
			return append(l[:11:11], append([][]byte{l[10]}, l[11:]...)...)
		}, "line 12: entry 11 follows entry 11"},
		{"swap", func(_ *testing.T, l [][]byte) [][]byte { l[11], l[12] = l[12], l[11]; return l }, "line 12: entry 13 follows entry 11"},
		{"cut after a checkpoint", func(_ *testing.T, l [][]byte) [][]byte { return l[:20] }, "ends at entry 20, but entry 30 was signed"},
		{"everything removed", func(_ *testing.T, l [][]byte) [][]byte { return nil }, "ends at entry 0, but entry 30 was signed"},
		{"chain rewritten", func(t *testing.T, l [][]byte) [][]byte {
			return rechain(t, l, 11, func(e *Entry) { e.User = "eve" })
		}, "line 21: it is not the entry that was signed"},
		{"last entry rewritten", func(t *testing.T, l [][]byte) [][]byte {
			return rechain(t, l, 29, func(e *Entry) { e.User = "eve" })
		}, "line 30: it is not the entry that was signed"},
		{"torn tail below a checkpoint", func(_ *testing.T, l [][]byte) [][]byte { l[29] = l[29][:20]; return l }, "ends at entry 29, but entry 30 was signed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, Options{Dir: dir, CheckpointEvery: 10}, n)
			path := filepath.Join(dir, firstSegment)
			if err := os.WriteFile(path, bytes.Join(tt.change(t, lines(t, path)), nil), 0o600); err != nil {
				t.Fatal(err)
			}
			r := verify(t, dir)
			if tt.want == "" {
				if !r.OK() {
					t.Error(r.Problems)
				}
				return
			}
			if r.OK() || !strings.Contains(r.Problems[0].String(), tt.want) {
				t.Errorf("problems %v, want %q", r.Problems, tt.want)
			}
		})
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	dir := t.TempDir()
	fill(t, Options{Dir: dir}, 3)
	path := filepath.Join(dir, firstSegment)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir); r.OK() {
			t.Fatalf("flipping byte %d (%q) was not found", i, whole[i])
		}
	}
}

func TestTamperedFiles(t *testing.T) {
	segment := func(t *testing.T, dir string, i int) string {
		names, err := segments(dir)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, names[i])
	}
	tests := []struct {
		name   string
		change func(t *testing.T, dir string) error
		want   string
	}{
		{"segment removed from the middle", func(t *testing.T, dir string) error { return os.Remove(segment(t, dir, 1)) }, "entries are missing between"},
		{"first segment removed", func(t *testing.T, dir string) error { return os.Remove(segment(t, dir, 0)) }, "entries are missing between"},
		{"checkpoints removed", func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "checkpoints")) }, "no signed checkpoint"},
		{"a checkpoint removed", func(t *testing.T, dir string) error {
			path := filepath.Join(dir, "checkpoints")
			l := lines(t, path)
			return os.WriteFile(path, bytes.Join(append(l[:1], l[2:]...), nil), 0o600)
		}, "a checkpoint before this one is missing"},
		{"a checkpoint forged", func(t *testing.T, dir string) error {
			path := filepath.Join(dir, "checkpoints")
			b, _ := os.ReadFile(path)
			return os.WriteFile(path, bytes.Replace(b, []byte(`"seq":11`), []byte(`"seq":12`), 1), 0o600)
		}, "the signature is wrong"},
		{"checkpoints not JSON", func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "checkpoints"), []byte("x\n"), 0o600)
		}, "not readable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, Options{Dir: dir, SegmentBytes: 1500, CheckpointEvery: 10}, 30)
			if err := tt.change(t, dir); err != nil {
				t.Fatal(err)
			}
			if r := verify(t, dir); r.OK() || !strings.Contains(fmt.Sprint(r.Problems), tt.want) {
				t.Errorf("problems %v, want %q", r.Problems, tt.want)
			}
		})
	}
}

func TestTornTailIsRepaired(t *testing.T) {
	for _, tail := range []string{`{"seq":4,"ti`, "\x00\x00\x00\x00", `{"seq":4` + "\x00\x00"} {
		dir := t.TempDir()
		fill(t, Options{Dir: dir}, 3)
		path := filepath.Join(dir, firstSegment)
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteString(tail)
		_ = f.Close()
		if r := verify(t, dir); !r.OK() || r.Torn != int64(len(tail)) {
			t.Errorf("%q before the repair: %+v", tail, r)
		}
		l := open(t, Options{Dir: dir})
		got, err := l.Tail(t.Context(), Filter{}, 1)
		if err != nil || len(got) != 1 || got[0].Action != "repair audit" || !strings.Contains(got[0].Reason, fmt.Sprintf("%d bytes", len(tail))) {
			t.Errorf("%q is not noted: %+v %v", tail, got, err)
		}
		_ = l.Close()
		if r := verify(t, dir); !r.OK() || r.Entries != 4 || r.Torn != 0 {
			t.Errorf("%q after the repair: %+v", tail, r)
		}
	}
}

func TestOpenRefusesADamagedTail(t *testing.T) {
	tests := []struct {
		name   string
		change func([][]byte) [][]byte
	}{
		{"cut below a checkpoint", func(l [][]byte) [][]byte { return l[:2] }},
		{"last line changed", func(l [][]byte) [][]byte { l[4] = bytes.Replace(l[4], []byte("ada"), []byte("eve"), 1); return l }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, Options{Dir: dir}, 5)
			path := filepath.Join(dir, firstSegment)
			before := bytes.Join(tt.change(lines(t, path)), nil)
			if err := os.WriteFile(path, before, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(Options{Dir: dir}); !fault.Is(err, fault.Corrupt) {
				t.Errorf("got %v", err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the evidence was changed")
			}
		})
	}
}

// TestKilledWriter kills a writing process again and again: what it acknowledged is there, and the chain holds.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv("AUDIT_WRITER"); dir != "" {
		l := open(t, Options{Dir: dir, SegmentBytes: 4000, CheckpointEvery: 5})
		for i := 0; ; i++ {
			if err := l.Append(t.Context(), entry(i)); err != nil {
				t.Fatal(err)
			}
			got, err := l.Tail(t.Context(), Filter{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println("seq", got[0].Seq)
		}
	}
	dir, acknowledged := t.TempDir(), uint64(0)
	for round := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
		cmd.Env = append(os.Environ(), "AUDIT_WRITER="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(out)
		for n := 0; s.Scan(); n++ {
			if seq, ok := strings.CutPrefix(s.Text(), "seq "); ok {
				acknowledged, _ = strconv.ParseUint(seq, 10, 64)
			}
			if n == 10+7*round {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		if r := verify(t, dir); !r.OK() || r.Entries < acknowledged {
			t.Fatalf("round %d: acknowledged %d, report %+v", round, acknowledged, r)
		}
	}
	if acknowledged < 100 {
		t.Errorf("only %d entries were acknowledged", acknowledged)
	}
}
