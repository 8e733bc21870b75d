// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

// interrupted is the exit code after Ctrl-C, as shells count it.
const interrupted = 130

// code is an exit code with its meaning.
type code struct {
	number  int
	meaning string
	kinds   []fault.Kind
}

// codes are all exit codes, told by `fathom help exit-codes`, the man page and the docs.
var codes = []code{
	{0, "done; or what was asked for is so", nil},
	{1, "any other error; of replay: the version came out differently", []fault.Kind{fault.Internal}},
	{2, "the command line or an object is wrong; the same again cannot help", []fault.Kind{fault.Invalid, fault.TooLarge}},
	{3, "in use, changed meanwhile, or not in a state for this", []fault.Kind{fault.Conflict}},
	{4, "not reachable or not ready; the same may work later", []fault.Kind{fault.Unavailable}},
	{5, "stored data is damaged", []fault.Kind{fault.Corrupt}},
	{6, "not permitted, or nobody proved who asks", []fault.Kind{fault.Forbidden, fault.Unauthenticated}},
	{7, "no room: disk, quota or memory", []fault.Kind{fault.Exhausted}},
	{8, "there is no such object, file or version", []fault.Kind{fault.NotFound}},
	{interrupted, "interrupted by Ctrl-C", nil},
}

// exitCode is the code of the error's kind.
func exitCode(err error) int {
	kind := fault.KindOf(err)
	for _, c := range codes {
		for _, k := range c.kinds {
			if k == kind {
				return c.number
			}
		}
	}
	return 1
}

// newExitCodes is a page of help.
func newExitCodes() *cobra.Command {
	var text strings.Builder
	text.WriteString("Every verb ends with one of these codes; what happened is told on standard error.\n\n")
	for _, c := range codes {
		fmt.Fprintf(&text, "  %3d  %s\n", c.number, c.meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: strings.TrimSpace(text.String())}
}
