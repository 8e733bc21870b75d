// SPDX-License-Identifier: Apache-2.0

package poison

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/test/platform"
)

const each = 30 // objects of a kind that are admitted; FATHOM_POISON asks for more

const healthy = `apiVersion: fathom.dev/v1alpha1
kind: Workspace
metadata: {name: healthy}
spec: {members: []}
---
apiVersion: fathom.dev/v1alpha1
kind: Dataset
metadata: {name: people, namespace: healthy}
spec:
  from: {files: {url: "inbox/*.csv", format: csv}}
---
apiVersion: fathom.dev/v1alpha1
kind: Dataset
metadata: {name: adults, namespace: healthy}
spec:
  from: {query: {sql: "select * from people where age > 17"}}
`

// bait are objects as people write them, of which parts are then replaced: random values alone seldom hold together.
const bait = `
Dataset:
- {from: {files: {url: "inbox/*.csv", format: csv}}, privacy: {subject: a, pseudonymise: [a]}, checks: [{column: a, notNull: true}]}
- {from: {query: {sql: "select 1 as a"}}}
- {from: {code: {path: ./x, command: [python, x.py], inputs: [d-1], environment: {python: requirements.txt}}}}
Model:
- {data: {dataset: d-1, target: t, subject: s}, train: {framework: python, code: {path: ./train, command: [python, train.py]}}, promote: {when: ["roc_auc > 0.5"]}}
Endpoint:
- {model: m-1, capture: {sample: 100%}}
Report:
- {page: ./findings.md}
Workspace:
- {members: [{group: g, role: editor}], quota: {cpu: "1", memory: 1Gi}}
Run:
- {for: {kind: Dataset, name: d-1}, step: Ingest, fingerprint: f}
ModelVersion:
- {model: m-1, number: 1}
`

func TestPoisonObjects(t *testing.T) {
	p := platform.Start(t)
	t.Cleanup(func() {
		if t.Failed() {
			if log, err := os.ReadFile(filepath.Join(p.State, "logs", "fathom.log")); err == nil {
				t.Logf("the end of the log:\n%s", log[max(0, len(log)-20_000):])
			}
		}
	})
	seed := uint64(20260822)
	if n, err := strconv.ParseUint(os.Getenv("FATHOM_POISON_SEED"), 10, 64); err == nil {
		seed = n
	}
	r := inventor{rand.New(rand.NewPCG(seed, 1))}
	p.Fathom("apply", "-f", p.Write(map[string]string{"w.yaml": strings.SplitN(healthy, "---", 2)[0] +
		"---\napiVersion: fathom.dev/v1alpha1\nkind: Workspace\nmetadata: {name: poison}\nspec: {members: [], quota: {cpu: \"1\"}}\n"}))
	p.Await("both workspaces", time.Minute, func(ctx context.Context) (bool, error) {
		var all v1alpha1.WorkspaceList
		err := p.Client.List(ctx, &all)
		ready := 0
		for _, w := range all.Items {
			if reason, _ := v1alpha1.Ready(w.Status.Conditions); reason == v1alpha1.ReasonReady {
				ready++
			}
		}
		return ready == 2, err
	})
	examples := map[string][]any{}
	for name, list := range yamlValue([]byte(bait)).(map[string]any) {
		examples[name] = list.([]any)
	}
	admitted := map[string]int{}
	for _, k := range kinds(t) {
		admitted[k.name] = plant(t, p, r, k, examples[k.name])
		if admitted[k.name] == 0 {
			t.Errorf("no object of kind %s was admitted: nothing is tested", k.name)
		}
	}
	t.Logf("seed %d: admitted %v", seed, admitted)

	dir := p.Write(map[string]string{"study.yaml": healthy, "data/people.csv": "name,age\nada,36\nbob,7\n"})
	p.Fathom("put", "-n", "healthy", filepath.Join(dir, "data"), "inbox")
	p.Fathom("apply", "-f", filepath.Join(dir, "study.yaml"))
	for _, name := range []string{"people", "adults"} {
		if d := p.Ready("healthy", name); d.Status.Version != 1 {
			t.Errorf("%s has version %d", name, d.Status.Version)
		}
	}
	if out := p.Fathom("status", "-n", "healthy"); !strings.Contains(out, "adults") {
		t.Errorf("status: %s", out)
	}
	p.Fathom("status", "-n", "poison") // it must be able to tell them all
	wantNoPanic(t, filepath.Join(p.State, "logs"))
	wantToldAll(t, p)
}

