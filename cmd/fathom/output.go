// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"os"
	"text/tabwriter"

	"github.com/mattn/go-isatty"
)

// printJSON writes v indented.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
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
