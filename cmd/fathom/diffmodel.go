// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// modelDifference tells two versions of a model apart.
type modelDifference struct {
	Name       string        `json:"name"`
	From       modelSide     `json:"from"`
	To         modelSide     `json:"to"`
	Metrics    []metricDelta `json:"metrics"`
	Parameters []textDelta   `json:"parameters"` // that are not the same
	Made       []textDelta   `json:"made"`       // what went in that is not the same: data, code, environment
}

type modelSide struct {
	Version  int64  `json:"version"`
	Stage    string `json:"stage"`
	Headline string `json:"headline,omitempty"`
	Leakage  string `json:"leakage,omitempty"`
	Digest   string `json:"digest"`
}

// metricDelta is a metric of both versions; intervals are "low to high".
type metricDelta struct {
	Name         string `json:"name"`
	From         string `json:"from,omitempty"`
	FromInterval string `json:"fromInterval,omitempty"`
	To           string `json:"to,omitempty"`
	ToInterval   string `json:"toInterval,omitempty"`
}

type textDelta struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

func (g *global) diffModel(ctx context.Context, c *connection, what comparison, out io.Writer) error {
	if what.to == 0 {
		var m v1alpha1.Model
		if err := c.client.Get(ctx, types.NamespacedName{Namespace: c.workspace, Name: what.name}, &m); err != nil {
			return fromAPI(err)
		}
		what.to = m.Status.Latest
	}
	if what.from == 0 {
		what.from = what.to - 1
	}
	if what.from < 1 {
		return fault.New(fault.Conflict, "model "+what.name, "it has %d version, and a difference needs two", what.to).WithHint("see `fathom show model %s`", what.name)
	}
	from, err := c.modelVersion(ctx, what.name, what.from)
	if err != nil {
		return err
	}
	to, err := c.modelVersion(ctx, what.name, what.to)
	if err != nil {
		return err
	}
	d := modelDifference{Name: what.name, From: modelSideOf(from), To: modelSideOf(to), Metrics: metricsDelta(from.Status.Metrics, to.Status.Metrics), Made: madeDelta(from, to)}
	if d.Parameters, err = c.parametersDelta(ctx, from, to); err != nil {
		return err
	}
	if g.forPrograms() {
		return g.encode(out, d)
	}
	return d.tell(g, out)
}

func (c *connection) modelVersion(ctx context.Context, name string, number int64) (*v1alpha1.ModelVersion, error) {
	var v v1alpha1.ModelVersion
	err := fromAPI(c.client.Get(ctx, types.NamespacedName{Namespace: c.workspace, Name: fmt.Sprintf("%s-%d", name, number)}, &v))
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "model "+name, "it has no version %d", number).WithHint("see `fathom show model %s`", name)
	}
	return &v, err
}

func modelSideOf(v *v1alpha1.ModelVersion) modelSide {
	return modelSide{Version: v.Spec.Number, Stage: v.Status.Stage, Headline: v.Status.Headline, Leakage: v.Status.Leakage, Digest: v.Spec.Digest}
}

func metricsDelta(from, to []v1alpha1.Metric) []metricDelta {
	interval := func(m v1alpha1.Metric) string {
		if m.Low == "" {
			return ""
		}
		return m.Low + " to " + m.High
	}
	out := []metricDelta{}
	for _, m := range to {
		d := metricDelta{Name: m.Name, To: m.Value, ToInterval: interval(m)}
		if i := slices.IndexFunc(from, func(f v1alpha1.Metric) bool { return f.Name == m.Name }); i >= 0 {
			d.From, d.FromInterval = from[i].Value, interval(from[i])
		}
		out = append(out, d)
	}
	for _, m := range from {
		if !slices.ContainsFunc(to, func(t v1alpha1.Metric) bool { return t.Name == m.Name }) {
			out = append(out, metricDelta{Name: m.Name, From: m.Value, FromInterval: interval(m)})
		}
	}
	return out
}

func madeDelta(from, to *v1alpha1.ModelVersion) []textDelta {
	data := func(v *v1alpha1.ModelVersion) string {
		return fmt.Sprintf("%s version %d", v.Spec.Dataset, v.Spec.DatasetVersion)
	}
	out := []textDelta{}
	for _, d := range []textDelta{
		{"data", data(from), data(to)}, {"code", from.Spec.Code, to.Spec.Code}, {"environment", from.Spec.Environment, to.Spec.Environment},
	} {
		if d.From != d.To {
			out = append(out, d)
		}
	}
	return out
}

// parametersDelta reads the parameters of both trainings from the tracking door.
func (c *connection) parametersDelta(ctx context.Context, from, to *v1alpha1.ModelVersion) ([]textDelta, error) {
	a, err := c.parameters(ctx, from.Spec.TrackingRun)
	if err != nil {
		return nil, err
	}
	b, err := c.parameters(ctx, to.Spec.TrackingRun)
	if err != nil {
		return nil, err
	}
	out := []textDelta{}
	names := map[string]bool{}
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a[name] != b[name] {
			out = append(out, textDelta{name, a[name], b[name]})
		}
	}
	return out, nil
}

func (c *connection) parameters(ctx context.Context, run string) (map[string]string, error) {
	if run == "" {
		return nil, nil
	}
	var answer struct {
		Run struct {
			Data struct {
				Params []struct{ Key, Value string } `json:"params"`
			} `json:"data"`
		} `json:"run"`
	}
	err := c.ask(ctx, "GET", "/mlflow/"+c.workspace+"/api/2.0/mlflow/runs/get?run_id="+url.QueryEscape(run), nil, &answer)
	out := map[string]string{}
	for _, p := range answer.Run.Data.Params {
		out[p.Key] = p.Value
	}
	return out, err
}

func (d modelDifference) tell(g *global, w io.Writer) error {
	fmt.Fprintf(w, "model %s: version %d (%s) to version %d (%s)\n", d.Name, d.From.Version, d.From.Stage, d.To.Version, d.To.Stage)
	rows := [][]string{{"  METRIC", fmt.Sprint("VERSION ", d.From.Version), "95 % INTERVAL", fmt.Sprint("VERSION ", d.To.Version), "95 % INTERVAL"}}
	for _, m := range d.Metrics {
		rows = append(rows, []string{"  " + m.Name, m.From, m.FromInterval, m.To, m.ToInterval})
	}
	if err := g.rows(w, rows); err != nil {
		return err
	}
	for _, p := range d.Parameters {
		fmt.Fprintf(w, "  parameter  %s\n", change(p.Name, p.From, p.To))
	}
	if len(d.Parameters) == 0 {
		fmt.Fprintln(w, "  parameters the same")
	}
	if d.From.Leakage != d.To.Leakage {
		fmt.Fprintf(w, "  leakage    %s to %s\n", d.From.Leakage, d.To.Leakage)
	}
	for _, m := range d.Made {
		text := change(m.Name, m.From, m.To)
		if strings.HasPrefix(m.To, "sha256:") {
			text = m.Name + " changed"
		}
		fmt.Fprintf(w, "  because    %s\n", text)
	}
	if len(d.Made)+len(d.Parameters) == 0 {
		fmt.Fprintln(w, "  because    neither data nor code nor parameters differ: how it is evaluated does")
	}
	return nil
}
