// SPDX-License-Identifier: Apache-2.0

package tracking

import "context"

// SearchVersions returns a page of versions of all models, by default 10000, the latest first, and the token of the next
// page. Filters may name name, version_number, run_id, source_path and tags.x; name = '…' makes it cheap.
func (w *Workspace) SearchVersions(ctx context.Context, q Query) (page []Version, next string, err error) {
	p, err := newPager(versionVocabulary, "versions", q, 10000, MaxSearchVersions,
		term{attributeKind, "last_updated_timestamp", true}, term{attributeKind, "name", false}, term{attributeKind, "version_number", true})
	if err != nil {
		return nil, "", err
	}
	r := w.read(ctx)
	where, args := "WHERE m.workspace = ?", []any{w.id}
	for _, c := range p.clauses {
		if c.kind == attributeKind && c.key == "name" && c.op == "=" {
			where, args = where+" AND m.name = ?", append(args, c.text)
			break
		}
	}
	all, err := collect(r, scanVersion, versionColumns+where, args...)
	if err == nil {
		err = fillVersionTags(r, where, args, all)
	}
	if err != nil {
		return nil, "", storeError("tracking.SearchVersions", err)
	}
	all = hidePrompts(p, all, func(v versionRow) []Tag { return v.Tags })
	rows, next := selectPage(p, all, versionRow.fields)
	for i := range rows {
		if err := fillVersion(r, &rows[i]); err != nil {
			return nil, "", storeError("tracking.SearchVersions", err)
		}
		page = append(page, rows[i].Version)
	}
	return page, next, nil
}

func fillVersionTags(r reader, where string, args []any, list []versionRow) error {
	type id struct {
		model   int64
		version int
	}
	at := map[id]*versionRow{}
	for i := range list {
		at[id{list[i].model, list[i].Version.Version}] = &list[i]
	}
	_, err := collect(r, func(s scanner) (none struct{}, err error) {
		var of id
		var tag Tag
		if err = s.Scan(&of.model, &of.version, &tag.Key, &tag.Value); err == nil && at[of] != nil {
			at[of].Tags = append(at[of].Tags, tag)
		}
		return
	}, "SELECT t.model, t.version, t.key, t.value FROM version_tags t JOIN registered_models m ON m.id = t.model "+where, args...)
	return err
}

func (v versionRow) fields() fields {
	return fields{
		tags: v.Tags,
		text: func(attribute string) string {
			switch attribute {
			case "name":
				return v.Model
			case "run_id":
				return v.Run
			}
			return v.Source
		},
		number: func(attribute string) (float64, bool) {
			switch attribute {
			case "version_number":
				return float64(v.Version.Version), true
			case "creation_timestamp":
				return float64(v.Created), true
			}
			return float64(v.Updated), true
		},
	}
}
