// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newSubject(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "subject PSEUDONYM",
		Short: "List every version and model that was made with a person's rows",
		Long: "List every version of a dataset and every model that was made with the rows of one person, who is named by the pseudonym that " +
			"stands in the data. Only stewards may ask; the question is written to the audit log.",
		Example: "  fathom subject p-3f9a1c22d0b14e57\n" +
			"  fathom sql 'select distinct patient_id from cohort'    # the pseudonyms there are",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			var answer struct {
				Subject string `json:"subject"`
				KnownBy []tree `json:"knownBy"`
			}
			if err := c.ask(cmd.Context(), "GET", c.path("/subjects/%s", url.PathEscape(args[0])), nil, &answer); err != nil {
				return err
			}
			if g.forPrograms() {
				return g.encode(cmd.OutOrStdout(), answer)
			}
			out := cmd.OutOrStdout()
			if len(answer.KnownBy) == 0 {
				_, err := fmt.Fprintf(out, "Nothing in workspace %s was made with rows of %s.\n", c.workspace, args[0])
				return err
			}
			fmt.Fprintf(out, "%s was in\n", args[0])
			for _, a := range answer.KnownBy {
				fmt.Fprintf(out, "  %s\n", strings.TrimSpace(a.title()))
			}
			return nil
		},
	}
}
