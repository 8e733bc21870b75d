// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// runNameTag is where MLflow keeps a run's name besides the run itself.
const runNameTag = "mlflow.runName"

// Status is a run's phase as its client reports it.
type Status string

// The statuses of a run.
const (
	Running   Status = "RUNNING"
	Scheduled Status = "SCHEDULED"
	Finished  Status = "FINISHED"
	Failed    Status = "FAILED"
	Killed    Status = "KILLED"
)

var statuses = []Status{Running, Scheduled, Finished, Failed, Killed}

// RunInfo is a run without its data. Times are milliseconds since 1970; 0 means not yet.
type RunInfo struct {
	ID         string // 32 hex digits, unique in the workspace
	Name       string
	Experiment string
	User       string // who created it, as the caller of CreateRun proved
	Status     Status
	Started    int64
	Ended      int64
	Deleted    bool
	Location   string // of its artifacts: "mlflow-artifacts:/…"
}

// Run is a run with its data, each list sorted by key.
type Run struct {
	RunInfo
	Metrics []Metric // the latest point of each metric
	Params  []Tag
	Tags    []Tag
	Inputs  []Input
	// ModelsIn and ModelsOut are ids of logged models that the run read and made.
	ModelsIn  []ModelUse
	ModelsOut []ModelUse
}

// NewRun describes a run to create.
type NewRun struct {
	ID         string // 32 hex digits; empty: a new random one. See [RunID].
	Experiment string // id; empty means "0"
	Name       string // empty: from the tag mlflow.runName, else invented
	User       string
	Started    int64 // 0: now
	Tags       []Tag
}

type runRow struct {
	RunInfo
	row        int64
	experiment int64
}

const runColumns = `r.id, r.experiment, r.uuid, r.name, r.user, r.status, r.started, r.ended, r.deleted, e.number, e.location`
const runTables = ` FROM runs r JOIN experiments e ON e.id = r.experiment `

func scanRun(s scanner) (runRow, error) {
	var r runRow
	var number int64
	var location string
	err := s.Scan(&r.row, &r.experiment, &r.ID, &r.Name, &r.User, &r.Status, &r.Started, &r.Ended, &r.Deleted, &number, &location)
	r.Experiment = strconv.FormatInt(number, 10)
	r.Location = strings.TrimSuffix(location, "/") + "/" + r.ID + "/artifacts"
	return r, err
}

// run resolves a run id of the workspace; with frames' rows, the only way to a run's row.
func (w *Workspace) run(r reader, id string) (runRow, error) {
	if err := checkRunID(id); err != nil {
		return runRow{}, err
	}
	run, err := scanRun(r.row("SELECT "+runColumns+runTables+"WHERE r.workspace = ? AND r.uuid = ?", w.id, id))
	if err == sql.ErrNoRows {
		return run, notFound("Run with id=%s not found", id)
	}
	return run, err
}

func (w *Workspace) activeRun(r reader, id string) (runRow, error) {
	run, err := w.run(r, id)
	if err == nil && run.Deleted {
		return run, invalid("The run %s must be in the 'active' state. Current state is deleted.", id)
	}
	return run, err
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// RunID derives a run's id from a key that identifies it elsewhere, such as the UID of an object: who creates the run
// again after a crash creates the same.
func RunID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}

// EnsureRun is [Workspace.CreateRun] that returns the run with n.ID if there is one already.
func (w *Workspace) EnsureRun(ctx context.Context, n NewRun) (Run, error) {
	if n.ID == "" {
		return Run{}, invalid("EnsureRun needs the run's id")
	}
	run, err := w.CreateRun(ctx, n)
	if isConflict(err) {
		return w.Run(ctx, n.ID)
	}
	return run, err
}

// CreateRun starts a run in an active experiment and returns it. Invalid: a name, tag or time that is not allowed, a
// deleted experiment; NotFound: no such experiment; Conflict: a run with that id exists.
func (w *Workspace) CreateRun(ctx context.Context, n NewRun) (Run, error) {
	info, tags, err := n.check()
	if err != nil {
		return Run{}, err
	}
	if info.Started == 0 {
		info.Started = w.now()
	}
	err = w.write(ctx, "tracking.CreateRun", func(t *tx) error {
		e, err := w.activeExperiment(t, n.Experiment)
		if err != nil {
			return err
		}
		if _, err := w.run(t, info.ID); !isNotFound(err) {
			return cmp.Or(err, exists("Run with id=%s already exists", info.ID))
		}
		info.Experiment = e.ID
		info.Location = strings.TrimSuffix(e.Location, "/") + "/" + info.ID + "/artifacts"
		row, err := t.insert("INSERT INTO runs (workspace, experiment, uuid, name, user, status, started) VALUES (?, ?, ?, ?, ?, ?, ?)",
			w.id, e.row, info.ID, info.Name, info.User, info.Status, info.Started)
		if err != nil {
			return err
		}
		run := runRow{RunInfo: info, row: row, experiment: e.row}
		t.after(func() { w.store.frames.putRun(run) })
		return w.setRunTags(t, run, tags)
	})
	return Run{RunInfo: info, Tags: sorted(tags)}, err
}

