// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"path/filepath"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Named is an artifact with the workspace that it is in.
type Named struct {
	Workspace string
	Artifact
}

// Artifacts calls each for every artifact that the database in a file names, also while a store has it open. Corrupt: the
// database is damaged; NotFound: there is none.
func Artifacts(ctx context.Context, path string, each func(Named) error) error {
	const op = "tracking.Artifacts"
	path, err := filepath.Abs(path)
	if err != nil {
		return fault.Wrap(fault.Invalid, op, err)
	}
	db, err := sql.Open("sqlite3", dsn(path, "&mode=rw&_query_only=1"))
	if err != nil {
		return fault.Wrap(fault.Corrupt, op, err)
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT w.name, a.path, a.digest, a.size FROM artifacts a JOIN workspaces w ON w.id = a.workspace
		ORDER BY 1, 2`)
	if err != nil {
		return fault.Wrap(fault.Corrupt, op, err)
	}
	defer rows.Close()
	for rows.Next() {
		var n Named
		var digest string
		if err := rows.Scan(&n.Workspace, &n.Path, &digest, &n.Size); err != nil {
			return fault.Wrap(fault.Corrupt, op, err)
		}
		n.Digest = ref.Digest(digest)
		if err := each(n); err != nil {
			return err
		}
	}
	return fault.Wrap(fault.Corrupt, op, rows.Err())
}
