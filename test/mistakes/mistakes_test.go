// SPDX-License-Identifier: Apache-2.0

package mistakes_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fathom.dev/fathom/test/platform"
)

var update = flag.Bool("update", false, "write what is said into docs/mistakes.md")

const page = "../../docs/mistakes.md"

// mistake is something that a newcomer gets wrong, and what must be in the answer: the object, the field, the next step.
type mistake struct {
	name  string            // what is wrong, in words joined by "-"
	given string            // what is so before, for people; may be empty
	yaml  string            // objects to apply; {name} is the mistake's name
	files map[string]string // beside the YAML
	// object is the kind whose condition must tell; empty when a command itself refuses.
	object string
	until  string // a part of the message that it ends with, where its state is not an end
	line   string // the command line, without "fathom"; default: apply of the yaml
	as     string // a kubeconfig that the world has; default: the owner's
	want   []string
}

// title is the name as people read it.
func (m mistake) title() string {
	words := strings.ReplaceAll(m.name, "-", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// section is a chapter of the page.
type section struct {
	title, intro string
	entries      []entry
}

// entry is a mistake with what was said.
type entry struct {
	mistake
	said string // as in a terminal, with the command
	code int    // -1: no command failed
	kept bool   // it cannot be made here: the page keeps what it has
}

// TestMistakes makes all of them, on one Fathom where they need one.
func TestMistakes(t *testing.T) {
	w := newWorld(t)
	sections := []section{
		{title: "Starting Fathom", entries: w.starting()},
		{title: "Reaching it", entries: w.commands(reaching)},
		{title: "The command line", entries: w.commands(lines)},
		{title: "Objects that are refused", entries: w.refused()},
		{title: "Objects that cannot become true", intro: "These are taken in; `fathom status` tells what is wrong, and it is tried again when it is mended.", entries: append(w.conditions(), w.pythonless()...)},
		{title: "Asking and deciding", entries: w.commands(asking)},
	}
	for _, s := range sections {
		for _, e := range s.entries {
			t.Run(e.name, func(t *testing.T) {
				if e.kept {
					t.Skip(e.said)
				}
				t.Logf("%s", e.said)
				for _, want := range e.want {
					if !strings.Contains(e.said, want) {
						t.Errorf("it does not say %q:\n%s", want, e.said)
					}
				}
			})
		}
	}
	compare(t, render(sections))
}

// compare holds the page to what was said.
func compare(t *testing.T, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	golden, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	have, want := strings.Split(text, "\n"), strings.Split(string(golden), "\n")
	for i := range max(len(have), len(want)) {
		if i >= len(have) || i >= len(want) || have[i] != want[i] {
			t.Fatalf("docs/mistakes.md line %d differs: go test ./test/mistakes -update writes it\n  said  %s\n  page  %s", i+1, at(have, i), at(want, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(the end)"
}

// render writes the page.
func render(sections []section) string {
	var b strings.Builder
	total := 0
	for _, s := range sections {
		total += len(s.entries)
	}
	fmt.Fprintf(&b, "# %d mistakes, and what Fathom says\n\n"+
		"A test makes each of these mistakes and writes down the answer, word for word; only paths, ports and the ends of names are replaced. "+
		"[Troubleshooting](troubleshooting.md) goes from what is shown to what to do; `fathom help exit-codes` lists the exit codes.\n", total)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n", s.title)
		if s.intro != "" {
			fmt.Fprintf(&b, "\n%s\n", s.intro)
		}
		for _, e := range s.entries {
			e.render(&b)
		}
	}
	return b.String()
}

// kept is the part of the page that tells of a mistake, as it is.
func kept(title string) string {
	golden, _ := os.ReadFile(page) // there may be none yet
	_, after, found := strings.Cut(string(golden), "\n### "+title+"\n")
	if !found {
		return ""
	}
	if end := strings.Index(after, "\n##"); end >= 0 {
		after = after[:end]
	}
	return "\n### " + title + "\n" + strings.TrimRight(after, "\n") + "\n"
}

func (e entry) render(b *strings.Builder) {
	if e.kept {
		b.WriteString(kept(e.title()))
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n", e.title())
	if e.given != "" {
		fmt.Fprintf(b, "%s\n\n", e.given)
	}
	if e.yaml != "" {
		fmt.Fprintf(b, "```yaml\n%s\n```\n\n", strings.TrimSpace(strings.ReplaceAll(e.yaml, "{name}", e.name)))
	}
	names := make([]string, 0, len(e.files))
	for name := range e.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if text := strings.TrimSpace(e.files[name]); text != "" && len(text) < 200 {
			fmt.Fprintf(b, "`%s`:\n\n```\n%s\n```\n\n", name, text)
		}
	}
	fmt.Fprintf(b, "```\n%s\n```\n", strings.TrimSpace(e.said))
	if e.code >= 0 {
		fmt.Fprintf(b, "\nExit code %d.\n", e.code)
	}
}

// world is a Fathom to make mistakes with.
type world struct {
	*platform.Platform
	dir     string            // where commands run and files are written
	configs map[string]string // kubeconfigs by name
	plain   []string          // pairs of what is replaced on the page
}

// unstable are parts of messages that differ from run to run.
var unstable = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:8443"},
	{regexp.MustCompile(`in \d+\.\d+s at`), "in 3.0s at"},
	{regexp.MustCompile(`-[0-9a-f]{8}([-, ;:)\n` + "`" + `]|$)`), "-1a2b3c4d$1"},
	{regexp.MustCompile(`Failed  (final|fold-\d+): `), "Failed  fold-0: "}, // whichever fails first
	{regexp.MustCompile(`-1a2b3c4d-(final|fold-\d+)`), "-1a2b3c4d-fold-0"},
	{regexp.MustCompile(`process \d+`), "process 4711"},
	{regexp.MustCompile(`/tmp/fathom-[a-z]+\d+`), "/tmp/fathom"},
}

// steady replaces what differs from run to run and from machine to machine.
func (w *world) steady(text string) string {
	text = strings.NewReplacer(w.plain...).Replace(text)
	for _, u := range unstable {
		text = u.what.ReplaceAllString(text, u.with)
	}
	return text
}

// fathom runs a command line in the world's folder and tells it as in a terminal.
func (w *world) fathom(m mistake, arguments ...string) (said string, code int) {
	w.Helper()
	config := w.configs[m.as]
	command := exec.CommandContext(w.Context(), filepath.Join(w.Bin, "fathom"), arguments...)
	command.Dir = w.dir
	command.Env = append(os.Environ(), "FATHOM_STATE="+w.State, "KUBECONFIG="+config)
	return w.execute(command, arguments)
}

func (w *world) execute(command *exec.Cmd, arguments []string) (said string, code int) {
	w.Helper()
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	var refused *exec.ExitError
	if err := command.Run(); errors.As(err, &refused) {
		code = refused.ExitCode()
	} else if err != nil {
		w.Fatal(err)
	}
	quoted := make([]string, len(arguments))
	for i, a := range arguments {
		if quoted[i] = a; strings.ContainsAny(a, " {}'\"*\n") || a == "" {
			quoted[i] = "'" + a + "'"
		}
	}
	return w.steady("$ fathom " + strings.Join(quoted, " ") + "\n" + out.String()), code
}

// commands makes mistakes on the command line.
func (w *world) commands(list []mistake) []entry {
	w.Helper()
	var out []entry
	for _, m := range list {
		said, code := w.fathom(m, words(m.line)...)
		if code == 0 {
			w.Errorf("%s: it succeeded:\n%s", m.name, said)
		}
		out = append(out, entry{mistake: m, said: said, code: code})
	}
	return out
}

// words splits a command line; single quotes keep words together.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}
