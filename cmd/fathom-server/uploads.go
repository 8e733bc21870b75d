// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/ref"
)

// rememberUploads fills the memory of uploads of a state directory that is older than it: what objects name was uploaded by their
// workspace.
func (p *platform) rememberUploads(ctx context.Context, c client.Client) error {
	if !p.uploads.Fresh() {
		return nil
	}
	var datasets v1alpha1.DatasetList
	var models v1alpha1.ModelList
	var reports v1alpha1.ReportList
	if err := errors.Join(c.List(ctx, &datasets), c.List(ctx, &models), c.List(ctx, &reports)); err != nil {
		return err
	}
	var errs []error
	add := func(workspace string, digests ...string) {
		for _, digest := range digests {
			if d, err := ref.ParseDigest(digest); err == nil {
				errs = append(errs, p.uploads.Add(workspace, d))
			}
		}
	}
	for i := range datasets.Items {
		if code := datasets.Items[i].Spec.From.Code; code != nil {
			add(datasets.Items[i].Namespace, code.Bundle, code.Environment.Requirements)
		}
	}
	for i := range models.Items {
		code := models.Items[i].Spec.Train.Code
		add(models.Items[i].Namespace, code.Bundle, code.Environment.Requirements)
	}
	for i := range reports.Items {
		add(reports.Items[i].Namespace, reports.Items[i].Spec.Bundle)
	}
	return errors.Join(errs...)
}
