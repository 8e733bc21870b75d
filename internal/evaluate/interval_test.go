// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// study are rows of subjects whose scores share a part within the subject.
func study(random *rand.Rand, subjects, each int) Predictions {
	p := Predictions{Task: Binary, Classes: []string{"0", "1"}, Positive: 1}
	for s := range subjects {
		class := s % 2
		own := random.NormFloat64()
		for range each {
			score := 1 / (1 + math.Exp(-(own + 0.3*random.NormFloat64() + float64(class) - 0.5)))
			p.Class, p.Probabilities = append(p.Class, class), append(p.Probabilities, 1-score, score)
			p.Subject = append(p.Subject, fmt.Sprintf("s%d", s))
		}
	}
	return p
}

// TestIntervalsCover draws many studies of a known truth: 95 % intervals must hold it about 95 times of 100. Intervals that took
// rows of a subject for independent would hold it about half as often.
func TestIntervalsCover(t *testing.T) {
	const truth = 0.7506 // AUC of two normals one apart with sd sqrt(1.09), P(d > 0) = Φ(1/sqrt(2·1.09))
	random := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name           string
		subjects, each int
		method         string
	}{{"one row a subject", 80, 1, MethodDeLong}, {"six rows a subject", 60, 6, MethodSubjects}} {
		t.Run(c.name, func(t *testing.T) {
			const studies = 150
			held := 0
			for range studies {
				m, _, err := MeasureWithIntervals(study(random, c.subjects, c.each), 0.5, []string{ROCAUC}, Resampling{Resamples: 200})
				if err != nil {
					t.Fatal(err)
				}
				auc := m[ROCAUC]
				if auc.Method != c.method {
					t.Fatalf("method %s", auc.Method)
				}
				if *auc.Low <= truth && truth <= *auc.High {
					held++
				}
			}
			if share := float64(held) / studies; share < 0.88 {
				t.Errorf("%.2f of the intervals hold the truth", share)
			}
		})
	}
}

