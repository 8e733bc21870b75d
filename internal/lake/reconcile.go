// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// reconcileAll finishes what interrupted commits and deletions left. It opens only tables that changed since their rows
// were complete.
func (s *Store) reconcileAll(ctx context.Context) error {
	there, err := s.tables.locations(ctx)
	if err != nil {
		return sqlFault(err)
	}
	known, err := s.knownLocations(ctx)
	if err != nil {
		return err
	}
	for key, location := range there {
		name := tableName(key)
		old, err := s.tables.movedFrom(name, location)
		if err == nil && old != "" {
			if _, err = s.moveHere(ctx, name, old, location); err == nil && known[key] == location {
				continue
			}
		}
		if fault.Is(err, fault.Corrupt) {
			continue // told by Verify
		} else if err != nil {
			return err
		}
		if known[key] == location && location != "" {
			continue
		}
		if err := s.reconcile(ctx, name); err != nil && !fault.Is(err, fault.Corrupt) {
			return err // a damaged table stops its own commits and is Verify's to tell, not the whole lake's end
		}
	}
	return nil
}

func (s *Store) knownLocations(ctx context.Context) (map[string]string, error) {
	rows, err := s.history.QueryContext(ctx, "select workspace, dataset, location from datasets")
	if err != nil {
		return nil, sqlFault(err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var ws, dataset, location string
		if err := rows.Scan(&ws, &dataset, &location); err != nil {
			return nil, sqlFault(err)
		}
		out[ws+"/"+ref.Table(dataset)] = location
	}
	return out, sqlFault(rows.Err())
}

// reconcile gives every snapshot of the dataset's table its row, or finishes a deletion. The caller holds the lock, or
// is Open.
func (s *Store) reconcile(ctx context.Context, name ref.Name) error {
	location, err := s.tables.location(ctx, name)
	if err != nil {
		return sqlFault(err)
	}
	if known, err := s.knownLocation(ctx, name); err != nil || known == location {
		return err
	}
	tbl, err := s.tables.load(ctx, name)
	if err != nil {
		return fault.Wrap(fault.Corrupt, "lake.reconcile "+name.String(), err)
	}
	if tbl == nil {
		return nil
	}
	last, err := s.lastNumber(ctx, name)
	if err != nil {
		return err
	}
	all := snapshots(tbl.Metadata())
	if len(all) > 0 && all[len(all)-1].number <= last {
		if _, err := s.Latest(ctx, name); fault.Is(err, fault.NotFound) {
			return diskFault("lake.Delete", s.tables.drop(ctx, name)) // its rows were deleted, then we were stopped
		}
	}
	for _, snap := range all {
		if snap.number <= last {
			continue
		}
		r, err := s.rebuild(ctx, name, snap)
		if err != nil {
			return err
		}
		if err := s.writeRow(ctx, r, ""); err != nil {
			return err
		}
	}
	return s.noteLocation(ctx, name, tbl.MetadataLocation())
}

// rebuild makes a version's row from its snapshot and the record that the snapshot names.
func (s *Store) rebuild(ctx context.Context, name ref.Name, snap snapshot) (record, error) {
	b, err := s.readBlob(ctx, ref.Digest(snap.record), maxManifest)
	if err != nil {
		return record{}, fault.New(fault.Corrupt, "lake.reconcile", "%s version %d lost its record: %w", name, snap.number, err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fault.Wrap(fault.Corrupt, "lake.reconcile "+name.String(), err)
	}
	if r.Name != name || r.Number != snap.number || r.Fingerprint != snap.fingerprint {
		return record{}, fault.New(fault.Corrupt, "lake.reconcile", "the record of %s version %d is of %s version %d",
			name, snap.number, r.Name, r.Number)
	}
	r.Snapshot = snap.id
	return r, nil
}

func (s *Store) noteLocation(ctx context.Context, name ref.Name, location string) error {
	_, err := s.history.ExecContext(ctx, `insert into datasets (workspace, dataset, location) values (?, ?, ?)
		on conflict do update set location = excluded.location`, name.Workspace, name.Name, location)
	return sqlFault(err)
}

func (s *Store) knownLocation(ctx context.Context, name ref.Name) (string, error) {
	var known string
	err := s.history.QueryRowContext(ctx, "select location from datasets where workspace = ? and dataset = ?", name.Workspace, name.Name).Scan(&known)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return known, sqlFault(err)
}

// writeRow makes a version visible: its row, its lineage and its subjects, together. location is the table's metadata
// file when its rows are complete with this one, else "".
func (s *Store) writeRow(ctx context.Context, r record, location string) error {
	body, err := json.Marshal(r.Version)
	if err != nil {
		return fault.Wrap(fault.Invalid, "lake.Commit", err)
	}
	subjects, err := s.getSubjects(ctx, r.Subjects)
	if err != nil {
		return err
	}
	return inTx(ctx, s.history, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `insert into datasets (workspace, dataset, location) values (?, ?, ?)
			on conflict do update set location = excluded.location`, r.Name.Workspace, r.Name.Name, location); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `insert into versions (workspace, dataset, number, fingerprint, snapshot, record)
			values (?, ?, ?, ?, ?, ?)`, r.Name.Workspace, r.Name.Name, r.Number, r.Fingerprint, r.Snapshot, body); err != nil {
			return err
		}
		edges := make([]Edge, 0, len(r.Inputs))
		for _, in := range r.Inputs {
			edges = append(edges, Edge{From: r.Artifact(), To: in.Artifact, Role: in.Role})
		}
		id, err := putArtifact(ctx, tx, r.Artifact())
		if err != nil {
			return err
		}
		if err := putEdges(ctx, tx, edges); err != nil {
			return err
		}
		if r.Subjects == "" {
			return nil
		}
		return putKnew(ctx, tx, id, r.Name.Workspace, r.Subjects, subjects)
	})
}

// retire deletes the dataset's rows and remembers the numbers they had.
func (s *Store) retire(ctx context.Context, name ref.Name) error {
	last, err := s.lastNumber(ctx, name)
	if err != nil {
		return err
	}
	return inTx(ctx, s.history, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `update datasets set retired = ?, location = '' where workspace = ? and dataset = ?`,
			last, name.Workspace, name.Name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from versions where workspace = ? and dataset = ?`, name.Workspace, name.Name)
		return err
	})
}
