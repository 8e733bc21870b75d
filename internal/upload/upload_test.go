// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"os"
	"path/filepath"
	"testing"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func TestLedger(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "uploads")
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Fresh() {
		t.Error("a new ledger is not fresh")
	}
	mine, theirs := ref.DigestOf([]byte("mine")), ref.DigestOf([]byte("theirs"))
	for range 2 { // again is cheap
		if err := l.Add("neurology", mine); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Add("other", theirs); err != nil {
		t.Fatal(err)
	}
	l, err = Open(dir) // after a restart
	if err != nil || l.Fresh() {
		t.Fatal(l, err)
	}
	unknown := l.Check("neurology", string(ref.DigestOf([]byte("nobody's"))))
	for _, c := range []struct {
		workspace, digest string
		want              fault.Kind
	}{
		{"neurology", string(mine), ""}, {"other", string(theirs), ""},
		{"neurology", string(theirs), fault.Invalid}, {"other", string(mine), fault.Invalid}, {"third", string(mine), fault.Invalid},
		{"../other", string(theirs), fault.Invalid}, {"", string(mine), fault.Invalid}, {"neurology", "sha256:../../x", fault.Invalid},
	} {
		if err := l.Check(c.workspace, c.digest); fault.KindOf(err) != c.want {
			t.Errorf("%s %s: %v", c.workspace, c.digest, err)
		}
	}
	foreign := l.Check("neurology", string(theirs))
	if a, b := unknown.Error(), foreign.Error(); a[:30] != b[:30] || len(a) != len(b) {
		t.Errorf("%q tells from %q that another workspace has it", b, a)
	}
	if err := l.Add("../other", mine); !fault.Is(err, fault.Invalid) {
		t.Errorf("climbed: %v", err)
	}
	if err := l.Forget("neurology"); err != nil || l.Check("neurology", string(mine)) == nil {
		t.Errorf("not forgotten: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%v", entries)
	}
}
