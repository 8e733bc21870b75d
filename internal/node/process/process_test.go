// SPDX-License-Identifier: Apache-2.0

package process

import (
	"runtime"
	"testing"

	"fathom.dev/fathom/internal/node/isolation"
)

func TestTwoFathomsDoNotShareAddresses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux gives the whole of 127.0.0.0/8")
	}
	dir := t.TempDir() // the same for both, so that they want the same block
	open := func() *Runtime {
		t.Helper()
		r, err := New(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	address := func(r *Runtime) string {
		t.Helper()
		pod, err := r.Open(t.Context(), isolation.PodConfig{ID: "pod"})
		if err != nil {
			t.Fatal(err)
		}
		return pod.Address().String()
	}
	first, second := open(), open()
	a, b, c := address(first), address(first), address(second)
	if a == b || a == c || b == c {
		t.Errorf("pods at %s, %s and %s", a, b, c)
	}
	block := first.block
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := open()
	if again.block != block {
		t.Errorf("a restart moves from block %d to %d", block, again.block)
	}
	for _, r := range []*Runtime{second, again} {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
