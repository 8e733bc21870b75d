// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"fmt"
	"time"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/source"
)

// Collect is how long captured traffic gathers before it becomes a version.
const Collect = time.Minute

// collect makes a version of captured traffic at most every minute. A run that is under way is let end, and what it made is
// committed, although more has come in since: otherwise steady traffic would never become a version.
func (s *Station) collect(ctx context.Context, d *v1alpha1.Dataset, w *work) error {
	if w.Other != nil {
		w.Wanted, w.Run, w.Other = w.Other.Fingerprint, w.Other, nil
		return nil
	}
	if w.Wanted == w.Current || w.Run != nil {
		return nil
	}
	for _, r := range w.ended {
		if at := r.Status.FinishedAt; at == nil || s.Now().Sub(at.Time) > Collect {
			continue // it could not be stored, or was long ago
		}
		_, err := s.Lake.ByFingerprint(ctx, nameOf(d), r.Spec.Fingerprint)
		if fault.Is(err, fault.NotFound) {
			w.Wanted, w.Run = r.Spec.Fingerprint, stateOf(r)
			return nil
		} else if err != nil {
			return err
		}
	}
	if at := d.Status.UpdatedAt; at != nil {
		if left := Collect - s.Now().Sub(at.Time); left > 0 {
			w.Resting, w.lookAgain = "more traffic is being captured", left
		}
	}
	return nil
}

func (s *Station) captured(ctx context.Context, d *v1alpha1.Dataset, w *work) error {
	found, err := s.Captured(ctx, d.Namespace, d.Spec.From.Capture.Endpoint)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		w.Waiting = append(w.Waiting, fmt.Sprintf("endpoint %s: no request has been captured yet", d.Spec.From.Capture.Endpoint))
	}
	for _, f := range found {
		w.sources = append(w.sources, source.File{Key: f.Path, Digest: f.Digest, Size: f.Size})
	}
	return nil
}
