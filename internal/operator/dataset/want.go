// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"encoding/json"
	"time"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
)

// want sets the wanted fingerprint and finds the stored version that has it. Where consents decide who enters, the recipe
// names the last moment at which one began or ended, as far as the versions tell: a version that was right before that
// moment is not used again after it.
func (s *Station) want(ctx context.Context, d *v1alpha1.Dataset, w *work, recipe plan.Recipe) error {
	if w.consents != nil {
		var err error
		if w.asOf, err = s.boundary(ctx, d); err != nil {
			return err
		}
	}
	for {
		if !w.asOf.IsZero() {
			recipe.AsOf = w.asOf.UTC().Format(time.RFC3339)
		}
		w.Wanted, w.ExistingVersion = recipe.Fingerprint(), 0
		if w.Wanted == w.Current {
			return nil
		}
		v, err := s.Lake.ByFingerprint(ctx, nameOf(d), w.Wanted)
		if fault.Is(err, fault.NotFound) {
			return nil
		} else if err != nil {
			return err
		}
		summary, err := summaryOf(v)
		if err != nil {
			return err
		}
		until := summary.Report.ValidUntil
		if w.consents == nil || until == nil || s.Now().Before(*until) || !until.After(w.asOf) {
			w.ExistingVersion = int64(v.Number)
			return nil
		}
		w.asOf = *until
	}
}

// boundary is the last moment at which a consent began or ended, as far as the current version's report told. A status
// that was lost, or a dataset that is declared anew, goes on from the newest version.
func (s *Station) boundary(ctx context.Context, d *v1alpha1.Dataset) (time.Time, error) {
	var asOf, until *time.Time
	if d.Status.AsOf != nil {
		asOf = &d.Status.AsOf.Time
	}
	if d.Status.RefreshAfter != nil {
		until = &d.Status.RefreshAfter.Time
	}
	if d.Status.Version == 0 {
		v, err := s.Lake.Latest(ctx, nameOf(d))
		if fault.Is(err, fault.NotFound) {
			return time.Time{}, nil
		} else if err != nil {
			return time.Time{}, err
		}
		summary, err := summaryOf(v)
		if err != nil {
			return time.Time{}, err
		}
		asOf, until = summary.AsOf, summary.Report.ValidUntil
	}
	switch {
	case until != nil && !s.Now().Before(*until):
		return *until, nil
	case asOf != nil:
		return *asOf, nil
	}
	return time.Time{}, nil
}

func summaryOf(v lake.Version) (Summary, error) {
	var summary Summary
	if len(v.Summary) == 0 {
		return summary, nil
	}
	err := json.Unmarshal(v.Summary, &summary)
	return summary, fault.Wrap(fault.Corrupt, "summary of "+v.Name.String(), err)
}
