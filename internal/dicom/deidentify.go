// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"fmt"
	"slices"
	"strings"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"
)

// Profile is the Basic Application Level Confidentiality Profile with what it needs to replace identifiers. The
// functions are keyed and stable: the same person and the same UID become the same everywhere.
type Profile struct {
	Pseudonym func(patientID string) string
	UID       func(uid string) string
	// Days moves the dates of a patient by so many days (option "retain longitudinal temporal information with modified
	// dates"). nil: dates and times are removed, emptied or replaced as the basic profile says.
	Days func(patientID string) int
}

// Refusal says why an object cannot be de-identified. It holds no value of the object.
type Refusal struct {
	Reason string // stable, for counting
	Detail string // the attribute
}

// Error is reason and detail.
func (r *Refusal) Error() string { return r.Reason + ": " + r.Detail }

// Reasons of a Refusal.
const (
	NotCovered = "attribute not covered by the de-identification profile"
	BurnedIn   = "burned-in annotation"
)

// Apply returns the object without its identity, and leaves o unchanged. The error is a *Refusal.
func (p Profile) Apply(o *Object) (*Object, error) {
	if strings.EqualFold(o.Text(tag.BurnedInAnnotation), "YES") {
		return nil, &Refusal{BurnedIn, name(tag.BurnedInAnnotation) + " is YES"}
	}
	syntax := o.TransferSyntax()
	d := deidentifier{Profile: p, patient: o.PatientID()}
	elements, err := d.elements(o.set.Elements, 0)
	if err != nil {
		return nil, err
	}
	out := &Object{}
	if syntax == uid.DeflatedExplicitVRLittleEndian {
		syntax = uid.ExplicitVRLittleEndian // the library does not compress
	}
	out.set.Elements = append(out.set.Elements, meta(o, p, syntax)...)
	out.set.Elements = append(out.set.Elements, d.mark(elements)...)
	return out, nil
}

// implementation names this program in a file's meta information; a UUID-derived UID (PS3.5 B.2).
const implementation = "2.25.257434521386487412735193047219852463031"

// meta is the new file meta information: nothing of the old one is copied but the class and the encoding.
func meta(o *Object, p Profile, syntax string) []*dicom.Element {
	return []*dicom.Element{
		element(tag.FileMetaInformationVersion, "OB", []byte{0, 1}),
		element(tag.MediaStorageSOPClassUID, "UI", []string{p.uid(o.Text(tag.SOPClassUID))}),
		element(tag.MediaStorageSOPInstanceUID, "UI", []string{p.uid(o.InstanceUID())}),
		element(tag.TransferSyntaxUID, "UI", []string{syntax}),
		element(tag.ImplementationClassUID, "UI", []string{implementation}),
		element(tag.ImplementationVersionName, "SH", []string{"FATHOM"}),
	}
}

// element makes an element of known good types.
func element(t tag.Tag, vr string, value any) *dicom.Element {
	v, err := dicom.NewValue(value)
	if err != nil {
		panic(err) // only for a type that is not in this file
	}
	return &dicom.Element{Tag: t, ValueRepresentation: tag.GetVRKind(t, vr), RawValueRepresentation: vr, Value: v}
}

// deidentifier treats one object.
type deidentifier struct {
	Profile
	patient string
}

func (d *deidentifier) elements(list []*dicom.Element, depth int) ([]*dicom.Element, error) {
	var out []*dicom.Element
	for _, e := range list {
		if isOutside(e.Tag, depth) {
			continue
		}
		e, err := d.element(e, depth)
		if err != nil {
			return nil, err
		}
		if e != nil {
			out = append(out, e)
		}
	}
	return out, nil
}

// isOutside tells what is always removed: private attributes, curves, overlays, group lengths, padding, the old meta
// information, and the marks that are written anew.
func isOutside(t tag.Tag, depth int) bool {
	switch {
	case tag.IsPrivate(t.Group), t.Element == 0, t.Group == 0xfffc, t.Group == tag.GroupSeqItem:
		return true
	case t.Group >= 0x5000 && t.Group <= 0x50ff, t.Group >= 0x6000 && t.Group <= 0x60ff:
		return true
	}
	return depth == 0 && (t.Group == tag.MetadataGroup || slices.Contains(marks, t))
}

