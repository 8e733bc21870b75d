// SPDX-License-Identifier: Apache-2.0

package console

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
)

// TestLogOfIdentifiedData: what people's code prints that reads identified data is for those who may read such data, while the run
// lives and after it.
func TestLogOfIdentifiedData(t *testing.T) {
	w := newWorld(t)
	w.may = func(user string, a identity.Action) bool { return a.Subresource != "identified" || user == "steward" }
	w.create(&v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "live"}, Spec: v1alpha1.RunSpec{Identified: true}})
	w.create(&v1alpha1.Run{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "harmless"}})
	for name, identified := range map[string]bool{"ended": true, "ended-harmless": false} {
		err := w.lake.RecordRun(t.Context(), lake.RunRecord{UID: name, Workspace: "neurology", Name: name, Phase: v1alpha1.RunFailed,
			Finished: time.Unix(1, 0), Identified: identified})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"live", "ended"} {
		w.want("ada", "GET", ws+"/runs/"+name+"/log", "", 403, "ada may not get datasets/identified in neurology")
		w.want("steward", "GET", ws+"/runs/"+name+"/log", "", 200, "log of")
	}
	for _, name := range []string{"harmless", "ended-harmless"} {
		w.want("ada", "GET", ws+"/runs/"+name+"/log", "", 200, "log of")
	}
}
