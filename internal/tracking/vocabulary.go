// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"slices"
	"strings"
)

// kind is what a filter or an order may name.
type kind int

const (
	attributeKind kind = iota
	metricKind
	paramKind
	tagKind
	datasetKind
)

var kindNames = map[string]kind{
	"attribute": attributeKind, "attributes": attributeKind, "attr": attributeKind, "run": attributeKind,
	"metric": metricKind, "metrics": metricKind,
	"param": paramKind, "params": paramKind, "parameter": paramKind, "parameters": paramKind,
	"tag": tagKind, "tags": tagKind,
	"dataset": datasetKind, "datasets": datasetKind,
}

func (k kind) say(key string) string {
	return [...]string{"attribute", "metric", "parameter", "tag", "dataset"}[k] + " '" + clip(key) + "'"
}

// vocabulary is what the filters and orders of one resource may name: attributes with their canonical names.
type vocabulary struct {
	kinds   []kind            // besides attributes
	texts   map[string]string // attribute → canonical name
	numbers map[string]string
	order   []string // canonical attributes that may only be ordered by
	lists   []string // attributes that IN works on; nil means all texts
	null    bool     // IS NULL works on tags and parameters
}

var runVocabulary = &vocabulary{
	kinds: []kind{metricKind, paramKind, tagKind, datasetKind},
	texts: map[string]string{
		"run_id": "run_id", "run_name": "run_name", "run name": "run_name", "Run name": "run_name", "Run Name": "run_name",
		"user_id": "user_id", "status": "status", "artifact_uri": "artifact_uri",
	},
	numbers: map[string]string{"start_time": "start_time", "created": "start_time", "Created": "start_time", "end_time": "end_time"},
	lists:   []string{"run_id"},
	null:    true,
}

var experimentVocabulary = &vocabulary{
	kinds:   []kind{tagKind},
	texts:   map[string]string{"name": "name", "experiment_id": "experiment_id"},
	numbers: map[string]string{"creation_time": "creation_time", "last_update_time": "last_update_time"},
	lists:   []string{"experiment_id"},
	null:    true,
}

var registeredVocabulary = &vocabulary{
	kinds: []kind{tagKind},
	texts: map[string]string{"name": "name"},
	lists: []string{"name"},
	order: []string{"creation_timestamp", "last_updated_timestamp", "timestamp"},
}

var versionVocabulary = &vocabulary{
	kinds:   []kind{tagKind},
	texts:   map[string]string{"name": "name", "run_id": "run_id", "source_path": "source_path"},
	numbers: map[string]string{"version_number": "version_number"},
	lists:   []string{"name", "run_id"},
	order:   []string{"creation_timestamp", "last_updated_timestamp"},
}

var loggedModelVocabulary = &vocabulary{
	kinds: []kind{metricKind, paramKind, tagKind},
	texts: map[string]string{
		"name": "name", "model_id": "model_id", "model_type": "model_type", "status": "status", "source_run_id": "source_run_id",
		"experiment_id": "experiment_id",
	},
	numbers: map[string]string{
		"creation_timestamp": "creation_timestamp", "creation_timestamp_ms": "creation_timestamp", "creation_time": "creation_timestamp",
		"last_updated_timestamp": "last_updated_timestamp", "last_updated_timestamp_ms": "last_updated_timestamp",
	},
}

// identifier resolves "key", "kind.key" or "kind.key.with.dots".
func (v *vocabulary) identifier(parts []string) (kind, string, error) {
	known := attributeKind
	if len(parts) > 1 {
		name := unquote1(parts[0])
		k, ok := kindNames[name]
		if !ok || k != attributeKind && !slices.Contains(v.kinds, k) {
			return 0, "", invalid("Invalid entity type '%s'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset'] "+
				"as far as what is searched has them", clip(name))
		}
		known, parts = k, parts[1:]
	}
	for i := range parts {
		parts[i] = unquote1(parts[i])
	}
	key := strings.Join(parts, ".")
	switch known {
	case attributeKind:
		if name := v.texts[key] + v.numbers[key]; name != "" {
			return known, name, nil
		}
		if slices.Contains(v.order, key) {
			return known, key, nil
		}
		return 0, "", invalid("Invalid attribute key '%s' specified. Valid keys are %v", clip(key), v.attributes())
	case datasetKind:
		if key != "name" && key != "digest" && key != "context" {
			return 0, "", invalid("Invalid dataset key '%s' specified. Valid keys are [name digest context]", clip(key))
		}
	}
	return known, key, nil
}

func (v *vocabulary) attributes() []string {
	var names []string
	for _, m := range []map[string]string{v.texts, v.numbers} {
		for _, name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// unquote1 removes quotes where there are any.
func unquote1(s string) string {
	if s != "" && strings.ContainsRune("`\"'", rune(s[0])) {
		return unquote(s)
	}
	return s
}

func (v *vocabulary) numeric(k kind, key string) bool {
	return k == metricKind || k == attributeKind && v.numbers[key] != ""
}

var (
	numberOperators = []string{"=", "!=", "<", "<=", ">", ">="}
	textOperators   = []string{"=", "!=", "LIKE", "ILIKE"}
)

func (v *vocabulary) checkOperator(c clause) error {
	switch {
	case v.numeric(c.kind, c.key):
		return oneOf(c.op, numberOperators)
	case strings.HasPrefix(c.op, "IS "):
		if v.null && (c.kind == tagKind || c.kind == paramKind) {
			return nil
		}
		return invalid("IS NULL / IS NOT NULL is only supported for tags and params, not for %s", c.kind.say(c.key))
	case strings.HasSuffix(c.op, "IN"):
		if v.hasLists(c) {
			return nil
		}
		return invalid("Only %v attributes support comparison with a list of quoted string values.", v.lists)
	case c.kind == attributeKind && v.texts[c.key] == "":
		return invalid("Invalid attribute key '%s' specified. Valid keys are %v", c.key, v.attributes())
	}
	return oneOf(c.op, textOperators)
}

func (v *vocabulary) hasLists(c clause) bool {
	return c.kind == datasetKind || c.kind == attributeKind && (v.lists == nil || slices.Contains(v.lists, c.key))
}

func oneOf(op string, valid []string) error {
	if !slices.Contains(valid, op) {
		return invalid("Invalid comparator '%s' not one of %v", op, valid)
	}
	return nil
}
