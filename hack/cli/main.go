// SPDX-License-Identifier: Apache-2.0

// Command cli writes one page a verb, and man pages, from what the fathom binary says about itself, so that the pages and `--help` agree.
//
//	cli <binary> <folder of pages> <folder of man pages>
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: cli <binary> <folder of pages> <folder of man pages>")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "cli:", err)
		os.Exit(1)
	}
}

// verb is one line of what the shell's completion offers.
type verb struct{ name, short string }

func write(binary, folder, man string) error {
	out, err := ask(binary, "__complete", "")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	index := "# The command line\n\n| verb | does |\n|---|---|\n"
	all, helps := verbs(out), map[string]string{}
	for _, v := range all {
		help, err := ask(binary, v.name, "--help")
		if err != nil {
			return err
		}
		helps[v.name] = help
		if err := os.WriteFile(filepath.Join(folder, v.name+".md"), []byte(page(v, help)), 0o644); err != nil {
			return err
		}
		index += fmt.Sprintf("| [%s](%s.md) | %s |\n", v.name, v.name, strings.ReplaceAll(v.short, "|", `\|`))
	}
	codes, err := ask(binary, "help", "exit-codes")
	if err != nil {
		return err
	}
	index += "\n## Exit codes\n\n```\n" + strings.TrimSpace(codes) + "\n```\n\nThe same as man pages: `man -l docs/man/fathom.1`.\n"
	if err := os.WriteFile(filepath.Join(folder, "README.md"), []byte(index), 0o644); err != nil {
		return err
	}
	return writeMan(binary, man, all, helps)
}

// ask runs the binary as if home were called ~, so that defaults read the same on every machine.
func ask(binary string, args ...string) (string, error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{"HOME=~"}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", binary, strings.Join(args, " "), err)
	}
	return string(out), nil
}

// verbs reads completion's lines "name\tshort", which end with a line ":directive".
func verbs(out string) []verb {
	var all []verb
	for line := range strings.Lines(out) {
		name, short, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if ok && name != "help" && name != "completion" {
			all = append(all, verb{name, short})
		}
	}
	return all
}

func page(v verb, help string) string {
	return "# fathom " + v.name + "\n\n```\n" + strings.TrimSpace(help) + "\n```\n"
}
