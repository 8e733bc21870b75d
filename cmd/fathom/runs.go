// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// attempt is a run that lives or has ended.
type attempt struct {
	Name     string    `json:"name"`
	Step     string    `json:"step"`
	ForKind  string    `json:"forKind"`
	ForName  string    `json:"forName"`
	Phase    string    `json:"phase"`
	Reason   string    `json:"reason,omitempty"`
	Message  string    `json:"message,omitempty"`
	Progress string    `json:"progress,omitempty"`
	Attempt  int       `json:"attempt"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// LeftSeconds estimates how long it will still take; 0 is unknown.
	LeftSeconds float64 `json:"leftSeconds,omitempty"`
}

func (a attempt) lives() bool { return a.Finished.IsZero() }

func (a attempt) took(now time.Time) time.Duration {
	switch {
	case a.Started.IsZero():
		return 0
	case a.lives():
		return max(now.Sub(a.Started), 0)
	}
	return a.Finished.Sub(a.Started)
}

func newRuns(g *global) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:     "runs [RUN]",
		Aliases: []string{"run"},
		Short:   "List runs, those that live first; or show one of them",
		Long: "List runs: those that live, with what they have done and how long they may still take, then those that have ended, the latest " +
			"first. With a name, show that run. `fathom run` is the same.",
		Example: "  fathom runs\n  fathom runs --for parkinsons\n  fathom run voice-3fa9c2d1",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			runs, err := c.runs(cmd.Context(), name)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return g.showRun(cmd.OutOrStdout(), runs, args[0])
			}
			if g.forPrograms() {
				return g.encode(cmd.OutOrStdout(), runs)
			}
			if len(runs) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "No run yet: runs begin when objects are declared and their files are there.")
				return err
			}
			return g.rows(cmd.OutOrStdout(), runRows(runs, time.Now()))
		},
	}
	cmd.Flags().StringVar(&name, "for", "", "only runs for the object of this name")
	return cmd
}

func runRows(runs []attempt, now time.Time) [][]string {
	rows := [][]string{{"RUN", "FOR", "STEP", "PHASE", "TRIES", "TOOK", "MESSAGE"}}
	for _, r := range runs {
		took, message := "", r.Message
		if d := r.took(now); d > 0 {
			took = span(d)
		}
		if r.lives() {
			message = strings.Join(slices.DeleteFunc([]string{r.Progress, remaining(r.left()), r.Message}, func(s string) bool { return s == "" }), ", ")
		}
		rows = append(rows, []string{r.Name, strings.ToLower(r.ForKind) + "/" + r.ForName, r.Step, r.Phase, fmt.Sprint(r.Attempt), took, message})
	}
	return rows
}

func (a attempt) left() time.Duration { return time.Duration(a.LeftSeconds * float64(time.Second)) }

// runs gathers runs that live and runs that have ended, of the object of this name or of all.
func (c *connection) runs(ctx context.Context, name string) ([]attempt, error) {
	ended, err := c.ended(ctx, name)
	if err != nil {
		return nil, err
	}
	living, err := c.living(ctx, ended)
	if err != nil {
		return nil, err
	}
	var out []attempt
	for _, r := range living {
		if name == "" || r.ForName == name {
			out = append(out, r)
		}
	}
	for _, r := range ended {
		if !slices.ContainsFunc(out, func(other attempt) bool { return other.Name == r.Name }) {
			out = append(out, r)
		}
	}
	return out, nil
}

// ended lists runs from the history, the latest first.
func (c *connection) ended(ctx context.Context, name string) ([]attempt, error) {
	var answer struct {
		Runs []attempt `json:"runs"`
	}
	err := c.ask(ctx, "GET", c.path("/runs?name=%s", url.QueryEscape(name)), nil, &answer)
	return answer.Runs, err
}

// living lists the runs that are objects now, the oldest first, and estimates their ends from those that have ended.
func (c *connection) living(ctx context.Context, ended []attempt) ([]attempt, error) {
	var list v1alpha1.RunList
	if err := c.client.List(ctx, &list, client.InNamespace(c.workspace)); err != nil {
		return nil, fromAPI(err)
	}
	var out []attempt
	for _, r := range list.Items {
		if r.Status.FinishedAt != nil {
			continue
		}
		a := attempt{
			Name: r.Name, Step: r.Spec.Step, ForKind: r.Spec.For.Kind, ForName: r.Spec.For.Name, Phase: r.Status.Phase, Reason: r.Status.Reason,
			Message: r.Status.Message, Progress: r.Status.Progress, Attempt: int(r.Status.Attempt),
		}
		if a.Phase == "" {
			a.Phase = v1alpha1.RunPending
		}
		if r.Status.StartedAt != nil {
			a.Started = r.Status.StartedAt.Time
			a.LeftSeconds = left(share(a.Progress), a.took(time.Now()), a.before(ended)).Seconds()
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b attempt) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// before is how long the last successful run of the same step for the same object took.
func (a attempt) before(ended []attempt) time.Duration {
	for _, e := range ended {
		if e.Phase == v1alpha1.RunSucceeded && e.Step == a.Step && e.ForKind == a.ForKind && e.ForName == a.ForName {
			return e.took(time.Time{})
		}
	}
	return 0
}

func (g *global) showRun(w io.Writer, runs []attempt, name string) error {
	i := slices.IndexFunc(runs, func(r attempt) bool { return r.Name == name })
	if i < 0 {
		return fault.New(fault.NotFound, "run "+name, "there is none among the last %d", len(runs)).WithHint("see `fathom runs`")
	}
	r := runs[i]
	if g.forPrograms() {
		return g.encode(w, r)
	}
	fmt.Fprintf(w, "run %s: %s, %s\n", r.Name, colour(w, stateColour(r.Phase), r.Phase), r.Message)
	fmt.Fprintf(w, "  for        %s %s, step %s, try %d\n", strings.ToLower(r.ForKind), r.ForName, r.Step, r.Attempt)
	if !r.Started.IsZero() {
		fmt.Fprintf(w, "  started    %s\n", r.Started.Local().Format(time.DateTime))
		fmt.Fprintf(w, "  took       %s\n", strings.TrimSpace(span(r.took(time.Now()))+"  "+remaining(r.left())))
	}
	if r.Progress != "" {
		fmt.Fprintf(w, "  progress   %s\n", r.Progress)
	}
	_, err := fmt.Fprintf(w, "  log        fathom logs %s\n", r.Name)
	return err
}
