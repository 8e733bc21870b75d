// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // the driver of both files

	"fathom.dev/fathom/internal/fault"
)

// schemaVersion is kept in SQLite's user_version.
const schemaVersion = 1

const historySchema = `
create table datasets (
  workspace text not null, dataset text not null,
  retired  integer not null default 0,  -- versions up to this number were deleted; numbers are never used again
  location text not null default '',    -- metadata file of the table when its rows were last complete
  primary key (workspace, dataset)) without rowid;
create table versions (
  workspace text not null, dataset text not null, number integer not null,
  fingerprint text not null, snapshot integer not null, record text not null, -- Version as JSON
  primary key (workspace, dataset, number)) without rowid;
create unique index versions_fingerprint on versions (workspace, dataset, fingerprint);
create table runs (
  seq integer primary key, uid text not null unique, workspace text not null, name text not null, step text not null,
  for_kind text not null, for_name text not null, phase text not null, fingerprint text not null,
  finished integer not null, record text not null); -- finished: milliseconds since 1970; record: RunRecord as JSON
create index runs_finished on runs (workspace, finished desc, seq desc);
create index runs_name on runs (workspace, name, finished desc);
create index runs_for on runs (workspace, for_kind, for_name, finished desc);
create table artifacts (
  id integer primary key, kind text not null, workspace text not null, name text not null, version text not null,
  digest text not null, facts text not null, unique (kind, workspace, name, version));
create table edges (
  from_id integer not null references artifacts, role text not null, to_id integer not null references artifacts,
  primary key (from_id, role, to_id)) without rowid;
create index edges_to on edges (to_id);
create table subjects (id integer primary key, workspace text not null, subject text not null, unique (workspace, subject));
create table subject_sets (id integer primary key, workspace text not null, digest text not null, unique (workspace, digest));
create table subject_members (
  subject_id integer not null references subjects, set_id integer not null references subject_sets,
  primary key (subject_id, set_id)) without rowid;
create index subject_members_set on subject_members (set_id);
create table knew (artifact_id integer primary key references artifacts, set_id integer not null references subject_sets);
create index knew_set on knew (set_id);
`

// openSQLite opens a database file in which every acknowledged write is on disk (WAL, synchronous=FULL).
func openSQLite(path string) (*sql.DB, error) {
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, diskFault("lake.Open", err)
	}
	q := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_busy_timeout": {"10000"}, "_foreign_keys": {"1"}, "_txlock": {"immediate"}}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite3", u.String())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "lake.Open", err)
	}
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, fault.New(fault.Corrupt, "lake.Open", "%s cannot be opened: %w", path, err).WithHint("restore it from a backup")
	}
	return db, nil
}

func openHistory(path string) (*sql.DB, error) {
	db, err := openSQLite(path)
	if err != nil {
		return nil, err
	}
	if err := migrate(db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func migrate(db *sql.DB) error {
	return inTx(context.Background(), db, func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRow("pragma user_version").Scan(&have); err != nil {
			return err
		}
		switch have {
		case schemaVersion:
			return nil
		case 0:
			_, err := tx.Exec(historySchema + "pragma user_version = 1;")
			return err
		}
		return fault.New(fault.Conflict, "lake.Open", "the history has format %d, this program knows %d", have, schemaVersion).
			WithHint("use the newer program")
	})
}

// inTx runs f in a transaction; what it wrote is on disk when inTx returns nil.
func inTx(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return sqlFault(err)
	}
	if err := f(tx); err != nil {
		tx.Rollback() // the first error is the one to tell
		return sqlFault(err)
	}
	return sqlFault(tx.Commit())
}

func sqlFault(err error) error { return diskFault("lake.history", err) }
