// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"io"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"fathom.dev/fathom/internal/fault"
)

// roles are the ClusterRoles and bindings of the owner and of Fathom's components.
//
//go:embed rbac.yaml
var roles []byte

// lastOfOurRoles exists when an earlier start got as far as applying all roles, Kubernetes' own included.
const lastOfOurRoles = "fathom:node"

var (
	crds      = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	resources = map[string]schema.GroupVersionResource{
		"ClusterRole":              {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
		"ClusterRoleBinding":       {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
		"CustomResourceDefinition": crds,
	}
)

// bootstrap applies the roles.
func (cp *ControlPlane) bootstrap(ctx context.Context) error {
	_, err := cp.apply(ctx, roles)
	return err
}

// InstallCRDs applies CustomResourceDefinitions (YAML, several documents allowed) by server-side apply and waits
// until the API server serves them. Errors: Invalid for a manifest that is not a CRD or is refused, Unavailable when
// ctx ends first.
func (cp *ControlPlane) InstallCRDs(ctx context.Context, manifests ...[]byte) error {
	client, err := cp.apply(ctx, manifests...)
	if err != nil {
		return err
	}
	var wanted []string
	for _, m := range manifests {
		objects, err := decode(m)
		if err != nil {
			return err
		}
		for _, o := range objects {
			wanted = append(wanted, o.GetName())
		}
	}
	for _, name := range wanted {
		if err := waitEstablished(ctx, client, name); err != nil {
			return err
		}
	}
	return nil
}

// apply brings manifests to the API server as the temporary administrator.
func (cp *ControlPlane) apply(ctx context.Context, manifests ...[]byte) (dynamic.Interface, error) {
	config, err := cp.administrator()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "kube: connect", err)
	}
	for _, m := range manifests {
		objects, err := decode(m)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			options := metav1.ApplyOptions{FieldManager: "fathom", Force: true}
			if _, err := client.Resource(resources[o.GetKind()]).Apply(ctx, o.GetName(), o, options); err != nil {
				return nil, fault.Wrap(fault.Invalid, "kube: apply "+o.GetKind()+" "+o.GetName(), err)
			}
		}
	}
	return client, nil
}

func decode(manifest []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "kube: read manifest", err)
		}
		if len(o.Object) == 0 {
			continue
		}
		if _, known := resources[o.GetKind()]; !known {
			return nil, fault.New(fault.Invalid, "kube: read manifest", "kind %q is not expected here", o.GetKind())
		}
		objects = append(objects, o)
	}
}

func waitEstablished(ctx context.Context, client dynamic.Interface, name string) error {
	err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		o, err := client.Resource(crds).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &crd); err != nil {
			return false, err
		}
		return established(&crd)
	})
	return fault.Wrap(fault.Unavailable, "kube.InstallCRDs: wait for "+name, err)
}

func established(crd *apiextensionsv1.CustomResourceDefinition) (bool, error) {
	for _, c := range crd.Status.Conditions {
		switch {
		case c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue:
			return true, nil
		case c.Type == apiextensionsv1.NamesAccepted && c.Status == apiextensionsv1.ConditionFalse && c.Reason != "":
			return false, fault.New(fault.Invalid, "kube.InstallCRDs", "%s: %s", crd.Name, c.Message)
		}
	}
	return false, nil
}
