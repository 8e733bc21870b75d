// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Dataset is one versioned table or set of objects, kept as declared.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dset,categories=fathom
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Rows",type=integer,JSONPath=`.status.rows`
// +kubebuilder:printcolumn:name="Excluded",type=integer,JSONPath=`.status.excludedRows`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 50",message="metadata.name: at most 50 characters, because runs are named after it"
type Dataset struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              DatasetSpec   `json:"spec"`
	Status            DatasetStatus `json:"status,omitempty"`
}

// DatasetSpec says where the data comes from and what must hold.
//
// +kubebuilder:validation:XValidation:rule="!has(self.privacy) || has(self.from.files)",message="privacy goes with from.files: identified data is protected where it enters"
// +kubebuilder:validation:XValidation:rule="!has(self.checks) || size(self.checks) == 0 || !has(self.from.code)",message="checks do not go with from.code: declare a query dataset over this one and give it the checks"
type DatasetSpec struct {
	// from is the one source.
	From Source `json:"from"`
	// privacy is applied while data enters; nothing identified is stored in the lake.
	// +optional
	Privacy *Privacy `json:"privacy,omitempty"`
	// checks must hold, or the version is not committed. They go with files and query.
	// +kubebuilder:validation:MaxItems=100
	// +optional
	Checks []Check `json:"checks,omitempty"`
	// resources of the step that builds the dataset.
	// +optional
	Resources Resources `json:"resources,omitempty"`
}

// Source is exactly one way to get data.
//
// +kubebuilder:validation:XValidation:rule="[has(self.files), has(self.query), has(self.code), has(self.capture)].filter(x, x).size() == 1",message="name exactly one of files, query, code and capture"
type Source struct {
	// files reads files of the workspace's bucket.
	// +optional
	Files *Files `json:"files,omitempty"`
	// query computes the table from other datasets of the workspace.
	// +optional
	Query *Query `json:"query,omitempty"`
	// code computes the table or objects with a program.
	// +optional
	Code *DatasetCode `json:"code,omitempty"`
	// capture collects the requests and answers of an endpoint.
	// +optional
	Capture *CaptureSource `json:"capture,omitempty"`
}

// Files are source files and their format.
//
// +kubebuilder:validation:XValidation:rule="self.format != 'text' || has(self.pattern)",message="pattern: format text needs a regular expression with named groups"
type Files struct {
	// url is a pattern of keys in the workspace's bucket, for example "inbox/voice/*.csv"; "**" spans folders.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.contains('..') && !self.contains('\\\\')",message="url must be a relative pattern inside the workspace's bucket, without '..' or a leading '/'"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[A-Za-z][A-Za-z0-9+.-]*:')",message="url names files in the workspace's bucket, no other place: copy them there (fathom put FILES inbox/voice/) and write url: inbox/voice/*"
	// +kubebuilder:validation:XValidation:rule="!self.contains('//') && !self.startsWith('./') && !self.contains('/./') && !self.matches('[[:cntrl:]]')",message="url must not hold empty or '.' parts, nor control characters: no file is called so"
	URL string `json:"url"`
	// format of the files.
	// +kubebuilder:validation:Enum=csv;parquet;ndjson;fhir;dicom;text
	Format string `json:"format"`
	// pattern, for format text: a regular expression (RE2) whose named groups become columns.
	// +optional
	Pattern string `json:"pattern,omitempty"`
	// columns fixes the types of columns by name, for example {jitter: double}. Default: found from all rows.
	// +optional
	Columns map[string]string `json:"columns,omitempty"`
}

// Query is SQL over the workspace's datasets.
//
// +kubebuilder:validation:XValidation:rule="has(self.sql) || has(self.file)",message="give the statement in sql, or its file in file"
type Query struct {
	// sql is one SELECT statement; tables are the workspace's datasets.
	// +kubebuilder:validation:MaxLength=100000
	// +optional
	SQL string `json:"sql,omitempty"`
	// file holds the statement, relative to the file that `fathom apply` reads; apply puts its text into sql.
	// +optional
	File string `json:"file,omitempty"`
}

// DatasetCode computes a dataset with a program: it reads FATHOM_INPUTS and writes FATHOM_OUTPUT.
type DatasetCode struct {
	Code `json:",inline"`
	// inputs are datasets of the workspace.
	// +kubebuilder:validation:MaxItems=50
	// +optional
	Inputs []string `json:"inputs,omitempty"`
}

// CaptureSource is an endpoint whose traffic becomes data.
type CaptureSource struct {
	// endpoint of the same workspace.
	Endpoint string `json:"endpoint"`
}

