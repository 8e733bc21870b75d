// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Report is an insight page: Markdown with SQL tables and charts over the workspace's datasets.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rpt,categories=fathom
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 50",message="metadata.name: at most 50 characters, because runs are named after it"
type Report struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ReportSpec   `json:"spec"`
	Status            ReportStatus `json:"status,omitempty"`
}

// ReportSpec names the page.
type ReportSpec struct {
	// page is a Markdown file, relative to the file that `fathom apply` reads; apply uploads it with its folder's pictures.
	Page string `json:"page"`
	// bundle is the digest of the uploaded page; `fathom apply` fills it in.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	// +optional
	Bundle string `json:"bundle,omitempty"`
}

// ReportStatus is what is true now.
type ReportStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// version of the rendered page; 0 before the first.
	// +optional
	Version int64 `json:"version,omitempty"`
	// fingerprint of the rendered page.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
	// output is the digest of the file manifest of the rendered page.
	// +optional
	Output string `json:"output,omitempty"`
	// inputs are the datasets that the page reads.
	// +optional
	Inputs []string `json:"inputs,omitempty"`
	// run that renders the next version.
	// +optional
	Run string `json:"run,omitempty"`
	// url of the page.
	// +optional
	URL string `json:"url,omitempty"`
	// updatedAt is when the page was rendered.
	// +optional
	UpdatedAt *metav1.Time `json:"updatedAt,omitempty"`
}

// ReportList is a list of Reports.
//
// +kubebuilder:object:root=true
type ReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Report `json:"items"`
}
