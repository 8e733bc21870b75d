// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

func newLogs(g *global) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:     "logs RUN",
		Short:   "Print the log of a run, also after its pods are gone",
		Example: "  fathom logs voice-3fa9c2d1 -f",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			body, err := c.call(cmd.Context(), "GET", c.path("/runs/%s/log?follow=%v", url.PathEscape(args[0]), follow), nil)
			if fault.Is(err, fault.NotFound) {
				return fault.New(fault.NotFound, "run "+args[0], "there is none, and no log of one that has ended").WithHint("see `fathom runs`")
			} else if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.Copy(cmd.OutOrStdout(), body)
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more while the run lives")
	return cmd
}

func newSQL(g *global) *cobra.Command {
	var limit int64
	var format string
	cmd := &cobra.Command{
		Use:     "sql STATEMENT",
		Short:   "Ask the workspace's datasets in SQL",
		Long:    "Ask the workspace's datasets in SQL, within your rights. A dataset scan-features is the table scan_features; what is read is the current version.",
		Example: `  fathom sql "select status, count(*) from cohort group by 1"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			if g.forPrograms() {
				format = "json"
			}
			body, err := c.call(cmd.Context(), "POST", c.path("/sql"),
				strings.NewReader(mustJSON(map[string]any{"sql": args[0], "limit": limit, "format": format})))
			if err != nil {
				return err
			}
			defer body.Close()
			if g.output == "yaml" {
				return g.rowsAsYAML(cmd.OutOrStdout(), body)
			}
			_, err = io.Copy(cmd.OutOrStdout(), body)
			return err
		},
	}
	cmd.Flags().Int64Var(&limit, "limit", 1000, "rows at most")
	cmd.Flags().StringVar(&format, "format", "table", "table, json (one object a line) or csv")
	return cmd
}

// rowsAsYAML turns one JSON object a line into a list.
func (g *global) rowsAsYAML(w io.Writer, rows io.Reader) error {
	all := []map[string]any{}
	for decoder := json.NewDecoder(rows); ; {
		var row map[string]any
		if err := decoder.Decode(&row); errors.Is(err, io.EOF) {
			return g.encode(w, all)
		} else if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		all = append(all, row)
	}
}

func newRetry(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "retry KIND NAME",
		Short:   "Try a failed object once more",
		Example: "  fathom retry dataset voice",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := kindOf(args[0])
			if err != nil {
				return err
			}
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			object := &unstructured.Unstructured{}
			object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
			object.SetNamespace(c.workspace)
			object.SetName(args[1])
			token := time.Now().UTC().Format("20060102T150405.000")
			patch := mustJSON(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationRetry: token}}})
			if err := c.client.Patch(cmd.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
				return fromAPI(err)
			}
			title := strings.ToLower(kind) + "/" + args[1]
			return g.printed(cmd.OutOrStdout(), map[string]string{"object": title, "outcome": "will be tried again"}, "%s will be tried again", title)
		},
	}
}

func newOpen(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "open [PATH]",
		Short:   "Print a link that logs a browser in once",
		Example: "  fathom open\n  fathom open /ui/workspaces/neurology/reports/findings/index.html",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			var answer struct {
				Path string `json:"path"`
			}
			if err := c.ask(cmd.Context(), "POST", "/api/sessions", nil, &answer); err != nil {
				return err
			}
			link := c.doors + answer.Path
			if len(args) == 1 {
				if !strings.HasPrefix(args[0], "/ui/") {
					return fault.New(fault.Invalid, "path", "%q does not begin with /ui/", args[0])
				}
				link += "&next=" + url.QueryEscape(args[0])
			}
			return g.printed(cmd.OutOrStdout(), map[string]string{"url": link}, "%s", link)
		},
	}
}
