// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"fathom.dev/fathom/internal/fault"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// migrate applies the files schema/NNNN.sql that the database has not seen; PRAGMA user_version counts them. Each file
// is applied whole or not at all, and never changes once released.
func migrate(db *sql.DB) error {
	files, err := fs.Glob(schemaFiles, "schema/*.sql")
	if err != nil {
		return fault.Wrap(fault.Internal, "tracking.migrate", err)
	}
	var have int
	if err := db.QueryRow("PRAGMA user_version").Scan(&have); err != nil {
		return storeError("tracking.migrate", err)
	}
	if have > len(files) {
		return fault.New(fault.Corrupt, "tracking.migrate", "the database has schema %d, this Fathom knows %d", have, len(files)).
			WithHint("start the newer version that wrote it, or restore a backup")
	}
	for i := have; i < len(files); i++ {
		if err := applySchema(db, files[i], i+1); err != nil {
			return storeError("tracking.migrate "+files[i], err)
		}
	}
	return nil
}

func applySchema(db *sql.DB, file string, version int) error {
	text, err := schemaFiles.ReadFile(file)
	if err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec(string(text)); err != nil {
		return err
	}
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	return tx.Commit()
}
