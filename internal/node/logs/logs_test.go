// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/output"
)

func TestEverythingWrittenIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "main", "0.log")
	f, err := output.Create(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 3*(16<<10)+17)
	fmt.Fprintf(f.Stdout, "one\n\n%s\nunfinished", long)
	fmt.Fprintln(f.Stderr, "problem")
	f.Close()
	var out, errs bytes.Buffer
	if err := Read(t.Context(), path, ReadOptions{}, &out, &errs); err != nil {
		t.Fatal(err)
	}
	if want := "one\n\n" + long + "\nunfinished"; out.String() != want || errs.String() != "problem\n" {
		t.Errorf("read %d bytes of output, %q of errors; want %d, problem", out.Len(), errs.String(), len(want))
	}
	if err := Read(t.Context(), path+"x", ReadOptions{}, &out, &out); !fault.Is(err, fault.NotFound) {
		t.Errorf("a log that is not there: %v; want NotFound", err)
	}
}

func TestFollowEndsWithTheContainer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "main", "0.log")
	f, err := output.Create(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var running atomic.Bool
	running.Store(true)
	fmt.Fprintln(f.Stdout, "one")
	done := make(chan string)
	go func() {
		var out bytes.Buffer
		if err := Read(t.Context(), path, ReadOptions{Running: running.Load}, &out, &out); err != nil {
			t.Error(err)
		}
		done <- out.String()
	}()
	fmt.Fprintln(f.Stdout, "two")
	f.Close()
	running.Store(false)
	if got := <-done; got != "one\ntwo\n" {
		t.Errorf("followed %q", got)
	}
}

func TestLogStartsAnewWhenItIsLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "main", "0.log")
	f, err := output.Create(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	chunk := strings.Repeat(strings.Repeat("y", 1023)+"\n", 1024)
	for range 70 {
		fmt.Fprint(f.Stdout, chunk)
	}
	f.Close()
	fresh, err := os.Stat(path)
	if err != nil || fresh.Size() > output.MaxFile/4 {
		t.Errorf("log after 70 MiB: %v, %v; want the end only", fresh, err)
	}
	if old, err := os.Stat(path + ".old"); err != nil || old.Size() > output.MaxFile {
		t.Errorf("former log: %v, %v", old, err)
	}
}
