// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Model is trained on a dataset, evaluated on subjects it never saw, and promoted by rule.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mdl,categories=fathom
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Latest",type=integer,JSONPath=`.status.latest`
// +kubebuilder:printcolumn:name="Promoted",type=integer,JSONPath=`.status.promoted`
// +kubebuilder:printcolumn:name="Metric",type=string,JSONPath=`.status.headline`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name: at most 40 characters, because runs are named after it"
type Model struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ModelSpec   `json:"spec"`
	Status            ModelStatus `json:"status,omitempty"`
}

// ModelSpec says what to learn, how, and when the result is good enough.
type ModelSpec struct {
	// data that the model learns from.
	Data ModelData `json:"data"`
	// train is the code that learns.
	Train Train `json:"train"`
	// evaluate says how the model is judged.
	// +kubebuilder:default={}
	// +optional
	Evaluate Evaluate `json:"evaluate,omitempty"`
	// promote says when a version replaces the one in production. Default: whenever no leakage is found.
	// +optional
	Promote Promote `json:"promote,omitempty"`
	// retrain says what starts a new version.
	// +kubebuilder:default={}
	// +optional
	Retrain Retrain `json:"retrain,omitempty"`
}

// ModelData is a dataset and the roles of its columns.
type ModelData struct {
	// dataset of the workspace.
	Dataset string `json:"dataset"`
	// target is the column to predict.
	Target string `json:"target"`
	// subject is the column that tells who a row is about; evaluation never splits a subject.
	// +optional
	Subject string `json:"subject,omitempty"`
	// features are the columns to learn from. Default: all but target, subject, and what ignore names.
	// +optional
	Features []string `json:"features,omitempty"`
	// ignore are columns that are not features.
	// +optional
	Ignore []string `json:"ignore,omitempty"`
	// task is what kind of target it is. Default: found from the target's values.
	// +kubebuilder:validation:Enum=binary;multiclass;regression
	// +optional
	Task string `json:"task,omitempty"`
}

// Train is the training code.
type Train struct {
	// framework sets the distributed contract that the code's ranks see.
	// +kubebuilder:validation:Enum=python;pytorch;tensorflow;horovod;mpi
	// +kubebuilder:default=python
	// +optional
	Framework string `json:"framework,omitempty"`
	// code reads its rows below FATHOM_INPUTS and writes FATHOM_OUTPUT/model.onnx.
	Code Code `json:"code"`
	// workers is the number of ranks, all started together.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	// +optional
	Workers int32 `json:"workers,omitempty"`
	// resources of one worker.
	// +optional
	Resources Resources `json:"resources,omitempty"`
	// parameters reach the code in FATHOM_PARAMS.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +optional
	Parameters *runtime.RawExtension `json:"parameters,omitempty"`
	// timeout of one training run. Default: 1h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}([.][0-9]{1,9})?s)?$|^[0-9]{1,6}([.][0-9]{1,6})?ms$|^0$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// retries after a rank fails; each begins at the last checkpoint. Default: 1.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Retries *int32 `json:"retries,omitempty"`
}

// Evaluate is cross-validation that Fathom itself conducts.
//
// +kubebuilder:validation:XValidation:rule="!has(self.column) || size(self.column) == 0 || self.by == 'subject'",message="column gives the folds; leave by at subject"
type Evaluate struct {
	// folds is the number of folds; 0 leaves out one subject at a time.
	// +kubebuilder:validation:XValidation:rule="self != 1",message="folds: at least 2, or 0 to leave out one subject at a time"
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=5
	// +optional
	Folds *int32 `json:"folds,omitempty"`
	// by is what a fold keeps together. record splits subjects: the leakage audit then blocks promotion.
	// +kubebuilder:validation:Enum=subject;record
	// +kubebuilder:default=subject
	// +optional
	By string `json:"by,omitempty"`
	// column of the dataset that gives the fold of each row. Default: Fathom assigns folds.
	// +optional
	Column string `json:"column,omitempty"`
	// metrics to show first. Default: what fits the task.
	// +optional
	Metrics []string `json:"metrics,omitempty"`
	// slices are columns by whose values the metrics are told apart.
	// +optional
	Slices []string `json:"slices,omitempty"`
	// threshold on the probability for sensitivity and specificity, as decimal text. Default: 0.5.
	// +optional
	Threshold string `json:"threshold,omitempty"`
	// seed of everything random in the evaluation. Default: 0.
	// +optional
	Seed int64 `json:"seed,omitempty"`
}

// Promote is the rule and who must agree.
type Promote struct {
	// when are CEL expressions over metrics (roc_auc, roc_auc.low, production.roc_auc) and leakage; all must hold.
	// +kubebuilder:validation:MaxItems=20
	// +optional
	When []string `json:"when,omitempty"`
	// approval asks a person with the role. Default: nobody needs to agree.
	// +optional
	Approval *Approval `json:"approval,omitempty"`
}

// Approval names a role of the workspace.
type Approval struct {
	// role whose members may approve.
	// +kubebuilder:validation:Enum=approver;admin
	Role string `json:"role"`
}

