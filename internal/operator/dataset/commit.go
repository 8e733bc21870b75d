// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/plan"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// Summary is what a version of a dataset remembers beside its rows.
type Summary struct {
	// Report is what the step left in report.json.
	Report Report `json:"report"`
	// Parameters is the digest of the step's parameters, for a replay.
	Parameters string `json:"parameters,omitempty"`
	// AsOf is the recipe's moment of judging consents.
	AsOf *time.Time `json:"asOf,omitempty"`
	// Command, Code and Requirements of the step, for a replay.
	Step         string   `json:"step"`
	Command      []string `json:"command,omitempty"`
	Code         string   `json:"code,omitempty"`
	Requirements string   `json:"requirements,omitempty"`
	// Inputs of the step, for a replay.
	Inputs []v1alpha1.RunInput `json:"inputs,omitempty"`
	// SubjectCount is how many subjects the rows are about.
	SubjectCount int64 `json:"subjectCount,omitempty"`
	// Secret of the step, for a replay.
	Secret string `json:"secret,omitempty"`
}

// Report is the part of a step's report.json that every step shares.
type Report struct {
	RowsIn     int64                `json:"rowsIn"`
	RowsOut    int64                `json:"rowsOut"`
	Excluded   []v1alpha1.Exclusion `json:"excluded,omitempty"`
	Checks     []query.CheckResult  `json:"checks,omitempty"`
	Subjects   []string             `json:"subjects,omitempty"`
	Identified bool                 `json:"identified,omitempty"`
	ValidUntil *time.Time           `json:"validUntil,omitempty"`
}

// commit stores the output of the wanted version's run as a version.
func (s *Station) commit(ctx context.Context, d *v1alpha1.Dataset, w *work) (plan.Decision, error) {
	watching := plan.Decision{Action: plan.Commit, Reason: v1alpha1.ReasonRunning, Message: "stores the output of run " + w.Run.Name}
	var run v1alpha1.Run
	if err := s.Client.Get(ctx, types.NamespacedName{Namespace: d.Namespace, Name: w.Run.Name}, &run); err != nil {
		return watching, err
	}
	request, err := s.request(ctx, d, w, &run)
	if err == nil {
		err = s.room(ctx, d, request.Files.Size())
	}
	if err == nil {
		var v lake.Version
		if v, err = s.Lake.Commit(ctx, request); err == nil {
			message := fmt.Sprintf("version %d is up to date", v.Number)
			return plan.Decision{Action: plan.Keep, Reason: v1alpha1.ReasonReady, Message: message}, s.use(ctx, d, v)
		}
	}
	if fault.Is(err, fault.Exhausted) {
		w.lookAgain = s.Rescan // room may be made
	}
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.TooLarge) || fault.Is(err, fault.Exhausted) {
		return plan.Decision{Action: plan.Fail, Reason: v1alpha1.ReasonFailed,
			Message: fmt.Sprintf("the output of run %s cannot be stored: %v", run.Name, err)}, nil
	}
	return watching, err
}

// room is Exhausted when the workspace's quota has no room for so many bytes more.
func (s *Station) room(ctx context.Context, d *v1alpha1.Dataset, size int64) error {
	var workspace v1alpha1.Workspace
	if err := s.Client.Get(ctx, types.NamespacedName{Name: d.Namespace}, &workspace); err != nil {
		return client.IgnoreNotFound(err)
	}
	quota := workspace.Spec.Quota.Storage
	if quota == nil {
		return nil
	}
	used, err := s.Lake.Bytes(ctx, d.Namespace)
	if err != nil || used+size <= quota.Value() {
		return err
	}
	return fault.New(fault.Exhausted, "spec.quota.storage of workspace "+d.Namespace, "it allows %s, versions hold %d bytes, and this one would add %d",
		quota, used, size).WithHint("raise the quota")
}

func (s *Station) request(ctx context.Context, d *v1alpha1.Dataset, w *work, run *v1alpha1.Run) (lake.CommitRequest, error) {
	var request lake.CommitRequest
	digest, err := ref.ParseDigest(run.Status.Output)
	if err != nil {
		return request, fault.Wrap(fault.Invalid, "status.output", err)
	}
	manifest, err := s.Lake.GetManifest(ctx, digest)
	if err != nil {
		return request, err
	}
	summary := Summary{
		Parameters: run.Spec.Parameters, Step: run.Spec.Step, Command: run.Spec.Command, Code: run.Spec.Code,
		Requirements: run.Spec.Requirements, Inputs: run.Spec.Inputs, Secret: run.Spec.Secret,
	}
	if !w.asOf.IsZero() {
		summary.AsOf = &w.asOf
	}
	if summary.Report, err = s.report(ctx, manifest); err != nil {
		return request, err
	}
	subjects := summary.Report.Subjects
	summary.SubjectCount = int64(len(subjects))
	summary.Report.Subjects = nil // kept as a set of its own
	summary.Report.Identified = identified(d, w, summary.Report)
	encoded, err := json.Marshal(summary)
	if err != nil {
		return request, fault.Wrap(fault.Internal, "summary", err)
	}
	inputs, err := s.lineage(ctx, d, w, run)
	if err != nil {
		return request, err
	}
	return lake.CommitRequest{
		Name: nameOf(d), Fingerprint: run.Spec.Fingerprint, Files: manifest, Summary: encoded, Run: string(run.UID),
		Inputs: inputs, Subjects: subjects, CreatedBy: "dataset/" + d.Name,
	}, nil
}

