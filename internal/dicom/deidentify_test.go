// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"
)

// made builds an object from elements, written and read back as a file.
func made(t testing.TB, elements ...*dicom.Element) *Object {
	t.Helper()
	o, err := Parse("made", madeBytes(t, elements...))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func madeBytes(t testing.TB, elements ...*dicom.Element) []byte {
	t.Helper()
	set := dicom.Dataset{Elements: append([]*dicom.Element{
		element(tag.TransferSyntaxUID, "UI", []string{uid.ExplicitVRLittleEndian}),
		element(tag.SOPClassUID, "UI", []string{"1.2.840.10008.5.1.4.1.1.20"}),
		element(tag.SOPInstanceUID, "UI", []string{"1.2.3.4"}),
		element(tag.PatientID, "LO", []string{"PAT-0001"}),
	}, elements...)}
	var out bytes.Buffer
	if err := dicom.Write(&out, set, dicom.SkipVRVerification()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func seq(tg tag.Tag, items ...[]*dicom.Element) *dicom.Element { return element(tg, "SQ", items) }

func TestApplyTreatsAttributes(t *testing.T) {
	p := profile(false)
	for _, c := range []struct {
		name string
		in   *dicom.Element
		want string // first value; "-" when removed
	}{
		{"pseudonym", element(tag.PatientName, "PN", []string{"Doe^Jane"}), ""},
		{"birth date", element(tag.PatientBirthDate, "DA", []string{"19500203"}), ""},
		{"address", element(tag.PatientAddress, "LO", []string{"Lane 1"}), "-"},
		{"study date", element(tag.StudyDate, "DA", []string{"20240131"}), ""},
		{"series date", element(tag.SeriesDate, "DA", []string{"20240131"}), "19000101"},
		{"study UID", element(tag.StudyInstanceUID, "UI", []string{"1.2.3"}), p.UID("1.2.3")},
		{"frame of reference of the standard", element(tag.FrameOfReferenceUID, "UI", []string{"1.2.840.10008.1.4.1.1"}), "1.2.840.10008.1.4.1.1"},
		{"text behind the standard's root", element(tag.FrameOfReferenceUID, "UI", []string{"1.2.840.10008.Jane"}), p.UID("1.2.840.10008.Jane")},
		{"number", element(tag.SliceThickness, "DS", []string{"2.5"}), "2.5"},
		{"scientific", element(tag.SliceThickness, "DS", []string{"-1.5E-3"}), "-1.5E-3"},
		{"maker", element(tag.Manufacturer, "LO", []string{"Acme"}), "Acme"},
		{"comment", element(tag.ImageComments, "LT", []string{"Jane moved"}), "-"},
		{"text that the profile does not know", element(tag.ImageID, "SH", []string{"Jane"}), "-"},
		{"private", &dicom.Element{Tag: tag.Tag{Group: 9, Element: 0x1001}, RawValueRepresentation: "LO", Value: element(tag.ImageID, "LO", []string{"Jane"}).Value}, "-"},
		{"overlay", &dicom.Element{Tag: tag.Tag{Group: 0x6002, Element: 0x3000}, RawValueRepresentation: "OB", Value: element(tag.ImageID, "OB", []byte{1, 2}).Value}, "-"},
		{"group length", &dicom.Element{Tag: tag.Tag{Group: 8, Element: 0}, RawValueRepresentation: "UL", Value: element(tag.Rows, "UL", []int{8}).Value}, "-"},
		{"claim of the source", element(tag.DeidentificationMethod, "LO", []string{"Jane did it"}), "DICOM PS3.15 Basic Profile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := p.Apply(made(t, c.in))
			if err != nil {
				t.Fatal(err)
			}
			got := "-"
			if e := out.find(c.in.Tag); e != nil {
				got = first(e)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if id := out.PatientID(); id != p.Pseudonym("PAT-0001") {
				t.Errorf("patient %q", id)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	unknown := &dicom.Element{Tag: tag.Tag{Group: 0x0018, Element: 0xfff0}, RawValueRepresentation: "LO", Value: element(tag.ImageID, "LO", []string{"x"}).Value}
	for _, c := range []struct {
		name string
		in   *dicom.Element
		want string
	}{
		{"burned in", element(tag.BurnedInAnnotation, "CS", []string{"yes"}), BurnedIn},
		{"unknown attribute", unknown, "(0018,FFF0)"},
		{"unknown attribute in a sequence", seq(tag.AnatomicRegionSequence, []*dicom.Element{unknown}), "(0018,FFF0)"},
		{"name as a number", element(tag.SliceThickness, "DS", []string{"Jane"}), "SliceThickness"},
		{"sentence as a code", element(tag.ImageType, "CS", []string{"ORIGINAL", "JANE DOE, BORN 1950"}), "ImageType"},
		{"text as a number's representation", &dicom.Element{Tag: tag.SliceThickness, RawValueRepresentation: "LO", Value: element(tag.ImageID, "LO", []string{"Jane"}).Value}, "SliceThickness"},
		{"long term", element(tag.Manufacturer, "LO", []string{strings.Repeat("x", 2000)}), "long text"},
		{"known attribute of unknown type", &dicom.Element{Tag: tag.Manufacturer, RawValueRepresentation: "UN", Value: element(tag.ImageID, "UN", []byte("Jane")).Value}, "Manufacturer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := profile(false).Apply(made(t, c.in))
			var refused *Refusal
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "Jane") || strings.Contains(err.Error(), "JANE") {
				t.Errorf("got %v, %v; want a refusal with %q", out, err, c.want)
			}
		})
	}
}

func TestApplyNested(t *testing.T) {
	o := made(t,
		seq(tag.ReferencedImageSequence, []*dicom.Element{
			element(tag.ReferencedSOPClassUID, "UI", []string{"1.2.840.10008.5.1.4.1.1.20"}), element(tag.ReferencedSOPInstanceUID, "UI", []string{"1.2.3.4"})}),
		seq(tag.RequestAttributesSequence, []*dicom.Element{element(tag.RequestedProcedureID, "SH", []string{"Jane-1"})}),
		seq(tag.RadiopharmaceuticalInformationSequence, []*dicom.Element{
			element(tag.Radiopharmaceutical, "LO", []string{"I-123"}), element(tag.RadiopharmaceuticalStartDateTime, "DT", []string{"20240131101112"}),
			element(tag.RadionuclideTotalDose, "DS", []string{"185"})}))
	out, err := profile(true).Apply(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := out.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"Jane": false, "PAT-0001": false, "20240131": false, "I-123": true, "185": true, "20231023101112": true, profile(true).UID("1.2.3.4"): true} {
		if bytes.Contains(b, []byte(text)) != want {
			t.Errorf("%q in the output: %v, want %v", text, !want, want)
		}
	}
	if out.Text(tag.LongitudinalTemporalInformationModified) != "MODIFIED" {
		t.Error("the mark of modified dates is missing")
	}
	if o.PatientID() != "PAT-0001" {
		t.Error("the source was changed")
	}
}

func TestShiftDate(t *testing.T) {
	for in, want := range map[string]string{
		"20240131": "20231023", "2024.01.31": "20231023", "20240131101112.5+0100": "20231023101112.5+0100", " 20240131": "20231023",
		"": "", "2024": "", "20241331": "", "20240131-20240201": "20231023-20240201", "yesterday": "", "20240131 by Jane": "",
	} {
		if in == "20240131-20240201" {
			want = "" // a range would keep its second date
		}
		if got := shiftDate(in, -100); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestExecutablePreambleIsCleared(t *testing.T) {
	b := madeBytes(t)
	copy(b, "MZ\x90 Jane")
	o, err := Parse("made", b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := profile(false).Apply(o)
	if err != nil {
		t.Fatal(err)
	}
	if written, err := out.Bytes(); err != nil || bytes.Contains(written, []byte("Jane")) || bytes.HasPrefix(written, []byte("MZ")) {
		t.Errorf("the preamble passed, %v", err)
	}
}

func TestParseRefusesNestingBombs(t *testing.T) {
	b := madeBytes(t)
	for range 100000 {
		b = append(b, 0x08, 0x00, 0x18, 0x22, 'S', 'Q', 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff)
	}
	if _, err := Parse("bomb", b); err == nil || !strings.Contains(err.Error(), "bomb: the DICOM file is malformed: sequences nest deeper than 64") {
		t.Errorf("got %v", err)
	}
	if _, err := Parse("short", b[:len(madeBytes(t))+100]); err == nil || !strings.Contains(err.Error(), "ends too early") {
		t.Errorf("a file that ends within a sequence: %v", err)
	}
}

// FuzzParse looks for panics and for objects that lose their identity only on paper.
func FuzzParse(f *testing.F) {
	f.Add(madeBytes(f, element(tag.PatientName, "PN", []string{"Doe^Jane"}), seq(tag.AnatomicRegionSequence, []*dicom.Element{element(tag.CodeValue, "SH", []string{"x"})})))
	f.Add(madeBytes(f, element(tag.Rows, "US", []int{1}), element(tag.Columns, "US", []int{1}), element(tag.BitsAllocated, "US", []int{8}),
		element(tag.PixelData, "OB", dicom.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: []byte{1, 0}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Parse("fuzz", b)
		if err != nil {
			return
		}
		_ = o.Row()
		_, _ = o.Stored()
		clean, err := profile(true).Apply(o)
		if err != nil {
			return
		}
		terms := map[string]bool{}
		keptTexts(o.set.Elements, terms)
		if written, err := clean.Bytes(); err == nil && bytes.Contains(written, []byte("Doe^Jane")) && !within(terms, "Doe^Jane") {
			t.Error("a name passed")
		}
	})
}
