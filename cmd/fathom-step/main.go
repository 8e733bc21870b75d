// SPDX-License-Identifier: Apache-2.0

// Command fathom-step is what Fathom runs inside its own pods, behind fathom-launch.
//
// A sub-command reads the JSON file $FATHOM_PARAMS and the files below $FATHOM_INPUTS, writes below $FATHOM_OUTPUT,
// tells its progress in $FATHOM_PROGRESS, and says why it failed in $FATHOM_TERMINATION. Exit status 0 is success, 2 the
// user's mistake, 1 anything else.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// command is one sub-command; run does its work in a step's surroundings.
type command struct {
	name, about string
	run         func(context.Context, *step) error
}

// commands is everything that fathom-step can do.
var commands = []command{
	{"ingest", "source files become a dataset: formats, consent, pseudonyms, checks", ingest},
	{"transform", "a SQL statement over datasets becomes a dataset", transform},
	{"sql", "a person's question over datasets, answered on standard output", ask},
	{"split", "a dataset's rows are dealt into folds of whole subjects, for blind training", divide},
	{"evaluate", "models are scored on the rows they never saw: metrics, intervals, slices, leakage", assess},
	{"serve", "a model version answers the Open Inference Protocol, until it is told to stop", serve},
	{"render", "a report's Markdown becomes an HTML page with tables and charts", render},
	{"check", "a SQL statement is read, not run: its tables, columns and mistakes", check},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], surroundings()))
}

// run finds the sub-command, runs it and reports how it ended.
func run(ctx context.Context, args []string, s *step) int {
	for _, c := range commands {
		if len(args) > 0 && args[0] == c.name {
			s.args = args[1:]
			return s.finish(c.run(ctx, s))
		}
	}
	fmt.Fprintln(s.stderr, "usage: fathom-step <command>")
	for _, c := range commands {
		fmt.Fprintf(s.stderr, "  %-10s %s\n", c.name, c.about)
	}
	return 2
}
