// SPDX-License-Identifier: Apache-2.0

package tracking

// tagTable names a table of key-value rows and the column of their owner. The names are ours, never a client's.
type tagTable struct{ table, owner string }

var (
	experimentTags    = tagTable{"experiment_tags", "experiment"}
	loggedModelTags   = tagTable{"logged_model_tags", "model"}
	loggedModelParams = tagTable{"logged_model_params", "model"}
	registeredTags    = tagTable{"registered_model_tags", "model"}
)

func scanTag(s scanner) (Tag, error) {
	var t Tag
	err := s.Scan(&t.Key, &t.Value)
	return t, err
}

func loadTags(r reader, from tagTable, owner int64) ([]Tag, error) {
	return collect(r, scanTag, "SELECT key, value FROM "+from.table+" WHERE "+from.owner+" = ? ORDER BY key", owner)
}

func setTags(t *tx, into tagTable, owner int64, tags []Tag) error {
	for _, tag := range tags {
		_, err := t.exec("INSERT OR REPLACE INTO "+into.table+" ("+into.owner+", key, value) VALUES (?, ?, ?)", owner, tag.Key, tag.Value)
		if err != nil {
			return err
		}
	}
	return nil
}

func deleteTag(t *tx, from tagTable, owner int64, key string) (int64, error) {
	return t.exec("DELETE FROM "+from.table+" WHERE "+from.owner+" = ? AND key = ?", owner, key)
}

func tagValue(tags []Tag, key string) string {
	for _, tag := range tags {
		if tag.Key == key {
			return tag.Value
		}
	}
	return ""
}
