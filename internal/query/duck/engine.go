// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// Options say what an Engine may use.
type Options struct {
	Limits  query.Limits
	Folders []string // the only folders that may be read or written, besides Limits.Temp
}

// Engine is one DuckDB database in memory with one connection; it is not safe for concurrent use.
type Engine struct {
	db   *sql.DB
	conn *sql.Conn
}

// settings make results repeatable and keep the engine inside its folders.
var settings = []string{
	"SET TimeZone = 'UTC'",
	"SET preserve_insertion_order = true",
	"SET autoinstall_known_extensions = false",
	"SET autoload_known_extensions = false",
	"SET allow_community_extensions = false",
	"SET errors_as_json = true",
	"SET enable_progress_bar = false",
}

// Open starts an engine. From the first statement on it can reach nothing but its folders.
func Open(ctx context.Context, opt Options) (*Engine, error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "start SQL engine", err)
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, fault.Wrap(fault.Internal, "start SQL engine", err)
	}
	e := &Engine{db: db, conn: conn}
	if err := e.configure(ctx, opt); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) configure(ctx context.Context, opt Options) error {
	statements := append([]string{}, settings...)
	threads := max(opt.Limits.Threads, 1)
	statements = append(statements, fmt.Sprintf("SET threads = %d", threads))
	if opt.Limits.Memory != "" {
		statements = append(statements, "SET memory_limit = "+Text(opt.Limits.Memory))
	}
	temp := opt.Limits.Temp
	if temp == "" {
		temp = os.TempDir()
	}
	temp = filepath.Join(temp, fmt.Sprintf("fathom-spill-%d", os.Getpid()))
	statements = append(statements, "SET temp_directory = "+Text(temp))
	if dirs := quoteAll(realFolders(opt.Folders)); len(dirs) > 0 {
		statements = append(statements, "SET allowed_directories = ["+strings.Join(dirs, ", ")+"]")
	}
	statements = append(statements, "SET enable_external_access = false")
	for _, s := range statements {
		if err := e.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// realFolders are the folders and what they and their direct entries link to: inputs are often staged as links, and the
// engine looks at where a link leads.
func realFolders(folders []string) []string {
	list := slices.Clone(folders)
	for _, folder := range folders {
		entries, _ := os.ReadDir(folder) // a missing folder gives access to nothing
		paths := []string{folder}
		for _, entry := range entries {
			if entry.Type()&os.ModeSymlink != 0 {
				paths = append(paths, filepath.Join(folder, entry.Name()))
			}
		}
		for _, path := range paths {
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				continue
			}
			if info, err := os.Stat(real); err == nil && !info.IsDir() {
				real = filepath.Dir(real)
			}
			list = append(list, real)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Lock freezes the settings. Call it before running a statement that a person wrote.
func (e *Engine) Lock(ctx context.Context) error {
	return e.Exec(ctx, "SET lock_configuration = true")
}

// Close frees the engine and its memory.
func (e *Engine) Close() error {
	e.conn.Close()
	return e.db.Close()
}

// Exec runs a statement of ours that answers nothing.
func (e *Engine) Exec(ctx context.Context, statement string, args ...any) error {
	if _, err := e.conn.ExecContext(ctx, statement, args...); err != nil {
		return translate(err)
	}
	return nil
}

// Each runs a query of ours and calls row for every row; scan fills the given pointers.
func (e *Engine) Each(ctx context.Context, statement string, row func(scan func(...any) error) error) error {
	rows, err := e.conn.QueryContext(ctx, statement)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	return nil
}

// One runs a query of ours that answers one row.
func (e *Engine) One(ctx context.Context, statement string, into ...any) error {
	if err := e.conn.QueryRowContext(ctx, statement).Scan(into...); err != nil {
		return translate(err)
	}
	return nil
}

const describePrefix = "DESCRIBE "

// Describe lists the columns of a table or of a query.
func (e *Engine) Describe(ctx context.Context, table string) ([]query.Column, error) {
	var cols []query.Column
	err := e.Each(ctx, describePrefix+table, func(scan func(...any) error) error {
		var c query.Column
		var rest [4]any
		if err := scan(&c.Name, &c.Type, &rest[0], &rest[1], &rest[2], &rest[3]); err != nil {
			return err
		}
		cols = append(cols, c)
		return nil
	})
	return cols, err
}

// Ident quotes a name for SQL.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Text quotes a string for SQL.
func Text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func quoteAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = Text(s)
	}
	return out
}
