// SPDX-License-Identifier: Apache-2.0

// Command fathom-launch is the entry point of a run's pods. It stages the inputs, runs the command, reports progress,
// keeps checkpoints safe and hands the output back; then it ends as the command ended.
//
// It links the standard library only and no C, so that it runs in any image. As process 1 it reaps zombies. It
// finds its run through the environment:
//
//	FATHOM_RUN_URL      https://host:port/runs/<workspace>/<run>
//	FATHOM_TOKEN_FILE   a bearer token, read anew for every request because it is rotated
//	FATHOM_CA_FILE      the authority of the door's certificate
//	FATHOM_ROOT         where the folders lie; default /fathom
//	FATHOM_CODE, FATHOM_INPUTS, FATHOM_OUTPUT, FATHOM_CHECKPOINTS, FATHOM_PARAMS, FATHOM_PROGRESS, FATHOM_TERMINATION
//	                    the folders and files one by one; default below FATHOM_ROOT
//
// Exit codes besides the command's own: 75 when Fathom could not be reached (worth another try), 65 when what was
// staged or made is wrong, 78 when the environment above is incomplete, 127 when there is no such command.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := launch(ctx, os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
