// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"fathom.dev/fathom/internal/fault"
)

// maxGroup bounds the writes of one transaction, so that the first of them does not wait for ever.
const maxGroup = 512

// writer owns the one connection that writes, and commits whatever is waiting as one transaction.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt

	queue   chan *write
	stopped chan struct{}
	closing sync.RWMutex // held for reading while sending to queue
	closed  bool

	names     map[nameKey]int64 // committed names only
	savepoint [3]*sql.Stmt      // begin, rollback to, release
}

type nameKey struct {
	workspace int64
	name      string
}

// write is one caller's wish and its outcome.
type write struct {
	op    string
	do    func(*tx) error
	after []func()
	err   error
	done  chan struct{}
}

// tx is what a write sees of the transaction. It must not be kept.
type tx struct {
	writer *writer
	write  *write
}

func newWriter(db *sql.DB) (*writer, error) {
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, storeError("tracking.Open", err)
	}
	w := &writer{
		db: db, conn: conn, stmts: map[string]*sql.Stmt{}, names: map[nameKey]int64{},
		queue: make(chan *write, maxGroup), stopped: make(chan struct{}),
	}
	for i, text := range []string{"SAVEPOINT op", "ROLLBACK TO op", "RELEASE op"} {
		if w.savepoint[i], err = w.prepare(text); err != nil {
			db.Close()
			return nil, storeError("tracking.Open", err)
		}
	}
	go w.run()
	return w, nil
}

// do queues the write and waits until it is on disk. Once it is queued it waits for the outcome, whatever ctx does.
func (w *writer) do(ctx context.Context, op string, do func(*tx) error) error {
	one := &write{op: op, do: do, done: make(chan struct{})}
	w.closing.RLock()
	if w.closed {
		w.closing.RUnlock()
		return fault.New(fault.Unavailable, op, "the tracking store is closed")
	}
	select {
	case w.queue <- one:
		w.closing.RUnlock()
	case <-ctx.Done():
		w.closing.RUnlock()
		return fault.Wrap(fault.Unavailable, op, ctx.Err())
	}
	<-one.done
	return storeError(op, one.err)
}

func (w *writer) close() {
	w.closing.Lock()
	already := w.closed
	w.closed = true
	w.closing.Unlock()
	if already {
		return
	}
	close(w.queue)
	<-w.stopped
	for _, s := range w.stmts {
		s.Close()
	}
	w.conn.Close()
	w.db.Close()
}

func (w *writer) run() {
	defer close(w.stopped)
	for first := range w.queue {
		group := []*write{first}
		for len(group) < maxGroup {
			select {
			case next, ok := <-w.queue:
				if !ok {
					w.commit(group)
					return
				}
				group = append(group, next)
				continue
			default:
			}
			break
		}
		w.commit(group)
	}
}

// commit runs the group in one transaction, makes it durable, tells the columns and then the callers.
func (w *writer) commit(group []*write) {
	err := w.command("BEGIN IMMEDIATE")
	if err == nil {
		for _, one := range group {
			one.err = w.apply(one)
		}
		if err = w.command("COMMIT"); err != nil {
			_ = w.command("ROLLBACK")
		}
	}
	for _, one := range group {
		if one.err == nil {
			one.err = err
		}
		if one.err == nil {
			for _, f := range one.after {
				f()
			}
		}
		close(one.done)
	}
}

func (w *writer) command(text string) error {
	stmt, err := w.prepare(text)
	if err == nil {
		_, err = stmt.Exec()
	}
	return err
}

// apply runs one write inside a savepoint; a panic counts as its failure.
func (w *writer) apply(one *write) (err error) {
	if _, err := w.savepoint[0].Exec(); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, one.op, "%v", p)
		}
		if err != nil {
			if _, undo := w.savepoint[1].Exec(); undo != nil {
				err = fmt.Errorf("%w (and undoing it: %v)", err, undo)
			}
		}
		if _, release := w.savepoint[2].Exec(); err == nil {
			err = release
		}
	}()
	return one.do(&tx{writer: w, write: one})
}

func (w *writer) prepare(query string) (*sql.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.stmts[query] = s
	}
	return s, err
}

// forgetNames empties the cache of interned names; it runs in the writer.
func (w *writer) forgetNames() { clear(w.names) }

// after registers what must happen once the write is on disk, before its caller hears of it.
func (t *tx) after(f func()) { t.write.after = append(t.write.after, f) }

func (t *tx) row(query string, args ...any) scanner {
	stmt, err := t.writer.prepare(query)
	if err != nil {
		return failed{err}
	}
	return stmt.QueryRow(args...)
}

func (t *tx) rows(query string, args ...any) (*sql.Rows, error) {
	stmt, err := t.writer.prepare(query)
	if err != nil {
		return nil, err
	}
	return stmt.Query(args...)
}

// exec returns the number of rows that changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	stmt, err := t.writer.prepare(query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.Exec(args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// insert returns the id of the new row.
func (t *tx) insert(query string, args ...any) (int64, error) {
	stmt, err := t.writer.prepare(query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.Exec(args...)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// name interns a key of the workspace.
func (t *tx) name(workspace int64, name string) (int64, error) {
	key := nameKey{workspace, name}
	if id, ok := t.writer.names[key]; ok {
		return id, nil
	}
	var id int64
	err := t.row("SELECT id FROM names WHERE workspace = ? AND name = ?", workspace, name).Scan(&id)
	if err == sql.ErrNoRows {
		id, err = t.insert("INSERT INTO names (workspace, name) VALUES (?, ?)", workspace, name)
	}
	if err != nil {
		return 0, err
	}
	t.after(func() {
		if len(t.writer.names) > 1<<16 { // a cache, not a copy
			clear(t.writer.names)
		}
		t.writer.names[key] = id
	})
	return id, nil
}
