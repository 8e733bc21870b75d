// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
)

// Publish makes sure that a registered model exists and has one version with the tag key, and returns that version: the
// existing one, unchanged, or a new one. It is for callers that may be interrupted and try again.
func (w *Workspace) Publish(ctx context.Context, name string, key Tag, n NewVersion) (Version, error) {
	n.Tags = append([]Tag{key}, n.Tags...)
	if err := n.check(); err != nil {
		return Version{}, err
	}
	var out Version
	err := w.write(ctx, "tracking.Publish", func(t *tx) error {
		m, err := w.registered(t, name)
		if isNotFound(err) {
			m.Name = name
			m.row, err = w.addRegistered(t, name, "")
		}
		if err != nil {
			return err
		}
		var version int
		err = t.row("SELECT version FROM version_tags WHERE model = ? AND key = ? AND value = ? ORDER BY version LIMIT 1", m.row, key.Key, key.Value).
			Scan(&version)
		if err == sql.ErrNoRows {
			version, err = w.addVersion(t, m, n)
		}
		if err == nil {
			out, err = w.wholeVersion(t, name, version)
		}
		return err
	})
	return out, err
}
