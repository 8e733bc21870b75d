// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// register makes the ModelVersion of a finished pipeline. Its name follows from its number, so that two attempts to register
// cannot both succeed. What is recorded of it elsewhere follows when it is judged.
func (s *Station) register(ctx context.Context, m *v1alpha1.Model, w *work) error {
	final := w.pipeline.runs[partFinal]
	if final == nil || w.pipeline.runs[partEvaluate] == nil {
		return fault.New(fault.Conflict, "model "+m.Name, "the runs of the pipeline are gone; waiting for the next look")
	}
	trained, err := s.outputFile(ctx, final, "model.onnx")
	if err != nil {
		return err
	}
	judged, err := s.outputFile(ctx, w.pipeline.runs[partEvaluate], "evaluation.json")
	if err != nil {
		return err
	}
	number := w.newest() + 1
	v := v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: m.Namespace, Name: fmt.Sprintf("%s-%d", m.Name, number),
			Labels:          map[string]string{v1alpha1.LabelFor: "model." + m.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(m, v1alpha1.GroupVersion.WithKind("Model"))},
		},
		Spec: v1alpha1.ModelVersionSpec{
			Model: m.Name, Number: number, Digest: string(trained.Digest), Fingerprint: w.Wanted, Recipe: w.recipe,
			Dataset: w.data.Name, DatasetVersion: w.data.Status.Version, Evaluation: string(judged.Digest),
			Code: final.Spec.Code, Environment: final.Status.Environment, TrackingRun: final.Spec.TrackingRun,
		},
	}
	if err := s.Client.Create(ctx, &v); err != nil {
		if apierrors.IsAlreadyExists(err) { // the cache is behind: look again
			return fault.Wrap(fault.Conflict, "model version "+v.Name, err)
		}
		return err
	}
	w.versions = append(w.versions, v)
	return nil
}
