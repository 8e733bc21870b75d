// SPDX-License-Identifier: Apache-2.0

package insight

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
)

// weights is a model that nobody had to train: the log odds are a weighted sum of the features.
var weights = []float64{-1.9, 0.9, 0.45, -0.3, 0}

var features = []string{"putamen_ratio", "asymmetry", "jitter", "hnr", "noise_db"}

// study makes rows of subjects with a planted truth and has them evaluated, as the evaluate step does.
func study(t *testing.T, subjects int, task evaluate.Task, by evaluate.By) *evaluate.Evaluation {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	const visits = 3
	n := subjects * visits
	columns := make([]evaluate.Column, len(features))
	for i, f := range features {
		columns[i] = evaluate.Column{Feature: evaluate.Feature{Name: f, Type: "number"}, Numbers: make([]float64, n)}
	}
	target := evaluate.Column{Feature: evaluate.Feature{Name: "status", Type: "integer"}, Numbers: make([]float64, n)}
	sex := evaluate.Column{Feature: evaluate.Feature{Name: "sex", Type: "text"}, Texts: make([]string, n)}
	site := evaluate.Column{Feature: evaluate.Feature{Name: "site", Type: "text"}, Texts: make([]string, n)}
	in := evaluate.Divisible{Features: columns, Excluded: map[string]int{"the target is missing": 4}}
	for s := range subjects {
		person := make([]float64, len(features))
		log := 0.4
		for j := range person {
			person[j] = rng.NormFloat64()
			log += 0.8 * weights[j] * person[j]
		}
		ill := 0.0
		if rng.Float64() < 1/(1+math.Exp(-log)) {
			ill = 1
		}
		for v := range visits {
			row := s*visits + v
			for j := range person {
				columns[j].Numbers[row] = person[j] + 0.5*rng.NormFloat64()
			}
			target.Numbers[row] = ill
			if task == evaluate.Regression {
				target.Numbers[row] = log + rng.NormFloat64()
			}
			sex.Texts[row] = []string{"F", "M"}[s%2]
			site.Texts[row] = []string{"north", "south", "west"}[min(s%9, 1)+s%17/16]
			in.Subject = append(in.Subject, fmt.Sprintf("p%03d", s))
			in.Row = append(in.Row, int64(row))
		}
	}
	in.Target = target
	split, assigned, err := evaluate.Divide(evaluate.SplitParams{Dataset: "cohort", Target: "status", Subject: "patient_id", By: by, Task: task}, in)
	if err != nil {
		t.Fatal(err)
	}
	score := func(_ context.Context, _ int, columns []evaluate.Column) ([]float64, error) {
		var out []float64
		for i := range columns[0].Numbers {
			log := 0.4
			for j := range columns {
				log += weights[j] * columns[j].Numbers[i]
			}
			if p := 1 / (1 + math.Exp(-log)); task == evaluate.Regression {
				out = append(out, log)
			} else {
				out = append(out, 1-p, p)
			}
		}
		return out, nil
	}
	answers, err := score(t.Context(), 0, columns)
	if err != nil {
		t.Fatal(err)
	}
	p := evaluate.Predictions{Task: split.Task, Subject: in.Subject}
	if task == evaluate.Regression {
		p.Target, p.Value = target.Numbers, answers
	} else {
		p.Probabilities = answers
		if p.Classes, p.Class, p.Positive, err = evaluate.Classify(target, split.Task, split.Positive); err != nil {
			t.Fatal(err)
		}
	}
	e, err := evaluate.Assess(t.Context(), evaluate.Assessed{
		Split: split, Params: evaluate.Params{Dataset: "cohort", Split: "split", Seed: 1, Bootstrap: 300}, Predictions: p,
		Fold: assigned.Fold, Features: columns, Slices: []evaluate.Column{sex, site}, Score: score,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range columns {
		e.Signature.Features = append(e.Signature.Features, c.Feature)
	}
	return e
}

var day = time.Date(2026, 3, 1, 14, 5, 0, 0, time.UTC)

func sha(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// full is a model with everything that a page can show.
func full(e *evaluate.Evaluation) Model {
	yes, no := true, false
	voice := Node{Kind: "dataset", Role: "input", Name: "voice", Version: "2", Inputs: []Node{
		{Kind: "dataset", Role: "consent", Name: "consents", Version: "2", Inputs: []Node{
			{Kind: "file", Role: "source", Name: "inbox/consents/2026-01.ndjson", Digest: sha("1"), Facts: map[string]string{"size": "48213", "modified": "2026-01-04T10:00:00Z"}}}},
		{Kind: "file", Role: "source", Name: "inbox/voice/north-1.csv", Digest: sha("2"), Facts: map[string]string{"size": "912", "modified": "2026-01-04T10:00:00Z"}},
	}}
	return Model{
		Workspace: "neurology", Name: "parkinsons", Version: 2, Stage: "Production", Evaluation: e,
		Why: "all rules hold: roc_auc.low > 0.6; roc_auc >= production.roc_auc - 0.05; leakage == none", Metrics: []string{"roc_auc", "brier", "calibration_slope"},
		Rules:    []Rule{{"roc_auc.low > 0.6", &yes}, {"roc_auc >= production.roc_auc - 0.05", &no}, {"leakage == none", nil}},
		Approval: "approver", ApprovedBy: "dr.lee@example.org", Dataset: "cohort", DatasetVersion: 4,
		Exclusions: []Exclusion{{"voice", "consent is denied", 12, 4}, {"voice", "consent was withdrawn", 9, 3}, {"scans", "no consent", 8, 1}},
		Parameters: `{"C": 1.0}`, Digest: sha("a"), Code: sha("b"), Environment: sha("c"), Fingerprint: strings.Repeat("d", 64), TrackingRun: "0af3",
		TrainedAt: day, PromotedAt: day.Add(time.Hour),
		Provenance: &Node{Kind: "model", Name: "parkinsons", Version: "2", Digest: sha("a"), Inputs: []Node{
			{Kind: "code", Role: "code", Name: "parkinsons", Digest: sha("b")},
			{Kind: "dataset", Role: "input", Name: "cohort", Version: "4", Inputs: []Node{voice, {Kind: "dataset", Role: "input", Name: "scan-features", Version: "1", Repeated: true}}},
		}},
		Versions: []Version{
			{Number: 2, Stage: "Production", Headline: "roc_auc 0.88 (0.83–0.93)", DatasetVersion: 4, TrainedAt: day, URL: "parkinsons?version=2"},
			{Number: 1, Stage: "Archived", Headline: "roc_auc 0.86 (0.80–0.92)", DatasetVersion: 3, TrainedAt: day.AddDate(0, 0, -9), URL: "parkinsons?version=1"},
		},
	}
}

// rendered renders and, with go test -artifacts, keeps the page for a look at it.
func rendered(t *testing.T, m Model) string {
	t.Helper()
	html, err := Render(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Render(m)
	if err != nil || !bytes.Equal(html, again) {
		t.Errorf("rendering again gave another page: %v", err)
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "index.html"), html, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"<script", "http://", "https://", "NaN", "ZgotmplZ", "<no value>", "%!"} {
		if strings.Contains(string(html), never) {
			t.Errorf("the page holds %q", never)
		}
	}
	return string(html)
}

func expect(t *testing.T, html string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestClassifier(t *testing.T) {
	html := rendered(t, full(study(t, 80, evaluate.Binary, evaluate.BySubject)))
	expect(t, html, "<h1>parkinsons</h1>", `<span class="badge good">Production</span>`, "Approved by dr.lee@example.org",
		"240 rows of 80 subjects", "consent was withdrawn", "the target is missing", "<figcaption>ROC curve", "<figcaption>Calibration",
		"Precision and recall", "predicted 1", "Importance of the features", "putamen_ratio", "site: west", `<span class="badge warn">small</span>`,
		"No subject stands on both sides", "roc_auc.low &gt; 0.6", "inbox/voice/north-1.csv", "47.1 KiB", `href="parkinsons?version=1"`, "C&#34;: 1.0",
		"resampling whole subjects 300 times", "With one answer a subject", "of 100 cases")
}

func TestRefusedForALeak(t *testing.T) {
	m := full(study(t, 40, evaluate.Binary, evaluate.ByRecord))
	m.Stage, m.Why = "Refused", "the leakage audit blocks promotion"
	m.Caveats = []string{"isolation is \"process\": <training> could have read held-out rows"}
	html := rendered(t, m)
	expect(t, html, `<span class="badge bad">Refused</span>`, "blocks promotion", "Split by record.", "These numbers may be too good", "say nothing about new people", "&lt;training&gt; could have")
}

func TestRegression(t *testing.T) {
	html := rendered(t, full(study(t, 40, evaluate.Regression, evaluate.BySubject)))
	expect(t, html, "Predicted against true values", "R²", "RMSE", "The mean of status is")
	for _, never := range []string{"ROC curve", "True and predicted classes", "of 100 cases"} {
		if strings.Contains(html, never) {
			t.Errorf("the page of a regression holds %q", never)
		}
	}
}

func TestLittleIsKnown(t *testing.T) {
	html := rendered(t, Model{Name: "m", Evaluation: &evaluate.Evaluation{Task: evaluate.Multiclass, Classes: []string{"a", "b", "c"}}})
	expect(t, html, "<h1>m</h1>", "Nobody was left out", "no finding")
	if _, err := Render(Model{Name: "m"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a model without evaluation gave %v", err)
	}
}

func TestEveryMetricHasWords(t *testing.T) {
	for _, task := range []evaluate.Task{evaluate.Binary, evaluate.Multiclass, evaluate.Regression} {
		for _, name := range evaluate.MetricNames(task) {
			if terms[name].meaning == "" {
				t.Errorf("%s has no explanation", name)
			}
		}
		if !slices.Contains(evaluate.MetricNames(task), defaults(task)[0]) {
			t.Errorf("the first metric of %s is none of its", task)
		}
	}
	for _, kind := range []string{evaluate.LeakSubject, evaluate.LeakDuplicate, evaluate.LeakTarget, evaluate.LeakRecord} {
		if explanations[kind] == "" {
			t.Errorf("%s has no explanation", kind)
		}
	}
}
