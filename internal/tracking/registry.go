// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

// RegisteredModel is a name under which versions of a model are published. Times are milliseconds since 1970.
type RegisteredModel struct {
	Name        string // unique in the workspace
	Description string
	Created     int64
	Updated     int64
	Tags        []Tag
	Aliases     []Alias   // sorted by name
	Latest      []Version // the latest version of each stage
}

// Alias is a name that points to a version, such as "production".
type Alias struct {
	Name    string
	Version int
}

type registeredRow struct {
	RegisteredModel
	row int64
}

const registeredColumns = "SELECT id, name, description, created, updated FROM registered_models "

func scanRegistered(s scanner) (registeredRow, error) {
	var m registeredRow
	err := s.Scan(&m.row, &m.Name, &m.Description, &m.Created, &m.Updated)
	return m, err
}

// registered resolves a model's name in the workspace.
func (w *Workspace) registered(r reader, name string) (registeredRow, error) {
	if err := checkModelName(name); err != nil {
		return registeredRow{}, err
	}
	m, err := scanRegistered(r.row(registeredColumns+"WHERE workspace = ? AND name = ?", w.id, name))
	if err == sql.ErrNoRows {
		return m, notFound("Registered Model with name=%s not found", clip(name))
	}
	return m, err
}

func checkModelName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return invalid("Missing value for required parameter 'name'.")
	case strings.ContainsAny(name, "/:"):
		return invalid("Invalid model name '%s'. Names cannot contain '/' or ':'.", clip(name))
	case pathNotUnique(name) || strings.Contains(name, `\`):
		return invalid("Invalid value %q for parameter 'name' supplied: Names may be treated as files in certain cases, and must not "+
			"resolve to other names when treated as such.", clip(name))
	}
	return checkText("name", name, MaxRegisteredName)
}

func checkRegistryTags(tags []Tag) error {
	for _, tag := range tags {
		if err := checkName("key", tag.Key); err != nil {
			return err
		}
		if err := checkLength("value", tag.Value, MaxRegistryTag); err != nil {
			return err
		}
	}
	return nil
}

// CreateRegisteredModel makes a name for versions. A name that exists is a Conflict.
func (w *Workspace) CreateRegisteredModel(ctx context.Context, name, description string, tags []Tag) (RegisteredModel, error) {
	err := checkModelName(name)
	if err == nil {
		err = checkRegistryTags(tags)
	}
	if err == nil {
		err = checkLength("description", description, MaxDescription)
	}
	if err != nil {
		return RegisteredModel{}, err
	}
	var model RegisteredModel
	err = w.write(ctx, "tracking.CreateRegisteredModel", func(t *tx) error {
		_, err := w.registered(t, name)
		if err == nil {
			return exists("Registered Model (name=%s) already exists.", name)
		}
		if !isNotFound(err) {
			return err
		}
		row, err := w.addRegistered(t, name, description)
		if err == nil {
			err = setTags(t, registeredTags, row, tags)
		}
		if err == nil {
			model, err = w.wholeRegistered(t, name)
		}
		return err
	})
	return model, err
}

func (w *Workspace) addRegistered(t *tx, name, description string) (int64, error) {
	now := w.now()
	return t.insert("INSERT INTO registered_models (workspace, name, description, created, updated) VALUES (?, ?, ?, ?, ?)",
		w.id, name, description, now, now)
}

// RegisteredModel returns a model with its tags, aliases and latest versions.
func (w *Workspace) RegisteredModel(ctx context.Context, name string) (RegisteredModel, error) {
	m, err := w.wholeRegistered(w.read(ctx), name)
	return m, storeError("tracking.RegisteredModel", err)
}

func (w *Workspace) wholeRegistered(r reader, name string) (RegisteredModel, error) {
	m, err := w.registered(r, name)
	if err == nil {
		m.Tags, err = loadTags(r, registeredTags, m.row)
	}
	if err == nil {
		err = fillRegistered(r, &m)
	}
	return m.RegisteredModel, err
}

func scanAlias(s scanner) (Alias, error) {
	var a Alias
	err := s.Scan(&a.Name, &a.Version)
	return a, err
}

// fillRegistered reads a model's aliases and the latest version of each stage.
func fillRegistered(r reader, m *registeredRow) (err error) {
	m.Aliases, err = collect(r, scanAlias, "SELECT alias, version FROM aliases WHERE model = ? ORDER BY alias", m.row)
	if err != nil {
		return err
	}
	latest, err := collect(r, scanVersion, versionColumns+`WHERE v.model = ? AND v.version IN
		(SELECT max(version) FROM versions WHERE model = v.model GROUP BY stage) ORDER BY v.version`, m.row)
	if err != nil {
		return err
	}
	m.Latest = nil
	for _, v := range latest {
		if err := fillVersion(r, &v); err != nil {
			return err
		}
		m.Latest = append(m.Latest, v.Version)
	}
	return nil
}

// changeRegistered runs change on an existing model, notes the time, and returns the whole model after it.
func (w *Workspace) changeRegistered(ctx context.Context, op, name string, change func(*tx, registeredRow) (string, error)) (RegisteredModel, error) {
	var model RegisteredModel
	err := w.write(ctx, op, func(t *tx) error {
		m, err := w.registered(t, name)
		if err != nil {
			return err
		}
		if err := touchRegistered(t, m.row, w.now()); err != nil {
			return err
		}
		name, err := change(t, m)
		if err != nil || name == "" {
			return err
		}
		model, err = w.wholeRegistered(t, name)
		return err
	})
	return model, err
}

func touchRegistered(t *tx, row, now int64) error {
	_, err := t.exec("UPDATE registered_models SET updated = ? WHERE id = ?", now, row)
	return err
}

// UpdateRegisteredModel changes the description.
func (w *Workspace) UpdateRegisteredModel(ctx context.Context, name, description string) (RegisteredModel, error) {
	if err := checkLength("description", description, MaxDescription); err != nil {
		return RegisteredModel{}, err
	}
	return w.changeRegistered(ctx, "tracking.UpdateRegisteredModel", name, func(t *tx, m registeredRow) (string, error) {
		_, err := t.exec("UPDATE registered_models SET description = ? WHERE id = ?", description, m.row)
		return name, err
	})
}

// RenameRegisteredModel gives a model another name; a taken one is a Conflict.
func (w *Workspace) RenameRegisteredModel(ctx context.Context, name, to string) (RegisteredModel, error) {
	if err := checkModelName(to); err != nil {
		return RegisteredModel{}, err
	}
	return w.changeRegistered(ctx, "tracking.RenameRegisteredModel", name, func(t *tx, m registeredRow) (string, error) {
		if _, err := w.registered(t, to); err == nil && to != name {
			return "", exists("Registered Model (name=%s) already exists.", to)
		}
		_, err := t.exec("UPDATE registered_models SET name = ? WHERE id = ?", to, m.row)
		return to, err
	})
}

// DeleteRegisteredModel removes a model with its versions, tags and aliases.
func (w *Workspace) DeleteRegisteredModel(ctx context.Context, name string) error {
	_, err := w.changeRegistered(ctx, "tracking.DeleteRegisteredModel", name, func(t *tx, m registeredRow) (string, error) {
		for _, table := range []string{"registered_model_tags", "aliases", "version_tags", "versions"} {
			if _, err := t.exec("DELETE FROM "+table+" WHERE model = ?", m.row); err != nil {
				return "", err
			}
		}
		_, err := t.exec("DELETE FROM registered_models WHERE id = ?", m.row)
		return "", err
	})
	return err
}

// SetRegisteredModelTag sets a tag.
func (w *Workspace) SetRegisteredModelTag(ctx context.Context, name string, tag Tag) error {
	if err := checkRegistryTags([]Tag{tag}); err != nil {
		return err
	}
	_, err := w.changeRegistered(ctx, "tracking.SetRegisteredModelTag", name, func(t *tx, m registeredRow) (string, error) {
		return name, setTags(t, registeredTags, m.row, []Tag{tag})
	})
	return err
}

// DeleteRegisteredModelTag removes a tag; removing what is not there is allowed.
func (w *Workspace) DeleteRegisteredModelTag(ctx context.Context, name, key string) error {
	_, err := w.changeRegistered(ctx, "tracking.DeleteRegisteredModelTag", name, func(t *tx, m registeredRow) (string, error) {
		_, err := deleteTag(t, registeredTags, m.row, key)
		return name, err
	})
	return err
}

// SetAlias points an alias of a model to one of its versions, away from another. "latest" and "v1", "v2" … are reserved.
func (w *Workspace) SetAlias(ctx context.Context, name, alias string, version int) error {
	if err := checkAlias(alias); err != nil {
		return err
	}
	if strings.EqualFold(alias, "latest") {
		return invalid("'latest' alias name (case insensitive) is reserved.")
	}
	if versionPattern.MatchString(alias) {
		return invalid("Version alias name '%s' is reserved.", alias)
	}
	_, err := w.changeRegistered(ctx, "tracking.SetAlias", name, func(t *tx, m registeredRow) (string, error) {
		if _, err := version0(t, m, version); err != nil {
			return "", err
		}
		_, err := t.exec("INSERT OR REPLACE INTO aliases (model, alias, version) VALUES (?, ?, ?)", m.row, alias, version)
		return name, err
	})
	return err
}

// DeleteAlias removes an alias; removing what is not there is allowed.
func (w *Workspace) DeleteAlias(ctx context.Context, name, alias string) error {
	if err := checkAlias(alias); err != nil {
		return err
	}
	_, err := w.changeRegistered(ctx, "tracking.DeleteAlias", name, func(t *tx, m registeredRow) (string, error) {
		_, err := t.exec("DELETE FROM aliases WHERE model = ? AND alias = ?", m.row, alias)
		return name, err
	})
	return err
}

func checkAlias(alias string) error {
	if alias == "" {
		return invalid("Registered model alias name cannot be empty.")
	}
	if !aliasPattern.MatchString(alias) {
		return invalid("Invalid alias name: '%s'. Names may only contain alphanumerics, underscores (_), and dashes (-).", clip(alias))
	}
	return checkLength("Registered model alias name", alias, MaxAlias)
}

// promptTag marks registered models that are prompts; searches leave them out unless their filter names the tag.
const promptTag = "mlflow.prompt.is_prompt"

// SearchRegisteredModels returns a page of models, by default 100, by name, and the token of the next page. Filters may
// name name and tags.x.
func (w *Workspace) SearchRegisteredModels(ctx context.Context, q Query) (page []RegisteredModel, next string, err error) {
	p, err := newPager(registeredVocabulary, "registered", q, 100, MaxSearchRegistered, term{attributeKind, "name", false})
	if err != nil {
		return nil, "", err
	}
	r := w.read(ctx)
	all, err := collect(r, scanRegistered, registeredColumns+"WHERE workspace = ?", w.id)
	if err == nil {
		err = fillRegisteredTags(r, w.id, all)
	}
	if err != nil {
		return nil, "", storeError("tracking.SearchRegisteredModels", err)
	}
	all = hidePrompts(p, all, func(m registeredRow) []Tag { return m.Tags })
	rows, next := selectPage(p, all, registeredRow.fields)
	for i := range rows {
		if err := fillRegistered(r, &rows[i]); err != nil {
			return nil, "", storeError("tracking.SearchRegisteredModels", err)
		}
		page = append(page, rows[i].RegisteredModel)
	}
	return page, next, nil
}

// hidePrompts leaves prompts out unless the query names their tag; a query for what is no prompt means all others.
func hidePrompts[T any](p *pager, all []T, tags func(T) []Tag) []T {
	want := "false"
	p.clauses = slices.DeleteFunc(p.clauses, func(c clause) bool {
		if c.kind != tagKind || c.key != promptTag || c.op != "=" && c.op != "!=" {
			return false
		}
		want = strconv.FormatBool((c.text == "true") == (c.op == "="))
		return true
	})
	return slices.DeleteFunc(all, func(m T) bool { return (tagValue(tags(m), promptTag) == "true") != (want == "true") })
}

func fillRegisteredTags(r reader, workspace int64, list []registeredRow) error {
	at := map[int64]*registeredRow{}
	for i := range list {
		at[list[i].row] = &list[i]
	}
	_, err := collect(r, func(s scanner) (none struct{}, err error) {
		var row int64
		var tag Tag
		if err = s.Scan(&row, &tag.Key, &tag.Value); err == nil && at[row] != nil {
			at[row].Tags = append(at[row].Tags, tag)
		}
		return
	}, `SELECT t.model, t.key, t.value FROM registered_models m JOIN registered_model_tags t ON t.model = m.id WHERE m.workspace = ?
		ORDER BY t.model, t.key`, workspace)
	return err
}

func (m registeredRow) fields() fields {
	return fields{
		tags: m.Tags,
		text: func(string) string { return m.Name },
		number: func(attribute string) (float64, bool) {
			if attribute == "creation_timestamp" {
				return float64(m.Created), true
			}
			return float64(m.Updated), true // last_updated_timestamp and its short form timestamp
		},
	}
}
