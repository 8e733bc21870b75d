// SPDX-License-Identifier: Apache-2.0

package console

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// rendering records a run that rendered the report to this page.
func (w *world) rendering(run, page string, at time.Time, cohort string) ref.Digest {
	w.Helper()
	manifest, err := lake.NewManifest([]lake.File{w.blob("index.html", page)})
	if err != nil {
		w.Fatal(err)
	}
	output, err := w.lake.PutManifest(w.Context(), manifest)
	if err != nil {
		w.Fatal(err)
	}
	err = w.lake.RecordRun(w.Context(), lake.RunRecord{
		UID: run, Workspace: "neurology", Name: run, Step: "render", ForKind: "Report", ForName: "findings", Fingerprint: run,
		Output: output, Phase: v1alpha1.RunSucceeded, Started: at, Finished: at,
		Inputs: []lake.Input{{Artifact: lake.Artifact{Kind: lake.KindDataset, Workspace: "neurology", Name: "cohort", Version: cohort}}},
	})
	if err != nil {
		w.Fatal(err)
	}
	return output
}

// TestReportVersions: each rendering can be looked at, the newest is on show; one that is not on show yet has no number.
func TestReportVersions(t *testing.T) {
	w := newWorld(t)
	w.rendering("findings-1", "<h1>first</h1>", w.now.Add(-3*time.Hour), "1")
	second := w.rendering("findings-2", "<h1>second</h1>", w.now.Add(-2*time.Hour), "2")
	w.rendering("findings-3", "<h1>third</h1>", w.now.Add(-time.Hour), "3")
	report := &v1alpha1.Report{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "findings"}}
	report.Status.Output, report.Status.Version = string(second), 2
	w.create(report)
	got := w.want("ada", "GET", v1+"/reports/findings/versions", "", 200, `"versions":[{"number":2,`)
	if !strings.Contains(got.text, `{"number":1,`) || strings.Contains(got.text, "findings-3") || !strings.Contains(got.text, `"name":"cohort","version":2`) {
		t.Errorf("versions: %s", got.text)
	}
	const page = "/ui/workspaces/neurology/reports/findings/index.html"
	w.want("ada", "GET", page, "", 200, "second")
	w.want("ada", "GET", page+"?version=1", "", 200, "first")
	w.want("ada", "GET", page+"?version=2", "", 200, "second")
	w.want("ada", "GET", page+"?version=3", "", 404, "version 3 is not in the history")
	kept := w.want("ada", "GET", page+"?version=1&download=true", "", 200, "first")
	if d := kept.Header.Get("Content-Disposition"); d != `attachment; filename="findings-1.html"` {
		t.Errorf("it is stored as %s", d)
	}
	policy := kept.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'self'") || strings.Contains(policy, "script-src") {
		t.Errorf("the page may do %s", policy)
	}
}

// TestOwnAuditLines: whoever has no right to everyone's lines gets their own, whatever they ask for.
func TestOwnAuditLines(t *testing.T) {
	w := newWorld(t)
	w.study()
	w.want("ada", "GET", v1+"/audit/mine?user=eve&before=7&action=get", "", 200, `"User":"ada","Action":"get","Decision":"","Before":7`)
	w.want("ada", "GET", v1+"/audit?user=eve", "", 200, `"User":"eve"`)
	w.want("ada", "GET", v1+"/audit?before=x", "", 400, "no number of a line")
	w.want("ada", "GET", v1+"/audit?decision=perhaps", "", 400, "allowed, refused and failed")
	w.want("ada", "GET", v1+"/endpoints/tremor/traffic?minutes=0", "", 400, "from 1 to")
	w.want("ada", "GET", v1+"/endpoints/gone/traffic", "", 404, "there is no gone")
}
