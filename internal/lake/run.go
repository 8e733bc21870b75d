// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// RunRecord is what is remembered of a finished run.
type RunRecord struct {
	UID         string            `json:"uid"`
	Workspace   string            `json:"workspace"`
	Name        string            `json:"name"`
	Step        string            `json:"step"`    // ingest, transform, train, …
	ForKind     string            `json:"forKind"` // the object it ran for, for example Dataset
	ForName     string            `json:"forName"`
	Fingerprint string            `json:"fingerprint"`
	Inputs      []Input           `json:"inputs,omitempty"`
	Outputs     []Artifact        `json:"outputs,omitempty"`
	Output      ref.Digest        `json:"output,omitempty"` // manifest of what it uploaded
	Code        ref.Digest        `json:"code,omitempty"`
	Environment ref.Digest        `json:"environment,omitempty"`
	Image       string            `json:"image,omitempty"`
	Host        map[string]string `json:"host,omitempty"` // facts about where it ran: node, isolation, cpu, …
	Attempt     int               `json:"attempt"`
	Phase       string            `json:"phase"` // Succeeded, Failed, …
	Reason      string            `json:"reason,omitempty"`
	Message     string            `json:"message,omitempty"`
	Started     time.Time         `json:"started"` // zero when it never started
	Finished    time.Time         `json:"finished"`
	Log         ref.Digest        `json:"log,omitempty"` // blob
	// Identified: people's code read identified data, which its log may hold.
	Identified bool `json:"identified,omitempty"`
}

// RunFilter selects runs; an empty field matches everything.
type RunFilter struct {
	Workspace, Step, ForKind, ForName, Phase, Fingerprint string
}

func (r RunRecord) validate() error {
	if r.UID == "" || !ref.IsLabel(r.Workspace) || r.Name == "" || r.Phase == "" || r.Finished.IsZero() {
		return fault.New(fault.Invalid, "lake.RecordRun", "a run needs UID, workspace, name, phase and the time it finished: %s/%s", r.Workspace, r.Name)
	}
	for _, in := range r.Inputs {
		if err := in.validate(); err != nil {
			return err
		}
	}
	for _, out := range r.Outputs {
		if err := out.validate(); err != nil {
			return err
		}
	}
	return nil
}

// Artifact is the run as a node of the lineage.
func (r RunRecord) Artifact() Artifact {
	return Artifact{Kind: KindRun, Workspace: r.Workspace, Name: r.Name, Version: r.UID}
}

// RecordRun remembers a finished run with its lineage (outputs → run → inputs, code, environment); a UID that is known
// already is left as it is. On return it is on disk. Invalid: no UID, workspace, name, phase or end.
func (s *Store) RecordRun(ctx context.Context, r RunRecord) error {
	if err := r.validate(); err != nil {
		return err
	}
	r.Started, r.Finished = r.Started.UTC().Truncate(time.Millisecond), r.Finished.UTC().Truncate(time.Millisecond)
	body, err := json.Marshal(r)
	if err != nil {
		return fault.Wrap(fault.Invalid, "lake.RecordRun", err)
	}
	return inTx(ctx, s.history, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `insert into runs (uid, workspace, name, step, for_kind, for_name, phase, fingerprint, finished, record)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (uid) do nothing`,
			r.UID, r.Workspace, r.Name, r.Step, r.ForKind, r.ForName, r.Phase, r.Fingerprint, r.Finished.UnixMilli(), body)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return putEdges(ctx, tx, r.edges())
	})
}

func (r RunRecord) edges() []Edge {
	self := r.Artifact()
	var out []Edge
	for _, in := range r.Inputs {
		out = append(out, Edge{From: self, To: in.Artifact, Role: in.Role})
	}
	if r.Code != "" {
		out = append(out, Edge{From: self, To: Artifact{Kind: KindCode, Workspace: r.Workspace, Digest: r.Code}, Role: RoleCode})
	}
	if r.Environment != "" {
		out = append(out, Edge{From: self, To: Artifact{Kind: KindEnvironment, Digest: r.Environment}, Role: RoleEnvironment})
	}
	for _, made := range r.Outputs {
		out = append(out, Edge{From: made, To: self, Role: RoleRun})
	}
	return out
}

// Run returns the run of that name, the latest when the name was used again; NotFound.
func (s *Store) Run(ctx context.Context, workspace, name string) (RunRecord, error) {
	var body []byte
	err := s.history.QueryRowContext(ctx, `select record from runs where workspace = ? and name = ?
		order by finished desc, seq desc limit 1`, workspace, name).Scan(&body)
	if err != nil {
		return RunRecord{}, missing(err, "there is no finished run %s/%s", workspace, name)
	}
	var r RunRecord
	return r, sqlFault(json.Unmarshal(body, &r))
}

// Runs lists runs, the latest to finish first, and the token of the next page ("" at the end).
func (s *Store) Runs(ctx context.Context, f RunFilter, p Page) ([]RunRecord, string, error) {
	limit, err := p.limit()
	if err != nil {
		return nil, "", err
	}
	query, args := f.where()
	if p.After != "" {
		var at, seq int64
		if _, err := fmt.Sscanf(p.After, "%d-%d", &at, &seq); err != nil {
			return nil, "", fault.New(fault.Invalid, "lake.Runs", "%q is not a token of a page", p.After)
		}
		query, args = query+" and (finished, seq) < (?, ?)", append(args, at, seq)
	}
	rows, err := s.history.QueryContext(ctx, "select finished, seq, record from runs where "+query+
		" order by finished desc, seq desc limit ?", append(args, limit+1)...)
	if err != nil {
		return nil, "", sqlFault(err)
	}
	return scanRuns(rows, limit)
}

func (f RunFilter) where() (string, []any) {
	query, args := "true", []any{}
	for _, c := range []struct{ column, want string }{
		{"workspace", f.Workspace}, {"step", f.Step}, {"for_kind", f.ForKind}, {"for_name", f.ForName},
		{"phase", f.Phase}, {"fingerprint", f.Fingerprint},
	} {
		if c.want != "" {
			query, args = query+" and "+c.column+" = ?", append(args, c.want)
		}
	}
	return query, args
}

// scanRuns reads up to limit runs and the token of the next page when there is one more.
func scanRuns(rows *sql.Rows, limit int) ([]RunRecord, string, error) {
	defer rows.Close()
	var out []RunRecord
	var token string
	for rows.Next() {
		if len(out) == limit {
			return out, token, nil
		}
		var at, seq int64
		var body []byte
		if err := rows.Scan(&at, &seq, &body); err != nil {
			return nil, "", sqlFault(err)
		}
		var r RunRecord
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, "", sqlFault(err)
		}
		out, token = append(out, r), fmt.Sprintf("%d-%d", at, seq)
	}
	return out, "", sqlFault(rows.Err())
}
