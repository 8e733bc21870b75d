// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube/manifest"
	"fathom.dev/fathom/internal/testenv"
)

const stars = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: stars.manifest.test}
spec:
  group: manifest.test
  names: {kind: Star, plural: stars, singular: star}
  scope: Cluster
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
# nothing
`

func TestApply(t *testing.T) {
	env := testenv.Shared(t)
	for range 2 { // the second changes nothing
		if err := manifest.Apply(t.Context(), env.Owner(), []byte(stars)); err != nil {
			t.Fatal(err)
		}
	}
	groups, err := kubernetes.NewForConfigOrDie(env.Owner()).Discovery().ServerResourcesForGroupVersion("manifest.test/v1")
	if err != nil || len(groups.APIResources) != 1 || groups.APIResources[0].Kind != "Star" {
		t.Errorf("the API serves %v, %v; want the kind Star", groups, err)
	}
}

func TestApplyRefuses(t *testing.T) {
	env := testenv.Shared(t)
	for _, c := range []struct{ name, text, want string }{
		{"another kind", "kind: Pod\nmetadata: {name: x}", `kind "Pod"`},
		{"not YAML", "a: [", "yaml"},
		{"no schema", strings.Replace(stars, "schema:", "title:", 1), "stars.manifest.test"},
	} {
		err := manifest.Apply(t.Context(), env.Owner(), []byte(c.text))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want Invalid and %q", c.name, err, c.want)
		}
	}
}
