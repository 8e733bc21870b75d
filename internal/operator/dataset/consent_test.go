// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/ref"
)

// study is a dataset whose patient p2 permits until a moment an hour from now, and p1 until a year from now.
type study struct {
	*world
	first, second time.Time // when p2's and p1's consents end
}

func newStudy(t *testing.T) *study {
	w := &study{world: newWorld(t, fromFiles("voice", "inbox/*.csv", consenting), ready("consents", 1))}
	w.first, w.second = w.now.Add(time.Hour), w.now.AddDate(1, 0, 0)
	w.put("inbox/a.csv", "a")
	return w
}

// ingest plays the step as of the moment that it was given.
func (w *study) ingest() {
	w.Helper()
	run := w.live("voice")
	var p privacy.IngestParams
	w.read(ref.Digest(run.Spec.Parameters), &p)
	patients, until := []string{"p1", "p2"}, any(w.first)
	switch {
	case p.AsOf.IsZero():
		w.Fatal("the step is not told as of when")
	case !p.AsOf.Before(w.second):
		patients, until = []string{"p3"}, nil
	case !p.AsOf.Before(w.first):
		patients, until = []string{"p1"}, w.second
	}
	w.succeed(run, w.parquet(patients...), w.report(map[string]any{"subjects": patients, "validUntil": until}))
}

// TestConsentEnds: a consent that expires leads to one new version without the subject, by itself.
func TestConsentEnds(t *testing.T) {
	w := newStudy(t)
	w.want("voice", v1alpha1.ReasonRunning, "starts a run")
	if run := w.live("voice"); run.Spec.Secret != PseudonymSecret || len(run.Spec.Inputs) != 2 || run.Spec.Inputs[1].Name != "consents" || run.Spec.Inputs[1].Version != 1 {
		t.Errorf("run %+v", run.Spec)
	}
	w.ingest()
	d := w.want("voice", v1alpha1.ReasonReady, "version 1")
	if d.Status.RefreshAfter == nil || !d.Status.RefreshAfter.Time.Equal(w.first) || d.Status.AsOf != nil {
		t.Fatalf("status %+v", d.Status)
	}
	w.now = w.first.Add(-10 * time.Second)
	result, err := w.s.Reconcile(t.Context(), w.get("voice"))
	if err != nil || result.RequeueAfter != 10*time.Second {
		t.Errorf("it looks again after %s, %v", result.RequeueAfter, err)
	}
	w.now = w.first.Add(3 * time.Second) // a little late
	w.want("voice", v1alpha1.ReasonRunning, "starts a run; version 1 stays in use")
	w.now = w.now.Add(time.Minute)
	w.want("voice", v1alpha1.ReasonRunning, "pending")
	w.ingest()
	d = w.want("voice", v1alpha1.ReasonReady, "version 2")
	if d.Status.Subjects != 1 || !d.Status.RefreshAfter.Time.Equal(w.second) || !d.Status.AsOf.Time.Equal(w.first) {
		t.Fatalf("status %+v", d.Status)
	}
	for range 3 {
		w.now = w.now.Add(24 * time.Hour)
		w.want("voice", v1alpha1.ReasonReady, "version 2 is up to date")
	}
	w.now = w.second
	w.want("voice", v1alpha1.ReasonRunning, "starts a run")
	w.ingest()
	if d = w.want("voice", v1alpha1.ReasonReady, "version 3"); d.Status.RefreshAfter != nil {
		t.Errorf("status %+v", d.Status)
	}
	w.now = w.now.AddDate(10, 0, 0)
	w.want("voice", v1alpha1.ReasonReady, "version 3 is up to date")
	if n := w.versions("voice"); n != 3 {
		t.Errorf("%d versions, want 3", n)
	}
}

