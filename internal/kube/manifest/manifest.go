// SPDX-License-Identifier: Apache-2.0

// Package manifest brings the platform's own YAML (CustomResourceDefinitions, ClusterRoles and their bindings) to an
// API server.
package manifest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"fathom.dev/fathom/internal/fault"
)

const crdKind = "CustomResourceDefinition"

// resources are the kinds that the platform consists of; all are cluster-wide.
var resources = map[string]schema.GroupVersionResource{
	"ClusterRole":        {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	crdKind:              {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
}

// Apply makes the objects of the manifests (YAML, several documents allowed) true by server-side apply, as field
// manager "fathom", and waits until every CustomResourceDefinition among them is served. Applying the same again
// changes nothing. Errors: Invalid for a manifest that cannot be read, holds another kind or is refused; Unavailable
// when ctx ends first.
func Apply(ctx context.Context, config *rest.Config, manifests ...[]byte) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fault.Wrap(fault.Internal, "manifest.Apply", err)
	}
	objects, err := decode(manifests)
	if err != nil {
		return err
	}
	for _, o := range objects {
		options := metav1.ApplyOptions{FieldManager: "fathom", Force: true}
		if _, err := client.Resource(resources[o.GetKind()]).Apply(ctx, o.GetName(), o, options); err != nil {
			return fault.Wrap(fault.Invalid, "manifest.Apply "+o.GetKind()+" "+o.GetName(), err)
		}
	}
	for _, o := range objects {
		if o.GetKind() != crdKind {
			continue
		}
		if err := waitServed(ctx, client, o.GetName()); err != nil {
			return err
		}
	}
	return nil
}

func decode(manifests [][]byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(bytes.Join(manifests, []byte("\n---\n"))), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "manifest.Apply", err)
		}
		if len(o.Object) == 0 {
			continue
		}
		if _, known := resources[o.GetKind()]; !known {
			return nil, fault.New(fault.Invalid, "manifest.Apply", "kind %q is not one that the platform consists of", o.GetKind())
		}
		objects = append(objects, o)
	}
}

func waitServed(ctx context.Context, client dynamic.Interface, name string) error {
	err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		crd, err := client.Resource(resources[crdKind]).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return served(crd)
	})
	return fault.Wrap(fault.Unavailable, "manifest.Apply: wait for "+name, err)
}

// served reads a CustomResourceDefinition's conditions. Names that another one holds already are an error.
func served(crd *unstructured.Unstructured) (bool, error) {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		switch {
		case condition["type"] == "Established" && condition["status"] == "True":
			return true, nil
		case condition["type"] == "NamesAccepted" && condition["status"] == "False" && condition["reason"] != "":
			return false, fault.New(fault.Invalid, "manifest.Apply", "%s: %v", crd.GetName(), condition["message"])
		}
	}
	return false, nil
}
