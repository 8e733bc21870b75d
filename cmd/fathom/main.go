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
	case errors.Is(err, syscall.EPIPE): // whoever read the output has seen enough
		return 0
	case ctx.Err() != nil:
		return interrupted
	}
	fmt.Fprintln(stderr, colour(stderr, "31", "error:"), told(err))
	return exitCode(err)
}

// exit ends the command with a code whose reason was printed already.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// newRoot lists every verb.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "fathom",
		Short:         "Declare data, models and insights; Fathom makes them true and keeps them true",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		Args:          cobra.ArbitraryArgs,
		Example:       "  fathom up                  # the whole platform, in one directory, until Ctrl-C\n  fathom apply -f study/\n  fathom status --watch",

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
	flags.StringVar(&g.kubeconfig, "kubeconfig", "", "kubeconfig file (default $KUBECONFIG, then kubeconfig in the state directory)")
	flags.StringVar(&g.state, "state", defaultState(), "state directory of fathom up on this machine ($FATHOM_STATE)")
	flags.StringVarP(&g.workspace, "workspace", "n", "", "workspace (default: the only one there is)")
	flags.StringVarP(&g.output, "output", "o", "", "output: json or yaml for programs, wide for lines that are not cut; default for people")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return g.check() }
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.New(fault.Invalid, cmd.CommandPath(), "%v", err).WithHint("see `%s --help`", cmd.CommandPath())
	})
	addVerbs(root, g)
	describe(root, g)
	return root
}

// group is a heading of the list of verbs.
type group struct {
	id, title string
	verbs     []*cobra.Command
}

func addVerbs(root *cobra.Command, g *global) {
	groups := []group{
		{"declare", "Declare:", []*cobra.Command{newApply(g), newPlan(g), newPut(g), newDelete(g)}},
		{"look", "Look:", []*cobra.Command{newStatus(g), newShow(g), newRuns(g), newLogs(g), newWhy(g), newDiff(g), newSubject(g), newSQL(g), newOpen(g)}},
		{"act", "Act:", []*cobra.Command{newPredict(g), newPromote(g), newRollback(g), newReplay(g), newRetry(g)}},
		{"keep", "Run and keep:", []*cobra.Command{newUp(g), newBackup(g), newRestore(g), newDoctor(g), newLogin(g), newToken(g), newKeys(g), newGC(g), newVersion(g)}},
	}
	for _, one := range groups {
		root.AddGroup(&cobra.Group{ID: one.id, Title: one.title})
		for _, cmd := range one.verbs {
			cmd.GroupID = one.id
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID("keep")
	root.SetCompletionCommandGroupID("keep")
}

// check refuses output formats that there are not.
func (g *global) check() error {
	if g.output != "" && !slices.Contains(formats, g.output) {
		return fault.New(fault.Invalid, "--output", "%q is no format", g.output).WithHint("use %s or %s", strings.Join(formats[:len(formats)-1], ", "), formats[len(formats)-1])
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
