// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

// tree is an artifact and what it was made from, as the lineage door answers.
type tree struct {
	Kind      string            `json:"kind"`
	Workspace string            `json:"workspace"`
	Name      string            `json:"name"`
	Version   string            `json:"version,omitempty"`
	Digest    string            `json:"digest,omitempty"`
	Facts     map[string]string `json:"facts,omitempty"`
	Role      string            `json:"role,omitempty"`
	Repeated  bool              `json:"repeated,omitempty"`
	Inputs    []tree            `json:"inputs,omitempty"`
}

func newWhy(g *global) *cobra.Command {
	var version int64
	var all bool
	cmd := &cobra.Command{
		Use:     "why [KIND] NAME",
		Short:   "Show what a model or dataset was made from, down to source files",
		Long:    "Show what a model or dataset was made from: datasets, consents, code, environment, down to source files with their digests.",
		Example: "  fathom why parkinsons\n  fathom why dataset cohort --version 2\n  fathom why neurology/parkinsons",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kinds := []string{"models", "datasets"}
			name := args[len(args)-1]
			if len(args) == 2 {
				kind, err := kindOf(args[0])
				if err != nil {
					return err
				}
				kinds = []string{strings.ToLower(kind) + "s"}
			}
			if workspace, rest, ok := strings.Cut(name, "/"); ok {
				g.workspace, name = workspace, rest
			}
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			query := ""
			if version > 0 {
				query = fmt.Sprintf("?version=%d", version)
			}
			var t tree
			for _, kind := range kinds {
				err = c.ask(cmd.Context(), "GET", c.path("/%s/%s/why%s", kind, url.PathEscape(name), query), nil, &t)
				if !fault.Is(err, fault.NotFound) {
					break
				}
			}
			if err != nil {
				return err
			}
			if g.forPrograms() {
				return g.encode(cmd.OutOrStdout(), t)
			}
			printTree(cmd.OutOrStdout(), t, "", "", all)
			return nil
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "version (default: the promoted or current one)")
	cmd.Flags().BoolVar(&all, "all", false, "list every source file")
	return cmd
}

const filesShown = 3 // source files of a dataset before the rest is counted

func printTree(w io.Writer, t tree, head, rest string, all bool) {
	fmt.Fprintf(w, "%s%s\n", head, t.title())
	children := t.Inputs
	hidden := 0
	if !all {
		children, hidden = fold(children)
	}
	for i, child := range children {
		if i == len(children)-1 && hidden == 0 {
			printTree(w, child, rest+"└─ ", rest+"   ", all)
		} else {
			printTree(w, child, rest+"├─ ", rest+"│  ", all)
		}
	}
	if hidden > 0 {
		fmt.Fprintf(w, "%s└─ … and %d more source files (--all lists them)\n", rest, hidden)
	}
}

// fold keeps the first few files and counts the rest.
func fold(children []tree) (shown []tree, hidden int) {
	files := 0
	for _, c := range children {
		if c.Kind == "file" {
			if files++; files > filesShown {
				hidden++
				continue
			}
		}
		shown = append(shown, c)
	}
	return shown, hidden
}

func (t tree) title() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", t.Kind, t.Name)
	if t.Version != "" {
		fmt.Fprintf(&b, " version %s", t.Version)
	}
	if t.Role == "consent" {
		b.WriteString(" (consents)")
	}
	if digest := strings.TrimPrefix(t.Digest, "sha256:"); len(digest) > 12 {
		fmt.Fprintf(&b, "  sha256:%s…", digest[:12])
	}
	if size := t.Facts["size"]; size != "" {
		fmt.Fprintf(&b, "  %s bytes", size)
	}
	if modified := t.Facts["modified"]; modified != "" {
		fmt.Fprintf(&b, "  of %s", modified)
	}
	if t.Repeated {
		b.WriteString("  (shown above)")
	}
	return b.String()
}
