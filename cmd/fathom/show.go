// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

func newShow(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "show KIND NAME",
		Short:   "Show one object in full: its numbers, its versions, who was left out",
		Long:    "Show one object in full: of a dataset who is in and who was left out and why, of a model its metrics with intervals and the fate of every version.",
		Example: "  fathom show dataset voice\n  fathom show model parkinsons",
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
			object, show := c.shower(kind)
			key := types.NamespacedName{Namespace: c.workspace, Name: args[1]}
			if kind == "Workspace" {
				key.Namespace = ""
			}
			if err := c.client.Get(cmd.Context(), key, object); err != nil {
				return fromAPI(err)
			}
			if g.forPrograms() {
				object.SetManagedFields(nil)
				object.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
				return g.encode(cmd.OutOrStdout(), object)
			}
			return show(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

// shower gives an empty object of the kind and how to show it once it is read.
func (c *connection) shower(kind string) (client.Object, func(context.Context, io.Writer) error) {
	plain := func(f func(io.Writer)) func(context.Context, io.Writer) error {
		return func(_ context.Context, w io.Writer) error {
			f(w)
			return nil
		}
	}
	switch kind {
	case "Dataset":
		d := &v1alpha1.Dataset{}
		return d, plain(func(w io.Writer) { showDataset(w, d) })
	case "Model":
		m := &v1alpha1.Model{}
		return m, func(ctx context.Context, w io.Writer) error { return c.showModel(ctx, w, m) }
	case "Endpoint":
		e := &v1alpha1.Endpoint{}
		return e, plain(func(w io.Writer) {
			head(w, "endpoint", e.Name, func() (string, string) { return v1alpha1.Ready(e.Status.Conditions) })
			fmt.Fprintf(w, "  url        %s\n  version    %d\n  replicas   %s\n", e.Status.URL, e.Status.Version, e.Status.Replicas)
		})
	case "Report":
		r := &v1alpha1.Report{}
		return r, plain(func(w io.Writer) {
			head(w, "report", r.Name, func() (string, string) { return v1alpha1.Ready(r.Status.Conditions) })
			fmt.Fprintf(w, "  url        %s\n  version    %d\n  reads      %s\n", r.Status.URL, r.Status.Version, strings.Join(r.Status.Inputs, ", "))
		})
	}
	ws := &v1alpha1.Workspace{}
	return ws, plain(func(w io.Writer) {
		head(w, "workspace", ws.Name, func() (string, string) { return v1alpha1.Ready(ws.Status.Conditions) })
		fmt.Fprintf(w, "  isolation  %s\n", ws.Status.Isolation)
		for _, m := range ws.Spec.Members {
			fmt.Fprintf(w, "  %-10s %s%s\n", m.Role, m.Group, m.User)
		}
	})
}

func head(w io.Writer, kind, name string, ready func() (reason, message string)) {
	reason, message := ready()
	fmt.Fprintf(w, "%s %s: %s, %s\n", kind, name, colour(w, stateColour(reason), reason), message)
}

func showDataset(w io.Writer, d *v1alpha1.Dataset) {
	head(w, "dataset", d.Name, func() (string, string) { return v1alpha1.Ready(d.Status.Conditions) })
	in := fmt.Sprintf("%d rows", d.Status.Rows)
	if d.Status.Subjects > 0 {
		in += fmt.Sprintf(" of %d subjects", d.Status.Subjects)
	}
	if d.Status.Identified {
		in += "; identified: only stewards may read them"
	}
	if len(d.Status.Inputs) > 0 {
		fmt.Fprintf(w, "  reads      %s\n", strings.Join(d.Status.Inputs, ", "))
	}
	fmt.Fprintf(w, "  in         %s\n", in)
	for _, e := range d.Status.Excluded {
		out := fmt.Sprintf("%d rows", e.Rows)
		if e.Subjects > 0 {
			out += fmt.Sprintf(" of %d subjects", e.Subjects)
		}
		fmt.Fprintf(w, "  left out   %s: %s\n", out, e.Reason)
	}
	if d.Status.ChecksPassed > 0 {
		fmt.Fprintf(w, "  checks     %d passed\n", d.Status.ChecksPassed)
	}
}

// showModel prints the declared version's numbers and every version's fate.
func (c *connection) showModel(ctx context.Context, w io.Writer, m *v1alpha1.Model) error {
	head(w, "model", m.Name, func() (string, string) { return v1alpha1.Ready(m.Status.Conditions) })
	if m.Status.Latest == 0 {
		return nil
	}
	var list v1alpha1.ModelVersionList
	err := c.client.List(ctx, &list, client.InNamespace(c.workspace), client.MatchingLabels{v1alpha1.LabelFor: "model." + m.Name})
	if err != nil {
		return fromAPI(err)
	}
	if len(list.Items) == 0 {
		return fault.New(fault.NotFound, "model "+m.Name, "its versions are gone")
	}
	declared := m.Status.Latest
	for _, v := range list.Items {
		if v.Spec.Fingerprint == m.Status.Fingerprint {
			declared = v.Spec.Number
		}
	}
	rows := [][]string{{"  METRIC", "VALUE", "95 % INTERVAL", fmt.Sprintf("(version %d)", declared)}}
	for _, metric := range m.Status.Metrics {
		interval := ""
		if metric.Low != "" {
			interval = fmt.Sprintf("%s to %s", metric.Low, metric.High)
		}
		rows = append(rows, []string{"  " + metric.Name, metric.Value, interval, ""})
	}
	if err := (&global{output: "wide"}).rows(w, rows); err != nil {
		return err
	}
	sort.Slice(list.Items, func(i, j int) bool { return list.Items[i].Spec.Number < list.Items[j].Spec.Number })
	for _, v := range list.Items {
		fmt.Fprintf(w, "  version %d on data version %d: %s, %s; %s; leakage %s\n", v.Spec.Number, v.Spec.DatasetVersion,
			v.Status.Headline, v.Status.Stage, v.Status.Why, v.Status.Leakage)
	}
	if m.Status.URL != "" {
		fmt.Fprintf(w, "  page       %s\n", m.Status.URL)
	}
	return nil
}
