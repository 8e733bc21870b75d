// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// planned is what would happen to one object.
type planned struct {
	Object string `json:"object"`
	Action string `json:"action"`
	Why    string `json:"why"`
}

func newPlan(g *global) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:     "plan -f FILE_OR_FOLDER",
		Short:   "Say what applying would rebuild, and why, without applying it",
		Example: "  fathom plan -f study/",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			objects, err := read(files, g.workspace)
			if err != nil {
				return err
			}
			byWorkspace, order := map[string][]map[string]any{}, []string{}
			for _, d := range objects {
				if err := d.resolve(cmd.Context(), onlyDigest); err != nil {
					return err
				}
				if d.GetKind() == "Workspace" {
					continue
				}
				ws := d.GetNamespace()
				if byWorkspace[ws] == nil {
					order = append(order, ws)
				}
				byWorkspace[ws] = append(byWorkspace[ws], d.Object)
			}
			c, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			var all []planned
			for _, ws := range order {
				c.workspace = ws
				var answer []planned
				if err := c.ask(cmd.Context(), "POST", c.path("/plan"), map[string]any{"objects": byWorkspace[ws]}, &answer); err != nil {
					return err
				}
				all = append(all, answer...)
			}
			if g.forPrograms() {
				return g.encode(cmd.OutOrStdout(), all)
			}
			t := table(cmd.OutOrStdout())
			fmt.Fprintln(t, "OBJECT\tACTION\tWHY")
			for _, p := range all {
				fmt.Fprintf(t, "%s\t%s\t%s\n", p.Object, p.Action, p.Why)
			}
			return t.Flush()
		},
	}
	cmd.Flags().StringSliceVarP(&files, "filename", "f", nil, "YAML file, or folder of YAML files; may be repeated")
	return cmd
}
