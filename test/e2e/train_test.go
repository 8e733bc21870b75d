// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const trainYAML = `kind: Workspace
metadata: {name: graph}
spec: {}
---
kind: Dataset
metadata: {name: visits, namespace: graph}
spec:
  from: {files: {url: inbox/visits/*, format: csv}}
  privacy: {}
---
kind: Dataset
metadata: {name: cohort, namespace: graph}
spec: {from: {query: {sql: "select *, mod(substr(person, 4)::int, 2) as status from visits"}}}
---
kind: Model
metadata: {name: tiny, namespace: graph}
spec:
  data: {dataset: cohort, target: status, subject: person, features: [jitter, visit]}
  train:
    code: {path: %s, command: [python3, train.py]}
    resources: {cpu: 500m, memory: 128Mi}
  evaluate: {folds: 3, by: subject}
  promote: {when: ["roc_auc >= 0.0"]}
---
kind: Endpoint
metadata: {name: tiny, namespace: graph}
spec: {model: tiny}
`

// TestKillWhileTraining ends the server in every stage of a model's making, twice: versions are registered once each,
// promoted, and served.
func TestKillWhileTraining(t *testing.T) {
	f := start(t)
	code, err := filepath.Abs(filepath.Join("testdata", "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	study := f.folder(map[string]string{
		"study.yaml": fmt.Sprintf(trainYAML, code), "data/first.csv": visits(0, 20), "data/second.csv": visits(20, 26),
	})
	f.do("apply", "-f", filepath.Join(study, "study.yaml"))
	for i, c := range []struct {
		file   string
		stages []string // as `fathom status` tells them; patterns
	}{
		{"first.csv", []string{"split", "train [1-3]/4", "evaluate"}},
		{"second.csv", []string{"train 0/4", "evaluate"}},
	} {
		number := int64(i + 1)
		f.do("put", "-n", "graph", filepath.Join(study, "data", c.file), "inbox/visits/")
		for _, stage := range c.stages {
			f.restartAt(regexp.MustCompile("^"+stage), number)
		}
		f.await(fmt.Sprintf("version %d served", number), 5*time.Minute, func() bool {
			said := f.status("graph")
			endpoint := said["endpoint/tiny"]
			return endpoint.State == "Ready" && endpoint.Version == number && said["model/tiny"].State == "Ready"
		})
		if out := f.do("predict", "tiny", "-n", "graph", "-d", `{"jitter": 0.01, "visit": 1}`); !strings.Contains(out, "0.88") {
			t.Errorf("predict: %s", out) // 1 / (1 + exp(-2.02)) = 0.883
		}
	}
	shown := f.do("show", "model", "tiny", "-n", "graph")
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^  version (\d+) on data version (\d+): .*(Production|Archived);`).FindAllStringSubmatch(shown, -1) {
		got = append(got, strings.Join(m[1:], " "))
	}
	if strings.Join(got, ", ") != "1 1 Archived, 2 2 Production" {
		t.Errorf("versions %q, want 1 of data version 1, archived, and 2 of data version 2, in production:\n%s", got, shown)
	}
}

// restartAt kills the server when the making of a version of the model has come to a stage, or has passed it unseen.
func (f *fathom) restartAt(stage *regexp.Regexp, number int64) {
	f.Helper()
	var seen line
	f.await(fmt.Sprintf("stage %q of version %d", stage, number), 5*time.Minute, func() bool {
		seen = f.status("graph")["model/tiny"]
		return seen.Version >= number || seen.State == "Running" && stage.MatchString(seen.Detail)
	})
	f.restart(strings.TrimSpace(seen.State + " " + seen.Detail))
}
