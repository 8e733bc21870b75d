// SPDX-License-Identifier: Apache-2.0

// Package logs reads what containers have written, as package output keeps it.
package logs

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"

	cri "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	crilogs "k8s.io/cri-client/pkg/logs"

	"fathom.dev/fathom/internal/fault"
)

// ReadOptions choose what Read gives.
type ReadOptions struct {
	// Tail and LimitBytes bound the output; nil for no bound.
	Tail, LimitBytes *int64
	Since            time.Time
	Timestamps       bool
	// Running tells whether the container still runs; with it Read follows the log until it does not.
	Running func() bool
}

// Read writes the text of a log without the line format.
func Read(ctx context.Context, path string, o ReadOptions, stdout, stderr io.Writer) error {
	if _, err := os.Stat(path); err != nil {
		return fault.Wrap(fault.NotFound, "node.logs", err)
	}
	options := &crilogs.LogOptions{TailLines: o.Tail, LimitBytes: o.LimitBytes, Since: o.Since, Timestamp: o.Timestamps, Follow: o.Running != nil}
	err := crilogs.ReadLogs(ctx, path, "container", options, follower{running: o.Running}, stdout, stderr)
	return fault.Wrap(fault.Internal, "node.logs", err)
}

// follower answers the only question that following a log asks of a container runtime.
type follower struct {
	cri.RuntimeService
	running func() bool
}

func (f follower) ContainerStatus(context.Context, string, bool) (*runtimeapi.ContainerStatusResponse, error) {
	state := runtimeapi.ContainerState_CONTAINER_EXITED
	if f.running() {
		state = runtimeapi.ContainerState_CONTAINER_RUNNING
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{State: state}}, nil
}

// TailText gives the last lines of a log as plain text, at most limit bytes.
func TailText(path string, lines, limit int64) string {
	var out bytes.Buffer
	if err := Read(context.Background(), path, ReadOptions{Tail: &lines}, &out, &out); err != nil {
		return ""
	}
	text := out.Bytes()
	if int64(len(text)) > limit {
		text = text[int64(len(text))-limit:]
	}
	return string(text)
}
