// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// command is a command line of a page and what the page says that it prints; shown is nil where it says nothing.
type command struct {
	line   int // of the page
	text   string
	shown  []string
	leaves string // why it is not run
}

var fence = regexp.MustCompile("^```(sh|bash|shell|console)$")

// commands reads a page.
func commands(text string) (out []command, err error) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		m := fence.FindStringSubmatch(lines[i])
		if m == nil {
			if strings.HasPrefix(lines[i], "```") { // another language: to its end
				mark := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], "`"))]
				for i++; i < len(lines) && lines[i] != mark; i++ {
				}
			}
			continue
		}
		reason := ""
		if i > 0 {
			if after, found := strings.CutPrefix(lines[i-1], "<!-- not run: "); found {
				reason = strings.TrimSpace(strings.TrimSuffix(after, "-->"))
			}
		}
		begin := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		if i >= len(lines) {
			return nil, fmt.Errorf("line %d: the block has no end", begin)
		}
		block := parse(m[1], lines[begin:i], begin+1)
		for j := range block {
			block[j].leaves = reason
		}
		out = append(out, block...)
	}
	return out, nil
}

func parse(kind string, lines []string, at int) (out []command) {
	if kind != "console" {
		if text := strings.TrimSpace(strings.Join(lines, "\n")); text != "" {
			out = append(out, command{line: at, text: text})
		}
		return out
	}
	for i, l := range lines {
		switch {
		case strings.HasPrefix(l, "$ "):
			out = append(out, command{line: at + i, text: l[2:]})
		case len(out) > 0 && strings.HasSuffix(out[len(out)-1].text, "\\"):
			out[len(out)-1].text += "\n" + l
		case len(out) > 0:
			out[len(out)-1].shown = append(out[len(out)-1].shown, l)
		}
	}
	return out
}

// differ says where an output is not what the page shows; "" when it is.
func differ(shown, said []string) string {
	for len(shown) > 0 {
		want := shown[0]
		if strings.TrimSpace(want) == "…" {
			if len(shown) == 1 {
				return ""
			}
			shown = shown[1:]
			for len(said) > 0 && !like(shown[0], said[0]) {
				said = said[1:]
			}
			continue
		}
		if len(said) == 0 || !like(want, said[0]) {
			return fmt.Sprintf("the page shows\n  %s\nbut it says\n  %s", want, strings.Join(said[:min(len(said), 8)], "\n  "))
		}
		shown, said = shown[1:], said[1:]
	}
	if rest := strings.TrimSpace(strings.Join(said, "\n")); rest != "" {
		return "the page does not show\n" + rest
	}
	return ""
}

// like compares a line without the number of its spaces, which widths of columns decide.
func like(want, said string) bool {
	parts := strings.Split(strings.Join(strings.Fields(want), " "), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(strings.Join(strings.Fields(said), " "))
}

// TestBlocks: what is taken from a page, and what counts as the same output.
func TestBlocks(t *testing.T) {
	page := "# A\n```yaml\n```sh\nx\n```\n```sh\na\nb\n```\n<!-- not run: it is long -->\n```console\n$ c \\\n  d\nout\n…\n$ e\n```\n````markdown\n```sh\ninner\n```\n````\n"
	got, err := commands(strings.Replace(page, "```yaml\n```sh\nx\n```", "```yaml\nx\n```", 1))
	if err != nil || len(got) != 3 || got[0].text != "a\nb" || got[1].text != "c \\\n  d" || len(got[1].shown) != 2 || got[1].leaves != "it is long" || got[2].text != "e" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := commands("```sh\nx\n"); err == nil {
		t.Error("a block without end is taken")
	}
	for _, c := range []struct {
		shown, said string
		same        bool
	}{
		{"a\nb", "a\nb", true}, {"a", "a\nb", false}, {"a\n…", "a\nb\nc", true}, {"…\nc", "a\nb\nc", true}, {"a…c  d", "abc d", true}, {"a.c", "abc", false}, {"a\nb", "a", false},
	} {
		if diff := differ(strings.Split(c.shown, "\n"), strings.Split(c.said, "\n")); (diff == "") != c.same {
			t.Errorf("%q and %q: %q", c.shown, c.said, diff)
		}
	}
}

// read gives the text of a page.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
