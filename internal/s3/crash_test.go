// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

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
	id, err := s.createUpload("neuro", "k", attributes{}, checksum{})
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
	id, err := s.createUpload("neuro", "k", attributes{}, checksum{})
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
	part, err := g.addPart(dir, 1, checksum{})
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
	if _, _, err := joined.join(parts, checksum{}); !fault.Is(err, fault.Corrupt) {
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
