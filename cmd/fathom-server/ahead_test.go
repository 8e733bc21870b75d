// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/ref"
)

func TestEnvironmentsAreAskedForOnceAndOnlyWhereCodeWantsOne(t *testing.T) {
	var asked []ref.Digest
	a := &ahead{make: func(d ref.Digest) { asked = append(asked, d) }}
	code := func(requirements string) *v1alpha1.Dataset {
		d := &v1alpha1.Dataset{}
		d.Spec.From.Code = &v1alpha1.DatasetCode{}
		d.Spec.From.Code.Environment.Requirements = requirements
		return d
	}
	model := &v1alpha1.Model{}
	model.Spec.Train.Code.Environment.Requirements = "sha256:b"
	for _, object := range []any{&v1alpha1.Dataset{}, code(""), code("sha256:a"), code("sha256:a"), model, &v1alpha1.Model{}, model} {
		a.declared(object)
	}
	if want := []ref.Digest{"sha256:a", "sha256:b"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}
