// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

func numbers(names ...string) []Feature {
	var features []Feature
	for _, name := range names {
		features = append(features, Feature{Name: name})
	}
	return features
}

var (
	yesNo   = Target{Classes: []string{"no", "yes"}}
	ageAnd  = []Feature{{Name: "age"}, {Name: "sex", Text: true}}
	fourRow = []Column{{Name: "weight", Numbers: []float64{1, 2, 3, 4}}, {Name: "age", Numbers: []float64{0, 0, 1, 1}}}
)

func sigmoid(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

func TestConventions(t *testing.T) {
	cases := []struct {
		name, model string
		features    []Feature
		target      Target
		columns     []Column
		convention  string
		want        func(row int) float64 // probability of the last class, or value
	}{
		{"softmax", "softmax", numbers("age", "weight"), yesNo, fourRow, Matrix, func(i int) float64 {
			return sigmoid(2*fourRow[1].Numbers[i] + fourRow[0].Numbers[i] - 0.2)
		}},
		{"named", "named", numbers("age", "height", "weight"), yesNo, append([]Column{{Name: "height", Numbers: make([]float64, 4)}}, fourRow...), Matrix,
			func(i int) float64 { return sigmoid(2*fourRow[0].Numbers[i] + fourRow[1].Numbers[i] - 0.2) }},
		{"fixed", "fixed", numbers("age", "weight"), yesNo, []Column{{Name: "age", Numbers: []float64{1, 2, 3}}, {Name: "weight", Numbers: []float64{0, 0, 0}}},
			Matrix, func(i int) float64 { return sigmoid(2*float64(i+1) - 0.2) }},
		{"logistic without the texts", "softmax", append([]Feature{{Name: "sex", Text: true}}, numbers("age", "weight")...), yesNo,
			append([]Column{{Name: "sex", Texts: []string{"f", "f", "m", "m"}}}, fourRow...), Matrix, func(i int) float64 {
				return sigmoid(2*fourRow[1].Numbers[i] + fourRow[0].Numbers[i] - 0.2)
			}},
		{"sigmoid", "sigmoid", numbers("age", "weight"), yesNo, fourRow, Matrix, func(i int) float64 {
			return sigmoid(2*fourRow[1].Numbers[i] + fourRow[0].Numbers[i])
		}},
		{"regression", "regression", numbers("age", "weight"), Target{}, fourRow, Matrix, func(i int) float64 {
			return 2*fourRow[1].Numbers[i] + fourRow[0].Numbers[i]
		}},
		{"columns", "columns", ageAnd, yesNo, []Column{{Name: "sex", Texts: []string{"f", "m"}}, {Name: "age", Numbers: []float64{1, 2}}}, Columns,
			func(i int) float64 { return sigmoid(2) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			scorer, err := own(t, c.model).Bind(c.features, c.target)
			if err != nil {
				t.Fatal(err)
			}
			scores, err := scorer.Score(context.Background(), c.columns)
			if err != nil {
				t.Fatal(err)
			}
			if scorer.Convention != c.convention {
				t.Errorf("convention %s", scorer.Convention)
			}
			rows := c.columns[0].rows()
			for i := range rows {
				got := math.NaN()
				if len(c.target.Classes) == 0 && len(scores.Values) == rows {
					got = scores.Values[i]
				} else if len(scores.Probabilities) == 2*rows {
					got = scores.Probabilities[2*i+1]
				}
				if math.Abs(got-c.want(i)) > 1e-5 {
					t.Errorf("row %d is %v, want %v", i, got, c.want(i))
				}
			}
		})
	}
}

func TestModelsThatDoNotFit(t *testing.T) {
	age := []Column{{Name: "age", Numbers: []float64{1, 2}}, {Name: "weight", Numbers: []float64{0.1, 3}}}
	ageWeight := numbers("age", "weight")
	cases := []struct {
		name, model string
		features    []Feature
		target      Target
		columns     []Column
		want        []string
	}{
		{"too many features", "softmax", numbers("age", "weight", "height"), yesNo, age, []string{"2 values a row", "3 features", "height"}},
		{"text feature", "softmax", ageAnd, yesNo, age, []string{`"sex" holds texts`, "one input a column"}},
		{"unknown column", "columns", numbers("age", "height"), yesNo, age, []string{`input "sex"`, "age, height"}},
		{"text expected", "columns", numbers("age", "sex"), yesNo, age, []string{"sex BYTES", "texts need a string input"}},
		{"no probabilities", "label_only", ageWeight, yesNo, age, []string{"no probabilities", "zipmap"}},
		{"two answers", "two_answers", ageWeight, yesNo, age, []string{"first", "second", `name it "probabilities"`}},
		{"metadata names a missing feature", "named", numbers("age", "height"), yesNo, age, []string{`feature "weight"`}},
		{"logits", "logits", ageWeight, yesNo, age, []string{`"probabilities"`, "no probability", "softmax"}},
		{"NaN", "nan", ageWeight, yesNo, age, []string{`"probabilities" is NaN`, "SimpleImputer"}},
		{"one row for all", "one_row", ageWeight, yesNo, age, []string{"shape [1 2] for 2 rows", "first axis"}},
		{"other classes", "softmax", ageWeight, Target{Classes: []string{"a", "b", "c"}}, age, []string{"2 columns", "3 classes"}},
		{"two values for a regression", "softmax", ageWeight, Target{}, age, []string{"must give one"}},
		{"missing column", "softmax", ageWeight, yesNo, age[:1], []string{`"weight" is missing`}},
		{"fraction for an integer", "integer", numbers("age"), Target{}, []Column{{Name: "age", Numbers: []float64{1.5}}}, []string{"1.5", "INT64"}},
		{"missing value for an integer", "integer", numbers("age"), Target{}, []Column{{Name: "age", Numbers: []float64{math.NaN()}}}, []string{"NaN"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			scorer, err := own(t, c.model).Bind(c.features, c.target)
			if err == nil {
				_, err = scorer.Score(context.Background(), c.columns)
			}
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func TestFindLibrary(t *testing.T) {
	none := func(string) string { return "" }
	if _, err := FindLibrary(none, filepath.Join(t.TempDir(), "bin", "fathom-step")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
	named := func(string) string { return "/nonexistent/lib.so" }
	if _, err := FindLibrary(named, ""); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "/nonexistent/lib.so") {
		t.Errorf("got %v", err)
	}
}
