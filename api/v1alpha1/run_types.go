// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phases of a run.
const (
	RunPending   = "Pending"   // created, not looked at yet
	RunQueued    = "Queued"    // waits for room, quota or its environment
	RunStarting  = "Starting"  // admitted; pods are being started
	RunRunning   = "Running"   // all ranks run
	RunSucceeded = "Succeeded" // outputs are stored
	RunFailed    = "Failed"    // no tries left
	RunCancelled = "Cancelled" // somebody said stop
)

// Steps that a run can be.
const (
	StepIngest    = "Ingest"    // files → table, with privacy; trusted
	StepTransform = "Transform" // SQL; trusted
	StepCode      = "Code"      // the user's program → dataset
	StepSplit     = "Split"     // a model's folds; trusted
	StepTrain     = "Train"     // the user's program → model
	StepEvaluate  = "Evaluate"  // held-out scoring; trusted
	StepRender    = "Render"    // a report's page; trusted
)

// Run is one attempt to make a version: the intent while it lives. Fathom writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=fathom
// +kubebuilder:printcolumn:name="For",type=string,JSONPath=`.spec.for.name`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.spec.step`
// +kubebuilder:printcolumn:name="Part",type=string,JSONPath=`.spec.part`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Run struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              RunSpec   `json:"spec"`
	Status            RunStatus `json:"status,omitempty"`
}

// RunSpec never changes, except cancel.
type RunSpec struct {
	// for is the object that the run works for.
	For RunFor `json:"for"`
	// step is what kind of work it is.
	// +kubebuilder:validation:Enum=Ingest;Transform;Code;Split;Train;Evaluate;Render
	Step string `json:"step"`
	// part tells runs of one step apart, for example "fold-3".
	// +optional
	Part string `json:"part,omitempty"`
	// fingerprint of everything that goes in: equal fingerprints give equal outputs.
	Fingerprint string `json:"fingerprint"`
	// framework sets the distributed contract.
	// +kubebuilder:default=python
	// +optional
	Framework string `json:"framework,omitempty"`
	// workers is the number of ranks.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:default=1
	// +optional
	Workers int32 `json:"workers,omitempty"`
	// command of every rank. Fathom's own steps begin with fathom-step.
	Command []string `json:"command"`
	// code is the digest of the bundle that is unpacked at FATHOM_CODE.
	// +optional
	Code string `json:"code,omitempty"`
	// requirements is the digest of the requirements file of the environment.
	// +optional
	Requirements string `json:"requirements,omitempty"`
	// parameters is the digest of the JSON document that the code sees at FATHOM_PARAMS.
	// +optional
	Parameters string `json:"parameters,omitempty"`
	// inputs are staged below FATHOM_INPUTS.
	// +optional
	Inputs []RunInput `json:"inputs,omitempty"`
	// resources of one rank.
	// +optional
	Resources Resources `json:"resources,omitempty"`
	// priority orders waiting runs; higher goes first.
	// +optional
	Priority int32 `json:"priority,omitempty"`
	// retries after a rank fails. Lost pods do not count.
	// +optional
	Retries int32 `json:"retries,omitempty"`
	// timeout of one attempt. Default: 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}([.][0-9]{1,9})?s)?$|^[0-9]{1,6}([.][0-9]{1,6})?ms$|^0$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// trackingRun is the id of the tracking run whose MLFLOW_RUN_ID the code sees.
	// +optional
	TrackingRun string `json:"trackingRun,omitempty"`
	// secret is the name of a Secret of the workspace that a trusted step sees at /fathom/secret.
	// +optional
	Secret string `json:"secret,omitempty"`
	// identified says that people's code reads identified data: its log is for those who may read datasets/identified, and no line
	// of it goes into the run's status.
	// +optional
	Identified bool `json:"identified,omitempty"`
	// cancel asks to stop.
	// +optional
	Cancel bool `json:"cancel,omitempty"`
}

// RunFor names an object of the same workspace.
type RunFor struct {
	// +kubebuilder:validation:Enum=Dataset;Model;Report
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// RunInput is one folder below FATHOM_INPUTS: a version of a dataset, or (part of) a file manifest.
type RunInput struct {
	// name of the folder.
	Name string `json:"name"`
	// dataset and version of the workspace.
	// +optional
	Dataset string `json:"dataset,omitempty"`
	// +optional
	Version int64 `json:"version,omitempty"`
	// manifest is the digest of a file manifest, for example another run's output.
	// +optional
	Manifest string `json:"manifest,omitempty"`
	// path takes only the files below this folder of the version or manifest, without the folder's name.
	// +optional
	Path string `json:"path,omitempty"`
}

// RunStatus is what is true now.
type RunStatus struct {
	// +optional
	Phase string `json:"phase,omitempty"`
	// reason is a stable word for machines.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is for people and says what to do next.
	// +optional
	Message string `json:"message,omitempty"`
	// field of the object that the failure is about.
	// +optional
	Field string `json:"field,omitempty"`
	// progress is a share "0.42" with an optional message.
	// +optional
	Progress string `json:"progress,omitempty"`
	// attempt counts from 1.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`
	// failures are the attempts that failed by the code's own fault.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// output is the digest of the file manifest of what the run wrote.
	// +optional
	Output string `json:"output,omitempty"`
	// log is the digest of the archived log.
	// +optional
	Log string `json:"log,omitempty"`
	// environment is the digest of the environment it ran in.
	// +optional
	Environment string `json:"environment,omitempty"`
	// recorded is true once the run's history row is durable.
	// +optional
	Recorded bool `json:"recorded,omitempty"`
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
}

// RunList is a list of Runs.
//
// +kubebuilder:object:root=true
type RunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Run `json:"items"`
}