// identified is true when a row may be traced to a person: files that came in unprotected, or inputs that are identified.
func identified(d *v1alpha1.Dataset, w *work, r Report) bool {
	found := r.Identified || d.Spec.From.Files != nil && d.Spec.Privacy == nil
	for _, in := range w.inputs {
		found = found || in.Status.Identified
	}
	return found
}

// report reads report.json; a step that leaves none reports nothing.
func (s *Station) report(ctx context.Context, m lake.FileManifest) (Report, error) {
	var r Report
	file, ok := m.Find("report.json")
	if !ok {
		return r, nil
	}
	f, _, err := s.Lake.OpenBlob(ctx, file.Digest)
	if err != nil {
		return r, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, 64<<20)).Decode(&r); err != nil {
		return r, fault.New(fault.Invalid, "report.json", "it is not as expected: %v", err)
	}
	return r, nil
}

// lineage is what the run really read: the versions and files in its inputs, its code and its environment.
func (s *Station) lineage(ctx context.Context, d *v1alpha1.Dataset, w *work, run *v1alpha1.Run) ([]lake.Input, error) {
	modified := map[ref.Digest]string{}
	for _, f := range w.sources {
		modified[f.Digest] = f.Modified.Format(time.RFC3339)
	}
	var out []lake.Input
	for _, in := range run.Spec.Inputs {
		if in.Dataset != "" {
			role := lake.RoleInput
			if c := d.Spec.Privacy; c != nil && c.Consent != nil && in.Dataset == c.Consent.Dataset {
				role = lake.RoleConsent
			}
			name := ref.Name{Workspace: d.Namespace, Name: in.Dataset}
			out = append(out, lake.Input{Role: role, Artifact: lake.DatasetArtifact(name, int(in.Version), "")})
			continue
		}
		manifest, err := s.Lake.GetManifest(ctx, ref.Digest(in.Manifest))
		if err != nil {
			return nil, err
		}
		for _, f := range manifest.Files {
			facts := map[string]string{"size": strconv.FormatInt(f.Size, 10)}
			if at := modified[f.Digest]; at != "" {
				facts["modified"] = at
			}
			out = append(out, lake.Input{Role: lake.RoleSource, Artifact: lake.Artifact{
				Kind: lake.KindFile, Workspace: d.Namespace, Name: f.Path, Digest: f.Digest, Facts: facts,
			}})
		}
	}
	for _, used := range []struct{ kind, digest string }{
		{lake.KindCode, run.Spec.Code}, {lake.KindEnvironment, run.Status.Environment},
	} {
		if used.digest != "" {
			out = append(out, lake.Input{Role: used.kind, Artifact: lake.Artifact{
				Kind: used.kind, Workspace: d.Namespace, Name: d.Name, Digest: ref.Digest(used.digest),
			}})
		}
	}
	return out, nil
}

// use makes a version the current one in the status.
func (s *Station) use(ctx context.Context, d *v1alpha1.Dataset, v lake.Version) error {
	summary, err := summaryOf(v)
	if err != nil {
		return err
	}
	st := &d.Status
	st.Version, st.Fingerprint, st.Rows, st.Bytes = int64(v.Number), v.Fingerprint, v.Rows, v.Bytes
	st.Subjects = summary.SubjectCount
	st.Excluded, st.ExcludedRows, st.ChecksPassed = summary.Report.Excluded, 0, 0
	for _, e := range st.Excluded {
		st.ExcludedRows += e.Rows
	}
	for _, c := range summary.Report.Checks {
		if c.Passed {
			st.ChecksPassed++
		}
	}
	st.Identified = summary.Report.Identified
	st.RefreshAfter, st.AsOf = nil, nil
	if t := summary.Report.ValidUntil; t != nil {
		st.RefreshAfter = &metav1.Time{Time: *t}
	}
	if t := summary.AsOf; t != nil {
		st.AsOf = &metav1.Time{Time: *t}
	}
	created := metav1.NewTime(v.Created)
	st.UpdatedAt = &created
	return ctx.Err()
}

func stillServed(version int64) string {
	return fmt.Sprintf("; version %d stays in use", version)
}
