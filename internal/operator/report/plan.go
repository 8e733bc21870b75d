// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/ref"
)

// Plan decides what Reconcile would do with the report as it is given. Nothing is done. A page that is not uploaded yet cannot
// be read, so all that is told is that it would be rendered.
func (s *Station) Plan(ctx context.Context, r *v1alpha1.Report) (plan.Decision, error) {
	if digest, err := ref.ParseDigest(r.Spec.Bundle); err == nil {
		if _, err := s.Lake.StatBlob(ctx, digest); fault.Is(err, fault.NotFound) {
			return plan.Decision{Action: plan.Start, Reason: v1alpha1.ReasonRunning, Message: "the page has changed"}, nil
		}
	}
	w, err := s.observe(ctx, r)
	if err != nil {
		return plan.Decision{}, err
	}
	return plan.Decide(w.Observation), nil
}
