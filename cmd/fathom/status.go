// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/plan"
)

// line is one object's state.
type line struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	State    string   `json:"state"`
	Version  int64    `json:"version,omitempty"`
	Detail   string   `json:"detail,omitempty"`
	Message  string   `json:"message,omitempty"`
	Progress string   `json:"progress,omitempty"` // of the run that lives for it: a share and a few words
	Left     string   `json:"left,omitempty"`     // how long that may still take, roughly
	Reads    []string `json:"reads,omitempty"`
}

func (l line) id() string { return strings.ToLower(l.Kind) + "/" + l.Name }

// says is what stands behind the state.
func (l line) says() string {
	if l.Left == "" {
		return l.Message
	}
	return l.Left + "; " + l.Message
}

// same reports whether nothing changed that a person wants to be told of: of what it waits for, only the names count.
func (l line) same(before line) bool {
	if l.State == v1alpha1.ReasonWaiting && before.State == l.State {
		l.Message, before.Message = stateWords.ReplaceAllString(l.Message, ""), stateWords.ReplaceAllString(before.Message, "")
	}
	return l.State == before.State && l.Version == before.Version && l.Detail == before.Detail && l.Message == before.Message
}

// stateWords are the states of others in a message, as in "waits for dataset voice: Running".
var stateWords = regexp.MustCompile(`:? \(?(Pending|Waiting|Running|Stale)\)?`)

func newStatus(g *global) *cobra.Command {
	var wait, watch, graph bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the graph: each object's state, and what happens next",
		Long: "Show every object of the workspace below what it is made from: its state, its version and what happens next. On a terminal lines lead " +
			"from each object to those that read it; in a pipe there is one plain line an object (--graph draws there, too).",
		Example: "  fathom status\n  fathom status --watch    # live, until q or Ctrl-C\n  fathom status -o wide    # with whole messages\n" +
			"  fathom status --wait     # until everything is as declared, telling every change",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case wait:
				return c.follow(cmd.Context(), timeout, g.teller(out))
			case watch && terminal(out) && !g.forPrograms():
				return g.watch(cmd.Context(), c, out)
			case watch:
				return c.tellChanges(cmd.Context(), g.teller(out))
			}
			lines, err := c.lines(cmd.Context())
			if err != nil {
				return err
			}
			if g.forPrograms() {
				return g.encode(out, lines)
			}
			_, err = io.WriteString(out, drawn(lines, g.fit(out), graph || terminal(out), colourful(out)))
			return err
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "follow until everything is as declared; fails when something cannot be")
	cmd.Flags().BoolVar(&watch, "watch", false, "keep showing what changes")
	cmd.Flags().BoolVar(&graph, "graph", false, "draw the lines of the graph in a pipe, too")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Minute, "how long --wait waits")
	cmd.MarkFlagsMutuallyExclusive("wait", "watch")
	return cmd
}

// drawn is the table of the objects, with the graph before it if it is wanted; lines are cut to so many characters, 0
// leaves them whole.
func drawn(lines []line, fit int, graph, colours bool) string {
	if len(lines) == 0 {
		return "Nothing is declared yet: `fathom apply -f FOLDER`.\n"
	}
	rows := [][]string{{"OBJECT", "STATE", "VERSION", "DETAIL", "MESSAGE"}}
	for _, l := range lines {
		version := ""
		if l.Version > 0 {
			version = fmt.Sprint(l.Version)
		}
		rows = append(rows, []string{l.id(), l.State, version, l.Detail, l.says()})
	}
	var text strings.Builder
	t := table(&text)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush() // into memory
	out := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if graph {
		for i, rail := range railsOf(lines) {
			out[i] = rail + out[i]
		}
	}
	for i := range out {
		out[i] = cut(strings.TrimRight(out[i], " "), fit)
		if colours && i > 0 {
			state := lines[i-1].State
			out[i] = strings.Replace(out[i], " "+state+" ", " "+paint(stateColour(state), state)+" ", 1)
		}
	}
	return strings.Join(out, "\n") + "\n"
}

// railsOf draws the graph beside the lines and an empty space beside their head.
func railsOf(lines []line) []string {
	var order []string
	reads := plan.Graph{}
	for _, l := range lines {
		order = append(order, l.id())
	}
	for _, l := range lines {
		for _, in := range l.Reads {
			if at := slices.Index(order, in); at >= 0 && at < slices.Index(order, l.id()) { // neither missing nor in a circle
				reads[l.id()] = append(reads[l.id()], in)
			}
		}
	}
	out := padded(append([]string{""}, rails(order, reads)...))
	for i := range out {
		out[i] += "  "
	}
	return out
}

