// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestVoiceReference runs examples/parkinsons-voice and holds its results against what scikit-learn gave for the same file
// and protocol (see the reference files beside the data).
func TestVoiceReference(t *testing.T) {
	data := os.Getenv("FATHOM_TESTDATA")
	if data == "" {
		data = filepath.Join("..", "..", "..", "shared", "data")
	}
	data = filepath.Join(data, "parkinsons")
	if _, err := os.Stat(filepath.Join(data, "parkinsons.data")); err != nil {
		t.Skipf("needs the UCI data (set FATHOM_TESTDATA): %v", err)
	}
	f := start(t)
	study := filepath.Join("..", "..", "examples", "parkinsons-voice")
	f.do("apply", "-f", study)
	f.do("put", "-n", "voice", filepath.Join(data, "parkinsons.data"), "inbox/recordings/")
	f.do("put", "-n", "voice", filepath.Join(data, "group_folds.csv"), "inbox/folds/")
	f.settle("voice")

	for _, c := range []struct {
		model     string
		auc, tol  float64
		folds     int
		reference string // column of the reference predictions, which must agree to 1e-4
	}{
		{"lr-folds", 0.7287, 0.0005, 5, "p_logistic_regression"},
		{"lr-loso", 0.7218, 0.0005, 32, ""},
		{"rf", 0.8036, 0.04, 5, ""},
	} {
		t.Run(c.model, func(t *testing.T) {
			e := f.evaluation("voice", c.model)
			if got := e.Metrics["roc_auc"].Value; math.Abs(got-c.auc) > c.tol {
				t.Errorf("pooled ROC AUC %.4f, want %.4f ± %g", got, c.auc, c.tol)
			}
			if len(e.Folds) != c.folds || e.Population.Rows != 195 || e.Population.Subjects != 32 {
				t.Errorf("%d folds of %d rows of %d subjects, want %d, 195, 32", len(e.Folds), e.Population.Rows, e.Population.Subjects, c.folds)
			}
			if e.Leakage.Verdict != "none" {
				t.Errorf("leakage %+v, want none", e.Leakage)
			}
			if got := f.status("voice")["model/"+c.model]; got.State != "Ready" || got.Version != 1 {
				t.Errorf("status %+v, want version 1 promoted", got)
			}
			if c.reference != "" {
				f.comparePredictions(t, c.model, filepath.Join(data, "reference_out_of_fold.csv"), c.reference)
			}
		})
	}
	t.Run("the report shows the data", func(t *testing.T) {
		if page := f.get("/ui/workspaces/voice/reports/findings/index.html"); !bytes.Contains(page, []byte("recording is no new person")) {
			t.Errorf("the page is not as written: %.500s", page)
		}
	})
	t.Run("the endpoint answers", func(t *testing.T) {
		if out := f.do("predict", "voice", "-n", "voice"); !strings.Contains(out, "probabilities") {
			t.Errorf("predict: %s", out)
		}
	})
	t.Run("folds by record are refused", func(t *testing.T) { f.refuseRecords(t, filepath.Join(study, "leak")) })
}

// refuseRecords trains with folds by record: splendid, and not promoted.
func (f *fathom) refuseRecords(t *testing.T, study string) {
	f.do("apply", "-f", study)
	out, ok := f.try("status", "-n", "voice", "--wait", "--timeout", "12m")
	if ok {
		t.Errorf("status --wait succeeded although a model is refused: %s", out)
	}
	e := f.evaluation("voice", "lr-by-record")
	if got := e.Metrics["roc_auc"].Value; math.Abs(got-0.8927) > 0.02 {
		t.Errorf("pooled ROC AUC by record %.4f, want 0.8927 ± 0.02", got)
	}
	if e.Leakage.Verdict != "block" {
		t.Errorf("leakage %+v, want block", e.Leakage)
	}
	got := f.status("voice")["model/lr-by-record"]
	if got.State != "Refused" || got.Version != 0 {
		t.Errorf("status %+v, want Refused and nothing promoted", got)
	}
	for _, want := range []string{"leakage audit blocks promotion", "rows were split one by one", "phon_R01_S01", "evaluate.by: subject"} {
		if !strings.Contains(got.Message, want) {
			t.Errorf("the message does not say %q: %s", want, got.Message)
		}
	}
}

// evaluation is the part of a version's evaluation that is judged.
type evaluation struct {
	Metrics    map[string]struct{ Value, Low, High float64 }
	Folds      []struct{ Rows int }
	Population struct{ Rows, Subjects int }
	Leakage    struct {
		Verdict  string
		Findings []struct{ Kind, Message string }
	}
}

func (f *fathom) evaluation(workspace, model string) evaluation {
	f.Helper()
	var e evaluation
	f.getJSON(&e, "/api/workspaces/%s/models/%s/evaluation", workspace, model)
	return e
}

// comparePredictions holds each held-out row's probability against the reference of the same recording.
func (f *fathom) comparePredictions(t *testing.T, model, reference, column string) {
	t.Helper()
	file, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{}
	for _, row := range records(t, file) {
		want[row["name"]] = number(t, row[column])
	}
	// Rows are told by their position in the dataset, which its query orders by name.
	names := records(t, []byte(f.do("sql", "-n", "voice", "--format", "csv", "select name from measures order by name")))
	got := records(t, f.get("/api/workspaces/voice/models/"+model+"/outoffold"))
	if len(got) != len(want) {
		t.Fatalf("%d held-out rows, want %d", len(got), len(want))
	}
	worst := 0.0
	for _, row := range got {
		name := names[int(number(t, row["row"]))]["name"]
		if !strings.HasPrefix(name, row["subject"]+"_") {
			t.Fatalf("row %s is of subject %s, but the dataset has %s there", row["row"], row["subject"], name)
		}
		worst = max(worst, math.Abs(number(t, row["p_1"])-want[name]))
	}
	t.Logf("%s: %d held-out probabilities, at most %.2g from the reference", model, len(got), worst)
	if worst > 1e-4 {
		t.Errorf("held-out probabilities differ by up to %g, want at most 1e-4", worst)
	}
}

// records reads CSV with a header.
func records(t *testing.T, text []byte) []map[string]string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("not CSV: %v in %.200s", err, text)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		one := map[string]string{}
		for i, name := range rows[0] {
			one[name] = row[i]
		}
		out = append(out, one)
	}
	return out
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
