// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"reflect"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
)

func TestParseFilter(t *testing.T) {
	for filter, want := range map[string][]clause{
		"":                                       nil,
		"  ":                                     nil,
		"metrics.auc > 0.5":                      {{kind: metricKind, key: "auc", op: ">", number: 0.5}},
		"metric.auc>=-1e-3 and metrics.b!=+.5":   {{kind: metricKind, key: "auc", op: ">=", number: -0.001}, {kind: metricKind, key: "b", op: "!=", number: 0.5}},
		"metrics.`a b/c` <> 1":                   {{kind: metricKind, key: "a b/c", op: "!=", number: 1}},
		`metrics."a" = 1 AND params.a.b.c = "x"`: {{kind: metricKind, key: "a", op: "=", number: 1}, {kind: paramKind, key: "a.b.c", op: "=", text: "x"}},
		"parameter.x = 'it''s'":                  {{kind: paramKind, key: "x", op: "=", text: "it's"}},
		"param.`x` like '%q%'":                   {{kind: paramKind, key: "x", op: "LIKE", text: "%q%"}},
		"tags.`mlflow.user` ILIKE 'a_b' aNd tag.b='c'":     {{kind: tagKind, key: "mlflow.user", op: "ILIKE", text: "a_b"}, {kind: tagKind, key: "b", op: "=", text: "c"}},
		"attributes.status = 'FINISHED'":                   {{kind: attributeKind, key: "status", op: "=", text: "FINISHED"}},
		"run.status != 'RUNNING'":                          {{kind: attributeKind, key: "status", op: "!=", text: "RUNNING"}},
		"attr.`Run name` = 'x'":                            {{kind: attributeKind, key: "run_name", op: "=", text: "x"}},
		"created > 5":                                      {{kind: attributeKind, key: "start_time", op: ">", number: 5}},
		"run_id IN ('a', \"b\",)":                          {{kind: attributeKind, key: "run_id", op: "IN", list: []string{"a", "b"}}},
		"run_id not in ('a')":                              {{kind: attributeKind, key: "run_id", op: "NOT IN", list: []string{"a"}}},
		"dataset.name IN ('a') and datasets.context = 'x'": {{kind: datasetKind, key: "name", op: "IN", list: []string{"a"}}, {kind: datasetKind, key: "context", op: "=", text: "x"}},
		"tags.x IS NULL and params.y is not null":          {{kind: tagKind, key: "x", op: "IS NULL"}, {kind: paramKind, key: "y", op: "IS NOT NULL"}},
		"params.in = 'x' and tags.and = 'y'":               {{kind: paramKind, key: "in", op: "=", text: "x"}, {kind: tagKind, key: "and", op: "=", text: "y"}},
		"params.größe = 'ß';":                              {{kind: paramKind, key: "größe", op: "=", text: "ß"}},
	} {
		got, err := runVocabulary.parseFilter(filter)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", filter, got, err, want)
		}
	}
}

func TestParseFilterRefuses(t *testing.T) {
	for _, filter := range []string{
		"metrics.a", "metrics.a >", "> 1", "metrics.a > 'x'", "metrics.a LIKE 'x'", "metrics.a IN ('x')", "metrics.a IS NULL",
		"params.a = 1", "params.a > 'x'", "params.a IN ('x')", "status IS NULL", "status IN ('x')", "status > 'a'", "start_time = 'x'",
		"start_time LIKE '1'", "nope = 'x'", "attributes.nope = 'x'", "nothing.a = 'x'", "dataset.nope = 'x'", "run_id IN ()", "run_id IN (1)",
		"metrics.a > 1 OR metrics.b > 1", "(metrics.a > 1)", "NOT metrics.a > 1", "metrics.a > 1 and", "metrics.a > 1 metrics.b > 1",
		"metrics.a > 1; drop table runs", "metrics.a > metrics.b", "params.a = 'unclosed", "params.`a = 'x'", "1 = 1", "metrics.a == 1",
		"params.a = 'x' -- comment", "\x00", "params.a LIKE '" + strings.Repeat("%a", 600) + "'", strings.Repeat("metrics.a > 1 and ", 5000) + "metrics.a > 1",
	} {
		_, err := runVocabulary.parseFilter(filter)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want Invalid", clip(filter), err)
		}
	}
}

