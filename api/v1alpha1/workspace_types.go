// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workspace is a tenant: a namespace of the same name, its members and its share of the machine.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ws,categories=fathom
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="CPU",type=string,JSONPath=`.status.used.cpu`
// +kubebuilder:printcolumn:name="Memory",type=string,JSONPath=`.status.used.memory`
// +kubebuilder:printcolumn:name="Isolation",type=string,JSONPath=`.status.isolation`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && !self.metadata.name.startsWith('kube-') && !(self.metadata.name in ['default','fathom-system'])",message="metadata.name: at most 40 characters, not default, fathom-system or kube-*; choose another name"
type Workspace struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              WorkspaceSpec   `json:"spec,omitempty"`
	Status            WorkspaceStatus `json:"status,omitempty"`
}

// WorkspaceSpec says who is in and how much they may use.
type WorkspaceSpec struct {
	// members are groups or users with a role.
	// +kubebuilder:validation:MaxItems=100
	// +optional
	Members []Member `json:"members,omitempty"`
	// quota bounds what the workspace's runs and endpoints use together. Default: no bound.
	// +optional
	Quota Quota `json:"quota,omitempty"`
	// priority orders waiting runs between workspaces; higher goes first. Default: 0.
	// +optional
	Priority int32 `json:"priority,omitempty"`
}

// Member gives a group or a user a role.
//
// +kubebuilder:validation:XValidation:rule="has(self.group) != has(self.user)",message="name exactly one of group and user"
type Member struct {
	// group as the identity provider names it.
	// +optional
	Group string `json:"group,omitempty"`
	// user as the identity provider names it.
	// +optional
	User string `json:"user,omitempty"`
	// role: viewer sees, editor declares, steward also reads identified data, approver promotes, admin manages.
	// +kubebuilder:validation:Enum=viewer;editor;steward;approver;admin
	Role string `json:"role"`
}

// Quota is an upper bound.
type Quota struct {
	// cpu in cores.
	// +optional
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// memory in bytes.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
	// storage in bytes of all versions of datasets together. A version that would pass it is not stored.
	// +optional
	Storage *resource.Quantity `json:"storage,omitempty"`
}

// WorkspaceStatus is what is really there.
type WorkspaceStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// used is what runs and endpoints of the workspace hold now, and its datasets' versions.
	// +optional
	Used Quota `json:"used,omitempty"`
	// isolation that pods really get: sandbox or process, and what is not enforced.
	// +optional
	Isolation string `json:"isolation,omitempty"`
}

// WorkspaceList is a list of Workspaces.
//
// +kubebuilder:object:root=true
type WorkspaceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Workspace `json:"items"`
}
