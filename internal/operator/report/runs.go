// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/page"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

func label(r *v1alpha1.Report) string { return "report." + r.Name }

func (s *Station) runs(ctx context.Context, r *v1alpha1.Report) ([]v1alpha1.Run, error) {
	var list v1alpha1.RunList
	err := s.Client.List(ctx, &list, client.InNamespace(r.Namespace), client.MatchingLabels{v1alpha1.LabelFor: label(r)})
	return list.Items, err
}

// start creates the run that renders the wanted page. Its name follows from the fingerprint, so a second start finds the
// first.
func (s *Station) start(ctx context.Context, r *v1alpha1.Report, w *work) error {
	params := page.Params{
		Workspace: r.Namespace, Report: r.Name, File: r.Spec.Page, Fingerprint: w.Wanted, At: s.Now().UTC(),
	}
	run := &v1alpha1.Run{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Namespace, Name: w.runName(r), Labels: map[string]string{v1alpha1.LabelFor: label(r)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r, v1alpha1.GroupVersion.WithKind("Report"))},
		},
		Spec: v1alpha1.RunSpec{
			For: v1alpha1.RunFor{Kind: "Report", Name: r.Name}, Step: v1alpha1.StepRender, Fingerprint: w.Wanted,
			Framework: "python", Workers: 1, Command: []string{"fathom-step", "render"}, Code: r.Spec.Bundle,
		},
	}
	for _, d := range w.inputs {
		run.Spec.Inputs = append(run.Spec.Inputs, v1alpha1.RunInput{Name: d.Name, Dataset: d.Name, Version: d.Status.Version})
		params.Tables = append(params.Tables, query.Table{Name: ref.Table(d.Name), Files: []string{d.Name + "/*.parquet"}})
		read := page.Dataset{Name: d.Name, Version: d.Status.Version, Rows: d.Status.Rows}
		if d.Status.UpdatedAt != nil {
			read.Made = d.Status.UpdatedAt.UTC()
		}
		params.Datasets = append(params.Datasets, read)
	}
	encoded, err := json.Marshal(params)
	if err != nil {
		return fault.Wrap(fault.Internal, "parameters", err)
	}
	digest, _, err := s.Lake.PutBlob(ctx, bytes.NewReader(encoded), "")
	if err != nil {
		return err
	}
	run.Spec.Parameters = string(digest)
	if err := s.Client.Create(ctx, run); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// commit makes the run's output the page on show. A page without index.html is a failure; lineage is recorded before the
// status names the version, and recording it again changes nothing.
func (s *Station) commit(ctx context.Context, r *v1alpha1.Report, w *work) (plan.Decision, error) {
	watching := plan.Decision{Action: plan.Commit, Reason: v1alpha1.ReasonRunning, Message: "puts the page of run " + w.Run.Name + " on show"}
	var run v1alpha1.Run
	if err := s.Client.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: w.Run.Name}, &run); err != nil {
		return watching, err
	}
	output, err := s.output(ctx, &run)
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound) {
		return plan.Decision{Action: plan.Fail, Reason: v1alpha1.ReasonFailed,
			Message: fmt.Sprintf("the page of run %s cannot be shown: %v", run.Name, err)}, nil
	} else if err != nil {
		return watching, err
	}
	version := r.Status.Version + 1
	if err := s.Lake.RecordEdges(ctx, lineage(r, &run, version, output)); err != nil {
		return watching, err
	}
	now := metav1.NewTime(s.Now())
	st := &r.Status
	st.Version, st.Fingerprint, st.Output, st.UpdatedAt = version, w.Wanted, string(output), &now
	if s.URL != nil {
		st.URL = s.URL(ref.Name{Workspace: r.Namespace, Name: r.Name})
	}
	return plan.Decision{Action: plan.Keep, Reason: v1alpha1.ReasonReady, Message: fmt.Sprintf("version %d is up to date", version)}, nil
}

// output checks that the run left a page.
func (s *Station) output(ctx context.Context, run *v1alpha1.Run) (ref.Digest, error) {
	digest, err := ref.ParseDigest(run.Status.Output)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "status.output", err)
	}
	manifest, err := s.Lake.GetManifest(ctx, digest)
	if err != nil {
		return "", err
	}
	if _, ok := manifest.Find("index.html"); !ok {
		return "", fault.New(fault.NotFound, "", "it left no index.html")
	}
	return digest, nil
}

func lineage(r *v1alpha1.Report, run *v1alpha1.Run, version int64, output ref.Digest) []lake.Edge {
	self := lake.Artifact{
		Kind: lake.KindReport, Workspace: r.Namespace, Name: r.Name, Version: strconv.FormatInt(version, 10), Digest: output,
	}
	edges := []lake.Edge{{From: self, Role: lake.RoleCode, To: lake.Artifact{
		Kind: lake.KindCode, Workspace: r.Namespace, Name: r.Name, Digest: ref.Digest(run.Spec.Code),
	}}}
	for _, in := range run.Spec.Inputs {
		read := lake.DatasetArtifact(ref.Name{Workspace: r.Namespace, Name: in.Dataset}, int(in.Version), "")
		edges = append(edges, lake.Edge{From: self, Role: lake.RoleInput, To: read})
	}
	return edges
}

// cancel asks a run to stop.
func (s *Station) cancel(ctx context.Context, namespace, name string) error {
	run := &v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
	return client.IgnoreNotFound(s.Client.Patch(ctx, run, patch))
}

// forget removes runs that have ended and whose history is durable.
func (s *Station) forget(ctx context.Context, r *v1alpha1.Report) error {
	runs, err := s.runs(ctx, r)
	if err != nil {
		return err
	}
	for i := range runs {
		if run := &runs[i]; finished(run) && run.Status.Recorded {
			if err := s.Client.Delete(ctx, run, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
				return err
			}
		}
	}
	return nil
}
