// SPDX-License-Identifier: Apache-2.0

package mlflow

import "fathom.dev/fathom/internal/tracking"

func (d *door) registeredRoutes() []route {
	const path = "/api/2.0/mlflow/registered-models/"
	return []route{
		{method: "POST", path: path + "create", verb: create, handler: serve(d, createRegistered)},
		{method: "GET", path: path + "get", verb: get, handler: serve(d, getRegistered)},
		{method: "PATCH", path: path + "update", verb: update, handler: serve(d, updateRegistered)},
		{method: "POST", path: path + "rename", verb: update, handler: serve(d, renameRegistered)},
		{method: "DELETE", path: path + "delete", verb: remove, handler: serve(d, deleteRegistered)},
		{method: "GET", path: path + "search", verb: get, handler: serve(d, searchRegistered)},
		{method: "POST", path: path + "get-latest-versions", verb: get, handler: serve(d, getLatestVersions)},
		{method: "GET", path: path + "get-latest-versions", verb: get, handler: serve(d, getLatestVersions)},
		{method: "POST", path: path + "set-tag", verb: update, handler: serve(d, setRegisteredTag)},
		{method: "DELETE", path: path + "delete-tag", verb: update, handler: serve(d, deleteRegisteredTag)},
		{method: "GET", path: path + "alias", verb: get, handler: serve(d, getByAlias)},
		{method: "POST", path: path + "alias", verb: update, handler: serve(d, setAlias)},
		{method: "DELETE", path: path + "alias", verb: update, handler: serve(d, deleteAlias)},
	}
}

type aliasMessage struct {
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

type registeredMessage struct {
	Name        string           `json:"name"`
	Created     int64            `json:"creation_timestamp"`
	Updated     int64            `json:"last_updated_timestamp"`
	Description string           `json:"description,omitempty"`
	Latest      []versionMessage `json:"latest_versions,omitempty"`
	Tags        []pair           `json:"tags,omitempty"`
	Aliases     []aliasMessage   `json:"aliases,omitempty"`
}

func fromRegistered(m tracking.RegisteredModel) registeredMessage {
	out := registeredMessage{Name: m.Name, Created: m.Created, Updated: m.Updated, Description: m.Description,
		Latest: fromVersions(m.Latest), Tags: fromTags(m.Tags)}
	for _, a := range m.Aliases {
		out.Aliases = append(out.Aliases, aliasMessage{a.Name, versionText(a.Version)})
	}
	return out
}

type registeredAnswer struct {
	Model registeredMessage `json:"registered_model"`
}

// registeredFields are all that requests about a registered model may have.
type registeredFields struct {
	Name        string   `json:"name"`
	NewName     string   `json:"new_name"`
	Description string   `json:"description"`
	Tags        []pair   `json:"tags"`
	Key         string   `json:"key"`
	Value       *string  `json:"value"`
	Stages      texts    `json:"stages"`
	Alias       string   `json:"alias"`
	Version     *integer `json:"version"`
}

func createRegistered(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	m, err := c.ws.CreateRegisteredModel(c, in.Name, in.Description, toTags(in.Tags))
	return registeredAnswer{fromRegistered(m)}, err
}

func getRegistered(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	m, err := c.ws.RegisteredModel(c, in.Name)
	return registeredAnswer{fromRegistered(m)}, err
}

func updateRegistered(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	m, err := c.ws.UpdateRegisteredModel(c, in.Name, in.Description)
	return registeredAnswer{fromRegistered(m)}, err
}

func renameRegistered(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name, "new_name", in.NewName); err != nil {
		return nil, err
	}
	m, err := c.ws.RenameRegisteredModel(c, in.Name, in.NewName)
	return registeredAnswer{fromRegistered(m)}, err
}

func deleteRegistered(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteRegisteredModel(c, in.Name)
}

func searchRegistered(c call, in *searchMessage) (any, error) {
	query, err := in.query()
	if err != nil {
		return nil, err
	}
	models, next, err := c.ws.SearchRegisteredModels(c, query)
	list := make([]registeredMessage, len(models))
	for i, m := range models {
		list[i] = fromRegistered(m)
	}
	return struct {
		Models []registeredMessage `json:"registered_models"`
		Next   string              `json:"next_page_token,omitempty"`
	}{list, next}, err
}

func getLatestVersions(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	versions, err := c.ws.LatestVersions(c, in.Name, in.Stages)
	return map[string]any{"model_versions": fromVersions(versions)}, err
}

func setRegisteredTag(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name, "key", in.Key, "value", in.Value); err != nil {
		return nil, err
	}
	return none{}, c.ws.SetRegisteredModelTag(c, in.Name, tracking.Tag{Key: in.Key, Value: *in.Value})
}

func deleteRegisteredTag(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name, "key", in.Key); err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteRegisteredModelTag(c, in.Name, in.Key)
}

func getByAlias(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name, "alias", in.Alias); err != nil {
		return nil, err
	}
	v, err := c.ws.VersionByAlias(c, in.Name, in.Alias)
	return versionAnswer{fromVersion(v)}, err
}

func setAlias(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name, "alias", in.Alias, "version", in.Version); err != nil {
		return nil, err
	}
	return none{}, c.ws.SetAlias(c, in.Name, in.Alias, int(*in.Version))
}

func deleteAlias(c call, in *registeredFields) (any, error) {
	if err := required("name", in.Name, "alias", in.Alias); err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteAlias(c, in.Name, in.Alias)
}
