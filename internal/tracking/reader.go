// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/mattn/go-sqlite3"

	"fathom.dev/fathom/internal/fault"
)

// reader is what a transaction and the pool of reading connections have in common.
type reader interface {
	row(query string, args ...any) scanner
	rows(query string, args ...any) (*sql.Rows, error)
}

type scanner interface{ Scan(into ...any) error }

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// pool reads committed data through several connections, with every statement prepared once.
type pool struct {
	db    *sql.DB
	stmts sync.Map // query → *sql.Stmt
}

func (p *pool) with(ctx context.Context) reader { return pooled{p, ctx} }

func (p *pool) close() error {
	p.stmts.Range(func(_, s any) bool { return s.(*sql.Stmt).Close() == nil })
	return p.db.Close()
}

func (p *pool) prepare(query string) (*sql.Stmt, error) {
	if s, ok := p.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.db.Prepare(query)
	if err != nil {
		return nil, err
	}
	if first, loaded := p.stmts.LoadOrStore(query, s); loaded {
		s.Close()
		return first.(*sql.Stmt), nil
	}
	return s, nil
}

type pooled struct {
	pool *pool
	ctx  context.Context
}

func (p pooled) row(query string, args ...any) scanner {
	stmt, err := p.pool.prepare(query)
	if err != nil {
		return failed{err}
	}
	return stmt.QueryRowContext(p.ctx, args...)
}

func (p pooled) rows(query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.pool.prepare(query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(p.ctx, args...)
}

// collect scans all rows of a query with one scan function.
func collect[T any](r reader, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := r.rows(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// storeError gives an error of the database its kind; an error that has one keeps it, text and all.
func storeError(op string, err error) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	kind := fault.KindOf(err)
	var db sqlite3.Error
	if errors.As(err, &db) {
		switch db.Code {
		case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
			kind = fault.Corrupt
		case sqlite3.ErrFull:
			kind = fault.Exhausted
		case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly, sqlite3.ErrInterrupt:
			kind = fault.Unavailable
		}
	}
	return &fault.Error{Kind: kind, Op: op, Err: err}
}
