// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestVerbs(t *testing.T) {
	got := verbs("apply\tDeclare objects\ncompletion\tx\nhelp\ty\nwhy\tShow what\n:4\n")
	if want := []verb{{"apply", "Declare objects"}, {"why", "Show what"}}; !slices.Equal(got, want) {
		t.Errorf("verbs: %q, want %q", got, want)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	binary, folder := filepath.Join(dir, "fathom"), filepath.Join(dir, "docs")
	script := "#!/bin/sh\nif [ $1 = __complete ]; then printf 'plan\\tSay a|b\\n:4\\n'; else echo \"$1 at $HOME\"; fi\n"
	if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	man := filepath.Join(dir, "man")
	if err := write(binary, folder, man); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"plan.md":   "# fathom plan\n\n```\nplan at ~\n```\n",
		"README.md": "# The command line\n\n| verb | does |\n|---|---|\n| [plan](plan.md) | Say a\\|b |\n\n## Exit codes\n\n```\nhelp at ~\n```\n\nThe same as man pages: `man -l docs/man/fathom.1`.\n",
	} {
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestMan(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "fathom")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho 2 wrong\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	man := filepath.Join(dir, "man")
	if err := writeMan(binary, man, []verb{{"plan", "Say a-b"}}, map[string]string{"plan": "Say\n.\\x\n'y\n"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"fathom-plan.1": ".nf\nSay\n\\&.\\ex\n\\&'y\n.fi\n",
		"fathom.1":      ".TP\n.B plan\nSay a\\-b\n.SH EXIT STATUS\n.nf\n2 wrong\n.fi\n",
	} {
		got, err := os.ReadFile(filepath.Join(man, name))
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %v, no %q in\n%s", name, err, want, got)
		}
	}
}
