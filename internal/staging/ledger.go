// SPDX-License-Identifier: Apache-2.0

package staging

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/ref"
)

// Ledger is the durable memory of the door: one append-only file of JSON lines a run. A torn last line, left by a
// crash, is cut off when the file is next opened; completions and failures are on disk before they are answered.
type Ledger struct {
	dir  string
	mu   sync.Mutex
	runs map[ref.Name]*account
}

// account is what is known about one run. Its mutex guards everything in it and is held while a commit runs.
type account struct {
	mu          sync.Mutex
	file        *os.File
	attempt     int
	uploads     map[upload]gang.File // output files of this attempt
	bytes       int64
	completed   map[int][]gang.File // by rank
	checkpoints map[string]gang.File
	report      gang.Report
}

// upload is one rank's file. Ranks are kept apart, so that two that write one path are found out, not mixed.
type upload struct {
	rank int
	path string
}

// entry is one line of an account's file.
type entry struct {
	Op          string            `json:"op"` // begin, put, save, drop, done, commit, fail
	Attempt     int               `json:"attempt,omitempty"`
	Rank        int               `json:"rank,omitempty"`
	File        *gang.File        `json:"file,omitempty"`
	Files       []gang.File       `json:"files,omitempty"`
	Output      ref.Digest        `json:"output,omitempty"`
	Termination *gang.Termination `json:"termination,omitempty"`
}

// OpenLedger uses, and makes if need be, the folder dir.
func OpenLedger(dir string) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "staging.OpenLedger", err)
	}
	return &Ledger{dir: dir, runs: map[ref.Name]*account{}}, nil
}

// Report tells what is known about a run; the zero Report when its pods have never called.
func (l *Ledger) Report(run ref.Name) (gang.Report, error) {
	a, err := l.account(run, false)
	if err != nil || a == nil {
		return gang.Report{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	report := a.report
	report.Attempt, report.Failures = a.attempt, slices.Clone(a.report.Failures)
	return report, nil
}

// Forget removes a run's account, once its result is recorded elsewhere. Forgetting twice is fine.
func (l *Ledger) Forget(run ref.Name) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.runs[run]; a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.file.Close()
		delete(l.runs, run)
	}
	if err := os.Remove(l.path(run)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Unavailable, "staging.Forget", err)
	}
	return nil
}

// Close closes all files.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for run, a := range l.runs {
		errs = append(errs, a.file.Close())
		delete(l.runs, run)
	}
	return errors.Join(errs...)
}

func (l *Ledger) path(run ref.Name) string {
	return filepath.Join(l.dir, run.Workspace, run.Name+".jsonl")
}

// account finds or reads a run's account; without create, a run that has none gives nil.
func (l *Ledger) account(run ref.Name, create bool) (*account, error) {
	if err := run.Validate(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.runs[run]; a != nil {
		return a, nil
	}
	flags := os.O_RDWR | os.O_APPEND
	if create {
		flags |= os.O_CREATE
		if err := os.MkdirAll(filepath.Dir(l.path(run)), 0o700); err != nil {
			return nil, fault.Wrap(fault.Unavailable, "staging", err)
		}
	}
	f, err := os.OpenFile(l.path(run), flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) && !create {
		return nil, nil
	} else if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "staging", err)
	}
	a := &account{file: f, checkpoints: map[string]gang.File{}}
	a.reset(0)
	if err := a.replay(); err != nil {
		f.Close()
		return nil, fault.Wrap(fault.Unavailable, "staging "+run.String(), err)
	}
	l.runs[run] = a
	return a, nil
}

func (a *account) reset(attempt int) {
	a.attempt, a.bytes = attempt, 0
	a.uploads, a.completed = map[upload]gang.File{}, map[int][]gang.File{}
	a.report = gang.Report{Attempt: attempt}
}

// replay applies every whole line and cuts off a torn one.
func (a *account) replay() error {
	whole := int64(0)
	reader := bufio.NewReaderSize(a.file, 1<<16)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil { // the end, perhaps in the middle of a line
			return a.file.Truncate(whole)
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fault.New(fault.Corrupt, "staging", "line at byte %d: %v", whole, err)
		}
		whole += int64(len(line))
		a.apply(e)
	}
}

// write appends an entry, durably if sync, and applies it.
func (a *account) write(e entry, sync bool) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fault.Wrap(fault.Internal, "staging", err)
	}
	if _, err := a.file.Write(append(line, '\n')); err != nil {
		return fault.Wrap(fault.Unavailable, "staging", err)
	}
	if sync {
		if err := a.file.Sync(); err != nil {
			return fault.Wrap(fault.Unavailable, "staging", err)
		}
	}
	a.apply(e)
	return nil
}

func (a *account) apply(e entry) {
	switch e.Op {
	case "begin":
		a.reset(e.Attempt)
	case "put":
		key := upload{e.Rank, e.File.Path}
		a.bytes += e.File.Size - a.uploads[key].Size
		a.uploads[key] = *e.File
	case "save":
		a.checkpoints[e.File.Path] = *e.File
	case "drop":
		delete(a.checkpoints, e.File.Path)
	case "done":
		a.completed[e.Rank] = e.Files
	case "fail":
		a.report.Failures = append(a.report.Failures, gang.Failure{Rank: e.Rank, Termination: *e.Termination})
	case "commit":
		a.report.Output, a.report.Files, a.report.Bytes = e.Output, 0, 0
		for _, files := range a.completed {
			for _, f := range files {
				a.report.Files, a.report.Bytes = a.report.Files+1, a.report.Bytes+f.Size
			}
		}
	}
}

// enter is the fence: it lets the newest attempt in, starts a newer one, and refuses an older one, and any attempt
// but the committed one after the commit. The caller holds the mutex.
func (a *account) enter(attempt int) error {
	switch {
	case attempt == a.attempt:
		return nil
	case attempt < a.attempt:
		return fault.New(fault.Conflict, "staging", "attempt %d was replaced by attempt %d", attempt, a.attempt)
	case a.report.Output != "":
		return fault.New(fault.Conflict, "staging", "attempt %d has already committed the output", a.attempt)
	}
	return a.write(entry{Op: "begin", Attempt: attempt}, true)
}

// saved lists the checkpoints by path.
func (a *account) saved() []gang.File {
	files := make([]gang.File, 0, len(a.checkpoints))
	for _, f := range a.checkpoints {
		files = append(files, f)
	}
	slices.SortFunc(files, func(x, y gang.File) int { return cmp.Compare(x.Path, y.Path) })
	return files
}
