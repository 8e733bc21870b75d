// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Options says where a lake is.
type Options struct {
	Dir         string           // holds blobs/ and warehouse/; made if absent; required; Iceberg keeps it as an absolute path
	CatalogPath string           // the Iceberg SQL catalog, a SQLite file; "" means Dir/../db/catalog.db
	HistoryPath string           // versions, runs and lineage, a SQLite file; "" means Dir/../db/lineage.db
	Now         func() time.Time // nil means time.Now
}

// Store is an open lake.
type Store struct {
	blobDir, tmpDir string
	catalog         *sql.DB
	history         *sql.DB
	tables          *tables
	now             func() time.Time
	atPoint         func(string) // tests stop a commit here; nil otherwise

	trust      trusted
	looking    bool     // opened by Look
	unreadable []Damage // what Look could not open
	noHistory  bool     // the history is among that

	sweeping sync.RWMutex // held by a sweep while it looks at a blob's time and removes it

	mu    sync.Mutex
	locks map[ref.Name]chan struct{} // one writer a dataset
}

// Open opens or makes the lake and finishes or forgets what an interrupted commit left. Invalid: an unusable folder;
// Corrupt: a database or a table's metadata cannot be read; Conflict: a newer program wrote the history.
func Open(o Options) (*Store, error) {
	return open(o, nil)
}

func open(o Options, atPoint func(string)) (*Store, error) {
	const op = "lake.Open"
	if o.Dir == "" {
		return nil, fault.New(fault.Invalid, op, "Options.Dir is empty")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	if strings.ContainsAny(dir, "%?#") {
		return nil, fault.New(fault.Invalid, op, "%q cannot hold a lake: table formats misread '%%', '?' and '#' in paths", dir)
	}
	s := &Store{
		blobDir: filepath.Join(dir, "blobs"), tmpDir: filepath.Join(dir, "blobs", "tmp"),
		now: o.Now, atPoint: atPoint, locks: map[ref.Name]chan struct{}{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.openStores(o, dir); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) openStores(o Options, dir string) error {
	if err := os.RemoveAll(s.tmpDir); err != nil {
		return diskFault("lake.Open", err)
	}
	if err := makeDir(s.tmpDir); err != nil {
		return diskFault("lake.Open", err)
	}
	db := filepath.Join(filepath.Dir(dir), "db")
	var err error
	if s.history, err = openHistory(orElse(o.HistoryPath, filepath.Join(db, "lineage.db"))); err != nil {
		return err
	}
	if s.catalog, err = openSQLite(orElse(o.CatalogPath, filepath.Join(db, "catalog.db"))); err != nil {
		return err
	}
	if s.tables, err = openTables(s.catalog, filepath.Join(dir, "warehouse"), s.hook, s.removing); err != nil {
		return fault.Wrap(fault.Corrupt, "lake.Open", err)
	}
	return s.reconcileAll(context.Background())
}

// Close releases the lake's files.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.catalog, s.history} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *Store) hook(point string) {
	if s.atPoint != nil {
		s.atPoint(point)
	}
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
