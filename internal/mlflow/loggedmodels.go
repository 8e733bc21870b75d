// SPDX-License-Identifier: Apache-2.0

package mlflow

import "fathom.dev/fathom/internal/tracking"

func (d *door) loggedModelRoutes() []route {
	const path = "/api/2.0/mlflow/logged-models"
	const one = path + "/{model}"
	return []route{
		{method: "POST", path: path, verb: create, handler: serve(d, createLoggedModel), pods: ownNewModel},
		{method: "POST", path: path + "/search", verb: get, handler: serve(d, searchLoggedModels)},
		{method: "GET", path: one, verb: get, handler: serve(d, getLoggedModel), pods: ownModel},
		{method: "PATCH", path: one, verb: update, handler: serve(d, finalizeLoggedModel), pods: ownModel},
		{method: "DELETE", path: one, verb: remove, handler: serve(d, deleteLoggedModel)},
		{method: "POST", path: one + "/params", verb: update, handler: serve(d, logLoggedModelParams), pods: ownModel},
		{method: "PATCH", path: one + "/tags", verb: update, handler: serve(d, setLoggedModelTags), pods: ownModel},
		{method: "DELETE", path: one + "/tags/{tag...}", verb: update, handler: serve(d, deleteLoggedModelTag), pods: ownModel},
		{method: "GET", path: one + "/artifacts/directories", verb: get, handler: serve(d, listLoggedModelArtifacts), pods: ownModel},
	}
}

type loggedModelMessage struct {
	Info struct {
		ID         string `json:"model_id"`
		Experiment string `json:"experiment_id"`
		Name       string `json:"name"`
		Created    int64  `json:"creation_timestamp_ms"`
		Updated    int64  `json:"last_updated_timestamp_ms"`
		Location   string `json:"artifact_uri"`
		Status     string `json:"status"`
		Type       string `json:"model_type,omitempty"`
		Run        string `json:"source_run_id,omitempty"`
		Message    string `json:"status_message,omitempty"`
		Tags       []pair `json:"tags,omitempty"`
	} `json:"info"`
	Data struct {
		Params  []pair          `json:"params,omitempty"`
		Metrics []metricMessage `json:"metrics,omitempty"`
	} `json:"data"`
}

func fromLoggedModel(m tracking.LoggedModel) loggedModelMessage {
	var out loggedModelMessage
	out.Info.ID, out.Info.Experiment, out.Info.Name, out.Info.Type = m.ID, m.Experiment, m.Name, m.Type
	out.Info.Created, out.Info.Updated = m.Created, m.Updated
	out.Info.Location, out.Info.Status, out.Info.Message, out.Info.Run = m.Location, m.Status, m.Message, m.Run
	out.Info.Tags, out.Data.Params = fromTags(m.Tags), fromTags(m.Params)
	for _, p := range m.Metrics {
		out.Data.Metrics = append(out.Data.Metrics, fromMetric(p.Metric, p.Run))
	}
	return out
}

type loggedModelAnswer struct {
	Model loggedModelMessage `json:"model"`
}

type createLoggedModelMessage struct {
	Experiment string `json:"experiment_id"`
	Name       string `json:"name"`
	Type       string `json:"model_type"`
	Run        string `json:"source_run_id"`
	Params     []pair `json:"params"`
	Tags       []pair `json:"tags"`
}

func createLoggedModel(c call, in *createLoggedModelMessage) (any, error) {
	if err := required("experiment_id", in.Experiment); err != nil {
		return nil, err
	}
	m, err := c.ws.CreateLoggedModel(c, tracking.NewLoggedModel{Experiment: in.Experiment, Name: in.Name, Type: in.Type, Run: in.Run,
		Params: toTags(in.Params), Tags: toTags(in.Tags)})
	return loggedModelAnswer{fromLoggedModel(m)}, err
}

func (c call) model() string { return c.r.PathValue("model") }

func getLoggedModel(c call, _ *none) (any, error) {
	m, err := c.ws.LoggedModel(c, c.model())
	return loggedModelAnswer{fromLoggedModel(m)}, err
}

