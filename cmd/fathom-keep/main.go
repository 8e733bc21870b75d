// SPDX-License-Identifier: Apache-2.0

// Command fathom-keep keeps the containers of a node alive while Fathom restarts. Fathom starts it; see package keeper.
//
//	fathom-keep <directory> <time to wait for Fathom>
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"fathom.dev/fathom/internal/node/keeper"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fathom-keep:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: fathom-keep <directory> <time to wait for Fathom>")
	}
	grace, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	// What ends Fathom's terminal is not for the containers: they end when Fathom says so, or stays away.
	// They are caught, not ignored: containers would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	return keeper.Serve(args[0], grace)
}
