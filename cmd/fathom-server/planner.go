// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/operator/dataset"
	"fathom.dev/fathom/internal/operator/model"
	"fathom.dev/fathom/internal/operator/report"
	"fathom.dev/fathom/internal/plan"
)

// planned is what applying would do to one object.
type planned struct {
	Object string `json:"object"`
	Action string `json:"action"`
	Why    string `json:"why"`
}

// overlay shows a workspace as it would be: the objects that exist, with proposed and predicted ones in their place.
type overlay struct {
	client.Client
	datasets map[string]*v1alpha1.Dataset
	models   map[string]*v1alpha1.Model
	reports  map[string]*v1alpha1.Report
}

// List answers lists of Datasets from the overlay.
func (o *overlay) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	datasets, ok := list.(*v1alpha1.DatasetList)
	if !ok {
		return o.Client.List(ctx, list, opts...)
	}
	datasets.Items = nil
	for _, name := range sortedKeys(o.datasets) {
		datasets.Items = append(datasets.Items, *o.datasets[name])
	}
	return nil
}

// Get answers Datasets from the overlay.
func (o *overlay) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	if d, ok := object.(*v1alpha1.Dataset); ok {
		if found, ok := o.datasets[key.Name]; ok {
			found.DeepCopyInto(d)
			return nil
		}
	}
	return o.Client.Get(ctx, key, object, opts...)
}