func TestParseOrder(t *testing.T) {
	for line, want := range map[string]term{
		"metrics.auc":              {metricKind, "auc", false},
		"metrics.auc DESC":         {metricKind, "auc", true},
		"metrics.`val loss`  asc ": {metricKind, "val loss", false},
		"attributes.start_time":    {attributeKind, "start_time", false},
		"start_time desc":          {attributeKind, "start_time", true},
		"params.a.b DESC":          {paramKind, "a.b", true},
		"tags.desc":                {tagKind, "desc", false},
		"tags.x.desc desc":         {tagKind, "x.desc", true},
		"`run_name` DESC":          {attributeKind, "run_name", true},
	} {
		got, err := runVocabulary.parseTerm(line)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"", " ", "DESC", "metrics.auc up", "metrics.", ".auc", "metrics..a", "metrics.a, metrics.b", "nope", "dataset.name", "metrics.a DESC DESC", "'"} {
		if got, err := runVocabulary.parseTerm(line); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %+v, %v, want Invalid", line, got, err)
		}
	}
}

func TestLike(t *testing.T) {
	for _, test := range []struct {
		text, pattern string
		like, ilike   bool
	}{
		{"abc", "abc", true, true}, {"abc", "ABC", false, true}, {"abc", "a%", true, true}, {"abc", "%c", true, true},
		{"abc", "%b%", true, true}, {"abc", "a_c", true, true}, {"abc", "a_", false, false}, {"abc", "", false, false},
		{"", "", true, true}, {"", "%", true, true}, {"", "_", false, false}, {"a.c", "a.c", true, true}, {"abc", "a.c", false, false},
		{"Größe", "gr_ß%", false, true}, {"aXbXc", "%X%c", true, true}, {"aab", "%ab", true, true}, {"ab\ncd", "ab%cd", true, true},
		{"100%", "100%", true, true}, {"mississippi", "m%iss%ip%i", true, true}, {"mississippi", "m%iss%ip%x", false, false},
	} {
		if got := like(test.text, test.pattern, false); got != test.like {
			t.Errorf("%q LIKE %q is %v", test.text, test.pattern, got)
		}
		if got := like(test.text, test.pattern, true); got != test.ilike {
			t.Errorf("%q ILIKE %q is %v", test.text, test.pattern, got)
		}
	}
}

// FuzzFilter: no filter crashes or is refused with anything but Invalid, and one that is accepted can be searched.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"metrics.x > 0.5 and params.y = 'a' and tags.`z` LIKE '%q%' and attributes.status = 'FINISHED'", "run_id IN ('a', 'b')",
		"tags.x IS NOT NULL", "dataset.name ILIKE '%'", "metrics.a != 1e309", "a.b.c.d = '''", "`", "params.\"\" = \"\"", "x.1.2 = 'y'",
	} {
		f.Add(seed, "metrics.x DESC")
	}
	s := open(f)
	w := in(f, s, "fuzz")
	fill(f, w)
	f.Fuzz(func(t *testing.T, filter, order string) {
		for _, words := range []*vocabulary{runVocabulary, experimentVocabulary, registeredVocabulary, versionVocabulary, loggedModelVocabulary} {
			if _, err := words.parseFilter(filter); err != nil && !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", filter, err)
			}
			if _, err := words.parseTerm(order); err != nil && !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", order, err)
			}
		}
		query := Query{Experiments: []string{"1"}, Filter: filter, Order: []string{order}}
		if _, _, err := w.SearchRuns(t.Context(), query); err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatalf("%q order %q: %v", filter, order, err)
		}
		if _, _, err := w.SearchLoggedModels(t.Context(), query, nil); err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatalf("%q order %q: %v", filter, order, err)
		}
	})
}
