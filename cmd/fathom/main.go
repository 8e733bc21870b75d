// SPDX-License-Identifier: Apache-2.0

// Command fathom is the command line of Fathom: it declares datasets, models, endpoints and reports, shows what became of
// them, and starts the whole platform on a laptop with `fathom up`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

// version is set when the binary is built.
var version = "v0.1.0-dev"

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	err := newRoot().ExecuteContext(ctx)
	if err == nil {
		return
	}
	var silent exit
	if errors.As(err, &silent) {
		os.Exit(int(silent))
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(exitCode(err))
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
	}
	g := &global{}
	flags := root.PersistentFlags()
	flags.StringVar(&g.kubeconfig, "kubeconfig", "", "kubeconfig file (default $KUBECONFIG, then <state>/kubeconfig)")
	flags.StringVar(&g.state, "state", defaultState(), "state directory of fathom up on this machine")
	flags.StringVarP(&g.workspace, "workspace", "n", "", "workspace (default: the only one there is)")
	flags.StringVarP(&g.output, "output", "o", "", "output format: json, or empty for people")
	root.AddCommand(
		newUp(g), newApply(g), newPlan(g), newStatus(g), newShow(g), newPut(g), newLogs(g), newRuns(g), newWhy(g), newSQL(g),
		newPredict(g), newPromote(g), newRollback(g), newReplay(g), newRetry(g), newOpen(g), newDoctor(g), newDelete(g),
	)
	return root
}
