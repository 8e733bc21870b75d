// SPDX-License-Identifier: Apache-2.0

// Command fathom is the command line of Fathom: it declares datasets, models, endpoints and reports, shows what became of
// them, and starts the whole platform on a laptop with `fathom up`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

// version is set when the binary is built.
var version = "v0.1.0-dev"

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var silent exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &silent):
		return int(silent)
	}
	fmt.Fprintln(stderr, "error:", err)
	return exitCode(err)
}

// exit ends the command with a code whose reason was printed already.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// exitCode: 2 wrong use or a wrong object, 3 conflict, 4 not reachable or not ready, 5 damage, 6 not allowed,
// 7 no room, 8 not found, 1 anything else.
func exitCode(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge:
		return 2
	case fault.Conflict:
		return 3
	case fault.Unavailable:
		return 4
	case fault.Corrupt:
		return 5
	case fault.Forbidden, fault.Unauthenticated:
		return 6
	case fault.Exhausted:
		return 7
	case fault.NotFound:
		return 8
	}
	return 1
}

// newRoot lists every verb.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "fathom",
		Short:         "Declare data, models and insights; Fathom makes them true and keeps them true",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		Args:          cobra.ArbitraryArgs,

		SuggestionsMinimumDistance: 2,
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := fault.New(fault.Invalid, "fathom", "there is no verb %q", args[0]).WithHint("see `fathom --help`")
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			err = err.WithHint("did you mean %s? See `fathom --help`", strings.Join(near, " or "))
		}
		return err
	}
	g := &global{}
	flags := root.PersistentFlags()
	flags.StringVar(&g.kubeconfig, "kubeconfig", "", "kubeconfig file (default $KUBECONFIG, then <state>/kubeconfig)")
	flags.StringVar(&g.state, "state", defaultState(), "state directory of fathom up on this machine")
	flags.StringVarP(&g.workspace, "workspace", "n", "", "workspace (default: the only one there is)")
	flags.StringVarP(&g.output, "output", "o", "", "output format: json, wide (nothing is cut), or empty for people")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return g.check() }
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.New(fault.Invalid, cmd.CommandPath(), "%v", err).WithHint("see `%s --help`", cmd.CommandPath())
	})
	root.AddCommand(
		newUp(g), newApply(g), newPlan(g), newStatus(g), newShow(g), newPut(g), newLogs(g), newRuns(g), newWhy(g), newSQL(g),
		newPredict(g), newPromote(g), newRollback(g), newReplay(g), newRetry(g), newOpen(g), newDoctor(g), newDelete(g),
	)
	for _, cmd := range root.Commands() {
		cmd.Args = usage(cmd, cmd.Args)
	}
	return root
}

// check refuses output formats that there are not.
func (g *global) check() error {
	if formats := []string{"", "json", "wide"}; !slices.Contains(formats, g.output) {
		return fault.New(fault.Invalid, "--output", "%q is no format", g.output).WithHint("use json or wide")
	}
	return nil
}

// usage tells of wrong arguments how the verb is called.
func usage(cmd *cobra.Command, args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if args == nil {
			return nil
		}
		if err := args(c, given); err != nil {
			return fault.New(fault.Invalid, cmd.CommandPath(), "%v", err).WithHint("use it as `%s`, for example `%s`", cmd.UseLine(), firstExample(cmd))
		}
		return nil
	}
}

func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	line, _, _ = strings.Cut(line, "  #")
	return strings.TrimSpace(line)
}
