// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/lake"
)

// maxMoments of one dataset or of all reports are shown, the newest.
const maxMoments = 1000

// Moment is a version that came to be.
type Moment struct {
	Kind     string         `json:"kind"`
	Name     string         `json:"name"`
	Version  int64          `json:"version"`
	At       time.Time      `json:"at"`
	Rows     int64          `json:"rows,omitempty"`     // of datasets
	Headline string         `json:"headline,omitempty"` // of models
	Promoted *time.Time     `json:"promoted,omitempty"` // of models: when it went into production last
	Inputs   []VersionShown `json:"inputs"`
}

// VersionShown is a version that another was made from.
type VersionShown struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
}

// timeline lists when each version of the workspace came to be and what it was made from, oldest first.
func (s *server) timeline(w http.ResponseWriter, r *http.Request) {
	workspace := r.PathValue("workspace")
	moments := []Moment{}
	for _, of := range []func(context.Context, string) ([]Moment, error){s.datasetMoments, s.modelMoments, s.reportMoments} {
		more, err := of(r.Context(), workspace)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		moments = append(moments, more...)
	}
	slices.SortStableFunc(moments, func(a, b Moment) int { return a.At.Compare(b.At) })
	writeJSON(w, map[string]any{"moments": moments})
}

func (s *server) datasetMoments(ctx context.Context, workspace string) ([]Moment, error) {
	names, err := s.Lake.Datasets(ctx, workspace)
	if err != nil {
		return nil, err
	}
	var out []Moment
	for _, name := range names {
		versions, _, err := s.Lake.Versions(ctx, name, lake.Page{Limit: maxMoments})
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			m := Moment{Kind: "Dataset", Name: name.Name, Version: int64(v.Number), At: v.Created, Rows: v.Rows, Inputs: []VersionShown{}}
			for _, in := range v.Inputs {
				if n, err := strconv.ParseInt(in.Version, 10, 64); err == nil && in.Kind == lake.KindDataset {
					m.Inputs = append(m.Inputs, VersionShown{"Dataset", in.Name, n})
				}
			}
			out = append(out, m)
		}
	}
	return out, nil
}

func (s *server) modelMoments(ctx context.Context, workspace string) ([]Moment, error) {
	var list v1alpha1.ModelVersionList
	if err := s.Client.List(ctx, &list, client.InNamespace(workspace)); err != nil {
		return nil, err
	}
	var out []Moment
	for _, v := range list.Items {
		m := Moment{Kind: "Model", Name: v.Spec.Model, Version: v.Spec.Number, At: v.CreationTimestamp.UTC(), Headline: v.Status.Headline,
			Inputs: []VersionShown{{"Dataset", v.Spec.Dataset, v.Spec.DatasetVersion}}}
		if v.Status.PromotedAt != nil {
			at := v.Status.PromotedAt.UTC()
			m.Promoted = &at
		}
		out = append(out, m)
	}
	return out, nil
}

// reportMoments reads what rendered reports from the history of runs.
func (s *server) reportMoments(ctx context.Context, workspace string) ([]Moment, error) {
	filter := lake.RunFilter{Workspace: workspace, ForKind: "Report", Phase: v1alpha1.RunSucceeded}
	runs, _, err := s.Lake.Runs(ctx, filter, lake.Page{Limit: maxMoments})
	if err != nil {
		return nil, err
	}
	var out []Moment
	rendered := map[string]int64{}
	for _, run := range slices.Backward(runs) {
		rendered[run.ForName]++
		m := Moment{Kind: "Report", Name: run.ForName, Version: rendered[run.ForName], At: run.Finished.UTC(), Inputs: []VersionShown{}}
		for _, in := range run.Inputs {
			if n, err := strconv.ParseInt(in.Version, 10, 64); err == nil && in.Kind == lake.KindDataset {
				m.Inputs = append(m.Inputs, VersionShown{"Dataset", in.Name, n})
			}
		}
		out = append(out, m)
	}
	return out, nil
}
