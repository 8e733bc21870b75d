// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"

	"fathom.dev/fathom/internal/fault"
)

// MaxSize is how many bytes a file may have, also after decompression.
const MaxSize = 2 << 30

// directoryStorage is the SOP class of a DICOMDIR.
const directoryStorage = "1.2.840.10008.1.3.10"

// Object is one DICOM object in memory.
type Object struct {
	set dicom.Dataset
}

// Parse reads an object from the bytes of a file; name is for messages. It fails with Invalid, naming the file, when the
// bytes are not a complete DICOM object.
func Parse(name string, content []byte) (obj *Object, err error) {
	defer func() {
		// The library panics on some malformed values.
		if p := recover(); p != nil {
			obj, err = nil, fault.New(fault.Invalid, name, "the DICOM file is malformed")
		}
	}()
	switch {
	case len(content) > MaxSize:
		return nil, fault.New(fault.TooLarge, name, "a DICOM file may have 2 GiB")
	case len(content) < 132 || string(content[128:132]) != "DICM":
		return nil, fault.New(fault.Invalid, name, "this is not a DICOM file with meta information").WithHint("remove it, narrow spec.from.files.url, or rewrite it as a DICOM Part 10 file")
	}
	s, err := inspect(content)
	if err == nil {
		obj = &Object{}
		if obj.set, err = parse(content, s); err == nil {
			err = obj.complete(s)
		}
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, name, "the DICOM file is malformed: %s", reason(err))
	}
	return obj, nil
}

func parse(content []byte, s structure) (dicom.Dataset, error) {
	p, err := dicom.NewParser(bytes.NewReader(content), int64(len(content)), nil,
		dicom.SkipProcessingPixelDataValue(), dicom.AllowMissingMetaElementGroupLength(), dicom.AllowUnknownSpecificCharacterSet())
	if err != nil {
		return dicom.Dataset{}, err
	}
	set := dicom.Dataset{Elements: p.GetMetadata().Elements}
	for {
		e, err := p.Next()
		switch {
		case errors.Is(err, dicom.ErrorEndOfDICOM):
			return set, nil
		case s.syntax == uid.DeflatedExplicitVRLittleEndian && errors.Is(err, io.EOF):
			return set, nil // the length of what was compressed is not known beforehand
		case err != nil:
			return set, err
		}
		set.Elements = append(set.Elements, e)
	}
}

// reason is the library's account without its chain of operations, and without values.
func reason(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	if strings.IndexFunc(text, unicode.IsLetter) < 0 {
		return "its structure is damaged"
	}
	return text
}

// complete checks the pixel data's length, and adds the offset table that the library drops.
func (o *Object) complete(s structure) error {
	px, ok := o.pixels()
	if !ok {
		return nil
	}
	if px.IsEncapsulated {
		px.Offsets = s.offsets
		return o.setPixels(px)
	}
	g, err := o.geometry()
	if err != nil {
		return err
	}
	if have := len(px.UnprocessedValueData); have < g.bytes() {
		return fmt.Errorf("the pixel data has %d bytes, %d are needed for %d frames of %dx%d", have, g.bytes(), g.frames, g.rows, g.columns)
	}
	return nil
}

func (o *Object) pixels() (dicom.PixelDataInfo, bool) {
	e := o.find(tag.PixelData)
	if e == nil || e.Value == nil || e.Value.ValueType() != dicom.PixelData {
		return dicom.PixelDataInfo{}, false
	}
	return dicom.MustGetPixelDataInfo(e.Value), true
}

func (o *Object) setPixels(px dicom.PixelDataInfo) error {
	v, err := dicom.NewValue(px)
	if err != nil {
		return err
	}
	o.find(tag.PixelData).Value = v
	return nil
}

func (o *Object) find(t tag.Tag) *dicom.Element {
	for _, e := range o.set.Elements {
		if e.Tag == t {
			return e
		}
	}
	return nil
}

// TransferSyntax is the UID of the encoding; empty when the file has no meta information.
func (o *Object) TransferSyntax() string { return transferSyntax(o.set) }

func transferSyntax(set dicom.Dataset) string {
	for _, e := range set.Elements {
		if e.Tag == tag.TransferSyntaxUID {
			return first(e)
		}
	}
	return ""
}

// Text is the first value of an attribute as text, without padding; empty when it is absent.
func (o *Object) Text(t tag.Tag) string {
	e := o.find(t)
	if e == nil {
		return ""
	}
	return first(e)
}

// PatientID is who the object is about.
func (o *Object) PatientID() string { return o.Text(tag.PatientID) }

// InstanceUID identifies the object.
func (o *Object) InstanceUID() string { return o.Text(tag.SOPInstanceUID) }

// SeriesUID identifies the series that the object belongs to; "none" when it does not say.
func (o *Object) SeriesUID() string {
	if s := o.Text(tag.SeriesInstanceUID); s != "" {
		return s
	}
	return "none"
}

// IsDirectory reports whether this is a DICOMDIR, which lists objects and is none.
func (o *Object) IsDirectory() bool {
	return o.Text(tag.MediaStorageSOPClassUID) == directoryStorage
}

func first(e *dicom.Element) string {
	if e.Value == nil {
		return ""
	}
	switch v := e.Value.GetValue().(type) {
	case []string:
		if len(v) > 0 {
			return strings.Trim(v[0], " \x00")
		}
	case []int:
		if len(v) > 0 {
			return fmt.Sprint(v[0])
		}
	case []float64:
		if len(v) > 0 {
			return fmt.Sprint(v[0])
		}
	}
	return ""
}
