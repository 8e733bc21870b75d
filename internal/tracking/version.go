// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

// Version is an immutable version of a registered model.
type Version struct {
	Model       string
	Version     int // 1, 2, 3 …; never given twice
	Description string
	User        string // who published it, as the caller proved
	Stage       string // None, Staging, Production or Archived; deprecated by MLflow, aliases replace it
	Source      string // what the client named: "models:/m-…", "runs:/…" or "mlflow-artifacts:/…"
	Location    string // where its artifacts are: "mlflow-artifacts:/…"
	Run         string
	RunLink     string
	LoggedModel string // id
	Created     int64
	Updated     int64
	Tags        []Tag
	Aliases     []string
}

// NewVersion describes a version to publish.
type NewVersion struct {
	Source, Run, RunLink, Description, LoggedModel, User string
	Tags                                                 []Tag
}

var stages = []string{"None", "Staging", "Production", "Archived"}

type versionRow struct {
	Version
	model int64
}

const versionColumns = `SELECT v.model, m.name, v.version, v.description, v.user, v.stage, v.source, v.location, v.run, v.link, v.logged,
	v.created, v.updated FROM versions v JOIN registered_models m ON m.id = v.model `

func scanVersion(s scanner) (versionRow, error) {
	var v versionRow
	err := s.Scan(&v.model, &v.Model, &v.Version.Version, &v.Description, &v.User, &v.Stage, &v.Source, &v.Location, &v.Run, &v.RunLink,
		&v.LoggedModel, &v.Created, &v.Updated)
	return v, err
}

// version0 reads a version of a model that the workspace resolved, without tags and aliases.
func version0(r reader, m registeredRow, version int) (versionRow, error) {
	v, err := scanVersion(r.row(versionColumns+"WHERE v.model = ? AND v.version = ?", m.row, version))
	if err == sql.ErrNoRows {
		return v, notFound("Model Version (name=%s, version=%d) not found", m.Name, version)
	}
	return v, err
}

func fillVersion(r reader, v *versionRow) (err error) {
	v.Tags, err = collect(r, scanTag, "SELECT key, value FROM version_tags WHERE model = ? AND version = ? ORDER BY key", v.model, v.Version.Version)
	if err != nil {
		return err
	}
	v.Aliases, err = collect(r, func(s scanner) (string, error) {
		var name string
		err := s.Scan(&name)
		return name, err
	}, "SELECT alias FROM aliases WHERE model = ? AND version = ? ORDER BY alias", v.model, v.Version.Version)
	return err
}

func (w *Workspace) wholeVersion(r reader, name string, version int) (Version, error) {
	m, err := w.registered(r, name)
	if err != nil {
		return Version{}, err
	}
	v, err := version0(r, m, version)
	if err == nil {
		err = fillVersion(r, &v)
	}
	return v.Version, err
}

// CreateVersion publishes the next version of a registered model. Only the workspace's own models can be its source.
func (w *Workspace) CreateVersion(ctx context.Context, name string, n NewVersion) (Version, error) {
	if err := n.check(); err != nil {
		return Version{}, err
	}
	var out Version
	_, err := w.changeRegistered(ctx, "tracking.CreateVersion", name, func(t *tx, m registeredRow) (string, error) {
		version, err := w.addVersion(t, m, n)
		if err == nil {
			out, err = w.wholeVersion(t, name, version)
		}
		return name, err
	})
	return out, err
}

func (n NewVersion) check() error {
	if err := checkRegistryTags(n.Tags); err != nil {
		return err
	}
	if err := checkLength("description", n.Description, MaxDescription); err != nil {
		return err
	}
	return checkText("run_link", n.RunLink, MaxRunName)
}

func (w *Workspace) addVersion(t *tx, m registeredRow, n NewVersion) (int, error) {
	location, err := w.resolveSource(t, &n)
	if err != nil {
		return 0, err
	}
	now := w.now()
	var version int
	err = t.row("UPDATE registered_models SET last = last + 1, updated = ? WHERE id = ? RETURNING last", now, m.row).Scan(&version)
	if err != nil {
		return 0, err
	}
	_, err = t.exec(`INSERT INTO versions (model, version, description, user, stage, source, location, run, link, logged, created, updated)
		VALUES (?, ?, ?, ?, 'None', ?, ?, ?, ?, ?, ?, ?)`,
		m.row, version, n.Description, n.User, n.Source, location, n.Run, n.RunLink, n.LoggedModel, now, now)
	if err != nil {
		return 0, err
	}
	return version, setVersionTags(t, m.row, version, n.Tags)
}

