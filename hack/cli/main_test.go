// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
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
	if err := write(binary, folder); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"plan.md":   "# fathom plan\n\n```\nplan at ~\n```\n",
		"README.md": "# The command line\n\n| verb | does |\n|---|---|\n| [plan](plan.md) | Say a\\|b |\n",
	} {
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
}
