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
)

// printJSON writes v indented.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printed tells people a line, and programs the same as JSON.
func (g *global) printed(w io.Writer, v any, format string, args ...any) error {
	if g.json() {
		return printJSON(w, v)
	}
	_, err := fmt.Fprintf(w, format+"\n", args...)
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

// colour wraps text for a terminal, and only there.
func colour(w io.Writer, code, text string) string {
	f, ok := w.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// stateColour is how a reason looks: green, yellow or red.
func stateColour(reason string) string {
	switch reason {
	case "Ready":
		return "32"
	case "Failed", "Invalid", "Refused", "Cycle":
		return "31"
	}
	return "33"
}
