// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Options configures [Open].
type Options struct {
	// Path is the database file; its folder must exist. Required.
	Path string
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// ColumnBytes bounds the memory that searching may keep in columns; the least recently used experiments are
	// dropped first. Zero means 256 MiB.
	ColumnBytes int64
}

// Store is the tracking store of all workspaces. It is safe for concurrent use; open a file only once at a time.
type Store struct {
	now    func() time.Time
	pool   *pool
	writer *writer
	frames *frames

	mu         sync.Mutex
	workspaces map[string]*Workspace
}

// Workspace is one workspace's part of the store: the only way to data. Get one from [Store.In].
type Workspace struct {
	store *Store
	name  string
	id    int64
	gone  atomic.Bool // set by DeleteWorkspace
}

// Name is the workspace's name.
func (w *Workspace) Name() string { return w.name }

// Open opens or creates the database and brings its schema up to date. It fails with Corrupt when the file is not a
// database of ours or was written by a newer Fathom, and with Unavailable when it cannot be opened.
func Open(opt Options) (*Store, error) {
	if opt.Path == "" {
		return nil, fault.New(fault.Internal, "tracking.Open", "a path is required")
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.ColumnBytes == 0 {
		opt.ColumnBytes = 256 << 20
	}
	file, err := os.OpenFile(opt.Path, os.O_CREATE|os.O_RDWR, 0o600) // SQLite would let others read it
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "tracking.Open", err)
	}
	if err := file.Close(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "tracking.Open", err)
	}
	writing, err := sql.Open("sqlite3", dsn(opt.Path, "&_txlock=immediate"))
	if err != nil {
		return nil, storeError("tracking.Open", err)
	}
	if err := migrate(writing); err != nil {
		writing.Close()
		return nil, err
	}
	writer, err := newWriter(writing)
	if err != nil {
		writing.Close()
		return nil, err
	}
	reading, err := sql.Open("sqlite3", dsn(opt.Path, "&_query_only=1"))
	if err != nil {
		writer.close()
		return nil, storeError("tracking.Open", err)
	}
	reading.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	reading.SetMaxIdleConns(max(4, runtime.GOMAXPROCS(0)))
	return &Store{
		now:        opt.Now,
		pool:       &pool{db: reading},
		writer:     writer,
		frames:     newFrames(opt.ColumnBytes),
		workspaces: map[string]*Workspace{},
	}, nil
}

func dsn(path, more string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()}
	return u.String() + "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_foreign_keys=0" + more
}

// Close waits for the writes that were accepted and closes the database.
func (s *Store) Close() error {
	s.writer.close()
	return s.pool.close()
}

// Ping reports Unavailable when the database cannot be read.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return storeError("tracking.Ping", s.pool.with(ctx).row("SELECT 1").Scan(&one))
}

// In gives the workspace, which exists from then on with MLflow's experiment 0, "Default". The caller has decided that
// the workspace may exist and that the user may be there. A name that is not a DNS label is Invalid.
func (s *Store) In(ctx context.Context, name string) (*Workspace, error) {
	s.mu.Lock()
	known := s.workspaces[name]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	if !ref.IsLabel(name) {
		return nil, invalid("%q is not a workspace: use lower-case letters, digits and '-', at most 63", name)
	}
	err := s.writer.do(ctx, "tracking.In", func(t *tx) error {
		id, err := s.ensureWorkspace(t, name)
		if err != nil {
			return err
		}
		t.after(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.workspaces[name] == nil {
				s.workspaces[name] = &Workspace{store: s, name: name, id: id}
			}
			known = s.workspaces[name]
		})
		return nil
	})
	return known, err
}

func (s *Store) ensureWorkspace(t *tx, name string) (int64, error) {
	var id int64
	err := t.row("SELECT id FROM workspaces WHERE name = ?", name).Scan(&id)
	if err != sql.ErrNoRows {
		return id, err
	}
	if id, err = t.insert("INSERT INTO workspaces (name) VALUES (?)", name); err != nil {
		return 0, err
	}
	now := s.now().UnixMilli()
	_, err = t.insert("INSERT INTO experiments (workspace, number, name, location, created, updated) VALUES (?, 0, 'Default', ?, ?, ?)",
		id, artifactScheme+"/0", now, now)
	return id, err
}

// DeleteWorkspace removes everything that the workspace has here. The blobs that its artifacts named stay in the lake
// until nothing refers to them. Deleting what does not exist is not an error.
func (s *Store) DeleteWorkspace(ctx context.Context, name string) error {
	return s.writer.do(ctx, "tracking.DeleteWorkspace", func(t *tx) error {
		var id int64
		if err := t.row("SELECT id FROM workspaces WHERE name = ?", name).Scan(&id); err == sql.ErrNoRows {
			return nil
		} else if err != nil {
			return err
		}
		for _, statement := range workspaceDeletion {
			if _, err := t.exec(statement, id); err != nil {
				return err
			}
		}
		t.after(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if w := s.workspaces[name]; w != nil {
				w.gone.Store(true)
				delete(s.workspaces, name)
			}
			s.frames.dropAll()
			s.writer.forgetNames()
		})
		return nil
	})
}

// workspaceDeletion lists every table, leaves first. A test compares it with the schema.
var workspaceDeletion = func() []string {
	const runs = "SELECT id FROM runs WHERE workspace = ?"
	const experiments = "SELECT id FROM experiments WHERE workspace = ?"
	const logged = "SELECT id FROM logged_models WHERE workspace = ?"
	const registered = "SELECT id FROM registered_models WHERE workspace = ?"
	var list []string
	add := func(column, parents string, tables ...string) {
		for _, table := range tables {
			list = append(list, "DELETE FROM "+table+" WHERE "+column+" IN ("+parents+")")
		}
	}
	add("run", runs, "params", "tags", "metrics", "latest", "inputs", "run_models")
	add("experiment", experiments, "experiment_tags", "datasets")
	add("model", logged, "logged_model_params", "logged_model_tags", "logged_model_metrics")
	add("model", registered, "registered_model_tags", "aliases", "version_tags", "versions")
	add("workspace", "?", "runs", "experiments", "logged_models", "registered_models", "artifacts", "names")
	add("id", "?", "workspaces")
	return list
}()

// write runs do in the writer, unless the workspace was deleted meanwhile.
func (w *Workspace) write(ctx context.Context, op string, do func(*tx) error) error {
	return w.store.writer.do(ctx, op, func(t *tx) error {
		if w.gone.Load() {
			return notFound("the workspace %s was deleted", w.name)
		}
		return do(t)
	})
}

// read gives a reader of committed data.
func (w *Workspace) read(ctx context.Context) reader { return w.store.pool.with(ctx) }

func (w *Workspace) now() int64 { return w.store.now().UnixMilli() }