// loggedStatus is a logged model's status by name or number.
type loggedStatus string

// UnmarshalJSON implements [json.Unmarshaler].
func (s *loggedStatus) UnmarshalJSON(text []byte) error {
	name := unquoted(text)
	numbers := map[string]string{"1": "LOGGED_MODEL_PENDING", "2": "LOGGED_MODEL_READY", "3": "LOGGED_MODEL_UPLOAD_FAILED"}
	if known, ok := numbers[name]; ok {
		name = known
	}
	*s = loggedStatus(name)
	return nil
}

func finalizeLoggedModel(c call, in *struct {
	Status loggedStatus `json:"status"`
}) (any, error) {
	m, err := c.ws.FinalizeLoggedModel(c, c.model(), string(in.Status))
	return loggedModelAnswer{fromLoggedModel(m)}, err
}

func deleteLoggedModel(c call, _ *none) (any, error) {
	return none{}, c.ws.DeleteLoggedModel(c, c.model())
}

func logLoggedModelParams(c call, in *struct {
	Params []pair `json:"params"`
}) (any, error) {
	return none{}, c.ws.AddLoggedModelParams(c, c.model(), toTags(in.Params))
}

func setLoggedModelTags(c call, in *struct {
	Tags []pair `json:"tags"`
}) (any, error) {
	_, err := c.ws.SetLoggedModelTags(c, c.model(), toTags(in.Tags))
	return none{}, err
}

func deleteLoggedModelTag(c call, _ *none) (any, error) {
	return none{}, c.ws.DeleteLoggedModelTag(c, c.model(), c.r.PathValue("tag"))
}

type orderMessage struct {
	Field     string `json:"field_name"`
	Ascending *bool  `json:"ascending"`
	Dataset   string `json:"dataset_name"`
	Digest    string `json:"dataset_digest"`
}

type loggedSearchMessage struct {
	Experiments texts          `json:"experiment_ids"`
	Filter      string         `json:"filter"`
	Limit       *integer       `json:"max_results"`
	Token       string         `json:"page_token"`
	Order       []orderMessage `json:"order_by"`
	Datasets    []struct {
		Name   string `json:"dataset_name"`
		Digest string `json:"dataset_digest"`
	} `json:"datasets"`
}

func searchLoggedModels(c call, in *loggedSearchMessage) (any, error) {
	query := tracking.Query{Experiments: in.Experiments, Filter: in.Filter, Limit: int(in.Limit.or(0)), Token: in.Token}
	for _, o := range in.Order {
		if o.Dataset != "" || o.Digest != "" {
			return nil, invalid("order_by with a dataset is not supported; name the dataset in 'datasets'")
		}
		direction := " ASC"
		if o.Ascending != nil && !*o.Ascending {
			direction = " DESC"
		}
		query.Order = append(query.Order, o.Field+direction)
	}
	var datasets []tracking.DatasetFilter
	for _, d := range in.Datasets {
		datasets = append(datasets, tracking.DatasetFilter{Name: d.Name, Digest: d.Digest})
	}
	models, next, err := c.ws.SearchLoggedModels(c, query, datasets)
	list := make([]loggedModelMessage, len(models))
	for i, m := range models {
		list[i] = fromLoggedModel(m)
	}
	return struct {
		Models []loggedModelMessage `json:"models"`
		Next   string               `json:"next_page_token,omitempty"`
	}{list, next}, err
}

func listLoggedModelArtifacts(c call, in *struct {
	Folder string `json:"artifact_directory_path"`
}) (any, error) {
	m, err := c.ws.LoggedModel(c, c.model())
	if err != nil {
		return nil, err
	}
	root, err := tracking.ArtifactRoot(m.Location)
	if err != nil {
		return nil, err
	}
	list, err := listBelow(c, root, in.Folder)
	return struct {
		Root  string        `json:"root_uri"`
		Files []fileMessage `json:"files"`
	}{m.Location, list}, err
}
