// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// key is the version that identifies the artifact: content has no other than its digest.
func (a Artifact) key() string {
	if a.Version == "" {
		return string(a.Digest)
	}
	return a.Version
}

func (a Artifact) validate() error {
	if a.Kind == "" || a.Name == "" && a.Digest == "" || a.key() == "" {
		return fault.New(fault.Invalid, "lake.lineage", "an artifact needs a kind, a name and a version, or a digest: %+v", a)
	}
	if a.Digest != "" {
		if _, err := ref.ParseDigest(string(a.Digest)); err != nil {
			return err
		}
	}
	return nil
}

// RecordEdges remembers lineage; edges known already are left as they are. Commit and RecordRun record their own.
// Invalid: an artifact that names nothing.
func (s *Store) RecordEdges(ctx context.Context, edges []Edge) error {
	for _, e := range edges {
		for _, a := range []Artifact{e.From, e.To} {
			if err := a.validate(); err != nil {
				return err
			}
		}
	}
	return inTx(ctx, s.history, func(tx *sql.Tx) error { return putEdges(ctx, tx, edges) })
}

func putEdges(ctx context.Context, tx *sql.Tx, edges []Edge) error {
	for _, e := range edges {
		from, err := putArtifact(ctx, tx, e.From)
		if err != nil {
			return err
		}
		to, err := putArtifact(ctx, tx, e.To)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `insert into edges (from_id, role, to_id) values (?, ?, ?) on conflict do nothing`,
			from, e.Role, to); err != nil {
			return err
		}
	}
	return nil
}

// putArtifact remembers a and returns its id; a digest or facts told later fill what was empty.
func putArtifact(ctx context.Context, tx *sql.Tx, a Artifact) (int64, error) {
	facts := ""
	if len(a.Facts) > 0 {
		b, err := json.Marshal(a.Facts)
		if err != nil {
			return 0, err
		}
		facts = string(b)
	}
	var id int64
	err := tx.QueryRowContext(ctx, `insert into artifacts (kind, workspace, name, version, digest, facts) values (?, ?, ?, ?, ?, ?)
		on conflict do update set digest = iif(digest = '', excluded.digest, digest), facts = iif(facts = '', excluded.facts, facts)
		returning id`, a.Kind, a.Workspace, a.Name, a.key(), string(a.Digest), facts).Scan(&id)
	return id, err
}

const artifactColumns = "a.id, a.kind, a.workspace, a.name, a.version, a.digest, a.facts"

func scanArtifact(scan func(...any) error, more ...any) (int64, Artifact, error) {
	var id int64
	var a Artifact
	var facts string
	if err := scan(append([]any{&id, &a.Kind, &a.Workspace, &a.Name, &a.Version, &a.Digest, &facts}, more...)...); err != nil {
		return 0, Artifact{}, err
	}
	if a.Version == string(a.Digest) {
		a.Version = ""
	}
	if facts != "" {
		if err := json.Unmarshal([]byte(facts), &a.Facts); err != nil {
			return 0, Artifact{}, err
		}
	}
	return id, a, nil
}

func (s *Store) findArtifact(ctx context.Context, a Artifact) (int64, Artifact, error) {
	row := s.history.QueryRowContext(ctx, "select "+artifactColumns+` from artifacts a
		where kind = ? and workspace = ? and name = ? and version = ?`, a.Kind, a.Workspace, a.Name, a.key())
	id, found, err := scanArtifact(row.Scan)
	return id, found, missing(err, "the lineage does not know %s %s/%s %s", a.Kind, a.Workspace, a.Name, a.key())
}

// Why walks from an artifact to everything it was made from; NotFound when the lineage does not know it. An artifact
// that helped in several places is expanded once.
func (s *Store) Why(ctx context.Context, a Artifact) (Tree, error) {
	id, found, err := s.findArtifact(ctx, a)
	if err != nil {
		return Tree{}, err
	}
	t := Tree{Artifact: found}
	return t, s.grow(ctx, &t, id, map[int64]bool{id: true})
}

// grow adds the inputs of the artifact with that id.
func (s *Store) grow(ctx context.Context, t *Tree, id int64, seen map[int64]bool) error {
	ids, err := s.inputsOf(ctx, t, id)
	if err != nil {
		return err
	}
	for i := range t.Inputs {
		if seen[ids[i]] {
			t.Inputs[i].Repeated = true
			continue
		}
		seen[ids[i]] = true
		if err := s.grow(ctx, &t.Inputs[i], ids[i], seen); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) inputsOf(ctx context.Context, t *Tree, id int64) ([]int64, error) {
	rows, err := s.history.QueryContext(ctx, "select "+artifactColumns+`, e.role from edges e join artifacts a on a.id = e.to_id
		where e.from_id = ? order by e.role, a.kind, a.workspace, a.name, length(a.version), a.version`, id)
	if err != nil {
		return nil, sqlFault(err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var role string
		id, a, err := scanArtifact(rows.Scan, &role)
		if err != nil {
			return nil, sqlFault(err)
		}
		ids = append(ids, id)
		t.Inputs = append(t.Inputs, Tree{Artifact: a, Role: role})
	}
	return ids, sqlFault(rows.Err())
}

// UsedBy lists what was made directly with the help of an artifact, sorted by kind, name, version; NotFound.
func (s *Store) UsedBy(ctx context.Context, a Artifact) ([]Artifact, error) {
	id, _, err := s.findArtifact(ctx, a)
	if err != nil {
		return nil, err
	}
	return s.artifacts(ctx, `from edges e join artifacts a on a.id = e.from_id where e.to_id = ?`, id)
}

// artifacts runs a query over artifacts and sorts what it finds.
func (s *Store) artifacts(ctx context.Context, from string, args ...any) ([]Artifact, error) {
	rows, err := s.history.QueryContext(ctx, "select distinct "+artifactColumns+" "+from, args...)
	if err != nil {
		return nil, sqlFault(err)
	}
	defer rows.Close()
	var out []Artifact
	for rows.Next() {
		_, a, err := scanArtifact(rows.Scan)
		if err != nil {
			return nil, sqlFault(err)
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Artifact) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Workspace, b.Workspace), strings.Compare(a.Name, b.Name),
			cmp.Compare(len(a.Version), len(b.Version)), strings.Compare(a.Version, b.Version))
	})
	return out, sqlFault(rows.Err())
}
