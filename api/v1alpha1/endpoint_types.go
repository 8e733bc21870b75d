// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Endpoint serves a model's promoted, or a pinned, version.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=fep,categories=fathom
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Replicas",type=string,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name: at most 40 characters, because pods are named after it"
type Endpoint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              EndpointSpec   `json:"spec"`
	Status            EndpointStatus `json:"status,omitempty"`
}

// EndpointSpec says what to serve and with how much.
type EndpointSpec struct {
	// model of the workspace; its promoted version is served.
	Model string `json:"model"`
	// version pins a version. Default: the promoted one.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Version *int64 `json:"version,omitempty"`
	// scale is the number of replicas.
	// +kubebuilder:default={min: 1, max: 1, concurrency: 8}
	// +optional
	Scale Scale `json:"scale,omitempty"`
	// resources of one replica.
	// +optional
	Resources Resources `json:"resources,omitempty"`
	// capture keeps requests and answers in the dataset "<endpoint>-requests".
	// +optional
	Capture *Capture `json:"capture,omitempty"`
}

// Scale bounds the replicas.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="scale.min must not exceed scale.max"
type Scale struct {
	// min replicas.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=1
	// +optional
	Min int32 `json:"min,omitempty"`
	// max replicas.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	// +optional
	Max int32 `json:"max,omitempty"`
	// concurrency is how many requests one replica handles at a time before another is wanted.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=8
	// +optional
	Concurrency int32 `json:"concurrency,omitempty"`
}

// Capture says how much traffic is kept.
type Capture struct {
	// sample is the share of requests kept, "0%" to "100%".
	// +kubebuilder:validation:Pattern=`^(100|[0-9]{1,2})(\.[0-9]+)?%$`
	// +kubebuilder:default="100%"
	// +optional
	Sample string `json:"sample,omitempty"`
}

// EndpointStatus is what is true now.
type EndpointStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// url that clients call (Open Inference Protocol v2).
	// +optional
	URL string `json:"url,omitempty"`
	// version that gets the traffic.
	// +optional
	Version int64 `json:"version,omitempty"`
	// next is the version being brought up.
	// +optional
	Next int64 `json:"next,omitempty"`
	// replicas ready of those wanted, for example "2/2".
	// +optional
	Replicas string `json:"replicas,omitempty"`
	// switchedAt is when the served version changed last.
	// +optional
	SwitchedAt *metav1.Time `json:"switchedAt,omitempty"`
}

// EndpointList is a list of Endpoints.
//
// +kubebuilder:object:root=true
type EndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Endpoint `json:"items"`
}
