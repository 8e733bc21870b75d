// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeMan writes fathom.1 and a page a verb.
func writeMan(binary, folder string, all []verb, helps map[string]string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	codes, err := ask(binary, "help", "exit-codes")
	if err != nil {
		return err
	}
	main := head("fathom", "declare data, models and insights") +
		".SH SYNOPSIS\n.B fathom\n.I VERB\n[flags]\n.SH DESCRIPTION\nFathom keeps data, models and insights as declared: a team writes objects, and Fathom makes them true and keeps them\n" +
		"true. Each verb has a page of its own, and tells about itself with \\-\\-help.\n.SH VERBS\n"
	see := ".SH SEE ALSO\n"
	for _, v := range all {
		main += ".TP\n.B " + v.name + "\n" + roff(v.short) + "\n"
		see += ".BR fathom\\-" + v.name + " (1),\n"
		text := head("fathom-"+v.name, v.short) + ".SH DESCRIPTION\n" + verbatim(helps[v.name]) + ".SH SEE ALSO\n.BR fathom (1)\n"
		if err := os.WriteFile(filepath.Join(folder, "fathom-"+v.name+".1"), []byte(text), 0o644); err != nil { //nolint:gosec // a page for everybody
			return err
		}
	}
	main += ".SH EXIT STATUS\n" + verbatim(codes) +
		".SH ENVIRONMENT\n.TP\n.B KUBECONFIG\nthe kubeconfig, if \\-\\-kubeconfig names none\n.TP\n.B FATHOM_STATE\nthe state directory, if \\-\\-state names none\n" +
		".TP\n.B NO_COLOR\nset to anything: no colours\n" + strings.TrimSuffix(see, ",\n") + "\n"
	return os.WriteFile(filepath.Join(folder, "fathom.1"), []byte(main), 0o644) //nolint:gosec // a page for everybody
}

func head(name, short string) string {
	return fmt.Sprintf(".\\\" SPDX-License-Identifier: Apache-2.0; written by make generate\n.TH %s 1 \"\" Fathom Fathom\n.SH NAME\n%s \\- %s\n",
		strings.ToUpper(roff(name)), roff(name), roff(short))
}

// verbatim keeps lines as they are.
func verbatim(text string) string {
	return ".nf\n" + roff(strings.TrimSpace(text)) + "\n.fi\n"
}

// roff escapes what the formatter would take for its own.
func roff(text string) string {
	text = strings.ReplaceAll(text, `\`, `\e`)
	text = strings.ReplaceAll(text, "-", `\-`)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
