// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func newToken(g *global) *cobra.Command {
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a token that stands for you, for clients that cannot show a certificate: docker, crane, oras, mlflow",
		Long: "Print a token that stands for you until it ends. Registry clients take it as a password, with any user name.\n" +
			"It carries the groups you have now. Keep it as secret as a password.",
		Example: "  fathom token --life 8h\n" +
			"  fathom token | crane auth login 127.0.0.1:7443 -u me --password-stdin",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			var answer struct {
				User    string    `json:"user"`
				Token   string    `json:"token"`
				Expires time.Time `json:"expires"`
			}
			if err := c.ask(cmd.Context(), "POST", "/registry/token?life="+url.QueryEscape(life.String()), nil, &answer); err != nil {
				return err
			}
			where, err := url.Parse(c.doors)
			if err != nil {
				return err
			}
			if !g.forPrograms() && width(cmd.ErrOrStderr()) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "for %s until %s; the registry is %s\n", answer.User, answer.Expires.Local().Format(time.Kitchen), where.Host)
			}
			return g.printed(cmd.OutOrStdout(), map[string]any{
				"user": answer.User, "token": answer.Token, "expires": answer.Expires, "registry": where.Host,
			}, "%s", answer.Token)
		},
	}
	cmd.Flags().DurationVar(&life, "life", time.Hour, "how long it works, from 1m to 12h")
	return cmd
}
