// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

func TestInferTask(t *testing.T) {
	cases := []struct {
		name   string
		target Column
		want   Task
	}{
		{"0 and 1", number("y", 10, func(i int) float64 { return float64(i % 2) }), Binary},
		{"two fractions", number("y", 10, func(i int) float64 { return 0.5 * float64(i%2) }), Binary},
		{"two texts", text("y", 10, func(i int) string { return "ab"[i%2 : i%2+1] }), Binary},
		{"three whole numbers", number("y", 10, func(i int) float64 { return float64(i % 3) }), Multiclass},
		{"whole numbers once each", number("y", 10, func(i int) float64 { return float64(i) }), Regression},
		{"many whole numbers", number("y", 100, func(i int) float64 { return float64(i % 25) }), Regression},
		{"fractions", number("y", 10, func(i int) float64 { return float64(i%3) / 3 }), Regression},
		{"three texts", text("y", 10, func(i int) string { return "abc"[i%3 : i%3+1] }), Multiclass},
		{"one value", number("y", 10, func(int) float64 { return 1 }), ""},
		{"names", text("y", 10, func(i int) string { return fmt.Sprint("n", i) }), ""},
	}
	for _, c := range cases {
		got, err := InferTask(c.target)
		if got != c.want || (c.want == "") != (fault.KindOf(err) == fault.Invalid) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestClassify(t *testing.T) {
	scores := number("y", 4, func(i int) float64 { return []float64{10, 9, 10, 2}[i] })
	classes, class, positive, err := Classify(scores, Multiclass, "9.0")
	if err != nil || !slices.Equal(classes, []string{"2", "9", "10"}) || !slices.Equal(class, []int{2, 1, 2, 0}) || positive != 1 {
		t.Errorf("%v %v %d %v", classes, class, positive, err)
	}
	answers := text("y", 3, func(i int) string { return []string{"yes", "no", "yes"}[i] })
	classes, class, positive, err = Classify(answers, Binary, "")
	if err != nil || !slices.Equal(classes, []string{"no", "yes"}) || !slices.Equal(class, []int{1, 0, 1}) || positive != 1 {
		t.Errorf("%v %v %d %v", classes, class, positive, err)
	}
	if _, _, at, err := Classify(answers, Binary, "no"); err != nil || at != 0 {
		t.Errorf("%d %v", at, err)
	}
	flags := Column{Feature: Feature{Name: "y", Type: "boolean"}, Numbers: []float64{1, 0}}
	if classes, _, _, _ := Classify(flags, Binary, ""); !slices.Equal(classes, []string{"false", "true"}) {
		t.Errorf("%v", classes)
	}
}

func TestPositiveClassDecidesTheDirection(t *testing.T) {
	p := Predictions{Task: Binary, Classes: []string{"no", "yes"}, Class: []int{0, 0, 1, 1}, Probabilities: []float64{0.9, 0.1, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8}}
	p.Positive = 1
	yes, _, _ := Measure(p, 0.5, nil)
	p.Positive = 0
	no, _, _ := Measure(p, 0.5, nil)
	if yes[ROCAUC] != no[ROCAUC] || yes[Sensitivity] != no[Specificity] || yes[Sensitivity] != 1 || no[Sensitivity] != 0.5 {
		t.Errorf("yes %v, no %v", yes, no)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"patient_id", "visit", "MDVP:Fo(Hz)", "status"}
	for wrong, want := range map[string]string{"patientid": "patient_id", "Status": "status", "stauts": "status", "xyzzy": "", "MDVP:Fo": "MDVP:Fo(Hz)"} {
		if got := Nearest(wrong, known); got != want {
			t.Errorf("%q is nearest to %q, want %q", wrong, got, want)
		}
	}
}

func TestTypical(t *testing.T) {
	ages := number("age", 5, func(i int) float64 { return []float64{1, math.NaN(), 3, 2, 5}[i] })
	if got := Typical(ages); !reflect.DeepEqual(got.Numbers, []float64{1.75, 2.5, 3.5}) {
		t.Errorf("%v", got)
	}
	sex := text("sex", 3, func(i int) string { return []string{"f", "m", "m"}[i] })
	if got := Typical(sex); got.Texts[0] != "m" || len(got.Texts) != 3 {
		t.Errorf("%v", got)
	}
}

func TestImpossibleRowsAreRefused(t *testing.T) {
	ok := Predictions{Task: Binary, Classes: []string{"0", "1"}, Class: []int{0, 1}, Probabilities: []float64{1, 0, 0, 1}}
	cases := map[string]func(*Predictions){
		"no rows":           func(p *Predictions) { p.Class, p.Probabilities = nil, nil },
		"predictions":       func(p *Predictions) { p.Probabilities = p.Probabilities[:3] },
		"3 classes":         func(p *Predictions) { p.Classes = []string{"a", "b", "c"} },
		"weight -1":         func(p *Predictions) { p.Weight = []float64{1, -1} },
		"weight NaN":        func(p *Predictions) { p.Weight = []float64{1, math.NaN()} },
		"do not fit 2 rows": func(p *Predictions) { p.Subject = []string{"a"} },
	}
	for want, spoil := range cases {
		p := ok
		spoil(&p)
		if _, _, err := Measure(p, 0.5, nil); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, _, err := Measure(ok, 0.5, []string{"rmse"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("metric of another task: %v", err)
	}
}
