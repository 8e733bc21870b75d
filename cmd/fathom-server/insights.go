// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/insight"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/operator/dataset"
	"fathom.dev/fathom/internal/ref"
)

// insightPage gathers what is known about a model version and renders its page.
func (p *platform) insightPage(ctx context.Context, name ref.Name, number int64) ([]byte, error) {
	var m v1alpha1.Model
	if err := p.objects.Get(ctx, types.NamespacedName{Namespace: name.Workspace, Name: name.Name}, &m); err != nil {
		return nil, notThere(err, name)
	}
	var versions v1alpha1.ModelVersionList
	err := p.objects.List(ctx, &versions, client.InNamespace(name.Workspace), client.MatchingLabels{v1alpha1.LabelFor: "model." + name.Name})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(versions.Items, func(a, b v1alpha1.ModelVersion) int { return int(b.Spec.Number - a.Spec.Number) })
	at := slices.IndexFunc(versions.Items, func(v v1alpha1.ModelVersion) bool { return v.Spec.Number == number })
	if at < 0 {
		return nil, fault.New(fault.NotFound, "model "+name.String(), "it has no version %d", number)
	}
	page, err := p.insight(ctx, &m, &versions.Items[at])
	if err != nil {
		return nil, err
	}
	for _, v := range versions.Items {
		page.Versions = append(page.Versions, insight.Version{
			Number: v.Spec.Number, Stage: v.Status.Stage, Headline: v.Status.Headline, DatasetVersion: v.Spec.DatasetVersion,
			TrainedAt: v.CreationTimestamp.Time, URL: fmt.Sprintf("?version=%d", v.Spec.Number),
		})
	}
	return insight.Render(page)
}

func (p *platform) insight(ctx context.Context, m *v1alpha1.Model, v *v1alpha1.ModelVersion) (insight.Model, error) {
	page := insight.Model{
		Workspace: m.Namespace, Name: m.Name, Version: v.Spec.Number, Stage: v.Status.Stage, Why: v.Status.Why,
		Metrics: m.Spec.Evaluate.Metrics, Dataset: v.Spec.Dataset, DatasetVersion: v.Spec.DatasetVersion,
		Digest: v.Spec.Digest, Code: v.Spec.Code, Environment: v.Spec.Environment, Fingerprint: v.Spec.Fingerprint,
		TrackingRun: v.Spec.TrackingRun, TrainedAt: v.CreationTimestamp.Time, ApprovedBy: v.Status.ApprovedBy,
	}
	for _, rule := range m.Spec.Promote.When {
		page.Rules = append(page.Rules, insight.Rule{Text: rule})
	}
	if a := m.Spec.Promote.Approval; a != nil {
		page.Approval = a.Role
	}
	if v.Status.PromotedAt != nil {
		page.PromotedAt = v.Status.PromotedAt.Time
	}
	if raw := m.Spec.Train.Parameters; raw != nil && v.Spec.Number == m.Status.Latest {
		page.Parameters = string(raw.Raw)
	}
	sighted, err := p.couldSee(ctx, m, v)
	if err != nil {
		return page, err
	}
	if sighted {
		page.Caveats = append(page.Caveats, "This version was trained by plain processes, which are not kept from the disk: "+
			"code that was made to cheat could have read held-out rows.")
	}
	if page.Evaluation, err = p.evaluation(ctx, v); err != nil {
		return page, err
	}
	tree, err := p.lake.Why(ctx, lake.ModelArtifact(ref.Name{Workspace: m.Namespace, Name: m.Name}, int(v.Spec.Number), ""))
	if err != nil {
		return page, err
	}
	node := provenance(tree)
	page.Provenance = &node
	page.Exclusions, err = p.exclusions(ctx, tree)
	return page, err
}

func (p *platform) evaluation(ctx context.Context, v *v1alpha1.ModelVersion) (*evaluate.Evaluation, error) {
	content, err := p.readAll(ctx, ref.Digest(v.Spec.Evaluation))
	if err != nil {
		return nil, err
	}
	e := &evaluate.Evaluation{}
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(e); err != nil {
		return nil, fault.Wrap(fault.Corrupt, "evaluation of "+v.Name, err)
	}
	return e, nil
}

// couldSee tells whether a training run of the version was not kept from the held-out rows, whatever runs today.
func (p *platform) couldSee(ctx context.Context, m *v1alpha1.Model, v *v1alpha1.ModelVersion) (bool, error) {
	filter := lake.RunFilter{
		Workspace: m.Namespace, Step: v1alpha1.StepTrain, ForKind: "Model", ForName: m.Name, Fingerprint: v.Spec.Fingerprint,
	}
	for page := (lake.Page{}); ; {
		runs, next, err := p.lake.Runs(ctx, filter, page)
		if err != nil {
			return false, err
		}
		for _, r := range runs {
			if r.Host["isolation"] == string(isolation.LevelProcess) {
				return true, nil
			}
		}
		if next == "" {
			return false, nil
		}
		page.After = next
	}
}

func provenance(t lake.Tree) insight.Node {
	n := insight.Node{
		Kind: t.Kind, Name: t.Name, Version: t.Version, Digest: string(t.Digest), Role: t.Role, Facts: t.Facts, Repeated: t.Repeated,
	}
	for _, in := range t.Inputs {
		n.Inputs = append(n.Inputs, provenance(in))
	}
	return n
}

// exclusions tells who was left out of the datasets that a version was made from.
func (p *platform) exclusions(ctx context.Context, t lake.Tree) ([]insight.Exclusion, error) {
	var out []insight.Exclusion
	if t.Kind == lake.KindDataset && !t.Repeated {
		var number int
		if _, err := fmt.Sscan(t.Version, &number); err != nil {
			return nil, fault.Wrap(fault.Corrupt, "lineage", err)
		}
		v, err := p.lake.Version(ctx, ref.Name{Workspace: t.Workspace, Name: t.Name}, number)
		if err != nil {
			return nil, err
		}
		var summary dataset.Summary
		if err := json.Unmarshal(v.Summary, &summary); err == nil {
			for _, e := range summary.Report.Excluded {
				out = append(out, insight.Exclusion{Dataset: t.Name, Reason: strings.TrimSpace(e.Reason), Rows: e.Rows, Subjects: e.Subjects})
			}
		}
	}
	for _, in := range t.Inputs {
		more, err := p.exclusions(ctx, in)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}
