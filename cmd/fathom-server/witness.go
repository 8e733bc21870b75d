// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"

	"fathom.dev/fathom/internal/audit"
	"fathom.dev/fathom/internal/fault"
)

// witness appends the audit log's checkpoints to a file that whoever owns the state directory should not be able to rewrite:
// on a file system that only takes appends, or one that another machine exports. The zero file name means none.
type witness struct {
	file   *os.File
	queue  chan audit.Checkpoint
	done   chan struct{}
	logger *slog.Logger
}

func newWitness(file string, logger *slog.Logger) (*witness, error) {
	w := &witness{logger: logger}
	if file == "" {
		return w, nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fault.New(fault.Forbidden, "--audit-witness", "%w", err).WithHint("name a file that can be appended to")
	}
	w.file, w.queue, w.done = f, make(chan audit.Checkpoint, 64), make(chan struct{})
	go w.write()
	return w, nil
}

// tell never waits: a witness that is slow misses a checkpoint, and the next one covers it.
func (w *witness) tell(c audit.Checkpoint) {
	if w.file == nil {
		return
	}
	select {
	case w.queue <- c:
	default:
		w.logger.Warn("the audit witness is slow and missed a checkpoint", "entry", c.Seq)
	}
}

func (w *witness) write() {
	defer close(w.done)
	for c := range w.queue {
		line, err := json.Marshal(c)
		if err == nil {
			_, err = w.file.Write(append(line, '\n'))
		}
		if err = errors.Join(err, w.file.Sync()); err != nil {
			w.logger.Error("the audit witness cannot be written", "error", err)
		}
	}
}

// close is called after the log was closed, which signs its head.
func (w *witness) close(context.Context) error {
	if w.file == nil {
		return nil
	}
	close(w.queue)
	<-w.done
	return w.file.Close()
}
