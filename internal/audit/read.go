// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// Filter chooses entries; zero fields choose all.
type Filter struct {
	User   string
	Action string // a prefix, for example "get datasets"
	Object string // a prefix, for example "neurology/"
	// Workspace chooses what is about a workspace or anything in it.
	Workspace string
	Decision  string
	Door      string
	Since     time.Time
	Before    uint64 // entries with a smaller Seq: the next page
}

func (f Filter) matches(e Entry) bool {
	return (f.User == "" || f.User == e.User) && strings.HasPrefix(e.Action, f.Action) &&
		strings.HasPrefix(e.Object, f.Object) && (f.Workspace == "" || about(e.Object, f.Workspace)) && (f.Decision == "" || f.Decision == e.Decision) &&
		(f.Door == "" || f.Door == e.Door) && !e.Time.Before(f.Since) && (f.Before == 0 || e.Seq < f.Before)
}

// about tells whether an object is the workspace or in it: "clinic", "clinic/voice", "clinic POST /…", "s3://clinic/inbox/a.csv".
func about(object, workspace string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(object, "s3://"), workspace)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == ' ')
}

// Tail returns the newest entries that the filter chooses, newest first, at most limit (default 100, at most 1000). It
// reads the log backwards, so a page costs what lies behind it, not what lies before.
func (l *Log) Tail(ctx context.Context, f Filter, limit int) ([]Entry, error) {
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, 1000)
	l.mu.Lock()
	end := l.published
	l.mu.Unlock()
	names, err := segments(l.opt.Dir)
	if err != nil {
		return nil, err
	}
	var found []Entry
	for i := len(names) - 1; i >= 0 && len(found) < limit; i-- {
		if names[i] > end.segment {
			continue
		}
		size := int64(-1)
		if names[i] == end.segment {
			size = end.size
		}
		err := backwards(ctx, filepath.Join(l.opt.Dir, names[i]), size, func(line []byte) bool {
			var e Entry
			if json.Unmarshal(line, &e) == nil && f.matches(e) {
				found = append(found, e)
			}
			return len(found) < limit
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// backwards calls visit with the lines of a file from the last to the first until it returns false. Size -1 means all.
func backwards(ctx context.Context, path string, size int64, visit func([]byte) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "audit", err)
	}
	defer f.Close()
	if size < 0 {
		info, err := f.Stat()
		if err != nil {
			return fault.Wrap(fault.Unavailable, "audit", err)
		}
		size = info.Size()
	}
	var rest []byte // the beginning of the line whose end was read last
	for size > 0 {
		if ctx.Err() != nil {
			return fault.Wrap(fault.Unavailable, "audit", ctx.Err())
		}
		n := min(size, maxLine)
		block := make([]byte, n, n+int64(len(rest)))
		if _, err := f.ReadAt(block, size-n); err != nil {
			return fault.Wrap(fault.Unavailable, "audit", err)
		}
		size -= n
		block = append(block, rest...)
		for {
			cut := bytes.LastIndexByte(block, '\n')
			if cut < 0 {
				break
			}
			if line := block[cut+1:]; len(line) > 0 && !visit(line) {
				return nil
			}
			block = block[:cut]
		}
		rest = block
	}
	if len(rest) > 0 {
		visit(rest)
	}
	return nil
}
