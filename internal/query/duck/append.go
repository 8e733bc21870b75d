// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"context"
	"database/sql/driver"

	"github.com/duckdb/duckdb-go/v2"

	"fathom.dev/fathom/internal/fault"
)

// append fills an existing table.
func (e *Engine) append(table string, fill func(add func(...any) error) error) error {
	return e.conn.Raw(func(c any) error {
		a, err := duckdb.NewAppenderFromConn(c.(driver.Conn), "", table)
		if err != nil {
			return fault.Wrap(fault.Internal, "append to "+table, err)
		}
		err = fill(func(values ...any) error {
			row := make([]driver.Value, len(values))
			for i, v := range values {
				row[i] = v
			}
			return a.AppendRow(row...)
		})
		if closing := a.Close(); err == nil && closing != nil {
			err = fault.Wrap(fault.Internal, "append to "+table, closing)
		}
		return err
	})
}

// Fill makes a table of the given definition, for example "a VARCHAR, b BOOLEAN", with these rows.
func (e *Engine) Fill(ctx context.Context, table, definition string, rows [][]any) error {
	if err := e.Exec(ctx, "CREATE TABLE "+Ident(table)+" ("+definition+")"); err != nil {
		return err
	}
	return e.append(table, func(add func(...any) error) error {
		for _, r := range rows {
			if err := add(r...); err != nil {
				return err
			}
		}
		return nil
	})
}
