// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/console"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/operator/dataset"
	"fathom.dev/fathom/internal/operator/model"
	"fathom.dev/fathom/internal/ref"
)

// replayed is how a replay compares with what is kept.
type replayed struct {
	Same    bool   `json:"same"`
	Version int64  `json:"version"`
	Message string `json:"message"`
}

const replayPatience = 30 * time.Minute

// replay makes a version again and compares: bytes for datasets, metrics for models.
func (p *platform) replay(ctx context.Context, r console.ReplayRequest) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, replayPatience)
	defer cancel()
	if r.Kind == "model" {
		return p.replayModel(ctx, r)
	}
	return p.replayDataset(ctx, r)
}

func (p *platform) replayDataset(ctx context.Context, r console.ReplayRequest) (any, error) {
	var d v1alpha1.Dataset
	key := types.NamespacedName{Namespace: r.Name.Workspace, Name: r.Name.Name}
	if err := p.objects.Get(ctx, key, &d); err != nil {
		return nil, notThere(err, r.Name)
	}
	if r.Version == 0 {
		r.Version = d.Status.Version
	}
	v, err := p.lake.Version(ctx, r.Name, int(r.Version))
	if err != nil {
		return nil, err
	}
	var summary dataset.Summary
	if err := json.Unmarshal(v.Summary, &summary); err != nil || summary.Step == "" {
		return nil, fault.New(fault.Corrupt, "replay of "+r.Name.String(), "version %d does not tell how it was made", r.Version)
	}
	run := &v1alpha1.Run{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Name.Workspace, Name: fmt.Sprintf("replay-%s-%d-%x", d.Name, r.Version, time.Now().UnixMilli()%0xffffff),
			Labels:          map[string]string{v1alpha1.LabelFor: "replay." + d.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(&d, v1alpha1.GroupVersion.WithKind("Dataset"))},
		},
		Spec: v1alpha1.RunSpec{
			For: v1alpha1.RunFor{Kind: "Dataset", Name: d.Name}, Step: summary.Step, Part: "replay", Fingerprint: v.Fingerprint,
			Framework: "python", Workers: 1, Command: summary.Command, Code: summary.Code, Requirements: summary.Requirements,
			Parameters: summary.Parameters, Inputs: summary.Inputs, Secret: summary.Secret, Resources: d.Spec.Resources,
		},
	}
	if err := p.objects.Create(ctx, run); err != nil {
		return nil, err
	}
	again, err := p.outcome(ctx, run)
	if err != nil {
		return nil, err // the run stays, so that its log can be read
	}
	if err := p.objects.Delete(ctx, run, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	return p.compare(ctx, v, again)
}

// outcome waits for a run to end and returns its output.
func (p *platform) outcome(ctx context.Context, run *v1alpha1.Run) (lake.FileManifest, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.live.Get(ctx, client.ObjectKeyFromObject(run), run)
		if err != nil {
			return lake.FileManifest{}, err
		}
		switch run.Status.Phase {
		case v1alpha1.RunSucceeded:
			return p.lake.GetManifest(ctx, ref.Digest(run.Status.Output))
		case v1alpha1.RunFailed, v1alpha1.RunCancelled:
			return lake.FileManifest{}, fault.New(fault.Conflict, "run "+run.Name, "%s", run.Status.Message)
		}
		select {
		case <-ctx.Done():
			return lake.FileManifest{}, fault.Wrap(fault.Unavailable, "run "+run.Name, ctx.Err())
		case <-tick.C:
		}
	}
}

// compare holds the data files of two outputs against each other; reports may differ.
func (p *platform) compare(ctx context.Context, v lake.Version, again lake.FileManifest) (any, error) {
	kept, err := p.lake.Files(ctx, v)
	if err != nil {
		return nil, err
	}
	var differ []string
	compared := 0
	for _, f := range kept {
		if !strings.HasSuffix(f.Path, ".parquet") && !strings.HasPrefix(f.Path, "objects/") {
			continue
		}
		compared++
		if other, ok := again.Find(f.Path); !ok || other.Digest != f.Digest {
			differ = append(differ, f.Path)
		}
	}
	out := replayed{Same: len(differ) == 0, Version: int64(v.Number)}
	if out.Same {
		out.Message = fmt.Sprintf("version %d of %s was made again: all %d data files are the same, byte for byte", v.Number, v.Name, compared)
	} else {
		out.Message = fmt.Sprintf("version %d of %s was made again: %d of %d data files differ (%s)", v.Number, v.Name,
			len(differ), compared, strings.Join(differ[:min(3, len(differ))], ", "))
	}
	return out, nil
}

func (p *platform) replayModel(ctx context.Context, r console.ReplayRequest) (any, error) {
	var m v1alpha1.Model
	key := types.NamespacedName{Namespace: r.Name.Workspace, Name: r.Name.Name}
	if err := p.objects.Get(ctx, key, &m); err != nil {
		return nil, notThere(err, r.Name)
	}
	if r.Version == 0 {
		r.Version = m.Status.Latest
	}
	var v v1alpha1.ModelVersion
	key.Name = fmt.Sprintf("%s-%d", m.Name, r.Version)
	if err := p.objects.Get(ctx, key, &v); err != nil {
		return nil, notThere(err, ref.Name{Workspace: r.Name.Workspace, Name: key.Name})
	}
	o := p.options.Model
	o.Client = p.objects
	result, err := model.New(o).Replay(ctx, &m, &v)
	if err != nil {
		return nil, err
	}
	return compareMetrics(r.Version, result.Kept, result.Again), nil
}

func notThere(err error, name ref.Name) error {
	if client.IgnoreNotFound(err) == nil && err != nil {
		return fault.New(fault.NotFound, name.String(), "there is none")
	}
	return err
}

// sameMetric is how far a metric may lie from itself: the last bits of sums that ran in another order.
const sameMetric = 1e-9

func compareMetrics(version int64, kept, again evaluate.Evaluation) replayed {
	var differ []string
	for name, metric := range kept.Metrics {
		other, ok := again.Metrics[name]
		if !ok || math.Abs(other.Value-metric.Value) > sameMetric {
			differ = append(differ, fmt.Sprintf("%s %.6g became %.6g", name, metric.Value, other.Value))
		}
	}
	out := replayed{Same: len(differ) == 0, Version: version}
	if out.Same {
		out.Message = fmt.Sprintf("version %d was trained and evaluated again: all %d metrics are the same", version, len(kept.Metrics))
	} else {
		out.Message = fmt.Sprintf("version %d was trained and evaluated again: %s", version, strings.Join(differ, ", "))
	}
	return out
}
