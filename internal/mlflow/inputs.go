// SPDX-License-Identifier: Apache-2.0

package mlflow

import "fathom.dev/fathom/internal/tracking"

// maxInputsBody holds a batch of datasets with their profiles, in bytes.
const maxInputsBody = 32 << 20

func (d *door) inputRoutes() []route {
	return []route{
		{method: "POST", path: "/api/2.0/mlflow/runs/log-inputs", verb: update, handler: serveUpTo(d, maxInputsBody, logInputs), pods: all(ownRun, ownModels)},
		{method: "POST", path: "/api/2.0/mlflow/runs/outputs", verb: update, handler: serve(d, logOutputs), pods: all(ownRun, ownModels)},
		{method: "POST", path: "/api/2.0/mlflow/runs/log-model", verb: update, handler: serve(d, logModel), pods: ownRun},
	}
}

type datasetMessage struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

type inputMessage struct {
	Tags    []pair         `json:"tags"`
	Dataset datasetMessage `json:"dataset"`
}

type modelUseMessage struct {
	Model string  `json:"model_id"`
	Step  integer `json:"step"`
}

func fromInputs(inputs []tracking.Input) []inputMessage {
	list := make([]inputMessage, len(inputs))
	for i, in := range inputs {
		list[i] = inputMessage{fromTags(in.Tags), datasetMessage(in.Dataset)}
	}
	return list
}

func fromModelUses(uses []tracking.ModelUse) []modelUseMessage {
	list := make([]modelUseMessage, len(uses))
	for i, use := range uses {
		list[i] = modelUseMessage{use.Model, integer(use.Step)}
	}
	return list
}

func toModelUses(uses []modelUseMessage) []tracking.ModelUse {
	list := make([]tracking.ModelUse, len(uses))
	for i, use := range uses {
		list[i] = tracking.ModelUse{Model: use.Model, Step: int64(use.Step)}
	}
	return list
}

type inputsMessage struct {
	runIDMessage
	Datasets []inputMessage    `json:"datasets"`
	Models   []modelUseMessage `json:"models"`
}

func logInputs(c call, in *inputsMessage) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	inputs := make([]tracking.Input, len(in.Datasets))
	for i, m := range in.Datasets {
		inputs[i] = tracking.Input{Dataset: tracking.Dataset(m.Dataset), Tags: toTags(m.Tags)}
	}
	return none{}, c.ws.LogInputs(c, id, inputs, toModelUses(in.Models))
}

type outputsMessage struct {
	runIDMessage
	Models []modelUseMessage `json:"models"`
}

func logOutputs(c call, in *outputsMessage) (any, error) {
	id, err := in.run()
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.LogOutputs(c, id, toModelUses(in.Models))
}

// logModel is how MLflow 2 clients record a model: its description is added to a list in a tag of the run.
func logModel(c call, in *struct {
	runIDMessage
	Model string `json:"model_json"`
}) (any, error) {
	id, err := in.run()
	if err == nil {
		err = required("model_json", in.Model)
	}
	if err != nil {
		return nil, err
	}
	return none{}, c.ws.RecordModel(c, id, in.Model)
}