func sortedKeys[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// plan answers what applying objects to a workspace would rebuild: the stations' own decisions, over the workspace as it
// would be. What would be rebuilt is predicted with its new fingerprint, so that its readers see the change.
func (p *platform) plan(ctx context.Context, workspace string, objects json.RawMessage) (any, error) {
	o, endpoints, err := p.overlay(ctx, workspace, objects)
	if err != nil {
		return nil, err
	}
	decisions, err := p.planDatasets(ctx, o)
	if err != nil {
		return nil, err
	}
	var out []planned
	for _, name := range sortedKeys(o.datasets) {
		out = append(out, tell("dataset/"+name, decisions[name]))
	}
	options := p.options.Model
	options.Client = o
	station := model.New(options)
	retrained := map[string]bool{}
	for _, name := range sortedKeys(o.models) {
		decision, err := station.Plan(ctx, o.models[name])
		if err != nil {
			return nil, err
		}
		retrained[name] = decision.Action == plan.Start
		out = append(out, tell("model/"+name, decision))
	}
	reportOptions := p.options.Report
	reportOptions.Client = o
	pages := report.New(reportOptions)
	for _, name := range sortedKeys(o.reports) {
		decision, err := pages.Plan(ctx, o.reports[name])
		if err != nil {
			return nil, err
		}
		out = append(out, tell("report/"+name, decision))
	}
	for _, e := range endpoints {
		why := "follows model " + e.Spec.Model
		action := "keep"
		if retrained[e.Spec.Model] {
			action, why = "follow", why+": switches when a new version is promoted"
		}
		out = append(out, planned{"endpoint/" + e.Name, action, why})
	}
	return out, nil
}

// overlay reads what exists and lays the proposed objects over it, validated and defaulted by the API server.
func (p *platform) overlay(ctx context.Context, workspace string, objects json.RawMessage) (*overlay, []v1alpha1.Endpoint, error) {
	o := &overlay{Client: p.objects, datasets: map[string]*v1alpha1.Dataset{}, models: map[string]*v1alpha1.Model{},
		reports: map[string]*v1alpha1.Report{}}
	var datasets v1alpha1.DatasetList
	var models v1alpha1.ModelList
	var endpoints v1alpha1.EndpointList
	var reports v1alpha1.ReportList
	for _, list := range []client.ObjectList{&datasets, &models, &endpoints, &reports} {
		if err := p.objects.List(ctx, list, client.InNamespace(workspace)); err != nil {
			return nil, nil, err
		}
	}
	for i := range datasets.Items {
		o.datasets[datasets.Items[i].Name] = &datasets.Items[i]
	}
	for i := range models.Items {
		o.models[models.Items[i].Name] = &models.Items[i]
	}
	for i := range reports.Items {
		o.reports[reports.Items[i].Name] = &reports.Items[i]
	}
	var proposed []map[string]any
	if err := json.Unmarshal(objects, &proposed); err != nil {
		return nil, nil, fault.New(fault.Invalid, "objects", "not a list of objects: %v", err)
	}
	for _, raw := range proposed {
		if err := p.lay(ctx, o, workspace, &unstructured.Unstructured{Object: raw}); err != nil {
			return nil, nil, err
		}
	}
	return o, endpoints.Items, nil
}

// lay puts one proposed object over what exists.
func (p *platform) lay(ctx context.Context, o *overlay, workspace string, object *unstructured.Unstructured) error {
	if object.GetNamespace() != workspace {
		return fault.New(fault.Invalid, "objects", "%s %s is not of workspace %s", object.GetKind(), object.GetName(), workspace)
	}
	kind := object.GetKind()
	var typed client.Object
	switch kind {
	case "Dataset":
		typed = &v1alpha1.Dataset{}
	case "Model":
		typed = &v1alpha1.Model{}
	case "Report":
		typed = &v1alpha1.Report{}
	default:
		return nil
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return fault.Wrap(fault.Invalid, "objects", err)
	}
	err = p.objects.Patch(ctx, object, client.RawPatch(types.ApplyPatchType, text),
		client.FieldOwner("fathom"), client.ForceOwnership, client.FieldValidation("Strict"), client.DryRunAll)
	if err != nil {
		return fault.New(fault.Invalid, strings.ToLower(kind)+"/"+object.GetName(), "%v", err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		return fault.Wrap(fault.Invalid, "objects", err)
	}
	switch declared := typed.(type) {
	case *v1alpha1.Dataset:
		o.datasets[declared.Name] = declared
	case *v1alpha1.Model:
		o.models[declared.Name] = declared
	case *v1alpha1.Report:
		o.reports[declared.Name] = declared
	}
	return nil
}

// planDatasets decides until nothing changes: each pass sees what the passes before predicted.
func (p *platform) planDatasets(ctx context.Context, o *overlay) (map[string]plan.Decision, error) {
	options := p.options.Dataset
	options.Client = o
	station := dataset.New(options)
	decisions := map[string]plan.Decision{}
	for range len(o.datasets) + 1 {
		changed := false
		for _, name := range sortedKeys(o.datasets) {
			d := o.datasets[name]
			decision, wanted, err := station.Plan(ctx, d)
			if err != nil {
				return nil, err
			}
			if _, done := decisions[name]; done && decision.Action == plan.Keep {
				continue // predicted as rebuilt: keep the decision that led there
			}
			if decisions[name] != decision {
				decisions[name], changed = decision, true
			}
			if decision.Action == plan.Start || decision.Action == plan.Adopt {
				predict(d, wanted)
				changed = true
			}
		}
		if !changed {
			break
		}
	}
	return decisions, nil
}

// predict marks a dataset as if its next version were there.
func predict(d *v1alpha1.Dataset, fingerprint string) {
	d.Status.Version++
	d.Status.Fingerprint = fingerprint
	v1alpha1.SetReady(&d.Status.Conditions, v1alpha1.ReasonReady, "predicted", d.Generation, time.Time{})
}

// tell puts a decision into words for people.
func tell(object string, d plan.Decision) planned {
	words := map[plan.Action]string{
		plan.Keep: "keep", plan.Adopt: "reuse", plan.Wait: "wait", plan.Start: "rebuild", plan.Watch: "running",
		plan.Commit: "commit", plan.Refuse: "refuse", plan.Fail: "failed", plan.Replace: "restart",
	}
	why := d.Message
	if d.Action == plan.Start {
		why = "its declaration, code or inputs differ from the current version"
	}
	return planned{object, words[d.Action], fmt.Sprint(why)}
}
