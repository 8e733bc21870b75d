// SPDX-License-Identifier: Apache-2.0

package fields

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// table joins the parts.
var table = join(pod, container, volume)

func join(parts ...map[string]rules) map[string]rules {
	all := map[string]rules{}
	for _, p := range parts {
		maps.Copy(all, p)
	}
	return all
}

// Finding is a field of a pod that is not honoured.
type Finding struct {
	Path      string // spec.containers[main].securityContext.privileged
	Treatment Treatment
	Note      string
}

// String says what is wrong in a few words.
func (f Finding) String() string {
	if f.Note == "" {
		return f.Path
	}
	return f.Path + " (" + f.Note + ")"
}

// Check lists the fields of a pod that are refused or reported at a level of isolation.
func Check(spec *v1.PodSpec, sandbox bool) (refused, reported []Finding) {
	w := walker{sandbox: sandbox}
	w.structure("spec", reflect.ValueOf(spec).Elem())
	return w.refused, w.reported
}

// StatedFields lists what is not honoured for any pod.
func StatedFields() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(table)) {
		for _, field := range slices.Sorted(maps.Keys(table[name])) {
			if table[name][field].Sandbox == Stated && name != "EphemeralContainerCommon" {
				list = append(list, field+": "+table[name][field].Note)
			}
		}
	}
	return list
}

type walker struct {
	sandbox           bool
	refused, reported []Finding
}

func (w *walker) structure(path string, v reflect.Value) {
	for i := range v.NumField() {
		name := jsonName(v.Type().Field(i))
		if name == "" { // inlined
			w.structure(path, v.Field(i))
			continue
		}
		rule := table[v.Type().Name()][name]
		w.value(path+"."+name, rule, v.Field(i))
	}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func (w *walker) value(path string, r Rule, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch {
	case r.inside && v.Kind() == reflect.Slice:
		for i := range v.Len() {
			w.structure(path+"["+elementName(i, v.Index(i))+"]", v.Index(i))
		}
	case r.inside:
		w.structure(path, v)
	case r.asked(v):
		w.found(Finding{path, r.at(w.sandbox), r.Note})
	}
}

func (r Rule) asked(v reflect.Value) bool {
	if r.asks != nil {
		return r.asks(v)
	}
	return !v.IsZero() && !((v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0)
}

func (w *walker) found(f Finding) {
	switch f.Treatment {
	case Refused:
		w.refused = append(w.refused, f)
	case Reported:
		w.reported = append(w.reported, f)
	}
}

func elementName(i int, v reflect.Value) string {
	if name := v.FieldByName("Name"); name.IsValid() && name.Kind() == reflect.String && name.String() != "" {
		return name.String()
	}
	return fmt.Sprint(i)
}
