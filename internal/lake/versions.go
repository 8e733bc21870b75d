// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Version returns one version; NotFound.
func (s *Store) Version(ctx context.Context, name ref.Name, number int) (Version, error) {
	v, err := s.oneVersion(ctx, "number = ?", name, number)
	return v, missing(err, "there is no version %d of %s", number, name)
}

// Latest returns the newest version; NotFound when the dataset has none.
func (s *Store) Latest(ctx context.Context, name ref.Name) (Version, error) {
	v, err := s.oneVersion(ctx, "true order by number desc limit 1", name)
	return v, missing(err, "%s has no version yet", name)
}

// ByFingerprint returns the version with the fingerprint; NotFound.
func (s *Store) ByFingerprint(ctx context.Context, name ref.Name, fingerprint string) (Version, error) {
	v, err := s.oneVersion(ctx, "fingerprint = ?", name, fingerprint)
	return v, missing(err, "no version of %s has the fingerprint %s", name, fingerprint)
}

// Versions lists versions, newest first, and the token of the next page ("" at the end).
func (s *Store) Versions(ctx context.Context, name ref.Name, p Page) ([]Version, string, error) {
	limit, err := p.limit()
	if err != nil {
		return nil, "", err
	}
	before := int64(1) << 62
	if p.After != "" {
		if before, err = strconv.ParseInt(p.After, 10, 64); err != nil {
			return nil, "", fault.New(fault.Invalid, "lake.Versions", "%q is not a token of a page", p.After)
		}
	}
	rows, err := s.history.QueryContext(ctx, `select record from versions
		where workspace = ? and dataset = ? and number < ? order by number desc limit ?`, name.Workspace, name.Name, before, limit+1)
	if err != nil {
		return nil, "", sqlFault(err)
	}
	out, err := scanJSON[Version](rows)
	if err != nil || len(out) <= limit {
		return out, "", err
	}
	return out[:limit], strconv.Itoa(out[limit-1].Number), nil
}

// Datasets lists the names of a workspace that have versions, sorted; of all workspaces when it is "".
func (s *Store) Datasets(ctx context.Context, workspace string) ([]ref.Name, error) {
	rows, err := s.history.QueryContext(ctx, `select d.workspace, d.dataset from datasets d where (? = '' or d.workspace = ?)
		and exists (select 1 from versions v where v.workspace = d.workspace and v.dataset = d.dataset)
		order by 1, 2`, workspace, workspace)
	if err != nil {
		return nil, sqlFault(err)
	}
	defer rows.Close()
	var out []ref.Name
	for rows.Next() {
		var n ref.Name
		if err := rows.Scan(&n.Workspace, &n.Name); err != nil {
			return nil, sqlFault(err)
		}
		out = append(out, n)
	}
	return out, sqlFault(rows.Err())
}

// Files lists the version's files, sorted by path; open them with OpenBlob or BlobPath.
func (s *Store) Files(ctx context.Context, v Version) ([]File, error) {
	m, err := s.GetManifest(ctx, v.Manifest)
	return m.Files, err
}

// Schema is the version's table schema in Iceberg's JSON form, with field ids; NotFound when the table lost its snapshot.
func (s *Store) Schema(ctx context.Context, v Version) (string, error) {
	const op = "lake.Schema"
	tbl, err := s.tables.load(ctx, v.Name)
	if err != nil {
		return "", fault.Wrap(fault.Internal, op, err)
	}
	if tbl == nil || tbl.SnapshotByID(v.Snapshot) == nil {
		return "", fault.New(fault.NotFound, op, "the table of %s has no snapshot for version %d", v.Name, v.Number)
	}
	id := tbl.SnapshotByID(v.Snapshot).SchemaID
	if id == nil || tbl.Schemas()[*id] == nil {
		return "", fault.New(fault.Corrupt, op, "version %d of %s has no schema", v.Number, v.Name)
	}
	b, err := json.Marshal(tbl.Schemas()[*id])
	return string(b), fault.Wrap(fault.Internal, op, err)
}

func (s *Store) oneVersion(ctx context.Context, where string, name ref.Name, args ...any) (Version, error) {
	if err := name.Validate(); err != nil {
		return Version{}, err
	}
	var record []byte
	err := s.history.QueryRowContext(ctx, "select record from versions where workspace = ? and dataset = ? and "+where,
		append([]any{name.Workspace, name.Name}, args...)...).Scan(&record)
	if err != nil {
		return Version{}, err
	}
	var v Version
	return v, sqlFault(json.Unmarshal(record, &v))
}

// allVersions lists all versions, oldest first.
func (s *Store) allVersions(ctx context.Context, name ref.Name) ([]Version, error) {
	rows, err := s.history.QueryContext(ctx, "select record from versions where workspace = ? and dataset = ? order by number",
		name.Workspace, name.Name)
	if err != nil {
		return nil, sqlFault(err)
	}
	return scanJSON[Version](rows)
}

// lastNumber is the highest number ever used for the dataset.
func (s *Store) lastNumber(ctx context.Context, name ref.Name) (int, error) {
	var last int
	err := s.history.QueryRowContext(ctx, `select max(
		coalesce((select max(number) from versions where workspace = ?1 and dataset = ?2), 0),
		coalesce((select retired from datasets where workspace = ?1 and dataset = ?2), 0))`, name.Workspace, name.Name).Scan(&last)
	return last, sqlFault(err)
}

// limit checks the page size and gives its default.
func (p Page) limit() (int, error) {
	switch {
	case p.Limit == 0:
		return 100, nil
	case p.Limit < 0, p.Limit > 1000:
		return 0, fault.New(fault.Invalid, "lake", "a page has 1 to 1000 entries, not %d", p.Limit)
	}
	return p.Limit, nil
}

// missing turns "no rows" into NotFound with a message.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "lake", format, args...)
	}
	return sqlFault(err)
}

// scanJSON reads rows of one JSON column and closes them.
func scanJSON[T any](rows *sql.Rows) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, sqlFault(err)
		}
		var v T
		if err := json.Unmarshal(b, &v); err != nil {
			return nil, sqlFault(err)
		}
		out = append(out, v)
	}
	return out, sqlFault(rows.Err())
}
