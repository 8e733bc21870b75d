// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// whoAmI is the next step of who may not.
const whoAmI = "`fathom login` tells who you are and what you may do; a member's role stands in the Workspace"

// forbidden is the next step of who may not do this.
func forbidden(message string) string {
	if strings.Contains(message, "datasets/identified") {
		return "only the role steward reads identified data; " + whoAmI
	}
	return whoAmI
}

// fromAPI gives an error of the Kubernetes API a kind, and says it in people's words.
func fromAPI(err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return notFound(err)
	case apierrors.IsForbidden(err):
		return &fault.Error{Kind: fault.Forbidden, Err: err, Hint: forbidden(err.Error())}
	case apierrors.IsUnauthorized(err):
		return fault.New(fault.Unauthenticated, "login", "the server does not know who asks: the kubeconfig has no valid certificate or token").
			WithHint("`fathom up` renews the owner's kubeconfig; a member asks the owner for a new one")
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return &fault.Error{Kind: fault.Invalid, Err: errors.New(plain(err))}
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return &fault.Error{Kind: fault.Conflict, Err: err}
	}
	if said := typed.FindStringSubmatch(err.Error()); said != nil {
		return &fault.Error{Kind: fault.Invalid, Err: errors.New(plainType(said[1], said[2], said[3]))}
	}
	return err
}

// typed is what the API server says of fields that the kind does not have.
var typed = regexp.MustCompile(`failed to create typed patch object \(.*Kind=(\w+)\): \.([^:]+): (.*)$`)

func plainType(kind, path, message string) string {
	switch {
	case strings.HasPrefix(message, "field not declared"):
		parent, name := "", path
		if at := strings.LastIndexByte(path, '.'); at >= 0 {
			parent, name = path[:at], path[at+1:]
		}
		text := path + ": there is no such field"
		if known := fieldsOf(kind, parent); len(known) > 0 {
			text += "; " + parent + " has " + strings.Join(known, ", ")
			if elsewhere := holder(kind, parent, known, name); elsewhere != "" {
				text += "; or is it meant below " + elsewhere + ", and indented too little?"
			}
		}
		return text
	case strings.HasPrefix(message, "expected numeric"):
		return path + ": it must be a number"
	}
	return path + ": " + message
}

// kinds are the Go types of what people declare.
var kindTypes = map[string]reflect.Type{
	"Workspace": reflect.TypeFor[v1alpha1.Workspace](), "Dataset": reflect.TypeFor[v1alpha1.Dataset](), "Model": reflect.TypeFor[v1alpha1.Model](),
	"Endpoint": reflect.TypeFor[v1alpha1.Endpoint](), "Report": reflect.TypeFor[v1alpha1.Report](),
}

// fieldsOf names the fields at a path such as "spec.checks[0]"; none when there is no such path.
func fieldsOf(kind, path string) []string {
	t := kindTypes[kind]
	for _, name := range strings.Split(path, ".") {
		if name, _, _ = strings.Cut(name, "["); t == nil || name == "" {
			return nil
		}
		t = fieldType(t, name)
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var out []string
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			out = append(out, name)
		}
	}
	return out
}

// fieldType is the type of a field by its name in JSON, without pointers and lists; nil when there is none.
func fieldType(t reflect.Type, name string) reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != name {
			continue
		}
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		return inner
	}
	return nil
}

// holder is the neighbour that has a field of this name: it was indented too little.
func holder(kind, parent string, neighbours []string, name string) string {
	for _, n := range neighbours {
		if slices.Contains(fieldsOf(kind, parent+"."+n), name) {
			return parent + "." + n
		}
	}
	return ""
}

// unchecked is what the API server adds when it stopped checking at the first kind of mistake.
const unchecked = "some validation rules were not checked"

// plain tells a refusal of the API server field by field, without what it says about itself.
func plain(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return err.Error()
	}
	var out []string
	for _, c := range status.Status().Details.Causes {
		if strings.Contains(c.Message, unchecked) {
			continue
		}
		text := plainCause(c)
		if c.Field != "" && c.Field != "<nil>" && !strings.HasPrefix(text, c.Field) {
			text = c.Field + ": " + text
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, "; ")
}

var invalidValue = regexp.MustCompile(`^Invalid value: (?:("(?:[^"\\]|\\.)*"|-?[0-9.]+|null): )?`)

func plainCause(c metav1.StatusCause) string {
	given := ""
	if m := invalidValue.FindStringSubmatch(c.Message); m != nil {
		given = m[1]
	}
	text := invalidValue.ReplaceAllString(c.Message, "")
	switch {
	case strings.Contains(text, "numkMGTPE"):
		return given + " is not a quantity; write for example 500m, 2, 512Mi or 16Gi"
	case strings.Contains(text, "RFC 1123"):
		return given + " is not a name; use lower case letters, digits and '-', for example scan-features"
	case strings.HasPrefix(text, "Required value"):
		return "it is missing"
	case strings.HasPrefix(text, "Unsupported value: "):
		value, known, _ := strings.Cut(strings.TrimPrefix(text, "Unsupported value: "), ": supported values: ")
		return value + " is not one of " + known
	}
	text = strings.Replace(text, c.Field+" in body should", "it should", 1)
	if given != "" && given != `""` && !strings.Contains(text, given) {
		text = given + ": " + text
	}
	return text
}

// singular are the kinds by the names of their resources.
var singular = map[string]string{
	"workspaces": "workspace", "datasets": "dataset", "models": "model", "endpoints": "endpoint", "reports": "report", "runs": "run",
	"modelversions": "model version",
}

// notFound tells which object there is not.
func notFound(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || singular[status.Status().Details.Kind] == "" {
		return &fault.Error{Kind: fault.NotFound, Err: err}
	}
	details := status.Status().Details
	return fault.New(fault.NotFound, singular[details.Kind]+" "+details.Name, "there is none in this workspace").WithHint("%s", whatThereIs(details.Kind))
}

func whatThereIs(resource string) string {
	switch resource {
	case "runs":
		return "see `fathom runs`"
	case "workspaces":
		return "`kubectl get workspaces` lists them"
	}
	return "see `fathom status`, or name another workspace with -n"
}

// inner are names of our functions, with which errors begin; they tell people nothing.
var inner = regexp.MustCompile(`(^|: )[a-z]+\.[A-Z][A-Za-z]*: |(^|\): )(?:lake|read|bundle|connect|authorize|sql|kind|path|data): `)

// told is an error as people read it.
func told(err error) string { return inner.ReplaceAllString(err.Error(), "$1$2") }