func TestIntervalsAreRepeatable(t *testing.T) {
	p := study(rand.New(rand.NewPCG(2, 2)), 20, 3)
	one, _, _ := MeasureWithIntervals(p, 0.5, nil, Resampling{Resamples: 100, Seed: 5})
	two, _, _ := MeasureWithIntervals(p, 0.5, nil, Resampling{Resamples: 100, Seed: 5})
	other, _, _ := MeasureWithIntervals(p, 0.5, nil, Resampling{Resamples: 100, Seed: 6})
	if !reflect.DeepEqual(one, two) || reflect.DeepEqual(one, other) {
		t.Error("the seed does not decide")
	}
	for name, m := range one {
		if m.Low == nil || *m.Low > m.Value || *m.High < m.Value || m.N != 60 || m.Subjects != 20 {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestPerfectResultsKeepAnHonestInterval(t *testing.T) {
	p := Predictions{Task: Binary, Classes: []string{"0", "1"}, Positive: 1}
	for i := range 20 {
		v := 0.1 + 0.8*float64(i%2)
		p.Class, p.Probabilities = append(p.Class, i%2), append(p.Probabilities, 1-v, v)
	}
	m, _, err := MeasureWithIntervals(p, 0.5, nil, Resampling{})
	if err != nil {
		t.Fatal(err)
	}
	for name, method := range map[string]string{ROCAUC: MethodNewcombe, Accuracy: MethodWilson, Sensitivity: MethodWilson, Specificity: MethodWilson} {
		if got := m[name]; got.Method != method || *got.Low > 0.9 || *got.Low < 0.6 || *got.High != 1 {
			t.Errorf("%s: %v to %v by %s", name, *got.Low, *got.High, got.Method)
		}
	}
}

func TestOneSubjectHasNoInterval(t *testing.T) {
	p := study(rand.New(rand.NewPCG(2, 2)), 1, 5)
	m, undefined, err := MeasureWithIntervals(p, 0.5, nil, Resampling{})
	if err != nil || m[Brier].Low != nil || m[Brier].Method != MethodNone || undefined[ROCAUC] != `no row has class "1"` {
		t.Errorf("%+v, %v, %v", m[Brier], undefined, err)
	}
}

func TestSlices(t *testing.T) {
	p := study(rand.New(rand.NewPCG(3, 3)), 40, 3)
	age := number("age", 120, func(i int) float64 { return float64(20 + i/3) })
	age.Numbers[0] = math.NaN()
	site := text("site", 120, func(i int) string { return fmt.Sprintf("site %02d", i/3%30) })
	byAge, err := SliceBy(p, age, 0.5, []string{ROCAUC}, Resampling{Resamples: 100})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, s := range byAge {
		rows += s.Rows
	}
	if len(byAge) != 5 || rows != 120 || byAge[4].Value != "" || !byAge[4].Small || byAge[0].Small != (byAge[0].Subjects < SmallSliceSubjects) {
		t.Errorf("%d slices of %d rows: %+v", len(byAge), rows, byAge)
	}
	bySite, err := SliceBy(p, site, 0.5, []string{Accuracy}, Resampling{Resamples: 100})
	if err != nil || len(bySite) != MaxSliceValues || bySite[MaxSliceValues-1].Value != "(other)" || bySite[MaxSliceValues-1].Rows != 33 {
		t.Errorf("%d slices, %v", len(bySite), err)
	}
}

func TestImportances(t *testing.T) {
	p := Predictions{Task: Binary, Classes: []string{"0", "1"}, Positive: 1}
	random := rand.New(rand.NewPCG(4, 4))
	strong, weak, none := number("strong", 200, nan), number("weak", 200, nan), number("none", 200, nan)
	in := Permuted{Folds: 4, Repeats: 3, Seed: 9}
	for i := range 200 {
		strong.Numbers[i], weak.Numbers[i], none.Numbers[i] = random.NormFloat64(), random.NormFloat64(), random.NormFloat64()
		class := 0
		if 2*strong.Numbers[i]+0.7*weak.Numbers[i]+0.5*random.NormFloat64() > 0 {
			class = 1
		}
		p.Class, in.Fold = append(p.Class, class), append(in.Fold, i%4)
	}
	in.Features = []Column{none, weak, strong}
	score := func(_ context.Context, _ int, c []Column) ([]float64, error) {
		var out []float64
		for i := range c[0].Numbers {
			v := 1 / (1 + math.Exp(-2*c[2].Numbers[i]-0.7*c[1].Numbers[i]))
			out = append(out, 1-v, v)
		}
		return out, nil
	}
	p.Probabilities, _ = score(context.Background(), 0, in.Features)
	in.Predictions = p
	got, err := Permute(context.Background(), in, score)
	if err != nil {
		t.Fatal(err)
	}
	f := got.Features
	if f[0].Feature != "strong" || f[1].Feature != "weak" || f[2].Drop != 0 || f[0].Drop < 0.2 || f[1].Drop < 0.005 || len(f[0].Folds) != 4 {
		t.Errorf("%+v", f)
	}
	again, _ := Permute(context.Background(), in, score)
	if !reflect.DeepEqual(got, again) {
		t.Error("the seed does not decide")
	}
}

func nan(int) float64 { return math.NaN() }

func TestCurves(t *testing.T) {
	p := study(rand.New(rand.NewPCG(6, 6)), 1000, 1)
	c := Plot(p)
	if len(c.ROC) != CurvePoints || c.ROC[0] != (Point{}) || c.ROC[CurvePoints-1].X != 1 || c.ROC[CurvePoints-1].Y != 1 || len(c.PR) != CurvePoints {
		t.Errorf("ROC of %d points from %+v to %+v", len(c.ROC), c.ROC[0], c.ROC[len(c.ROC)-1])
	}
	flat := Predictions{Task: Binary, Classes: p.Classes, Positive: 1, Class: p.Class[:10], Probabilities: make([]float64, 20)}
	if c := Plot(flat); len(c.Calibration) != 1 || c.Calibration[0].Rows != 10 || len(c.ROC) != 2 {
		t.Errorf("constant predictions: %+v", c)
	}
}

func TestCalibrationBins(t *testing.T) {
	c := Plot(study(rand.New(rand.NewPCG(6, 6)), 1000, 1))
	if len(c.Calibration) != calibrationBins {
		t.Fatalf("%d bins", len(c.Calibration))
	}
	rows := 0
	for i, b := range c.Calibration {
		rows += b.Rows
		if b.Rows != 100 || b.Low > b.Observed || b.High < b.Observed || (i > 0 && b.Predicted <= c.Calibration[i-1].Predicted) {
			t.Errorf("bin %d: %+v", i, b)
		}
	}
	if rows != 1000 {
		t.Errorf("%d rows in bins", rows)
	}
}

func TestSubjectMeans(t *testing.T) {
	p := Predictions{
		Task: Binary, Classes: []string{"0", "1"}, Positive: 1, Class: []int{0, 0, 1, 1, 0},
		Probabilities: []float64{1, 0, 0.5, 0.5, 0, 1, 0, 1, 1, 0}, Subject: []string{"a", "a", "b", "c", "c"},
	}
	rows, mixed := SubjectMeans(p)
	if mixed != 1 || !reflect.DeepEqual(rows.Class, []int{0, 1}) || !reflect.DeepEqual(rows.Probabilities, []float64{0.75, 0.25, 0, 1}) {
		t.Errorf("%+v, %d mixed", rows, mixed)
	}
}
