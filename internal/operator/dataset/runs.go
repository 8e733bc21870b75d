// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// PseudonymSecret is the Secret of a workspace that holds the pseudonym key, under the key "pseudonyms".
const PseudonymSecret = "fathom-pseudonyms"

// start creates the run that makes the wanted version. Its name follows from the fingerprint, so a second start of the
// same version finds the first.
func (s *Station) start(ctx context.Context, d *v1alpha1.Dataset, w *work) error {
	run := &v1alpha1.Run{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace,
			Name:      plan.RunName(d.Name, w.Wanted, d.Annotations[v1alpha1.AnnotationRetry], ""),
			Labels:    map[string]string{v1alpha1.LabelFor: "dataset." + d.Name},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(d, v1alpha1.GroupVersion.WithKind("Dataset")),
			},
		},
		Spec: v1alpha1.RunSpec{
			For:         v1alpha1.RunFor{Kind: "Dataset", Name: d.Name},
			Fingerprint: w.Wanted, Workers: 1, Framework: "python", Resources: d.Spec.Resources,
		},
	}
	params, err := s.fill(ctx, d, w, &run.Spec)
	if err != nil {
		return err
	}
	digest, err := s.putJSON(ctx, params)
	if err != nil {
		return err
	}
	run.Spec.Parameters = string(digest)
	if err := s.Client.Create(ctx, run); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// fill completes the run for the kind of source and returns the step's parameters.
func (s *Station) fill(ctx context.Context, d *v1alpha1.Dataset, w *work, spec *v1alpha1.RunSpec) (any, error) {
	for _, in := range w.inputs {
		spec.Inputs = append(spec.Inputs, v1alpha1.RunInput{Name: in.Name, Dataset: in.Name, Version: in.Status.Version})
	}
	from := d.Spec.From
	switch {
	case from.Query != nil:
		spec.Step, spec.Command = v1alpha1.StepTransform, []string{"fathom-step", "transform"}
		return transformParams(d, w), nil
	case from.Code != nil:
		spec.Step, spec.Command = v1alpha1.StepCode, from.Code.Command
		spec.Code, spec.Requirements = from.Code.Bundle, from.Code.Environment.Requirements
		spec.Identified = identified(d, w, Report{})
		return map[string]any{"dataset": d.Name, "inputs": from.Code.Inputs}, nil
	}
	spec.Step, spec.Command = v1alpha1.StepIngest, []string{"fathom-step", "ingest"}
	manifest, err := s.sourceManifest(ctx, w)
	if err != nil {
		return nil, err
	}
	spec.Inputs = append(spec.Inputs, v1alpha1.RunInput{Name: "source", Manifest: string(manifest)})
	if w.consents != nil {
		spec.Inputs = append(spec.Inputs, v1alpha1.RunInput{
			Name: "consents", Dataset: w.consents.Name, Version: w.consents.Status.Version,
		})
	}
	params := s.ingestParams(d, w)
	if params.KeyFile != "" {
		spec.Secret = PseudonymSecret
	}
	return params, nil
}

func (s *Station) sourceManifest(ctx context.Context, w *work) (ref.Digest, error) {
	var list []lake.File
	for _, f := range w.sources {
		list = append(list, lake.File{Path: f.Key, Digest: f.Digest, Size: f.Size})
	}
	manifest, err := lake.NewManifest(list)
	if err != nil {
		return "", err
	}
	return s.Lake.PutManifest(ctx, manifest)
}

func (s *Station) putJSON(ctx context.Context, v any) (ref.Digest, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fault.Wrap(fault.Internal, "parameters", err)
	}
	digest, _, err := s.Lake.PutBlob(ctx, strings.NewReader(string(b)), "")
	return digest, err
}

func transformParams(d *v1alpha1.Dataset, w *work) query.TransformParams {
	p := query.TransformParams{
		SQL: d.Spec.From.Query.SQL, Workspace: d.Namespace, Limits: query.Limits{Memory: engineMemory(d)},
		Identified: identified(d, w, Report{}),
	}
	for _, in := range w.inputs {
		p.Tables = append(p.Tables, query.Table{Name: ref.Table(in.Name), Files: []string{in.Name + "/*.parquet"}})
	}
	for _, c := range d.Spec.Checks {
		p.Checks = append(p.Checks, check(c))
	}
	return p
}

// engineMemory is the SQL engine's share of the step's memory; the rest is for what it does not count. Beyond it, it
// spills to disk.
func engineMemory(d *v1alpha1.Dataset) string {
	bytes := int64(512 << 20)
	if m := d.Spec.Resources.Memory; m != nil {
		bytes = m.Value()
	}
	return fmt.Sprintf("%dMB", max(bytes*6/10/1_000_000, 64))
}

func (s *Station) ingestParams(d *v1alpha1.Dataset, w *work) privacy.IngestParams {
	p := privacy.IngestParams{Workspace: d.Namespace, Dataset: d.Name, Memory: engineMemory(d)}
	if f := d.Spec.From.Files; f != nil {
		p.Format, p.Pattern, p.Columns = f.Format, f.Pattern, f.Columns
	} else {
		p.Format = "ndjson" // captured traffic
	}
	for _, f := range w.sources {
		p.Files = append(p.Files, privacy.SourceFile{Path: f.Key, Digest: string(f.Digest), Size: f.Size, Modified: f.Modified})
	}
	if in := d.Spec.Privacy; in != nil {
		p.Privacy = policy(in)
		if in.Subject != "" || len(in.Pseudonymise) > 0 || in.Deidentify != nil {
			p.KeyFile = "pseudonyms" // below FATHOM_SECRET
		}
		if in.Consent != nil {
			p.AsOf = s.Now().UTC()
		}
	}
	for _, c := range d.Spec.Checks {
		p.Checks = append(p.Checks, check(c))
	}
	return p
}

func policy(in *v1alpha1.Privacy) *privacy.Policy {
	p := &privacy.Policy{Subject: in.Subject, Pseudonymise: in.Pseudonymise, Drop: in.Drop}
	if in.Consent != nil {
		p.Consent = &privacy.ConsentRule{Dataset: in.Consent.Dataset, Purpose: in.Consent.Purpose}
	}
	if in.Deidentify != nil {
		p.Deidentify = &privacy.Deidentified{Profile: in.Deidentify.Profile, Options: in.Deidentify.Options}
	}
	return p
}

func check(c v1alpha1.Check) query.Check {
	out := query.Check{
		Expect: c.Expect, Of: c.Of, Column: c.Column, NotNull: c.NotNull, Unique: c.Unique, Matches: c.Matches,
	}
	for _, v := range c.Between {
		out.Between = append(out.Between, v)
	}
	for _, v := range c.In {
		out.In = append(out.In, v)
	}
	return out
}

// cancel asks a run to stop.
func (s *Station) cancel(ctx context.Context, namespace, name string) error {
	run := &v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true}}`))
	return client.IgnoreNotFound(s.Client.Patch(ctx, run, patch))
}

// forget removes runs whose outcome is committed and whose history is durable.
func (s *Station) forget(ctx context.Context, d *v1alpha1.Dataset) error {
	var runs v1alpha1.RunList
	err := s.Client.List(ctx, &runs, client.InNamespace(d.Namespace), client.MatchingLabels{v1alpha1.LabelFor: "dataset." + d.Name})
	if err != nil {
		return err
	}
	for i := range runs.Items {
		r := &runs.Items[i]
		if !finished(r) || !r.Status.Recorded {
			continue
		}
		if err := s.Client.Delete(ctx, r, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}
