// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"math"
	"strings"
	"time"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Column is a column of the table of objects.
type Column struct {
	Name string // the attribute's keyword
	Type string // VARCHAR, INTEGER, DOUBLE, DATE, VARCHAR[] or DOUBLE[]
	tag  tag.Tag
}

// Columns are the columns of every table of objects, whatever its objects hold, so that a new object does not change
// the table's shape. An attribute that an object lacks is NULL.
func Columns() []Column { return columns }

var columns = []Column{
	{"SOPClassUID", "VARCHAR", tag.SOPClassUID}, {"SOPInstanceUID", "VARCHAR", tag.SOPInstanceUID},
	{"StudyInstanceUID", "VARCHAR", tag.StudyInstanceUID}, {"SeriesInstanceUID", "VARCHAR", tag.SeriesInstanceUID},
	{"FrameOfReferenceUID", "VARCHAR", tag.FrameOfReferenceUID}, {"TransferSyntaxUID", "VARCHAR", tag.TransferSyntaxUID},
	{"PatientID", "VARCHAR", tag.PatientID}, {"PatientSex", "VARCHAR", tag.PatientSex}, {"PatientAge", "VARCHAR", tag.PatientAge},
	{"StudyDate", "DATE", tag.StudyDate}, {"SeriesDate", "DATE", tag.SeriesDate}, {"AcquisitionDate", "DATE", tag.AcquisitionDate},
	{"ContentDate", "DATE", tag.ContentDate}, {"StudyTime", "VARCHAR", tag.StudyTime}, {"SeriesTime", "VARCHAR", tag.SeriesTime},
	{"AcquisitionTime", "VARCHAR", tag.AcquisitionTime},
	{"Modality", "VARCHAR", tag.Modality}, {"Manufacturer", "VARCHAR", tag.Manufacturer},
	{"ManufacturerModelName", "VARCHAR", tag.ManufacturerModelName},
	{"StudyDescription", "VARCHAR", tag.StudyDescription}, {"SeriesDescription", "VARCHAR", tag.SeriesDescription},
	{"BodyPartExamined", "VARCHAR", tag.BodyPartExamined}, {"ImageType", "VARCHAR[]", tag.ImageType},
	{"SeriesNumber", "INTEGER", tag.SeriesNumber}, {"AcquisitionNumber", "INTEGER", tag.AcquisitionNumber},
	{"InstanceNumber", "INTEGER", tag.InstanceNumber},
	{"Rows", "INTEGER", tag.Rows}, {"Columns", "INTEGER", tag.Columns}, {"NumberOfFrames", "INTEGER", tag.NumberOfFrames},
	{"SamplesPerPixel", "INTEGER", tag.SamplesPerPixel}, {"PhotometricInterpretation", "VARCHAR", tag.PhotometricInterpretation},
	{"BitsAllocated", "INTEGER", tag.BitsAllocated}, {"BitsStored", "INTEGER", tag.BitsStored},
	{"PixelRepresentation", "INTEGER", tag.PixelRepresentation},
	{"PixelSpacing", "DOUBLE[]", tag.PixelSpacing}, {"SliceThickness", "DOUBLE", tag.SliceThickness},
	{"SpacingBetweenSlices", "DOUBLE", tag.SpacingBetweenSlices}, {"SliceLocation", "DOUBLE", tag.SliceLocation},
	{"ImagePositionPatient", "DOUBLE[]", tag.ImagePositionPatient}, {"ImageOrientationPatient", "DOUBLE[]", tag.ImageOrientationPatient},
	{"PatientPosition", "VARCHAR", tag.PatientPosition},
	{"RescaleSlope", "DOUBLE", tag.RescaleSlope}, {"RescaleIntercept", "DOUBLE", tag.RescaleIntercept},
	{"WindowCenter", "DOUBLE[]", tag.WindowCenter}, {"WindowWidth", "DOUBLE[]", tag.WindowWidth}, {"Units", "VARCHAR", tag.Units},
	{"NumberOfSlices", "INTEGER", tag.NumberOfSlices}, {"Radiopharmaceutical", "VARCHAR", tag.Radiopharmaceutical},
	{"ConvolutionKernel", "VARCHAR", tag.ConvolutionKernel}, {"KVP", "DOUBLE", tag.KVP},
	{"MagneticFieldStrength", "DOUBLE", tag.MagneticFieldStrength}, {"RepetitionTime", "DOUBLE", tag.RepetitionTime},
	{"EchoTime", "DOUBLE", tag.EchoTime}, {"FlipAngle", "DOUBLE", tag.FlipAngle},
}

// Row gives the object's value for each of Columns: nil, string, int32, float64, time.Time, []string or []float64.
// A value that has not its column's type is nil.
func (o *Object) Row() []any {
	found := map[tag.Tag]*dicom.Element{}
	for _, e := range o.set.Elements {
		if _, twice := found[e.Tag]; !twice {
			found[e.Tag] = e
		}
	}
	row := make([]any, len(columns))
	for i, c := range columns {
		if e := found[c.tag]; e != nil && e.Value != nil {
			row[i] = value(e, c.Type)
		}
	}
	return row
}

func value(e *dicom.Element, typ string) any {
	switch typ {
	case "VARCHAR[]":
		if s, ok := e.Value.GetValue().([]string); ok && first(e) != "" {
			return trimmed(s)
		}
		return nil
	case "DOUBLE[]":
		if list := numbers(e); list != nil {
			return list
		}
		return nil
	}
	text := first(e)
	if text == "" {
		return nil
	}
	switch typ {
	case "INTEGER":
		if n, ok := number(text); ok && n == math.Trunc(n) && math.Abs(n) < 1<<31 {
			return int32(n)
		}
		return nil
	case "DOUBLE":
		if n, ok := number(text); ok {
			return n
		}
		return nil
	case "DATE":
		if t, err := time.Parse("20060102", text); err == nil {
			return t
		}
		return nil
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

func trimmed(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToValidUTF8(strings.Trim(s, " \x00"), "\ufffd")
	}
	return out
}

// numbers are all values of an element; nil when one of them is no number.
func numbers(e *dicom.Element) []float64 {
	switch v := e.Value.GetValue().(type) {
	case []float64:
		return v
	case []string:
		out := make([]float64, len(v))
		for i, s := range v {
			n, ok := number(s)
			if !ok {
				return nil
			}
			out[i] = n
		}
		return out
	}
	return nil
}
