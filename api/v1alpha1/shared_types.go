// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

// Labels and annotations that Fathom sets.
const (
	// LabelRun is the name of the Run that a pod, Job or Service belongs to.
	LabelRun = "fathom.dev/run"
	// LabelFor is the "kind.name" (lower case) of the object a Run works for.
	LabelFor = "fathom.dev/for"
	// LabelEndpoint is the Endpoint a Deployment or pod serves.
	LabelEndpoint = "fathom.dev/endpoint"
	// LabelModelVersion is the number of the model version that a pod serves.
	LabelModelVersion = "fathom.dev/model-version"
	// LabelWorkspace marks a namespace as a workspace.
	LabelWorkspace = "fathom.dev/workspace"
	// AnnotationEnvironment on a pod is the digest of the Python environment to mount at /fathom/env.
	AnnotationEnvironment = "fathom.dev/environment"
	// AnnotationRetry on an object, set to any new value, asks for one more try after a failure.
	AnnotationRetry = "fathom.dev/retry"
)

// ConditionReady is the one condition that every kind has.
const ConditionReady = "Ready"

// Stable reasons of the Ready condition.
const (
	ReasonReady            = "Ready"            // the object is as declared
	ReasonWaiting          = "Waiting"          // an input is not there yet
	ReasonInvalid          = "Invalid"          // the declaration is wrong; the message names field and next step
	ReasonRunning          = "Running"          // work is under way
	ReasonFailed           = "Failed"           // the last try failed; the message says why and how to try again
	ReasonCycle            = "Cycle"            // the object depends on itself
	ReasonAwaitingApproval = "AwaitingApproval" // promotion rules hold; a person must approve
	ReasonRefused          = "Refused"          // a promotion rule does not hold
)

// Code is a folder of user code and how to run it.
type Code struct {
	// path is the folder of the code, relative to the file that `fathom apply` reads; apply uploads it.
	// +optional
	Path string `json:"path,omitempty"`
	// bundle is the digest of the uploaded folder, "sha256:<hex>"; `fathom apply` fills it in.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	// +optional
	Bundle string `json:"bundle,omitempty"`
	// command is run in the folder, for example [python, train.py].
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Command []string `json:"command"`
	// environment says which packages the code needs. Default: the interpreter's own.
	// +optional
	Environment Environment `json:"environment,omitempty"`
}

// Environment is the software that code runs in.
type Environment struct {
	// python is a requirements file inside the code's folder.
	// +optional
	Python string `json:"python,omitempty"`
	// requirements is the digest of that file; `fathom apply` fills it in.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	// +optional
	Requirements string `json:"requirements,omitempty"`
}

// Resources is what one pod may use. Units as Kubernetes' quantities.
type Resources struct {
	// cpu in cores. Default: 1.
	// +optional
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// memory in bytes. Default: 1Gi.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
}

// Metric is one figure with its 95 % interval, as decimal text so that no reader rounds it again.
type Metric struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// +optional
	Low string `json:"low,omitempty"`
	// +optional
	High string `json:"high,omitempty"`
}
