// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	State   string `json:"state"`
	Version int64  `json:"version,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Message string `json:"message,omitempty"`
}

func (l line) id() string { return strings.ToLower(l.Kind) + "/" + l.Name }

func newStatus(g *global) *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every object of the workspace: its state, version and what happens next",
		Example: "  fathom status\n  fathom status -o wide    # with whole messages\n" +
			"  fathom status --wait     # until everything is as declared, telling every change",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			if wait {
				return c.follow(cmd.Context(), timeout, g.teller(cmd.OutOrStdout()))
			}
			lines, err := c.lines(cmd.Context())
			if err != nil {
				return err
			}
			if g.json() {
				return printJSON(cmd.OutOrStdout(), lines)
			}
			fit := width(cmd.OutOrStdout())
			if g.output == "wide" {
				fit = 0
			}
			return printLines(cmd.OutOrStdout(), lines, fit)
		},
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "follow until everything is as declared; fails when something cannot be")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Minute, "how long --wait waits")
	return cmd
}

// printLines prints a table whose lines are cut to so many characters; 0 leaves them whole.
func printLines(w io.Writer, lines []line, fit int) error {
	if len(lines) == 0 {
		fmt.Fprintln(w, "Nothing is declared yet: `fathom apply -f FOLDER`.")
		return nil
	}
	var text bytes.Buffer
	t := table(&text)
	fmt.Fprintln(t, "OBJECT\tSTATE\tVERSION\tDETAIL\tMESSAGE")
	for _, l := range lines {
		version := ""
		if l.Version > 0 {
			version = fmt.Sprint(l.Version)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.id(), l.State, version, l.Detail, l.Message)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, cut(text.String(), fit))
	return err
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
		out = append(out, line{kind, meta.Name, reason, version, detail, message})
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
	rank := map[string]int{}
	for i, node := range flow(datasets.Items, models.Items, endpoints.Items, reports.Items).Order() {
		rank[node] = i
	}
	sort.SliceStable(out, func(i, j int) bool { return rank[out[i].id()] < rank[out[j].id()] })
	return out, nil
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

// settled reports whether nothing more happens by itself: everything is ready, or awaits a person; failed names what
// cannot become ready without a change. A dataset of captured traffic that has none yet does not count.
func settled(lines []line) (done bool, failed []string) {
	done = true
	for _, l := range lines {
		switch l.State {
		case v1alpha1.ReasonReady, v1alpha1.ReasonAwaitingApproval:
		case v1alpha1.ReasonFailed, v1alpha1.ReasonInvalid, v1alpha1.ReasonCycle, v1alpha1.ReasonRefused:
			failed = append(failed, l.id()+": "+l.Message)
		default:
			done = done && strings.Contains(l.Message, "no request has been captured")
		}
	}
	return done, failed
}

// follow tells every change until the workspace has settled. It looks twice, because what becomes ready makes others
// stale.
func (c *connection) follow(ctx context.Context, timeout time.Duration, tell func(time.Duration, line)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begin, last, calm := time.Now(), map[string]line{}, 0
	for {
		lines, err := c.lines(ctx)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if last[l.id()] != l {
				last[l.id()] = l
				tell(time.Since(begin), l)
			}
		}
		done, failed := settled(lines)
		if len(failed) > 0 && calm >= 2 {
			return fault.New(fault.Conflict, "status", "%s", strings.Join(failed, "; "))
		}
		if done || len(failed) > 0 {
			calm++
		} else {
			calm = 0
		}
		if calm >= 3 && len(failed) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "status", "not everything was ready in %s", timeout)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// teller tells a change as a line for people, or as one JSON object a line.
func (g *global) teller(w io.Writer) func(time.Duration, line) {
	if g.json() {
		lines := json.NewEncoder(w)
		return func(_ time.Duration, l line) { _ = lines.Encode(l) } // nobody reads any more if this fails
	}
	return func(since time.Duration, l line) { tell(w, since, l) }
}

func tell(w io.Writer, since time.Duration, l line) {
	detail := l.Message
	if l.Detail != "" {
		detail = l.Detail + "  " + detail
	}
	fmt.Fprintf(w, "%6.1fs  %-28s %s  %s\n", since.Seconds(), l.id(),
		colour(w, stateColour(l.State), fmt.Sprintf("%-16s", l.State)), detail)
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
