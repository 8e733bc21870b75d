// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func newGC(g *global) *cobra.Command {
	var grace time.Duration
	var try bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove stored bytes that nothing refers to any more",
		Long: "Remove stored bytes that nothing refers to any more: uploads that were given up, images that were deleted.\n\n" +
			"Fathom does this by itself every six hours. What a version, model, run, object, image or upload of code refers to is always kept, and " +
			"so is whatever is younger than the grace period. Only who may delete images in every workspace may do this.",
		Example: "  fathom gc --dry-run\n  fathom gc --grace 2h -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			var swept struct {
				Removed int   `json:"removed"`
				Bytes   int64 `json:"bytes"`
				Kept    int   `json:"kept"`
			}
			path := fmt.Sprintf("/registry/sweep?grace=%s&try=%v", url.QueryEscape(grace.String()), try)
			if err := c.ask(cmd.Context(), "POST", path, nil, &swept); err != nil {
				return err
			}
			word := "removed"
			if try {
				word = "would be removed"
			}
			return g.printed(cmd.OutOrStdout(), swept, "%d blobs with %d bytes %s; %d older than %s are referred to and stay", swept.Removed, swept.Bytes, word, swept.Kept, grace)
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", 24*time.Hour, "keep whatever is younger, at least 1h")
	cmd.Flags().BoolVar(&try, "dry-run", false, "remove nothing, tell what would be")
	return cmd
}