// Privacy protects the people whom the data is about.
//
// +kubebuilder:validation:XValidation:rule="!has(self.consent) || has(self.subject)",message="consent needs subject: say which column tells who a row is about"
type Privacy struct {
	// subject is the column that tells who a row is about.
	// +optional
	Subject string `json:"subject,omitempty"`
	// consent lets in only rows of subjects who permit the purpose.
	// +optional
	Consent *Consent `json:"consent,omitempty"`
	// pseudonymise replaces these columns by keyed pseudonyms, the same in all datasets of the workspace.
	// +optional
	Pseudonymise []string `json:"pseudonymise,omitempty"`
	// drop removes these columns.
	// +optional
	Drop []string `json:"drop,omitempty"`
	// deidentify applies a profile to DICOM objects.
	// +optional
	Deidentify *Deidentify `json:"deidentify,omitempty"`
}

// Consent names the consents and the purpose.
type Consent struct {
	// dataset of FHIR Consent resources in the same workspace.
	Dataset string `json:"dataset"`
	// purpose that must be permitted, for example research.
	Purpose string `json:"purpose"`
}

// Deidentify is a profile of DICOM PS3.15 Annex E.
type Deidentify struct {
	// profile: basic is the Basic Application Level Confidentiality Profile.
	// +kubebuilder:validation:Enum=basic
	// +kubebuilder:default=basic
	Profile string `json:"profile,omitempty"`
	// options of the profile.
	// +kubebuilder:validation:items:Enum=retain-longitudinal-modified
	// +optional
	Options []string `json:"options,omitempty"`
}

// Check is one expectation: over the table (expect, of) or over one column.
//
// +kubebuilder:validation:XValidation:rule="has(self.expect) != has(self.column)",message="a check has either expect (with of) or column"
type Check struct {
	// expect is a condition on aggregates, for example "count(*) >= 30".
	// +optional
	Expect string `json:"expect,omitempty"`
	// of is what expect counts, for example "distinct patient_id". Default: all rows.
	// +optional
	Of string `json:"of,omitempty"`
	// column that the following hold for.
	// +optional
	Column string `json:"column,omitempty"`
	// notNull: every row has a value.
	// +optional
	NotNull bool `json:"notNull,omitempty"`
	// unique: no value occurs twice.
	// +optional
	Unique bool `json:"unique,omitempty"`
	// between: every value lies in [low, high].
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=2
	// +optional
	Between []float64 `json:"between,omitempty"`
	// in: every value is one of these.
	// +optional
	In []string `json:"in,omitempty"`
	// matches: every value matches this regular expression (RE2).
	// +optional
	Matches string `json:"matches,omitempty"`
}

// DatasetStatus is what is true now.
type DatasetStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// version is the number of the current version; 0 before the first.
	// +optional
	Version int64 `json:"version,omitempty"`
	// fingerprint of the current version: equal fingerprints are equal data.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
	// wanted is the fingerprint that the declaration and its inputs ask for now.
	// +optional
	Wanted string `json:"wanted,omitempty"`
	// rows of the current version.
	// +optional
	Rows int64 `json:"rows,omitempty"`
	// subjects that the rows of the current version are about; 0 when the dataset names no subject.
	// +optional
	Subjects int64 `json:"subjects,omitempty"`
	// bytes of the current version.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// excludedRows did not enter.
	// +optional
	ExcludedRows int64 `json:"excludedRows,omitempty"`
	// excluded says why rows did not enter: rows and subjects by reason.
	// +optional
	Excluded []Exclusion `json:"excluded,omitempty"`
	// identified is true while rows may be traced to a person: only stewards may read them.
	// +optional
	Identified bool `json:"identified,omitempty"`
	// checksPassed of the current version.
	// +optional
	ChecksPassed int32 `json:"checksPassed,omitempty"`
	// inputs are the datasets that the declaration reads, without the consents.
	// +optional
	Inputs []string `json:"inputs,omitempty"`
	// run that works on the next version.
	// +optional
	Run string `json:"run,omitempty"`
	// refreshAfter is when a consent begins or ends, so that the dataset must be looked at again.
	// +optional
	RefreshAfter *metav1.Time `json:"refreshAfter,omitempty"`
	// asOf is the moment at which the consents of the current version were judged, when one has begun or ended since.
	// +optional
	AsOf *metav1.Time `json:"asOf,omitempty"`
	// updatedAt is when the current version was committed.
	// +optional
	UpdatedAt *metav1.Time `json:"updatedAt,omitempty"`
}

// Exclusion counts what one reason kept out.
type Exclusion struct {
	Reason string `json:"reason"`
	Rows   int64  `json:"rows"`
	// +optional
	Subjects int64 `json:"subjects,omitempty"`
}

// DatasetList is a list of Datasets.
//
// +kubebuilder:object:root=true
type DatasetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Dataset `json:"items"`
}
