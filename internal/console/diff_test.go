// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
)

// TestDiff tells two versions apart: columns, rows with and without a key, and what they were made from. Who may not read the
// data is told the rest.
func TestDiff(t *testing.T) {
	w := newWorld(t)
	file := func(name, digest string) lake.Input {
		return lake.Input{Artifact: lake.Artifact{Kind: lake.KindFile, Workspace: "neurology", Name: name, Digest: w.blob(name, digest).Digest}, Role: lake.RoleSource}
	}
	report := func(parameters string) json.RawMessage {
		return json.RawMessage(`{"step":"Transform","parameters":"` + parameters + `","report":{"rowsIn":9}}`)
	}
	w.version("voice", lake.CommitRequest{Fingerprint: "a", Inputs: []lake.Input{file("a.csv", "1"), file("b.csv", "1")}, Subjects: []string{"s1", "s2"}, Summary: report("p")},
		map[string][]float64{"id": {1, 2, 3, 4}, "x": {1, 1, 1, 1}, "old": {0, 0, 0, 0}})
	w.version("voice", lake.CommitRequest{Fingerprint: "b", Inputs: []lake.Input{file("a.csv", "2"), file("c.csv", "1")}, Subjects: []string{"s2", "s3", "s4"}, Summary: report("q")},
		map[string][]float64{"id": {2, 3, 4, 5, 6}, "x": {1, 1, 7, 1, 1}, "new": {0, 0, 0, 0, 0}})
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: "neurology", Name: "voice"}}
	d.Status.Version = 2
	w.create(d)
	w.may = func(user string, a identity.Action) bool { return user == "ada" || a.Subresource == "" }
	at := ws + "/datasets/voice/diff"
	w.want("ada", "GET", at, "", 200, `"columns":[{"name":"old","from":"double"},{"name":"new","to":"double"}]`)
	w.want("ada", "GET", at, "", 200, `"rows":{"compared":true,"added":3,"removed":2,"changed":0}`)
	w.want("ada", "GET", at+"?from=v1&to=v2&key=id", "", 200, `"rows":{"compared":true,"key":["id"],"added":2,"removed":1,"changed":1}`)
	w.want("ada", "GET", at+"?from=2&to=1&key=id", "", 200, `"added":1,"removed":2,"changed":1`)
	w.want("ada", "GET", at, "", 200, `"declaration":true`)
	w.want("ada", "GET", at, "", 200, `"subjects":{"added":2,"removed":1,"kept":1}`)
	w.want("ada", "GET", at, "", 200, `"summary":{"rowsIn":9}`)
	var got difference
	if err := json.Unmarshal([]byte(w.want("ada", "GET", at, "", 200, `"inputs":[`).text), &got); err != nil {
		t.Fatal(err)
	}
	changes := map[string]string{}
	for _, i := range got.Inputs {
		changes[i.Name] = map[bool]string{true: "from", false: ""}[i.From != ""] + map[bool]string{true: "to", false: ""}[i.To != ""]
	}
	if changes["a.csv"] != "fromto" || changes["b.csv"] != "from" || changes["c.csv"] != "to" {
		t.Errorf("inputs %+v", got.Inputs)
	}
	w.want("eve", "GET", at, "", 200, `"rows":{"compared":false,"why":"you may not read its data"`)
	w.want("ada", "GET", at+"?key=nobody", "", 400, `\"nobody\" is not a column of both versions; they share id, x`)
	w.want("ada", "GET", at+"?from=x", "", 400, "is not a version number")
	w.want("ada", "GET", at+"?from=7", "", 404, "there is no version 7")
	w.want("ada", "GET", at+"?to=1", "", 409, "a difference needs two")
	w.want("ada", "GET", ws+"/datasets/nobody/diff", "", 404, "there is no nobody")
}
