// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"strconv"

	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/tracking"
)

func (d *door) versionRoutes() []route {
	const path = "/api/2.0/mlflow/model-versions/"
	return []route{
		{method: "POST", path: path + "create", verb: create, handler: serve(d, createVersion)},
		{method: "GET", path: path + "get", verb: get, handler: serve(d, getVersion)},
		{method: "PATCH", path: path + "update", verb: update, handler: serve(d, updateVersion)},
		{method: "DELETE", path: path + "delete", verb: remove, handler: serve(d, deleteVersion)},
		{method: "GET", path: path + "search", verb: get, handler: serve(d, searchVersions)},
		{method: "GET", path: path + "get-download-uri", verb: get, handler: serve(d, getDownloadURI)},
		{method: "POST", path: path + "transition-stage", verb: update, handler: serve(d, transitionStage)},
		{method: "POST", path: path + "set-tag", verb: update, handler: serve(d, setVersionTag)},
		{method: "DELETE", path: path + "delete-tag", verb: update, handler: serve(d, deleteVersionTag)},
	}
}

type versionMessage struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Created     int64    `json:"creation_timestamp"`
	Updated     int64    `json:"last_updated_timestamp"`
	User        string   `json:"user_id,omitempty"`
	Stage       string   `json:"current_stage"`
	Description string   `json:"description,omitempty"`
	Source      string   `json:"source"`
	Run         string   `json:"run_id,omitempty"`
	Status      string   `json:"status"`
	Tags        []pair   `json:"tags,omitempty"`
	RunLink     string   `json:"run_link,omitempty"`
	Aliases     []string `json:"aliases,omitempty"`
	LoggedModel string   `json:"model_id,omitempty"`
}

func versionText(version int) string { return strconv.Itoa(version) }

func fromVersion(v tracking.Version) versionMessage {
	return versionMessage{v.Model, versionText(v.Version), v.Created, v.Updated, v.User, v.Stage, v.Description, v.Source, v.Run, "READY",
		fromTags(v.Tags), v.RunLink, v.Aliases, v.LoggedModel}
}

func fromVersions(versions []tracking.Version) []versionMessage {
	list := make([]versionMessage, len(versions))
	for i, v := range versions {
		list[i] = fromVersion(v)
	}
	return list
}

type versionAnswer struct {
	Version versionMessage `json:"model_version"`
}

func createVersion(c call, in *struct {
	Name        string `json:"name"`
	Source      string `json:"source"`
	Run         string `json:"run_id"`
	RunLink     string `json:"run_link"`
	Description string `json:"description"`
	LoggedModel string `json:"model_id"`
	Tags        []pair `json:"tags"`
}) (any, error) {
	if err := required("name", in.Name, "source", in.Source); err != nil {
		return nil, err
	}
	v, err := c.ws.CreateVersion(c, in.Name, tracking.NewVersion{Source: in.Source, Run: in.Run, RunLink: in.RunLink, Description: in.Description,
		LoggedModel: in.LoggedModel, User: identity.UserFrom(c).Name, Tags: toTags(in.Tags)})
	return versionAnswer{fromVersion(v)}, err
}

// versionFields are all that requests about an existing version may have.
type versionFields struct {
	Name        string   `json:"name"`
	Version     *integer `json:"version"`
	Description string   `json:"description"`
	Stage       string   `json:"stage"`
	Archive     bool     `json:"archive_existing_versions"`
	Key         string   `json:"key"`
	Value       *string  `json:"value"`
}

func (in *versionFields) version() (int, error) {
	return int(in.Version.or(0)), required("name", in.Name, "version", in.Version)
}

func getVersion(c call, in *versionFields) (any, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	v, err := c.ws.Version(c, in.Name, version)
	return versionAnswer{fromVersion(v)}, err
}

func updateVersion(c call, in *versionFields) (any, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	v, err := c.ws.UpdateVersion(c, in.Name, version, in.Description)
	return versionAnswer{fromVersion(v)}, err
}

func deleteVersion(c call, in *versionFields) (any, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteVersion(c, in.Name, version)
}

func searchVersions(c call, in *searchMessage) (any, error) {
	query, err := in.query()
	if err != nil {
		return nil, err
	}
	versions, next, err := c.ws.SearchVersions(c, query)
	return struct {
		Versions []versionMessage `json:"model_versions"`
		Next     string           `json:"next_page_token,omitempty"`
	}{fromVersions(versions), next}, err
}

func getDownloadURI(c call, in *versionFields) (any, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	v, err := c.ws.Version(c, in.Name, version)
	return map[string]string{"artifact_uri": v.Location}, err
}

func transitionStage(c call, in *versionFields) (any, error) {
	version, err := in.version()
	if err == nil {
		err = required("stage", in.Stage)
	}
	if err != nil {
		return nil, err
	}
	v, err := c.ws.TransitionStage(c, in.Name, version, in.Stage, in.Archive)
	return versionAnswer{fromVersion(v)}, err
}

func setVersionTag(c call, in *versionFields) (any, error) {
	version, err := in.version()
	if err == nil {
		err = required("key", in.Key, "value", in.Value)
	}
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.SetVersionTag(c, in.Name, version, tracking.Tag{Key: in.Key, Value: *in.Value})
}

func deleteVersionTag(c call, in *versionFields) (any, error) {
	version, err := in.version()
	if err == nil {
		err = required("key", in.Key)
	}
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteVersionTag(c, in.Name, version, in.Key)
}
