// SPDX-License-Identifier: Apache-2.0

package mlflow

import "fathom.dev/fathom/internal/tracking"

func (d *door) experimentRoutes() []route {
	const path = "/api/2.0/mlflow/experiments/"
	return []route{
		{method: "POST", path: path + "create", verb: create, handler: serve(d, createExperiment)},
		{method: "GET", path: path + "get", verb: get, handler: serve(d, getExperiment), pods: ownExperiment},
		{method: "GET", path: path + "get-by-name", verb: get, handler: serve(d, getExperimentByName), pods: ownExperiment},
		{method: "POST", path: path + "search", verb: get, handler: serve(d, searchExperiments)},
		{method: "GET", path: path + "search", verb: get, handler: serve(d, searchExperiments)},
		{method: "POST", path: path + "update", verb: update, handler: serve(d, updateExperiment)},
		{method: "POST", path: path + "delete", verb: remove, handler: serve(d, deleteExperiment)},
		{method: "POST", path: path + "restore", verb: update, handler: serve(d, restoreExperiment)},
		{method: "POST", path: path + "set-experiment-tag", verb: update, handler: serve(d, setExperimentTag)},
		{method: "POST", path: path + "delete-experiment-tag", verb: update, handler: serve(d, deleteExperimentTag)},
	}
}

type experimentMessage struct {
	ID       string `json:"experiment_id"`
	Name     string `json:"name"`
	Location string `json:"artifact_location"`
	Stage    string `json:"lifecycle_stage"`
	Updated  int64  `json:"last_update_time"`
	Created  int64  `json:"creation_time"`
	Tags     []pair `json:"tags,omitempty"`
}

func fromExperiment(e tracking.Experiment) experimentMessage {
	return experimentMessage{e.ID, e.Name, e.Location, stage(e.Deleted), e.Updated, e.Created, fromTags(e.Tags)}
}

type experimentAnswer struct {
	Experiment experimentMessage `json:"experiment"`
}

type createExperimentMessage struct {
	Name     string `json:"name"`
	Location string `json:"artifact_location"`
	Tags     []pair `json:"tags"`
}

func createExperiment(c call, in *createExperimentMessage) (any, error) {
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	id, err := c.ws.CreateExperiment(c, in.Name, in.Location, toTags(in.Tags))
	return map[string]string{"experiment_id": id}, err
}

type experimentIDMessage struct {
	ID   string `json:"experiment_id"`
	Name string `json:"new_name"`
}

func getExperiment(c call, in *experimentIDMessage) (any, error) {
	if err := required("experiment_id", in.ID); err != nil {
		return nil, err
	}
	e, err := c.ws.Experiment(c, in.ID)
	return experimentAnswer{fromExperiment(e)}, err
}

type experimentNameMessage struct {
	Name string `json:"experiment_name"`
}

func getExperimentByName(c call, in *experimentNameMessage) (any, error) {
	if err := required("experiment_name", in.Name); err != nil {
		return nil, err
	}
	e, err := c.ws.ExperimentByName(c, in.Name)
	return experimentAnswer{fromExperiment(e)}, err
}

func updateExperiment(c call, in *experimentIDMessage) (any, error) {
	if err := required("experiment_id", in.ID, "new_name", in.Name); err != nil {
		return nil, err
	}
	return none{}, c.ws.RenameExperiment(c, in.ID, in.Name)
}

func deleteExperiment(c call, in *experimentIDMessage) (any, error) {
	if err := required("experiment_id", in.ID); err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteExperiment(c, in.ID)
}

func restoreExperiment(c call, in *experimentIDMessage) (any, error) {
	if err := required("experiment_id", in.ID); err != nil {
		return nil, err
	}
	return none{}, c.ws.RestoreExperiment(c, in.ID)
}

type experimentTagMessage struct {
	ID    string  `json:"experiment_id"`
	Key   string  `json:"key"`
	Value *string `json:"value"`
}

func setExperimentTag(c call, in *experimentTagMessage) (any, error) {
	if err := required("experiment_id", in.ID, "key", in.Key, "value", in.Value); err != nil {
		return nil, err
	}
	return none{}, c.ws.SetExperimentTag(c, in.ID, tracking.Tag{Key: in.Key, Value: *in.Value})
}

func deleteExperimentTag(c call, in *experimentTagMessage) (any, error) {
	if err := required("experiment_id", in.ID, "key", in.Key); err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteExperimentTag(c, in.ID, in.Key)
}

// searchMessage is what all searches have in common; a POST search of experiments says view_type, one of runs
// run_view_type.
type searchMessage struct {
	Experiments texts    `json:"experiment_ids"`
	Filter      string   `json:"filter"`
	Limit       *integer `json:"max_results"`
	Order       texts    `json:"order_by"`
	Token       string   `json:"page_token"`
	View        viewName `json:"view_type"`
	RunView     viewName `json:"run_view_type"`
}

// viewName is an enumeration's name or number.
type viewName string

// UnmarshalJSON implements [json.Unmarshaler].
func (v *viewName) UnmarshalJSON(text []byte) error {
	*v = viewName(unquoted(text))
	return nil
}

func (m *searchMessage) query() (tracking.Query, error) {
	view, err := parseView(string(m.View + m.RunView))
	if err != nil {
		return tracking.Query{}, err
	}
	if m.Limit != nil && *m.Limit < 1 {
		return tracking.Query{}, invalid("Invalid value %d for parameter 'max_results' supplied. It must be a positive integer", *m.Limit)
	}
	return tracking.Query{Experiments: m.Experiments, Filter: m.Filter, Order: m.Order, View: view,
		Limit: int(m.Limit.or(0)), Token: m.Token}, nil
}

func searchExperiments(c call, in *searchMessage) (any, error) {
	query, err := in.query()
	if err != nil {
		return nil, err
	}
	experiments, next, err := c.ws.SearchExperiments(c, query)
	list := make([]experimentMessage, len(experiments))
	for i, e := range experiments {
		list[i] = fromExperiment(e)
	}
	return struct {
		Experiments []experimentMessage `json:"experiments"`
		Next        string              `json:"next_page_token,omitempty"`
	}{list, next}, err
}