// plant creates objects until enough are admitted, and returns how many are.
func plant(t *testing.T, p *platform.Platform, r inventor, k kind, examples []any) int {
	t.Helper()
	want := each
	if n, err := strconv.Atoi(os.Getenv("FATHOM_POISON")); err == nil {
		want = n
	}
	admitted := 0
	for i := 0; i < 40*want && admitted < want; i++ {
		spec, _ := r.value(k.spec, 0).(map[string]any)
		if len(examples) > 0 && r.IntN(4) > 0 {
			spec = r.mixed(examples[r.IntN(len(examples))], k.spec)
		}
		o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		o.Object["metadata"] = r.metadata([]string{v1alpha1.AnnotationEnvironment, v1alpha1.AnnotationRetry},
			[]string{v1alpha1.LabelRun, v1alpha1.LabelFor, v1alpha1.LabelEndpoint, v1alpha1.LabelModelVersion, v1alpha1.LabelWorkspace})
		o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(k.name))
		o.SetName(fmt.Sprintf("%s-%d", strings.ToLower(k.name[:1]), i))
		if k.namespaced {
			o.SetNamespace("poison")
		}
		if p.Client.Create(p.Context(), o) != nil {
			continue
		}
		admitted++
		if r.IntN(3) == 0 { // a status that lies; the server may refuse it
			if lie, ok := r.value(k.status, 0).(map[string]any); ok {
				patch := &unstructured.Unstructured{Object: map[string]any{"status": lie}}
				if body, err := patch.MarshalJSON(); err == nil {
					_ = p.Client.Status().Patch(p.Context(), o, client.RawPatch(types.MergePatchType, body))
				}
			}
		}
		if r.IntN(6) == 0 {
			_ = p.Client.Delete(p.Context(), o)
		}
	}
	return admitted
}

// mixed is an example of which one or two parts are replaced.
func (r inventor) mixed(example any, s apiextensions.JSONSchemaProps) map[string]any {
	spec := runtime.DeepCopyJSON(example.(map[string]any))
	for range 1 + r.IntN(2) {
		r.replace(spec, s)
	}
	return spec
}

func (r inventor) replace(at map[string]any, s apiextensions.JSONSchemaProps) {
	for {
		names := make([]string, 0, len(s.Properties))
		for name := range s.Properties {
			names = append(names, name)
		}
		if len(names) == 0 {
			return
		}
		name := names[r.IntN(len(names))]
		inner, isObject := at[name].(map[string]any)
		if isObject && r.IntN(3) > 0 {
			at, s = inner, s.Properties[name]
			continue
		}
		if r.IntN(6) == 0 {
			delete(at, name)
		} else {
			at[name] = r.value(s.Properties[name], 2)
		}
		return
	}
}

var panicked = regexp.MustCompile(`(?i)observed a panic|panic:|runtime error|goroutine \d+ \[`)

// wantNoPanic reads all logs: a panic that is recovered is still one.
func wantNoPanic(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			if panicked.MatchString(line) {
				t.Errorf("%s: %.2000s", filepath.Base(f), line)
				return
			}
		}
	}
}

// wantToldAll: each object whose kind has conditions says what became of it.
func wantToldAll(t *testing.T, p *platform.Platform) {
	t.Helper()
	for _, name := range []string{"Dataset", "Model", "Endpoint", "Report"} {
		p.Await("a word on every "+name, time.Minute, func(ctx context.Context) (bool, error) {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(name + "List"))
			if err := p.Client.List(ctx, list, client.InNamespace("poison")); err != nil {
				return false, err
			}
			for _, o := range list.Items {
				conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
				if o.GetDeletionTimestamp() == nil && (err != nil || len(conditions) == 0) {
					return false, nil
				}
			}
			return true, nil
		})
	}
}