// Retrain says what starts a new version.
type Retrain struct {
	// triggers: data retrains when the dataset has a new version.
	// +kubebuilder:validation:items:Enum=data
	// +kubebuilder:default={data}
	// +optional
	Triggers []string `json:"triggers,omitempty"`
	// cooldown between trainings that new data starts. Default: none.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}([.][0-9]{1,9})?s)?$|^[0-9]{1,6}([.][0-9]{1,6})?ms$|^0$`
	Cooldown *metav1.Duration `json:"cooldown,omitempty"`
}

// ModelStatus is what is true now.
type ModelStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// latest is the number of the newest version; 0 before the first.
	// +optional
	Latest int64 `json:"latest,omitempty"`
	// promoted is the number of the version in production; 0 for none.
	// +optional
	Promoted int64 `json:"promoted,omitempty"`
	// fingerprint of the declared version: the latest, or an earlier one that is declared again.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
	// wanted is the fingerprint that the declaration and its data ask for now.
	// +optional
	Wanted string `json:"wanted,omitempty"`
	// headline is the first metric of the declared version with its interval.
	// +optional
	Headline string `json:"headline,omitempty"`
	// metrics of the declared version.
	// +optional
	Metrics []Metric `json:"metrics,omitempty"`
	// progress of the version in the making, for example "train 3/6".
	// +optional
	Progress string `json:"progress,omitempty"`
	// why the declared version was or was not promoted.
	// +optional
	Why string `json:"why,omitempty"`
	// trainedAt is when the declared version was registered.
	// +optional
	TrainedAt *metav1.Time `json:"trainedAt,omitempty"`
	// url of the model's insight page.
	// +optional
	URL string `json:"url,omitempty"`
}

// ModelList is a list of Models.
//
// +kubebuilder:object:root=true
type ModelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Model `json:"items"`
}

// Stages of a model version.
const (
	StageCandidate  = "Candidate"        // judged, decision pending
	StageAwaiting   = "AwaitingApproval" // the rules hold; a person must approve
	StageProduction = "Production"       // what endpoints serve
	StageArchived   = "Archived"         // was in production
	StageRefused    = "Refused"          // a rule does not hold
)

// ModelVersion is an immutable trained model. Fathom writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mv,categories=fathom
// +kubebuilder:printcolumn:name="Model",type=string,JSONPath=`.spec.model`
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.spec.number`
// +kubebuilder:printcolumn:name="Stage",type=string,JSONPath=`.status.stage`
// +kubebuilder:printcolumn:name="Metric",type=string,JSONPath=`.status.headline`
// +kubebuilder:printcolumn:name="Data",type=integer,JSONPath=`.spec.datasetVersion`
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.status.why`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ModelVersion struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ModelVersionSpec   `json:"spec"`
	Status            ModelVersionStatus `json:"status,omitempty"`
}

// ModelVersionSpec never changes.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a model version is immutable; train a new one"
type ModelVersionSpec struct {
	// model it is a version of.
	Model string `json:"model"`
	// number of the version: 1, 2, 3 …
	// +kubebuilder:validation:Minimum=1
	Number int64 `json:"number"`
	// digest of the ONNX file.
	Digest string `json:"digest"`
	// fingerprint of everything that made it.
	Fingerprint string `json:"fingerprint"`
	// recipe is the fingerprint without the data: equal recipes differ only in what they learnt from.
	Recipe string `json:"recipe"`
	// dataset it learnt from.
	Dataset string `json:"dataset"`
	// datasetVersion it learnt from.
	DatasetVersion int64 `json:"datasetVersion"`
	// evaluation is the digest of evaluation.json.
	Evaluation string `json:"evaluation"`
	// code is the digest of the training code's bundle.
	// +optional
	Code string `json:"code,omitempty"`
	// environment is the digest of the requirements.
	// +optional
	Environment string `json:"environment,omitempty"`
	// trackingRun is the tracking run of the final training.
	// +optional
	TrackingRun string `json:"trackingRun,omitempty"`
}

// ModelVersionStatus is where the version stands.
type ModelVersionStatus struct {
	// stage: Candidate, AwaitingApproval, Production, Archived or Refused.
	// +optional
	Stage string `json:"stage,omitempty"`
	// why the version is in this stage.
	// +optional
	Why string `json:"why,omitempty"`
	// headline is the first metric with its interval.
	// +optional
	Headline string `json:"headline,omitempty"`
	// metrics with intervals.
	// +optional
	Metrics []Metric `json:"metrics,omitempty"`
	// leakage is "none", or what the audit found.
	// +optional
	Leakage string `json:"leakage,omitempty"`
	// rules are those it was judged by last, with who must agree.
	// +optional
	Rules []string `json:"rules,omitempty"`
	// approvedBy is who approved it.
	// +optional
	ApprovedBy string `json:"approvedBy,omitempty"`
	// promotedAt is when it went into production last.
	// +optional
	PromotedAt *metav1.Time `json:"promotedAt,omitempty"`
}

// ModelVersionList is a list of ModelVersions.
//
// +kubebuilder:object:root=true
type ModelVersionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModelVersion `json:"items"`
}
