// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"fathom.dev/fathom/internal/dicom"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// objectColumns follow the columns of the headers.
var objectColumns = []query.Column{
	{Name: "_object", Type: "VARCHAR"}, // path below objects/
	{Name: "_bytes", Type: "BIGINT"},
	{Name: "_digest", Type: "VARCHAR"},
}

const (
	subjectTag      = "PatientID"
	modifiedDates   = "retain-longitudinal-modified"
	reasonDirectory = "DICOMDIR"
	reasonDuplicate = "duplicate object"
	reasonNoUID     = "no SOPInstanceUID"
)

// imaging is the reading of a tree of DICOM files. Subject and consent are decided here, file by file, since objects are
// written here too.
type imaging struct {
	*ingestion
	profile  *dicom.Profile // nil: objects stay as they are
	seen     map[string]bool
	subjects map[string]bool
	excluded map[string]*tally
	details  map[string]int64 // what refusals say, counted
}

// tally counts what was left out for a reason.
type tally struct {
	rows     int64
	subjects map[string]bool
}

// loadDICOM writes the objects that enter and a row for each.
func (in *ingestion) loadDICOM(ctx context.Context) error {
	im := &imaging{ingestion: in, seen: map[string]bool{}, subjects: map[string]bool{}, excluded: map[string]*tally{}, details: map[string]int64{}}
	if err := im.prepare(); err != nil {
		return err
	}
	next := 0
	var columns []query.Column
	for _, c := range dicom.Columns() {
		columns = append(columns, query.Column{Name: c.Name, Type: c.Type})
	}
	err := in.engine.Append(ctx, rawTable, append(columns, objectColumns...), func() (int, int64, []any, error) {
		for next < len(in.files) {
			i := next
			next++
			in.tell(0.05+0.5*float64(i)/float64(len(in.files)), "reading object %d of %d", i+1, len(in.files))
			row, err := im.object(i)
			if row != nil || err != nil {
				return i, 1, row, err
			}
		}
		return 0, 0, nil, io.EOF
	})
	if err != nil {
		return err
	}
	return im.conclude()
}

// prepare refuses what has no meaning for objects, and sets up the profile: any privacy at all de-identifies.
func (im *imaging) prepare() error {
	if im.p.Privacy == nil {
		return nil
	}
	if s := im.policy.Subject; s != "" && s != subjectTag {
		return blamed("UnknownColumn", "spec.privacy.subject", fault.New(fault.Invalid, "", "the subject of DICOM objects is %s, not %q", subjectTag, s))
	}
	im.profile = &dicom.Profile{Pseudonym: im.key.Pseudonym, UID: im.key.UID}
	d := im.policy.Deidentify
	if d == nil {
		return nil
	}
	if d.Profile != "" && d.Profile != "basic" {
		return blamed("UnknownProfile", "spec.privacy.deidentify.profile", fault.New(fault.Invalid, "", "the profile %q is unknown", d.Profile).WithHint("use basic"))
	}
	for _, o := range d.Options {
		if o != modifiedDates {
			return blamed("UnknownOption", "spec.privacy.deidentify.options", fault.New(fault.Invalid, "", "the option %q is unknown", o).WithHint("use %s", modifiedDates))
		}
		im.profile.Days = im.key.Days
	}
	return nil
}

// object reads file i; a nil row without an error is an object that was left out.
func (im *imaging) object(i int) ([]any, error) {
	f := im.files[i]
	content, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, fault.New(fault.Internal, f.Name, "the staged file cannot be read")
	}
	o, err := dicom.Parse(f.Name, content)
	if err != nil {
		return nil, err
	}
	subject := o.PatientID()
	if reason := im.leaveOut(o, subject); reason != "" {
		im.exclude(reason, subject)
		return nil, nil
	}
	path := f.Name
	if im.profile != nil {
		if o, err = im.profile.Apply(o); err == nil {
			content, err = o.Bytes()
		}
		var refused *dicom.Refusal
		if errors.As(err, &refused) {
			im.exclude(refused.Reason, subject)
			im.details[refused.Error()]++
			return nil, nil
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, f.Name, err)
		}
		path = o.SeriesUID() + "/" + o.InstanceUID() + ".dcm"
		im.subjects[o.PatientID()] = true
	}
	if err := im.writeObject(path, content); err != nil {
		return nil, err
	}
	im.report.Objects++
	digest, size, err := ref.DigestFrom(bytes.NewReader(content))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, f.Name, err)
	}
	return append(o.Row(), path, size, string(digest)), nil
}

// leaveOut decides whether an object enters; "" lets it in.
func (im *imaging) leaveOut(o *dicom.Object, subject string) string {
	switch {
	case o.IsDirectory():
		return reasonDirectory
	case o.InstanceUID() == "":
		return reasonNoUID
	}
	if im.policy.Subject != "" {
		if subject == "" {
			return privacy.NoSubject
		}
		if im.judge != nil {
			if permit, reason := im.judge(subject); !permit {
				return reason
			}
		}
	}
	if im.seen[o.InstanceUID()] {
		return reasonDuplicate
	}
	im.seen[o.InstanceUID()] = true
	return ""
}

func (im *imaging) exclude(reason, subject string) {
	t := im.excluded[reason]
	if t == nil {
		t = &tally{subjects: map[string]bool{}}
		im.excluded[reason] = t
	}
	t.rows++
	if subject != "" {
		t.subjects[subject] = true
	}
}

func (im *imaging) writeObject(path string, content []byte) error {
	if _, err := ref.RelPath(path); err != nil {
		return err
	}
	full := filepath.Join(im.output, "objects", filepath.FromSlash(path))
	err := os.MkdirAll(filepath.Dir(full), 0o755)
	if err == nil {
		err = os.WriteFile(full, content, 0o644)
	}
	return fault.Wrap(fault.Internal, "write object", err)
}

// conclude reports who is in and what was left out; if nothing is in because all objects were refused, that is an error.
func (im *imaging) conclude() error {
	for _, reason := range slices.Sorted(mapKeys(im.excluded)) {
		t := im.excluded[reason]
		im.report.RowsIn += t.rows
		im.report.Excluded = append(im.report.Excluded, privacy.Exclusion{Reason: reason, Rows: t.rows, Subjects: int64(len(t.subjects))})
	}
	details := slices.Sorted(mapKeys(im.details))
	for _, d := range details {
		im.report.Findings = append(im.report.Findings, privacy.Finding{Message: d, Rows: im.details[d]})
	}
	if im.report.Objects == 0 && len(details) > 0 {
		return blamed("ObjectsRefused", "spec.privacy.deidentify", fault.New(fault.Invalid, "", "no object can be de-identified: %s", details[0]))
	}
	if im.policy.Subject != "" {
		im.report.Subjects = slices.Sorted(mapKeys(im.subjects))
	}
	return nil
}
