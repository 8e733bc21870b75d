// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // the driver

	"fathom.dev/fathom/internal/fault"
)

// SQLite adds a database as of one moment, also while others write to it: a copy by SQLite's VACUUM INTO, which is checked and
// holds no free pages. A database that is not there is passed over. Corrupt: it is damaged.
func (w *Writer) SQLite(ctx context.Context, file, name string) error {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	copied := filepath.Join(w.scratch, "copy.db")
	defer os.Remove(copied)
	if err := copySQLite(ctx, file, copied); err != nil {
		return err
	}
	return w.File(ctx, copied, name)
}

func copySQLite(ctx context.Context, from, to string) error {
	const op = "backup"
	db, err := openSQLite(from, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "vacuum into ?", to); err != nil {
		return fault.New(fault.Corrupt, op, "%s cannot be copied: %w", from, err).WithHint("run `fathom doctor`")
	}
	if err := os.Chmod(to, 0o600); err != nil {
		return writeFault(op, err)
	}
	return CheckSQLite(ctx, to)
}

// openSQLite opens a database that is there, beside its writer.
func openSQLite(file string, readOnly bool) (*sql.DB, error) {
	q := url.Values{"mode": {"rw"}, "_busy_timeout": {"10000"}}
	if readOnly {
		q.Set("_query_only", "1") // which VACUUM INTO does not permit, though it only reads
	}
	db, err := sql.Open("sqlite3", (&url.URL{Scheme: "file", Path: file, RawQuery: q.Encode()}).String())
	return db, fault.Wrap(fault.Internal, "backup", err)
}

// CheckSQLite lets SQLite check a database's structure; Corrupt says what it found.
func CheckSQLite(ctx context.Context, file string) error {
	db, err := openSQLite(file, true)
	if err != nil {
		return err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&verdict); err != nil {
		return fault.New(fault.Corrupt, "backup", "%s cannot be read: %w", file, err)
	}
	if verdict != "ok" {
		return fault.New(fault.Corrupt, "backup", "%s is damaged: SQLite says %s", file, verdict)
	}
	return nil
}