// check completes the description of a run: its id, its name and the tag that repeats the name.
func (n NewRun) check() (RunInfo, []Tag, error) {
	named := tagValue(n.Tags, runNameTag)
	if n.Name != "" && named != "" && n.Name != named {
		return RunInfo{}, nil, invalid("Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "+
			"(run_name='%s', mlflow.runName='%s').", clip(n.Name), clip(named))
	}
	info := RunInfo{ID: cmp.Or(n.ID, newID()), User: n.User, Status: Running, Started: n.Started}
	if !idPattern.MatchString(info.ID) {
		return info, nil, invalid("Invalid value %q for parameter 'run_id' supplied.", clip(info.ID))
	}
	if info.Started < 0 {
		return info, nil, invalid("Invalid value %d for parameter 'start_time' supplied.", info.Started)
	}
	info.Name = cmp.Or(n.Name, named, inventName(info.ID))
	if err := checkText("run_name", info.Name, MaxRunName); err != nil {
		return info, nil, err
	}
	if named == "" {
		n.Tags = append(slices.Clone(n.Tags), Tag{runNameTag, info.Name})
	}
	tags, err := checkRunTags(n.Tags)
	return info, tags, err
}

// Run returns a run with its data, deleted or not.
func (w *Workspace) Run(ctx context.Context, id string) (Run, error) {
	r := w.read(ctx)
	row, err := w.run(r, id)
	if err != nil {
		return Run{}, storeError("tracking.Run", err)
	}
	runs, err := w.details(r, []runRow{row})
	if err != nil {
		return Run{}, storeError("tracking.Run", err)
	}
	return runs[0], nil
}

// RunChange says what to change; zero values leave things as they are.
type RunChange struct {
	Status Status
	Ended  int64
	Name   string
}

// UpdateRun changes an active run.
func (w *Workspace) UpdateRun(ctx context.Context, id string, c RunChange) (RunInfo, error) {
	if c.Status != "" && !slices.Contains(statuses, c.Status) {
		return RunInfo{}, invalid("Invalid value %q for parameter 'status' supplied.", clip(string(c.Status)))
	}
	if err := checkText("run_name", c.Name, MaxRunName); err != nil {
		return RunInfo{}, err
	}
	var run runRow
	err := w.write(ctx, "tracking.UpdateRun", func(t *tx) (err error) {
		if run, err = w.activeRun(t, id); err != nil {
			return err
		}
		if c.Status != "" {
			run.Status = c.Status
		}
		if c.Ended != 0 {
			run.Ended = c.Ended
		}
		if c.Name != "" {
			run.Name = c.Name
			if err := w.setRunTags(t, run, []Tag{{runNameTag, c.Name}}); err != nil {
				return err
			}
		}
		_, err = t.exec("UPDATE runs SET status = ?, ended = ?, name = ? WHERE id = ?", run.Status, run.Ended, run.Name, run.row)
		changed := run
		t.after(func() { w.store.frames.putRun(changed) })
		return err
	})
	return run.RunInfo, err
}

// DeleteRun hides a run until [Workspace.RestoreRun]. Deleting twice is allowed.
func (w *Workspace) DeleteRun(ctx context.Context, id string) error {
	return w.setRunDeleted(ctx, id, true)
}

// RestoreRun brings a deleted run back. Restoring twice is allowed.
func (w *Workspace) RestoreRun(ctx context.Context, id string) error {
	return w.setRunDeleted(ctx, id, false)
}

func (w *Workspace) setRunDeleted(ctx context.Context, id string, deleted bool) error {
	return w.write(ctx, "tracking.DeleteRun", func(t *tx) error {
		run, err := w.run(t, id)
		if err != nil {
			return err
		}
		run.Deleted = deleted
		_, err = t.exec("UPDATE runs SET deleted = ? WHERE id = ?", deleted, run.row)
		t.after(func() { w.store.frames.putRun(run) })
		return err
	})
}

func checkRunTags(tags []Tag) ([]Tag, error) {
	out := make([]Tag, len(tags))
	for i, tag := range tags {
		if err := checkName("tags["+strconv.Itoa(i)+"].key", tag.Key); err != nil {
			return nil, err
		}
		out[i] = Tag{tag.Key, cut(tag.Value, MaxTagValue)}
	}
	return out, nil
}

func sorted(tags []Tag) []Tag {
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return tags
}

// inventName makes a name that people can say, from the run's random id.
func inventName(id string) string {
	adjectives := strings.Fields("able bold brave bright calm clever eager fair fine gentle glad grand keen kind lively loud " +
		"merry mild neat noble plain proud quick quiet rare shy sleek smart swift vivid warm wise")
	nouns := strings.Fields("ant bear bee calf cod crab crow deer dove duck eel elk finch fish fox frog gnat goat hare hawk " +
		"hog horse jay lamb lark lynx mole moth mouse newt owl wren")
	b, _ := hex.DecodeString(id[:8])
	return adjectives[int(b[0])%len(adjectives)] + "-" + nouns[int(b[1])%len(nouns)] + "-" +
		strconv.Itoa((int(b[2])<<8|int(b[3]))%1000)
}
