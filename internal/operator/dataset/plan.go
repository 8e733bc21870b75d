// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/plan"
)

// Plan decides what Reconcile would do with the dataset as it is given, and the fingerprint that it asks for. Nothing is done.
func (s *Station) Plan(ctx context.Context, d *v1alpha1.Dataset) (plan.Decision, string, error) {
	w, err := s.observe(ctx, d)
	if err != nil {
		return plan.Decision{}, "", err
	}
	return plan.Decide(w.Observation), w.Wanted, nil
}
