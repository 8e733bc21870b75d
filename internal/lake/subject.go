// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// RecordSubjects remembers the pseudonyms of everyone an artifact was made with. Telling it again replaces the set.
// Invalid: an artifact that names nothing; a pseudonym that is empty or has a line break.
func (s *Store) RecordSubjects(ctx context.Context, a Artifact, subjects []string) error {
	if err := a.validate(); err != nil {
		return err
	}
	if subjects == nil {
		subjects = []string{}
	}
	d, err := s.putSubjects(ctx, subjects)
	if err != nil {
		return err
	}
	return inTx(ctx, s.history, func(tx *sql.Tx) error {
		id, err := putArtifact(ctx, tx, a)
		if err != nil {
			return err
		}
		return putKnew(ctx, tx, id, a.Workspace, d, sortedSet(subjects))
	})
}

// Subjects is the artifact's set of pseudonyms, sorted; NotFound when none was recorded.
func (s *Store) Subjects(ctx context.Context, a Artifact) ([]string, error) {
	id, _, err := s.findArtifact(ctx, a)
	if err != nil {
		return nil, err
	}
	var set int64
	err = s.history.QueryRowContext(ctx, "select set_id from knew where artifact_id = ?", id).Scan(&set)
	if err != nil {
		return nil, missing(err, "no subjects were recorded for %s %s/%s %s", a.Kind, a.Workspace, a.Name, a.key())
	}
	rows, err := s.history.QueryContext(ctx, `select subject from subject_members m join subjects s on s.id = m.subject_id
		where m.set_id = ? order by subject`, set)
	if err != nil {
		return nil, sqlFault(err)
	}
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			return nil, sqlFault(err)
		}
		out = append(out, subject)
	}
	return out, sqlFault(rows.Err())
}

// KnewSubject lists the artifacts of a workspace that were made with this pseudonym, sorted by kind, name, version.
func (s *Store) KnewSubject(ctx context.Context, workspace, subject string) ([]Artifact, error) {
	return s.artifacts(ctx, `from subjects s join subject_members m on m.subject_id = s.id join knew k on k.set_id = m.set_id
		join artifacts a on a.id = k.artifact_id where s.workspace = ? and s.subject = ?`, workspace, subject)
}

// putSubjects stores the set as a blob, one pseudonym a line; "" when subjects is nil.
func (s *Store) putSubjects(ctx context.Context, subjects []string) (ref.Digest, error) {
	if subjects == nil {
		return "", nil
	}
	var b strings.Builder
	for _, subject := range sortedSet(subjects) {
		if subject == "" || strings.ContainsAny(subject, "\n\r") {
			return "", fault.New(fault.Invalid, "lake.subjects", "%q is not a pseudonym", subject)
		}
		b.WriteString(subject + "\n")
	}
	d, _, err := s.PutBlob(ctx, strings.NewReader(b.String()), "")
	return d, err
}

func (s *Store) getSubjects(ctx context.Context, d ref.Digest) ([]string, error) {
	if d == "" {
		return nil, nil
	}
	b, err := s.readBlob(ctx, d, maxManifest)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}

// putKnew says which set an artifact knew; equal sets are kept once.
func putKnew(ctx context.Context, tx *sql.Tx, artifact int64, workspace string, d ref.Digest, subjects []string) error {
	set, isNew, err := putSet(ctx, tx, workspace, d)
	if err != nil {
		return err
	}
	if isNew {
		if err := putMembers(ctx, tx, workspace, set, subjects); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `insert into knew (artifact_id, set_id) values (?, ?)
		on conflict do update set set_id = excluded.set_id`, artifact, set)
	return err
}

func putSet(ctx context.Context, tx *sql.Tx, workspace string, d ref.Digest) (id int64, isNew bool, err error) {
	err = tx.QueryRowContext(ctx, "select id from subject_sets where workspace = ? and digest = ?", workspace, string(d)).Scan(&id)
	if err != sql.ErrNoRows {
		return id, false, err
	}
	err = tx.QueryRowContext(ctx, "insert into subject_sets (workspace, digest) values (?, ?) returning id", workspace, string(d)).Scan(&id)
	return id, true, err
}

func putMembers(ctx context.Context, tx *sql.Tx, workspace string, set int64, subjects []string) error {
	one, err := tx.PrepareContext(ctx, "insert into subjects (workspace, subject) values (?, ?) on conflict do nothing")
	if err != nil {
		return err
	}
	defer one.Close()
	member, err := tx.PrepareContext(ctx, `insert into subject_members (subject_id, set_id)
		select id, ? from subjects where workspace = ? and subject = ?`)
	if err != nil {
		return err
	}
	defer member.Close()
	for _, subject := range subjects {
		if _, err := one.ExecContext(ctx, workspace, subject); err != nil {
			return err
		}
		if _, err := member.ExecContext(ctx, set, workspace, subject); err != nil {
			return err
		}
	}
	return nil
}
