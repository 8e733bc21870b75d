// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/tracking"
)

func (d *door) runRoutes() []route {
	const path = "/api/2.0/mlflow/runs/"
	return []route{
		{method: "POST", path: path + "create", verb: create, handler: serve(d, createRun), pods: ownChild},
		{method: "GET", path: path + "get", verb: get, handler: serve(d, getRun), pods: ownRun},
		{method: "POST", path: path + "update", verb: update, handler: serve(d, updateRun), pods: ownRun},
		{method: "POST", path: path + "delete", verb: remove, handler: serve(d, deleteRun)},
		{method: "POST", path: path + "restore", verb: update, handler: serve(d, restoreRun)},
		{method: "POST", path: path + "search", verb: get, handler: serve(d, searchRuns)},
		{method: "POST", path: path + "set-tag", verb: update, handler: serve(d, setRunTag), pods: all(ownRun, freeTags)},
		{method: "POST", path: path + "delete-tag", verb: update, handler: serve(d, deleteRunTag), pods: all(ownRun, freeTags)},
		{method: "POST", path: path + "log-parameter", verb: update, handler: serve(d, logParameter), pods: ownRun},
	}
}

type runInfoMessage struct {
	ID         string `json:"run_id"`
	UUID       string `json:"run_uuid"`
	Name       string `json:"run_name"`
	Experiment string `json:"experiment_id"`
	User       string `json:"user_id"`
	Status     string `json:"status"`
	Started    int64  `json:"start_time"`
	Ended      int64  `json:"end_time,omitempty"`
	Location   string `json:"artifact_uri"`
	Stage      string `json:"lifecycle_stage"`
}

type runMessage struct {
	Info runInfoMessage `json:"info"`
	Data struct {
		Metrics []metricMessage `json:"metrics,omitempty"`
		Params  []pair          `json:"params,omitempty"`
		Tags    []pair          `json:"tags,omitempty"`
	} `json:"data"`
	Inputs struct {
		Datasets []inputMessage    `json:"dataset_inputs,omitempty"`
		Models   []modelUseMessage `json:"model_inputs,omitempty"`
	} `json:"inputs"`
	Outputs struct {
		Models []modelUseMessage `json:"model_outputs,omitempty"`
	} `json:"outputs"`
}

func fromRunInfo(r tracking.RunInfo) runInfoMessage {
	return runInfoMessage{r.ID, r.ID, r.Name, r.Experiment, r.User, string(r.Status), r.Started, r.Ended, r.Location, stage(r.Deleted)}
}

func fromRun(r tracking.Run) runMessage {
	m := runMessage{Info: fromRunInfo(r.RunInfo)}
	m.Data.Metrics = fromMetrics(r.Metrics)
	m.Data.Params, m.Data.Tags = fromTags(r.Params), fromTags(r.Tags)
	m.Inputs.Datasets, m.Inputs.Models = fromInputs(r.Inputs), fromModelUses(r.ModelsIn)
	m.Outputs.Models = fromModelUses(r.ModelsOut)
	return m
}

type runAnswer struct {
	Run runMessage `json:"run"`
}

type createRunMessage struct {
	Experiment string   `json:"experiment_id"`
	Name       string   `json:"run_name"`
	Started    *integer `json:"start_time"`
	Tags       []pair   `json:"tags"`
}

func createRun(c call, in *createRunMessage) (any, error) {
	run, err := c.ws.CreateRun(c, tracking.NewRun{
		Experiment: in.Experiment, Name: in.Name, User: identity.UserFrom(c).Name, Started: in.Started.or(0), Tags: toTags(in.Tags),
	})
	return runAnswer{fromRun(run)}, err
}

// runIDMessage names a run; run_uuid is the name that old clients send.
type runIDMessage struct {
	ID   string `json:"run_id"`
	UUID string `json:"run_uuid"`
}

func (m runIDMessage) run() (string, error) {
	if m.ID == "" {
		m.ID = m.UUID
	}
	return m.ID, required("run_id", m.ID)
}

func getRun(c call, in *runIDMessage) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	run, err := c.ws.Run(c, id)
	return runAnswer{fromRun(run)}, err
}

// statusName is a run's status by name or number.
type statusName string

// UnmarshalJSON implements [json.Unmarshaler].
func (s *statusName) UnmarshalJSON(text []byte) error {
	name := unquoted(text)
	numbers := map[string]string{"null": "", "1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
	if known, ok := numbers[name]; ok {
		name = known
	}
	*s = statusName(name)
	return nil
}

func updateRun(c call, in *struct {
	runIDMessage
	Status statusName `json:"status"`
	Ended  *integer   `json:"end_time"`
	Name   string     `json:"run_name"`
}) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	info, err := c.ws.UpdateRun(c, id, tracking.RunChange{Status: tracking.Status(in.Status), Ended: in.Ended.or(0), Name: in.Name})
	return struct {
		Info runInfoMessage `json:"run_info"`
	}{fromRunInfo(info)}, err
}

func deleteRun(c call, in *runIDMessage) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteRun(c, id)
}

func restoreRun(c call, in *runIDMessage) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.RestoreRun(c, id)
}

func searchRuns(c call, in *searchMessage) (any, error) {
	query, err := in.query()
	if err != nil {
		return nil, err
	}
	runs, next, err := c.ws.SearchRuns(c, query)
	list := make([]runMessage, len(runs))
	for i, r := range runs {
		list[i] = fromRun(r)
	}
	return struct {
		Runs []runMessage `json:"runs"`
		Next string       `json:"next_page_token,omitempty"`
	}{list, next}, err
}

type runPairMessage struct {
	runIDMessage
	Key   string  `json:"key"`
	Value *string `json:"value"`
}

func setRunTag(c call, in *runPairMessage) (any, error) {
	id, err := in.run()
	if err == nil {
		err = required("key", in.Key, "value", in.Value)
	}
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.LogBatch(c, id, tracking.Batch{Tags: []tracking.Tag{{Key: in.Key, Value: *in.Value}}})
}

func deleteRunTag(c call, in *runPairMessage) (any, error) {
	id, err := in.run()
	if err == nil {
		err = required("key", in.Key)
	}
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.DeleteRunTag(c, id, in.Key)
}

func logParameter(c call, in *runPairMessage) (any, error) {
	id, err := in.run()
	if err == nil {
		err = required("key", in.Key)
	}
	if err != nil {
		return nil, err
	}
	value := ""
	if in.Value != nil {
		value = *in.Value
	}
	return none{}, c.ws.LogBatch(c, id, tracking.Batch{Params: []tracking.Tag{{Key: in.Key, Value: value}}})
}
