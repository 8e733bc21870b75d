// SPDX-License-Identifier: Apache-2.0

package promotion

import (
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

func TestDecide(t *testing.T) {
	low := func(v float64) *float64 { return &v }
	good := map[string]Metric{"roc_auc": {Value: 0.8, Low: low(0.7), High: low(0.9)}, "brier": {Value: 0.2}}
	better := map[string]Metric{"roc_auc": {Value: 0.9}}
	for _, c := range []struct {
		name        string
		rules       []string
		candidate   Candidate
		wantPromote bool
		wantWhy     string
	}{
		{"interval", []string{"roc_auc.low > 0.6"}, Candidate{Metrics: good, Leakage: "none"}, true, "all rules hold"},
		{"interval too low", []string{"roc_auc.low > 0.75"}, Candidate{Metrics: good, Leakage: "none"}, false, "roc_auc.low = 0.7"},
		{"first version", []string{"roc_auc >= production.roc_auc - 0.02"}, Candidate{Metrics: good, Leakage: "none"}, true, ""},
		{"worse than production", []string{"roc_auc >= production.roc_auc - 0.02"},
			Candidate{Metrics: good, Production: better, Leakage: "none"}, false, "production.roc_auc = 0.9"},
		{"leakage named", []string{"leakage == none"}, Candidate{Metrics: good, Leakage: "warn"}, false, "leakage = warn"},
		{"leakage blocks without a rule", nil,
			Candidate{Metrics: good, Leakage: "block", Findings: []string{"subject S01 is on both sides"}}, false, "S01"},
		{"integer literal", []string{"roc_auc > 0"}, Candidate{Metrics: good, Leakage: "none"}, true, ""},
		{"no rules", nil, Candidate{Metrics: good, Leakage: "none"}, true, "no rule"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Decide(c.rules, c.candidate)
			if err != nil {
				t.Fatal(err)
			}
			if got.Promote != c.wantPromote || !strings.Contains(got.Why, c.wantWhy) {
				t.Errorf("got %+v, want promote %v because …%s…", got, c.wantPromote, c.wantWhy)
			}
		})
	}
}

func TestWrongRulesAreNamed(t *testing.T) {
	for rule, want := range map[string]string{
		"roc_auk > 0.5": "roc_auk",
		"roc_auc + 1.0": "must be true or false",
		"roc_auc >":     "when[0]",
	} {
		err := Check([]string{rule}, []string{"roc_auc"})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Check(%q) = %v, want Invalid naming %q", rule, err, want)
		}
	}
}
