// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

// completionPatience is how long the shell waits for names.
const completionPatience = 2 * time.Second

// arguments says what the arguments of each verb are: a kind, a name of a kind, "of" the kind before, or a run.
var arguments = map[string][]string{
	"show": {"kind", "of"}, "delete": {"kind", "of"}, "retry": {"kind", "of"}, "replay": {"kind", "of"}, "diff": {"kind", "of", "version", "version"},
	"why": {"kind", "of"}, "predict": {"Endpoint"}, "promote": {"Model"}, "rollback": {"Model"}, "logs": {"Run"}, "runs": {"Run"},
}

// completeVerbs lets the shell offer kinds, the names of objects as they are now, and the values of flags.
func completeVerbs(root *cobra.Command, g *global) {
	for _, cmd := range root.Commands() {
		if takes, known := arguments[cmd.Name()]; known {
			cmd.ValidArgsFunction = g.offer(takes)
		}
		if cmd.ValidArgsFunction == nil && cmd.Flag("filename") != nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		if cmd.Flag("for") != nil {
			must(cmd.RegisterFlagCompletionFunc("for", g.offerAny))
		}
	}
	must(root.RegisterFlagCompletionFunc("output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return formats, cobra.ShellCompDirectiveNoFileComp
	}))
	must(root.RegisterFlagCompletionFunc("workspace", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return g.named(cmd.Context(), "Workspace"), cobra.ShellCompDirectiveNoFileComp
	}))
	must(root.RegisterFlagCompletionFunc("state", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}))
}

// must ends the program for a mistake in the lists above, which tests find.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (g *global) offer(takes []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(given) >= len(takes) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		switch what := takes[len(given)]; what {
		case "kind":
			out = []string{"dataset", "model", "endpoint", "report", "workspace"}
		case "version": // numbers are not offered
		case "of":
			if kind, err := kindOf(given[len(given)-1]); err == nil {
				out = g.named(cmd.Context(), kind)
			}
		default:
			out = g.named(cmd.Context(), what)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func (g *global) offerAny(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, kind := range []string{"Dataset", "Model", "Report"} {
		out = append(out, g.named(cmd.Context(), kind)...)
	}
	slices.Sort(out)
	return slices.Compact(out), cobra.ShellCompDirectiveNoFileComp
}

// named lists the objects of a kind; nothing when they cannot be read, since a shell's line is no place for an error.
func (g *global) named(ctx context.Context, kind string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	c, err := g.in(ctx)
	if err != nil && kind == "Workspace" {
		c, err = g.connect(ctx)
	}
	if err != nil {
		return nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
	var in []client.ListOption
	if kind != "Workspace" {
		in = append(in, client.InNamespace(c.workspace))
	}
	if err := c.client.List(ctx, list, in...); err != nil {
		return nil
	}
	var out []string
	for _, item := range list.Items {
		out = append(out, strings.TrimSpace(item.Name))
	}
	return out
}
