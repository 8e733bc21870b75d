// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const helpWidth = 80 // characters of a line of help

// usageTemplate is cobra's, with flags that are wrapped to the width of a small terminal.
const usageTemplate = `Usage:
  {{if .HasParent}}{{.UseLine}}{{else}}fathom VERB [flags]{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{wrapped .LocalFlags | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of every verb:
{{wrapped .InheritedFlags | trimTrailingWhitespaces}}{{end}}{{if .HasHelpSubCommands}}

Further pages:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad .CommandPath .CommandPathPadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableSubCommands}}

"{{.CommandPath}} VERB --help" tells more about a verb.{{end}}
`

// describe gives all verbs their help, checks of arguments and completion.
func describe(root *cobra.Command, g *global) {
	cobra.AddTemplateFunc("wrapped", func(flags interface{ FlagUsagesWrapped(int) string }) string {
		return flags.FlagUsagesWrapped(helpWidth)
	})
	root.SetUsageTemplate(usageTemplate)
	root.AddCommand(newExitCodes())
	for _, cmd := range root.Commands() {
		cmd.Args = usage(cmd, cmd.Args)
		cmd.Long = wrap(cmd.Long, helpWidth)
	}
	completeVerbs(root, g)
}

// wrap breaks long lines between words; lines that begin with a space stay as they are.
func wrap(text string, width int) string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") {
			out = append(out, line)
			continue
		}
		for len([]rune(line)) > width {
			at := strings.LastIndexByte(string([]rune(line)[:width+1]), ' ')
			if at <= 0 {
				break
			}
			out = append(out, line[:at])
			line = line[at+1:]
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
