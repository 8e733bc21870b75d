// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"
)

// formats are what -o takes.
var formats = []string{"json", "yaml", "wide"}

// forPrograms reports whether the output is for programs: JSON or YAML.
func (g *global) forPrograms() bool { return g.output == "json" || g.output == "yaml" }

// encode writes v as JSON or YAML, whichever was asked for.
func (g *global) encode(w io.Writer, v any) error {
	if g.output != "yaml" {
		return printJSON(w, v)
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// printJSON writes v indented.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printed tells people a line, and programs the same as JSON or YAML.
func (g *global) printed(w io.Writer, v any, format string, args ...any) error {
	if g.forPrograms() {
		return g.encode(w, v)
	}
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

// fit is how many characters a line of a table may have; 0 is as many as it needs: in a pipe, and with -o wide.
func (g *global) fit(w io.Writer) int {
	if g.output == "wide" {
		return 0
	}
	return width(w)
}

// rows prints a table whose first row is its head; lines are cut to fit the terminal.
func (g *global) rows(w io.Writer, rows [][]string) error {
	var text strings.Builder
	t := table(&text)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	_, err := io.WriteString(w, cut(strings.Join(lines, "\n"), g.fit(w))+"\n")
	return err
}

// width is how many characters a line of the terminal holds; 0 where there is no terminal.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// cut shortens every line to so many characters; 0 leaves it.
func cut(text string, width int) string {
	if width <= 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width {
			lines[i] = strings.TrimRight(string(runes[:max(width-1, 0)]), " ") + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// table aligns columns; the caller flushes.
func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 2, 4, 2, ' ', 0) }

// terminal reports whether a person looks at what is written there.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// colourful reports whether colours are shown: on a terminal that can, unless NO_COLOR says otherwise (no-color.org).
func colourful(w io.Writer) bool {
	return terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// colour wraps text for a terminal, and only there.
func colour(w io.Writer, code, text string) string {
	if !colourful(w) {
		return text
	}
	return paint(code, text)
}

func paint(code, text string) string { return "\x1b[" + code + "m" + text + "\x1b[0m" }

// stateColour is how a reason looks: green, yellow or red.
func stateColour(reason string) string {
	switch reason {
	case "Ready", "Succeeded":
		return "32"
	case "Failed", "Invalid", "Refused", "Cycle", "Cancelled":
		return "31"
	}
	return "33"
}
