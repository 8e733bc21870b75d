// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
)

// golden is the content of testdata/metrics.json.
type golden struct {
	Problems map[string]problem
	Groups   []struct {
		Groups []string
		K      int
		Fold   []int
	}
}

type problem struct {
	Task      Task
	Classes   int
	Y         []float64
	P         json.RawMessage
	W         []float64
	Threshold float64
	DeLong    *float64
	Want      map[string]*float64
}

func (c problem) predictions(t *testing.T) Predictions {
	t.Helper()
	p := Predictions{Task: c.Task, Weight: c.W, Positive: 1}
	var flat []float64
	var rows [][]float64
	if c.Task == Multiclass {
		if err := json.Unmarshal(c.P, &rows); err != nil {
			t.Fatal(err)
		}
	} else if err := json.Unmarshal(c.P, &flat); err != nil {
		t.Fatal(err)
	}
	if c.Task == Regression {
		p.Target, p.Value = c.Y, flat
		return p
	}
	for j := range max(c.Classes, 2) {
		p.Classes = append(p.Classes, strconv.Itoa(j))
	}
	for i, y := range c.Y {
		p.Class = append(p.Class, int(y))
		if c.Task == Binary {
			p.Probabilities = append(p.Probabilities, 1-flat[i], flat[i])
		} else {
			p.Probabilities = append(p.Probabilities, rows[i]...)
		}
	}
	return p
}

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance*(1+math.Abs(b)) }

func checkGolden(t *testing.T, raw []byte) {
	var want golden
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Problems) < 20 {
		t.Fatalf("%d problems, want 20", len(want.Problems))
	}
	for name, c := range want.Problems {
		t.Run(name, func(t *testing.T) {
			values, undefined, err := Measure(c.predictions(t), c.Threshold, nil)
			if err != nil {
				t.Fatal(err)
			}
			for metric, expected := range c.Want {
				got, has := values[metric]
				switch {
				case expected == nil && has:
					t.Errorf("%s is %v, want none", metric, got)
				case expected == nil && undefined[metric] == "":
					t.Errorf("%s has no reason", metric)
				case expected != nil && (!has || !near(got, *expected, 1e-9)):
					t.Errorf("%s is %v (%s), want %v", metric, got, undefined[metric], *expected)
				}
			}
			if len(values)+len(undefined) != len(MetricNames(c.Task)) {
				t.Errorf("%d values and %d reasons for %d metrics", len(values), len(undefined), len(MetricNames(c.Task)))
			}
			if c.DeLong != nil && values[ROCAUC] > 0 {
				low, high := delong(c.predictions(t))
				half := z975 * math.Sqrt(*c.DeLong)
				if !near(low, math.Max(0, values[ROCAUC]-half), 1e-9) || !near(high, math.Min(1, values[ROCAUC]+half), 1e-9) {
					t.Errorf("DeLong's interval is %v to %v, want %v ± %v", low, high, values[ROCAUC], half)
				}
			}
		})
	}
	for _, g := range want.Groups {
		a, err := GroupKFold(g.Groups, g.K)
		if err != nil || !slices.Equal(a.Fold, g.Fold) {
			t.Errorf("folds of %d rows are %v, want %v (%v)", len(g.Groups), a.Fold, g.Fold, err)
		}
	}
}

func TestMetricsAgreeWithScikitLearn(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, raw)
}

// TestMetricsAgreeWithThisScikitLearn computes the golden file anew.
func TestMetricsAgreeWithThisScikitLearn(t *testing.T) {
	command := exec.Command(python(t), filepath.Join("testdata", "metrics.py"))
	var complaints bytes.Buffer
	command.Stderr = &complaints
	raw, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	checkGolden(t, raw)
}

// python is the interpreter with scikit-learn; the test is skipped without it.
func python(t *testing.T) string {
	t.Helper()
	interpreter := os.Getenv("FATHOM_PYTHON")
	if interpreter == "" {
		_, file, _, _ := runtime.Caller(0)
		interpreter = filepath.Join(filepath.Dir(file), "..", "..", ".tools", "judges", "bin", "python")
	}
	if err := exec.Command(interpreter, "-c", "import sklearn, scipy").Run(); err != nil {
		t.Skipf("needs scikit-learn: set FATHOM_PYTHON (%v)", err)
	}
	return interpreter
}