// resolveSource finds where the artifacts of a source are, and the run and logged model it came from. Only sources in
// this workspace exist: no path of a file system, no other server.
func (w *Workspace) resolveSource(r reader, n *NewVersion) (string, error) {
	wrong := invalid("Invalid model version source: '%s'. Use models:/<model id>, models:/<name>/<version>, runs:/<run id>/<path> or "+
		"mlflow-artifacts:/<path>.", clip(n.Source))
	if n.Run != "" {
		if _, err := w.run(r, n.Run); err != nil {
			return "", err
		}
	}
	if n.LoggedModel != "" {
		m, err := w.loggedModel(r, n.LoggedModel)
		if err != nil {
			return "", err
		}
		if n.Run == "" {
			n.Run = m.Run
		}
	}
	scheme, rest, found := strings.Cut(n.Source, ":/")
	rest = strings.TrimSuffix(rest, "/")
	if _, err := ArtifactPath(rest); !found || err != nil || strings.ContainsAny(rest, "?#%") {
		return "", wrong
	}
	first, more, _ := strings.Cut(rest, "/")
	switch scheme {
	case "mlflow-artifacts":
		return artifactScheme + "/" + rest, nil
	case "runs":
		run, err := w.run(r, first)
		if n.Run == "" {
			n.Run = run.ID
		}
		return strings.TrimSuffix(run.Location+"/"+more, "/"), err
	case "models":
		return w.resolveModel(r, n, first, more, wrong)
	}
	return "", wrong
}

func (w *Workspace) resolveModel(r reader, n *NewVersion, first, more string, wrong error) (string, error) {
	if strings.HasPrefix(first, "m-") && more == "" {
		m, err := w.loggedModel(r, first)
		if n.LoggedModel == "" {
			n.LoggedModel = m.ID
		}
		if n.Run == "" {
			n.Run = m.Run
		}
		return m.Location, err
	}
	version, err := strconv.Atoi(more)
	if err != nil {
		return "", wrong
	}
	v, err := w.wholeVersion(r, first, version)
	return v.Location, err
}

func setVersionTags(t *tx, model int64, version int, tags []Tag) error {
	for _, tag := range tags {
		_, err := t.exec("INSERT OR REPLACE INTO version_tags (model, version, key, value) VALUES (?, ?, ?, ?)", model, version, tag.Key, tag.Value)
		if err != nil {
			return err
		}
	}
	return nil
}

// Version returns a version; NotFound when there is none.
func (w *Workspace) Version(ctx context.Context, name string, version int) (Version, error) {
	v, err := w.wholeVersion(w.read(ctx), name, version)
	return v, storeError("tracking.Version", err)
}

// VersionByAlias returns the version that an alias points to; "latest" is the highest one. An alias that does not exist
// is Invalid, as in MLflow.
func (w *Workspace) VersionByAlias(ctx context.Context, name, alias string) (Version, error) {
	if err := checkAlias(alias); err != nil {
		return Version{}, err
	}
	r := w.read(ctx)
	m, err := w.registered(r, name)
	if err != nil {
		return Version{}, storeError("tracking.VersionByAlias", err)
	}
	var version int
	if strings.EqualFold(alias, "latest") {
		err = r.row("SELECT version FROM versions WHERE model = ? ORDER BY version DESC LIMIT 1", m.row).Scan(&version)
		if err == sql.ErrNoRows {
			return Version{}, notFound("Latest version not found for model %s.", name)
		}
	} else {
		err = r.row("SELECT version FROM aliases WHERE model = ? AND alias = ?", m.row, alias).Scan(&version)
		if err == sql.ErrNoRows {
			return Version{}, invalid("Registered model alias %s not found.", clip(alias))
		}
	}
	if err != nil {
		return Version{}, storeError("tracking.VersionByAlias", err)
	}
	return w.Version(ctx, name, version)
}

