// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
)

// Exit codes of sysexits.h that say whether another try may help.
const (
	exitData        = 65
	exitUnavailable = 75
	exitConfig      = 78
	exitNoCommand   = 127
)

type launcher struct {
	config
	client         *client
	stdout, stderr *os.File
}

// launch does everything, in order, and returns the exit code. A done context stops staging, or is passed on to the
// command as SIGTERM; what is left to report then is cut short, since the pod will be killed soon.
func launch(ctx context.Context, getenv func(string) string, stdout, stderr *os.File) int {
	l := &launcher{stdout: stdout, stderr: stderr}
	var err error
	if l.config, err = configFrom(getenv); err == nil {
		l.client, err = newClient(l.config)
	}
	if err != nil {
		return l.say(exitConfig, err)
	}
	stage, err := l.stage(ctx)
	if err != nil {
		return l.fail(ctx, "Staging", err)
	}
	if err := l.meet(ctx, stage.Hosts); err != nil {
		return l.fail(ctx, "Meeting", err)
	}
	known := l.newCheckpoints(stage.Checkpoints)
	stop := l.watch(known)
	end, err := l.run(ctx, stage)
	stop()
	if ctx.Err() != nil {
		l.client.patience = 10 * time.Second
	}
	last := context.WithoutCancel(ctx)
	if err := known.save(last, true); err != nil {
		l.say(0, fmt.Errorf("the last checkpoint could not be kept: %w", err))
	}
	if err != nil {
		return l.fail(last, "Command", err)
	}
	if end.ExitCode != 0 {
		l.report(last, l.told(end))
		return end.ExitCode
	}
	if err := l.deliver(last); err != nil {
		return l.fail(last, "Output", err)
	}
	return 0
}

// fail reports an error of our own making and picks the exit code.
func (l *launcher) fail(ctx context.Context, reason string, err error) int {
	code := exitData
	switch {
	case ctx.Err() != nil:
		return l.say(128+15, fmt.Errorf("stopped while staging"))
	case transient(err) || fault.Is(err, fault.Internal):
		code = exitUnavailable
	case fault.Is(err, fault.NotFound) && reason == "Command":
		code = exitNoCommand
	}
	l.say(code, err)
	l.report(ctx, gang.Termination{Kind: fault.KindOf(err), Reason: reason + "Failed", Message: err.Error(), ExitCode: code})
	return code
}

func (l *launcher) say(code int, err error) int {
	fmt.Fprintln(l.stderr, "fathom-launch:", err)
	return code
}

// report tells the door how the rank ended. If that fails, the exit code has to do.
func (l *launcher) report(ctx context.Context, t gang.Termination) {
	if err := l.client.post(ctx, "failure", t, nil); err != nil {
		l.say(0, fmt.Errorf("the failure could not be reported: %w", err))
	}
}
