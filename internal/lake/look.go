// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Look opens a lake for [Store.Verify] and reading only, also while another process has it open: nothing is made, finished or
// removed. What cannot be opened is told by [Store.Verify], so that the rest can be looked at. NotFound: there is no lake.
func Look(o Options) (*Store, error) {
	const op = "lake.Look"
	dir, err := filepath.Abs(o.Dir)
	if err != nil || o.Dir == "" {
		return nil, fault.New(fault.Invalid, op, "%q is no folder", o.Dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "blobs")); err != nil {
		return nil, fault.New(fault.NotFound, op, "%s is not a lake: %w", dir, err)
	}
	s := &Store{blobDir: filepath.Join(dir, "blobs"), now: time.Now, looking: true, locks: map[ref.Name]chan struct{}{}}
	db := filepath.Join(filepath.Dir(dir), "db")
	if s.history, err = lookAt(orElse(o.HistoryPath, filepath.Join(db, "lineage.db"))); err != nil {
		s.unreadable = append(s.unreadable, unreadableDB(orElse(o.HistoryPath, filepath.Join(db, "lineage.db")), err))
		s.noHistory = true
		if s.history, err = sql.Open("sqlite3", ":memory:"); err != nil { // answers every question with an error
			return nil, fault.Wrap(fault.Internal, op, err)
		}
	}
	catalog := orElse(o.CatalogPath, filepath.Join(db, "catalog.db"))
	if s.catalog, err = lookAt(catalog); err == nil {
		s.tables, err = lookAtTables(s.catalog, filepath.Join(dir, "warehouse"), s.hook, s.removing)
	}
	if err != nil {
		s.unreadable = append(s.unreadable, unreadableDB(catalog, err))
	}
	return s, nil
}

func unreadableDB(path string, err error) Damage {
	return Damage{Kind: fault.Corrupt, Object: filepath.Base(path), File: path, Hint: hintRestore, Detail: "it cannot be read: " + err.Error()}
}

// lookAt opens a database that must be there, for reading beside its writer.
func lookAt(path string) (*sql.DB, error) {
	q := url.Values{"mode": {"rw"}, "_query_only": {"1"}, "_busy_timeout": {"10000"}}
	db, err := sql.Open("sqlite3", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	var verdict string
	if err := db.QueryRowContext(context.Background(), "pragma quick_check(1)").Scan(&verdict); err != nil {
		db.Close()
		return nil, err
	}
	if verdict != "ok" {
		db.Close()
		return nil, fault.New(fault.Corrupt, "lake.Look", "SQLite says: %s", verdict)
	}
	return db, nil
}