// changeVersion runs change on an existing version, notes the time on it and its model, and returns it after that.
func (w *Workspace) changeVersion(ctx context.Context, op, name string, version int, change func(*tx, versionRow) error) (Version, error) {
	var out Version
	_, err := w.changeRegistered(ctx, op, name, func(t *tx, m registeredRow) (string, error) {
		v, err := version0(t, m, version)
		if err != nil {
			return "", err
		}
		if _, err := t.exec("UPDATE versions SET updated = ? WHERE model = ? AND version = ?", w.now(), m.row, version); err != nil {
			return "", err
		}
		if err := change(t, v); err != nil {
			return "", err
		}
		out, err = w.wholeVersion(t, name, version)
		if isNotFound(err) { // it was deleted by change
			err = nil
		}
		return name, err
	})
	return out, err
}

// UpdateVersion changes the description.
func (w *Workspace) UpdateVersion(ctx context.Context, name string, version int, description string) (Version, error) {
	if err := checkLength("description", description, MaxDescription); err != nil {
		return Version{}, err
	}
	return w.changeVersion(ctx, "tracking.UpdateVersion", name, version, func(t *tx, v versionRow) error {
		_, err := t.exec("UPDATE versions SET description = ? WHERE model = ? AND version = ?", description, v.model, version)
		return err
	})
}

// DeleteVersion removes a version with its tags and the aliases that point to it.
func (w *Workspace) DeleteVersion(ctx context.Context, name string, version int) error {
	_, err := w.changeVersion(ctx, "tracking.DeleteVersion", name, version, func(t *tx, v versionRow) error {
		for _, table := range []string{"aliases", "version_tags", "versions"} {
			if _, err := t.exec("DELETE FROM "+table+" WHERE model = ? AND version = ?", v.model, version); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// SetVersionTag sets a tag.
func (w *Workspace) SetVersionTag(ctx context.Context, name string, version int, tag Tag) error {
	if err := checkRegistryTags([]Tag{tag}); err != nil {
		return err
	}
	_, err := w.changeVersion(ctx, "tracking.SetVersionTag", name, version, func(t *tx, v versionRow) error {
		return setVersionTags(t, v.model, version, []Tag{tag})
	})
	return err
}

// DeleteVersionTag removes a tag; removing what is not there is allowed.
func (w *Workspace) DeleteVersionTag(ctx context.Context, name string, version int, key string) error {
	_, err := w.changeVersion(ctx, "tracking.DeleteVersionTag", name, version, func(t *tx, v versionRow) error {
		_, err := t.exec("DELETE FROM version_tags WHERE model = ? AND version = ? AND key = ?", v.model, version, key)
		return err
	})
	return err
}

// TransitionStage moves a version to a stage; with archive, the others in that stage go to Archived.
func (w *Workspace) TransitionStage(ctx context.Context, name string, version int, stage string, archive bool) (Version, error) {
	stage, err := canonicalStage(stage)
	if err != nil {
		return Version{}, err
	}
	if archive && stage != "Staging" && stage != "Production" {
		return Version{}, invalid("Model version transition cannot archive existing model versions because '%s' is not an Active stage. "+
			"Valid stages are [Staging Production]", stage)
	}
	return w.changeVersion(ctx, "tracking.TransitionStage", name, version, func(t *tx, v versionRow) error {
		if archive {
			_, err := t.exec("UPDATE versions SET stage = 'Archived', updated = ? WHERE model = ? AND version <> ? AND stage = ?",
				w.now(), v.model, version, stage)
			if err != nil {
				return err
			}
		}
		_, err := t.exec("UPDATE versions SET stage = ? WHERE model = ? AND version = ?", stage, v.model, version)
		return err
	})
}

func canonicalStage(stage string) (string, error) {
	i := slices.IndexFunc(stages, func(s string) bool { return strings.EqualFold(s, stage) })
	if i < 0 {
		return "", invalid("Invalid Model Version stage: %s. Value must be one of None, Staging, Production, Archived.", clip(stage))
	}
	return stages[i], nil
}

// LatestVersions returns the latest version in each of the stages; without stages, in all.
func (w *Workspace) LatestVersions(ctx context.Context, name string, in []string) ([]Version, error) {
	want := map[string]bool{}
	for _, stage := range in {
		canonical, err := canonicalStage(stage)
		if err != nil {
			return nil, err
		}
		want[canonical] = true
	}
	m, err := w.RegisteredModel(ctx, name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(m.Latest, func(v Version) bool { return len(in) > 0 && !want[v.Stage] }), nil
}
