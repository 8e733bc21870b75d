// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

func newDiff(g *global) *cobra.Command {
	var key []string
	cmd := &cobra.Command{
		Use:   "diff [KIND] NAME [FROM] [TO]",
		Short: "Tell two versions of a dataset or model apart, and why they differ",
		Long: "Tell two versions of a dataset or a model apart.\n\n" +
			"Of datasets: columns, rows that were added, removed or changed, who was left out, and which inputs are not the same. Rows are counted for " +
			"those who may read them. Of models: metrics with their intervals, parameters, data and code. Without versions, the last two are compared.",
		Example: "  fathom diff cohort\n  fathom diff cohort v1 v2 --key patient_id,visit\n  fathom diff model parkinsons 1 2",
		Args:    cobra.RangeArgs(1, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			what, err := parseDiff(args)
			if err != nil {
				return err
			}
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			if what.kind == "" {
				if what.kind, err = c.datasetOrModel(cmd.Context(), what.name); err != nil {
					return err
				}
			}
			if what.kind == "Model" {
				return g.diffModel(cmd.Context(), c, what, cmd.OutOrStdout())
			}
			return g.diffDataset(cmd.Context(), c, what, key, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringSliceVar(&key, "key", nil, "columns that say which rows are the same row, so that changed ones can be counted")
	return cmd
}

// comparison is what a person wants to be told apart; a version 0 is the default one.
type comparison struct {
	kind, name string
	from, to   int64
}

// parseDiff reads [KIND] NAME [FROM] [TO]; versions are numbers, with or without v.
func parseDiff(args []string) (comparison, error) {
	var c comparison
	if len(args) > 1 {
		if kind, err := kindOf(args[0]); err == nil {
			if kind != "Dataset" && kind != "Model" {
				return c, fault.New(fault.Invalid, "kind", "only datasets and models have versions that can be told apart")
			}
			c.kind, args = kind, args[1:]
		}
	}
	c.name = args[0]
	if len(args) > 3 {
		return c, fault.New(fault.Invalid, "diff", "%q is not a kind", args[0]).WithHint("use `fathom diff dataset NAME FROM TO` or `fathom diff model NAME FROM TO`")
	}
	for i, text := range args[1:] {
		n, err := strconv.ParseInt(strings.TrimPrefix(text, "v"), 10, 64)
		if err != nil || n < 1 {
			return c, fault.New(fault.Invalid, "diff", "%q is not a version", text).WithHint("use a number, as in `fathom diff %s 1 2`", c.name)
		}
		if i == 0 {
			c.from = n
		} else {
			c.to = n
		}
	}
	return c, nil
}

// datasetOrModel is the kind of the object of this name.
func (c *connection) datasetOrModel(ctx context.Context, name string) (string, error) {
	key := types.NamespacedName{Namespace: c.workspace, Name: name}
	datasetErr := c.client.Get(ctx, key, &v1alpha1.Dataset{})
	modelErr := c.client.Get(ctx, key, &v1alpha1.Model{})
	switch {
	case datasetErr == nil && modelErr == nil:
		return "", fault.New(fault.Invalid, "diff", "there are a dataset and a model %s", name).WithHint("say which: `fathom diff model %s`", name)
	case datasetErr == nil:
		return "Dataset", nil
	case modelErr == nil:
		return "Model", nil
	case fault.Is(fromAPI(datasetErr), fault.NotFound) && fault.Is(fromAPI(modelErr), fault.NotFound):
		return "", fault.New(fault.NotFound, "diff", "workspace %s has neither a dataset nor a model %s", c.workspace, name).WithHint("see `fathom status`")
	}
	return "", fromAPI(datasetErr)
}

// datasetDifference is what the door answers.
type datasetDifference struct {
	Name string      `json:"name"`
	From datasetSide `json:"from"`
	To   datasetSide `json:"to"`

	Columns []struct {
		Name string `json:"name"`
		From string `json:"from,omitempty"`
		To   string `json:"to,omitempty"`
	} `json:"columns"`
	Rows struct {
		Compared bool     `json:"compared"`
		Why      string   `json:"why,omitempty"`
		Key      []string `json:"key,omitempty"`
		Added    int64    `json:"added"`
		Removed  int64    `json:"removed"`
		Changed  int64    `json:"changed"`
	} `json:"rows"`
	Inputs      []inputDifference `json:"inputs"`
	Declaration bool              `json:"declaration,omitempty"`
}

type datasetSide struct {
	Version int64  `json:"version"`
	Rows    int64  `json:"rows"`
	Bytes   int64  `json:"bytes"`
	Created string `json:"created"`
	Summary struct {
		Excluded []exclusion `json:"excluded,omitempty"`
	} `json:"summary"`
}

type exclusion struct {
	Reason   string `json:"reason"`
	Rows     int64  `json:"rows"`
	Subjects int64  `json:"subjects,omitempty"`
}

type inputDifference struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Role string `json:"role"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

func (g *global) diffDataset(ctx context.Context, c *connection, what comparison, key []string, out io.Writer) error {
	q := url.Values{}
	for name, n := range map[string]int64{"from": what.from, "to": what.to} {
		if n > 0 {
			q.Set(name, fmt.Sprint(n))
		}
	}
	if len(key) > 0 {
		q.Set("key", strings.Join(key, ","))
	}
	path := c.path("/datasets/%s/diff", url.PathEscape(what.name))
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	var d datasetDifference
	if err := c.ask(ctx, "GET", path, nil, &d); err != nil {
		return err
	}
	if g.forPrograms() {
		return g.encode(out, d)
	}
	d.tell(out)
	return nil
}

func (d datasetDifference) tell(w io.Writer) {
	fmt.Fprintf(w, "dataset %s: version %d to version %d\n", d.Name, d.From.Version, d.To.Version)
	fmt.Fprintf(w, "  rows       %d to %d (%+d)\n", d.From.Rows, d.To.Rows, d.To.Rows-d.From.Rows)
	switch r := d.Rows; {
	case !r.Compared:
		fmt.Fprintf(w, "             not compared: %s\n", r.Why)
	case len(r.Key) > 0:
		fmt.Fprintf(w, "             %d added, %d removed, %d changed, told apart by %s\n", r.Added, r.Removed, r.Changed, strings.Join(r.Key, ", "))
	default:
		fmt.Fprintf(w, "             %d added, %d removed; one that changed counts as both (--key COLUMN tells)\n", r.Added, r.Removed)
	}
	for _, c := range d.Columns {
		fmt.Fprintf(w, "  column     %s\n", change(c.Name, c.From, c.To))
	}
	if len(d.Columns) == 0 {
		fmt.Fprintln(w, "  columns    the same")
	}
	for _, line := range exclusions(d.From.Summary.Excluded, d.To.Summary.Excluded) {
		fmt.Fprintf(w, "  left out   %s\n", line)
	}
	why := causes(d.Inputs)
	if d.Declaration {
		why = append([]string{"what is declared changed (SQL, command or parameters)"}, why...)
	}
	if len(why) == 0 {
		why = []string{"no input differs: the declaration changed"}
	}
	for _, line := range why {
		fmt.Fprintf(w, "  because    %s\n", line)
	}
}

// change tells what became of something: "x: long to double", "x came: long", "x is gone".
func change(name, from, to string) string {
	switch {
	case from == "":
		return fmt.Sprintf("%s came: %s", name, to)
	case to == "":
		return fmt.Sprintf("%s is gone, it was %s", name, from)
	}
	return fmt.Sprintf("%s: %s to %s", name, from, to)
}

// exclusions compares who was left out, by reason.
func exclusions(from, to []exclusion) []string {
	rows := map[string][2]int64{}
	for side, list := range [][]exclusion{from, to} {
		for _, e := range list {
			counts := rows[e.Reason]
			counts[side] = e.Rows
			rows[e.Reason] = counts
		}
	}
	var out []string
	for _, reason := range slices.Sorted(maps.Keys(rows)) {
		if n := rows[reason]; n[0] != n[1] {
			out = append(out, fmt.Sprintf("%d to %d rows: %s", n[0], n[1], reason))
		}
	}
	return out
}

// causes tells which inputs are not the same; the first few files by name, the rest by number.
func causes(inputs []inputDifference) []string {
	var out []string
	files, verbs := 0, map[string]int{}
	for _, i := range inputs {
		text, verb := i.tell()
		if i.Kind == "file" {
			if files++; files > filesShown {
				verbs[verb]++
				continue
			}
		}
		out = append(out, text)
	}
	for _, verb := range slices.Sorted(maps.Keys(verbs)) {
		out = append(out, fmt.Sprintf("%d more files %s (-o json lists them)", verbs[verb], verb))
	}
	return out
}

func (i inputDifference) tell() (text, verb string) {
	switch {
	case i.From == "":
		verb = "came"
	case i.To == "":
		verb = "went"
	default:
		verb = "changed"
	}
	name := i.Kind + " " + i.Name
	if i.Kind == "dataset" && verb == "changed" {
		return fmt.Sprintf("%s: version %s to %s", name, i.From, i.To), verb
	}
	if i.Kind == "code" || i.Kind == "environment" {
		name = i.Kind
	}
	return name + " " + verb, verb
}