// TestConsentEndsWhileNobodyLooks: Fathom was off when it ended, and lost what the object's status said.
func TestConsentEndsWhileNobodyLooks(t *testing.T) {
	forget := func(w *study) { // the object was deleted and declared again
		d := w.get("voice")
		if err := w.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		again := fromFiles("voice", "inbox/*.csv", consenting)
		if err := w.Create(t.Context(), again); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("before the end", func(t *testing.T) {
		w := newStudy(t)
		w.want("voice", v1alpha1.ReasonRunning, "")
		w.ingest()
		w.want("voice", v1alpha1.ReasonReady, "version 1")
		forget(w)
		w.restart(filepath.Dir(w.bucket))
		if d := w.want("voice", v1alpha1.ReasonReady, "version 1 has the same fingerprint and is used again"); !d.Status.RefreshAfter.Time.Equal(w.first) {
			t.Errorf("status %+v", d.Status)
		}
		w.want("voice", v1alpha1.ReasonReady, "version 1 is up to date")
	})
	t.Run("at the end", func(t *testing.T) {
		w := newStudy(t)
		w.want("voice", v1alpha1.ReasonRunning, "")
		w.ingest()
		w.want("voice", v1alpha1.ReasonReady, "version 1")
		forget(w)
		w.now = w.first.Add(time.Hour)
		w.restart(filepath.Dir(w.bucket))
		if d := w.want("voice", v1alpha1.ReasonRunning, "starts a run"); d.Status.Version != 0 {
			t.Errorf("version %d, which holds p2, is in use again", d.Status.Version)
		}
		w.ingest()
		w.want("voice", v1alpha1.ReasonReady, "version 2")
	})
	t.Run("after a version without the subject", func(t *testing.T) {
		w := newStudy(t)
		w.want("voice", v1alpha1.ReasonRunning, "")
		w.ingest()
		w.want("voice", v1alpha1.ReasonReady, "version 1")
		w.now = w.first
		w.want("voice", v1alpha1.ReasonRunning, "")
		w.ingest()
		w.want("voice", v1alpha1.ReasonReady, "version 2")
		forget(w)
		w.restart(filepath.Dir(w.bucket))
		d := w.want("voice", v1alpha1.ReasonReady, "version 2 has the same fingerprint and is used again")
		if !d.Status.AsOf.Time.Equal(w.first) || !d.Status.RefreshAfter.Time.Equal(w.second) {
			t.Errorf("status %+v", d.Status)
		}
		w.want("voice", v1alpha1.ReasonReady, "version 2 is up to date")
		if n := w.versions("voice"); n != 2 {
			t.Errorf("%d versions, want 2", n)
		}
	})
}

// TestEarlierVersionIsNotUsedAgain: files go and come back after a consent has ended; the version that was made of the same
// files before knows the subject still, and is not used again.
func TestEarlierVersionIsNotUsedAgain(t *testing.T) {
	w := newStudy(t)
	w.want("voice", v1alpha1.ReasonRunning, "")
	w.ingest()
	w.want("voice", v1alpha1.ReasonReady, "version 1")
	w.put("inbox/b.csv", "b")
	w.want("voice", v1alpha1.ReasonRunning, "")
	w.succeed(w.live("voice"), w.parquet("p1", "p2"), w.report(map[string]any{"validUntil": nil})) // b alone decides, say
	w.want("voice", v1alpha1.ReasonReady, "version 2")
	w.now = w.first.Add(time.Minute)
	w.want("voice", v1alpha1.ReasonReady, "version 2")
	w.remove("inbox/b.csv")
	if d := w.want("voice", v1alpha1.ReasonRunning, "starts a run"); d.Status.Version != 2 {
		t.Fatalf("version %d is in use", d.Status.Version)
	}
	w.ingest()
	if d := w.want("voice", v1alpha1.ReasonReady, "version 3"); d.Status.Subjects != 1 || !d.Status.AsOf.Time.Equal(w.first) {
		t.Errorf("status %+v", d.Status)
	}
	w.want("voice", v1alpha1.ReasonReady, "version 3 is up to date")
}

// TestWithdrawal: a new version of the consents rebuilds what reads them.
func TestWithdrawal(t *testing.T) {
	w := newStudy(t)
	w.want("voice", v1alpha1.ReasonRunning, "")
	w.ingest()
	w.want("voice", v1alpha1.ReasonReady, "version 1")
	var consents v1alpha1.Dataset
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: "neurology", Name: "consents"}, &consents); err != nil {
		t.Fatal(err)
	}
	consents.Status.Version, consents.Status.Fingerprint = 2, ready("x", 2).Status.Fingerprint
	if err := w.Status().Update(t.Context(), &consents); err != nil {
		t.Fatal(err)
	}
	w.want("voice", v1alpha1.ReasonRunning, "starts a run; version 1 stays in use")
	if in := w.live("voice").Spec.Inputs[1]; in.Version != 2 {
		t.Errorf("it reads consents %+v", in)
	}
}
