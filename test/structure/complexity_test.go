// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The most branches that a function may have. Tests check long lists of plain conditions, so theirs is higher.
const (
	maxBranches     = "15"
	maxBranchesTest = "30"
)

// tangled lists the functions below a folder that have more branches than allowed, as gocyclo reports them.
func tangled(t *testing.T, dir, most, ignore string) []string {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "tool", "gocyclo", "-over", most, "-ignore", ignore, dir)
	cmd.Dir = root + "/tools"
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(out) > 0 {
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	if err != nil {
		t.Fatal(err, string(exit.Stderr))
	}
	return nil
}

func TestFunctionsAreSimple(t *testing.T) {
	const notOurs = `/\.[a-z]+/|/node_modules/|zz_generated|/dist/`
	for _, f := range tangled(t, root, maxBranches, notOurs+`|_test\.go`) {
		t.Errorf("more than %s branches: %s", maxBranches, f)
	}
	for _, f := range tangled(t, root, maxBranchesTest, notOurs) {
		t.Errorf("more than %s branches: %s", maxBranchesTest, f)
	}
}

func TestTangled(t *testing.T) {
	dir := t.TempDir()
	text := "package a\n\nfunc simple() {}\n\nfunc complex(x int) {\n" + strings.Repeat("\tif x > 0 {\n\t}\n", 15) + "}\n"
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tangled(t, dir, maxBranches, "none")
	if len(got) != 1 || !strings.HasPrefix(got[0], "16 a complex ") {
		t.Errorf("tangled: %q, want the one function with 16 branches", got)
	}
}
