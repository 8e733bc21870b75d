// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
)

// watch looks at progress and checkpoints, once a second, until the returned function is called.
func (l *launcher) watch(known *checkpoints) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(l.scan)
		defer ticker.Stop()
		last, complained := "", false
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			last = l.postProgress(ctx, last)
			if err := known.save(ctx, false); err != nil && ctx.Err() == nil && !complained {
				complained = true // once: the log belongs to the command
				l.say(0, fmt.Errorf("a checkpoint could not be kept, trying on: %w", err))
			}
		}
	}()
	return func() { cancel(); <-done }
}

// postProgress sends the progress file if it changed and returns what it held. A lost report is not worth a retry:
// the next one replaces it.
func (l *launcher) postProgress(ctx context.Context, last string) string {
	text, err := readUpTo(l.progress, 4<<10)
	if err != nil || string(text) == last {
		return last
	}
	if p, ok := parseProgress(string(text)); ok {
		body, err := json.Marshal(p)
		if err == nil {
			_ = l.client.try(ctx, request{method: http.MethodPost, path: "progress", size: int64(len(body)), body: bytesBody(body)})
		}
	}
	return string(text)
}

// parseProgress reads `0.42`, `42%`, either followed by words, or {"fraction":0.42,"message":"…"}.
func parseProgress(text string) (gang.Progress, bool) {
	text = strings.TrimSpace(text)
	var p gang.Progress
	if strings.HasPrefix(text, "{") {
		return p, json.Unmarshal([]byte(text), &p) == nil && p.Fraction >= 0 && p.Fraction <= 1
	}
	number, message, _ := strings.Cut(text, " ")
	scale := 1.0
	if strings.HasSuffix(number, "%") {
		number, scale = strings.TrimSuffix(number, "%"), 100
	}
	fraction, err := strconv.ParseFloat(number, 64)
	p = gang.Progress{Fraction: fraction / scale, Message: strings.TrimSpace(message)}
	return p, err == nil && p.Fraction >= 0 && p.Fraction <= 1
}

// settled is how long a checkpoint must be left alone before it is taken for whole. Programs that write under
// another name and rename are safe whatever they do.
const settled = 200 * time.Millisecond

// checkpoints mirrors the checkpoints folder to the door: a new or changed file is uploaded, a vanished one removed.
// Names that begin with "." or end with ".tmp", ".part" or "~" are still being written and are left alone.
type checkpoints struct {
	l     *launcher
	known map[string]stamp
}

// stamp tells one state of a file from another.
type stamp struct {
	size     int64
	modified time.Time
}

func (l *launcher) newCheckpoints(restored []gang.File) *checkpoints {
	c := &checkpoints{l: l, known: map[string]stamp{}}
	files, _ := c.list()
	for _, f := range files {
		if slices.ContainsFunc(restored, func(r gang.File) bool { return r.Path == f.path }) {
			c.known[f.path] = f.stamp
		}
	}
	return c
}

type found struct {
	path string
	stamp
}

// list finds the files, oldest first: a pointer to the newest checkpoint is written last and must be uploaded last.
func (c *checkpoints) list() ([]found, error) {
	var files []found
	err := fs.WalkDir(os.DirFS(c.l.checkpoints), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() || unfinished(d.Name()) {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			files = append(files, found{name, stamp{info.Size(), info.ModTime()}})
		}
		return err
	})
	slices.SortFunc(files, func(a, b found) int {
		return cmp.Or(a.modified.Compare(b.modified), cmp.Compare(a.path, b.path))
	})
	return files, err
}

func unfinished(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, "~")
}

// save brings the door up to date. With all, files that were written just now are taken too.
func (c *checkpoints) save(ctx context.Context, all bool) error {
	files, err := c.list()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(c.l.checkpoints)
	if err != nil {
		return err
	}
	defer root.Close()
	present := map[string]bool{}
	for _, f := range files {
		present[f.path] = true
		if c.known[f.path] == f.stamp || (!all && time.Since(f.modified) < settled) {
			continue
		}
		_, _, err := c.l.client.send(ctx, root, "checkpoints", f.path)
		if errors.Is(err, errChanged) || errors.Is(err, fs.ErrNotExist) {
			continue // the next look takes it
		} else if err != nil {
			return fault.Wrap(fault.Unavailable, "checkpoint "+f.path, err)
		}
		c.known[f.path] = f.stamp
	}
	for path := range c.known {
		if present[path] {
			continue
		}
		if err := c.l.client.do(ctx, request{method: http.MethodDelete, path: "checkpoints/" + path}); err != nil {
			return err
		}
		delete(c.known, path)
	}
	return nil
}