// element treats one element; nil removes it.
func (d *deidentifier) element(e *dicom.Element, depth int) (*dicom.Element, error) {
	a, covered := attributes()[e.Tag]
	if !covered {
		return nil, &Refusal{NotCovered, name(e.Tag)}
	}
	if e.Tag == tag.PatientID {
		if d.patient == "" {
			return emptied(e), nil
		}
		return element(e.Tag, "LO", []string{d.Pseudonym(d.patient)}), nil
	}
	if a.shifts && d.Days != nil {
		return d.shifted(e, a)
	}
	switch a.action {
	case remove:
		return nil, nil
	case empty:
		return emptied(e), nil
	case dummy:
		return dummied(e), nil
	case newUID, classUID:
		return d.replaceUIDs(e)
	case recurse:
		return d.sequence(e, depth)
	}
	return kept(e)
}

// sequence treats the items one by one.
func (d *deidentifier) sequence(e *dicom.Element, depth int) (*dicom.Element, error) {
	if e.Value == nil || e.Value.ValueType() != dicom.Sequences {
		return nil, &Refusal{NotCovered, name(e.Tag) + " is not readable as a sequence"}
	}
	items := [][]*dicom.Element{}
	for _, item := range e.Value.GetValue().([]*dicom.SequenceItemValue) {
		elements, err := d.elements(item.GetValue().([]*dicom.Element), depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, elements)
	}
	return element(e.Tag, "SQ", items), nil
}

const standardRoot = "1.2.840.10008." // UIDs of the standard identify nobody

func (d *deidentifier) replaceUIDs(e *dicom.Element) (*dicom.Element, error) {
	if e.Value == nil || e.Value.ValueType() != dicom.Strings {
		return nil, &Refusal{NotCovered, name(e.Tag) + " is not readable as a UID"}
	}
	values := slices.Clone(dicom.MustGetStrings(e.Value))
	for i, v := range values {
		values[i] = d.uid(strings.Trim(v, " \x00"))
	}
	return element(e.Tag, "UI", values), nil
}

// uid keeps what the standard names, and nothing that only looks like it.
func (p Profile) uid(v string) string {
	if v == "" || isStandardUID(v) {
		return v
	}
	return p.UID(v)
}

func isStandardUID(v string) bool {
	return strings.HasPrefix(v, standardRoot) && strings.Trim(v, "0123456789.") == "" && len(v) <= 64
}

// marks are the attributes that say what was done (PS3.15 E.1.1); those of the source are dropped.
var marks = []tag.Tag{
	tag.PatientIdentityRemoved, tag.DeidentificationMethod, tag.DeidentificationMethodCodeSequence,
	tag.LongitudinalTemporalInformationModified, tag.SpecificCharacterSet,
}

// mark adds them, in the order of tags.
func (d *deidentifier) mark(elements []*dicom.Element) []*dicom.Element {
	method, dates := "DICOM PS3.15 Basic Profile", "REMOVED"
	codes := [][]*dicom.Element{code("113100", "Basic Application Confidentiality Profile")}
	if d.Days != nil {
		method += ", modified dates"
		dates = "MODIFIED"
		codes = append(codes, code("113107", "Retain Longitudinal Temporal Information Modified Dates Option"))
	}
	elements = append(elements,
		element(tag.SpecificCharacterSet, "CS", []string{"ISO_IR 192"}), // the library gives text as UTF-8
		element(tag.PatientIdentityRemoved, "CS", []string{"YES"}),
		element(tag.DeidentificationMethod, "LO", []string{method}),
		element(tag.DeidentificationMethodCodeSequence, "SQ", codes),
		element(tag.LongitudinalTemporalInformationModified, "CS", []string{dates}),
	)
	slices.SortStableFunc(elements, func(a, b *dicom.Element) int { return a.Tag.Compare(b.Tag) })
	return elements
}

func code(value, meaning string) []*dicom.Element {
	return []*dicom.Element{
		element(tag.CodeValue, "SH", []string{value}),
		element(tag.CodingSchemeDesignator, "SH", []string{"DCM"}),
		element(tag.CodeMeaning, "LO", []string{fmt.Sprintf("%.64s", meaning)}),
	}
}