// lines gathers the state of all objects of the workspace, in the order of the data's flow.
func (c *connection) lines(ctx context.Context) ([]line, error) {
	in := client.InNamespace(c.workspace)
	var datasets v1alpha1.DatasetList
	var models v1alpha1.ModelList
	var endpoints v1alpha1.EndpointList
	var reports v1alpha1.ReportList
	for _, list := range []client.ObjectList{&datasets, &models, &endpoints, &reports} {
		if err := c.client.List(ctx, list, in); err != nil {
			return nil, fromAPI(err)
		}
	}
	var out []line
	add := func(kind string, meta metav1.ObjectMeta, conditions []metav1.Condition, observed, version int64, detail string) {
		reason, message := v1alpha1.Ready(conditions)
		if reason == "" || observed < meta.Generation {
			reason, message = "Pending", "not looked at yet"
		}
		out = append(out, line{Kind: kind, Name: meta.Name, State: reason, Version: version, Detail: detail, Message: message})
	}
	for _, d := range datasets.Items {
		detail := ""
		if d.Status.Version > 0 {
			detail = fmt.Sprintf("%d rows", d.Status.Rows)
			if d.Status.ExcludedRows > 0 {
				detail += fmt.Sprintf(", %d excluded", d.Status.ExcludedRows)
			}
		}
		add("Dataset", d.ObjectMeta, d.Status.Conditions, d.Status.ObservedGeneration, d.Status.Version, detail)
	}
	for _, m := range models.Items {
		detail := m.Status.Headline
		if m.Status.Progress != "" && m.Status.Progress != "evaluate" || detail == "" {
			detail = m.Status.Progress
		}
		add("Model", m.ObjectMeta, m.Status.Conditions, m.Status.ObservedGeneration, m.Status.Promoted, detail)
	}
	for _, e := range endpoints.Items {
		add("Endpoint", e.ObjectMeta, e.Status.Conditions, e.Status.ObservedGeneration, e.Status.Version, e.Status.Replicas)
	}
	for _, r := range reports.Items {
		add("Report", r.ObjectMeta, r.Status.Conditions, r.Status.ObservedGeneration, r.Status.Version, "")
	}
	inOrder(out, flow(datasets.Items, models.Items, endpoints.Items, reports.Items))
	return out, c.timeLeft(ctx, out)
}

// inOrder puts every object below what it reads, and notes what that is.
func inOrder(out []line, graph plan.Graph) {
	rank := map[string]int{}
	for i, node := range graph.Order() {
		rank[node] = i
	}
	for i := range out {
		out[i].Reads = graph[out[i].id()]
	}
	sort.SliceStable(out, func(i, j int) bool { return rank[out[i].id()] < rank[out[j].id()] })
}

// timeLeft tells of objects that are being made how far their runs are.
func (c *connection) timeLeft(ctx context.Context, lines []line) error {
	if !slices.ContainsFunc(lines, func(l line) bool { return l.State == v1alpha1.ReasonRunning }) {
		return nil
	}
	ended, err := c.ended(ctx, "")
	if fault.Is(err, fault.Forbidden) {
		return nil // who may not list runs is told the rest
	} else if err != nil {
		return err
	}
	living, err := c.living(ctx, ended)
	if err != nil {
		return err
	}
	for i := range lines {
		for _, r := range living {
			if r.ForKind == lines[i].Kind && r.ForName == lines[i].Name && r.Phase == v1alpha1.RunRunning {
				lines[i].Progress, lines[i].Left = r.Progress, remaining(r.left())
			}
		}
	}
	return nil
}

// flow says which objects each object reads.
func flow(datasets []v1alpha1.Dataset, models []v1alpha1.Model, endpoints []v1alpha1.Endpoint, reports []v1alpha1.Report) plan.Graph {
	g := plan.Graph{}
	for _, d := range datasets {
		var reads []string
		for _, in := range d.Status.Inputs {
			reads = append(reads, "dataset/"+in)
		}
		if p := d.Spec.Privacy; p != nil && p.Consent != nil {
			reads = append(reads, "dataset/"+p.Consent.Dataset)
		}
		if c := d.Spec.From.Capture; c != nil {
			reads = append(reads, "endpoint/"+c.Endpoint)
		}
		g["dataset/"+d.Name] = reads
	}
	for _, m := range models {
		g["model/"+m.Name] = []string{"dataset/" + m.Spec.Data.Dataset}
	}
	for _, e := range endpoints {
		g["endpoint/"+e.Name] = []string{"model/" + e.Spec.Model}
	}
	for _, r := range reports {
		var reads []string
		for _, in := range r.Status.Inputs {
			reads = append(reads, "dataset/"+in)
		}
		g["report/"+r.Name] = reads
	}
	return g
}

// kindOf reads a kind as people write it.
func kindOf(word string) (string, error) {
	kinds := map[string]string{
		"ws": "Workspace", "workspace": "Workspace", "ds": "Dataset", "dataset": "Dataset", "mdl": "Model", "model": "Model",
		"ep": "Endpoint", "endpoint": "Endpoint", "rpt": "Report", "report": "Report",
	}
	lower := strings.ToLower(word)
	if kind, ok := kinds[lower]; ok {
		return kind, nil
	}
	if kind, ok := kinds[strings.TrimSuffix(lower, "s")]; ok {
		return kind, nil
	}
	return "", fault.New(fault.Invalid, "kind", "%q is not a kind", word).WithHint("use workspace, dataset, model, endpoint or report")
}
