// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// After another boot only what was written through is trusted; after a kill, which is the same boot, everything is.
func TestEnvironmentsAfterAPowerCut(t *testing.T) {
	if _, err := os.Stat("/proc/sys/kernel/random/boot_id"); err != nil {
		t.Skipf("this system does not tell its boots apart: %v", err)
	}
	dir := t.TempDir()
	open := func() *Builder {
		b, err := New(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open()
	written, torn := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for _, name := range []string{written, torn} {
		if err := os.MkdirAll(filepath.Join(dir, name, "lib"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	b.settle(written)
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	open()
	if !there(written) || !there(torn) {
		t.Error("a start of the same boot removed an environment")
	}
	if err := os.WriteFile(filepath.Join(dir, bootFile), []byte("another boot"), 0o600); err != nil {
		t.Fatal(err)
	}
	open()
	if !there(written) || there(torn) {
		t.Errorf("after another boot: written through %v, not %v", there(written), there(torn))
	}
}
