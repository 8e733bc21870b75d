// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of all kinds here.
var GroupVersion = schema.GroupVersion{Group: "fathom.dev", Version: "v1alpha1"}

// AddToScheme registers the kinds with a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&Workspace{}, &WorkspaceList{},
		&Dataset{}, &DatasetList{},
		&Model{}, &ModelList{},
		&ModelVersion{}, &ModelVersionList{},
		&Endpoint{}, &EndpointList{},
		&Report{}, &ReportList{},
		&Run{}, &RunList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
