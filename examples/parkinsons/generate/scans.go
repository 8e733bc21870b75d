// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/frame"
	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"
)

const (
	side     = 64 // pixels
	uidRoot  = "1.2.826.0.1.3680043.10.1817."
	nmImages = "1.2.840.10008.5.1.4.1.1.20" // Nuclear Medicine Image Storage
	occiput  = 300.0                        // counts of non-specific binding
)

// writeScans writes a series of transverse slices through the striatum, with the full headers of a hospital.
func writeScans(dir string, p patient, rng *rand.Rand) error {
	study := fmt.Sprintf("%s%d", uidRoot, rng.Uint32())
	left := rng.IntN(2) == 0 // the side that the disease begins on
	for n := 1; n <= slices; n++ {
		elements, err := header(p, study, n)
		if err != nil {
			return err
		}
		pixels, err := dicom.NewElement(tag.PixelData, dicom.PixelDataInfo{Frames: []*frame.Frame{{
			NativeData: &frame.NativeFrame[uint16]{
				RawData: picture(p, n, left, rng), InternalRows: side, InternalCols: side,
				InternalSamplesPerPixel: 1, InternalBitsPerSample: 16,
			},
		}}})
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := dicom.Write(&out, dicom.Dataset{Elements: append(elements, pixels)}); err != nil {
			return fmt.Errorf("%s slice %d: %w", p.ID, n, err)
		}
		if err := write(filepath.Join(dir, fmt.Sprintf("%d.dcm", n)), out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// header is what a scanner and a hospital write into a file, identifiers included.
func header(p patient, study string, n int) ([]*dicom.Element, error) {
	family := p.Name[strings.IndexByte(p.Name, ' ')+1:]
	given := p.Name[:strings.IndexByte(p.Name, ' ')]
	instance := fmt.Sprintf("%s.1.%d", study, n)
	text := func(s ...string) []string { return s }
	var out []*dicom.Element
	for _, e := range []struct {
		tag   tag.Tag
		value any
	}{
		{tag.MediaStorageSOPClassUID, text(nmImages)},
		{tag.MediaStorageSOPInstanceUID, text(instance)},
		{tag.TransferSyntaxUID, text(uid.ExplicitVRLittleEndian)},
		{tag.ImageType, text("ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION")},
		{tag.SOPClassUID, text(nmImages)},
		{tag.SOPInstanceUID, text(instance)},
		{tag.StudyDate, text("20251105")},
		{tag.SeriesDate, text("20251105")},
		{tag.AcquisitionDate, text("20251105")},
		{tag.StudyTime, text("101500")},
		{tag.AccessionNumber, text("A" + p.ID[3:])},
		{tag.Modality, text("NM")},
		{tag.Manufacturer, text("Example Imaging")},
		{tag.InstitutionName, text("Hospital " + p.Site)},
		{tag.InstitutionAddress, text("1 Clinic Road")},
		{tag.ReferringPhysicianName, text("Adler^Doris")},
		{tag.StudyDescription, text("DaT SPECT")},
		{tag.SeriesDescription, text("striatum")},
		{tag.OperatorsName, text("Berger^Tom")},
		{tag.PatientName, text(family + "^" + given)},
		{tag.PatientID, text(p.ID)},
		{tag.PatientBirthDate, text(p.BirthDate)},
		{tag.PatientSex, text(p.Sex)},
		{tag.PatientAge, text(fmt.Sprintf("%03dY", p.Age))},
		{tag.PatientAddress, text("7 Garden Street")},
		{tag.PatientTelephoneNumbers, text("+00 555 0100")},
		{tag.StudyInstanceUID, text(study)},
		{tag.SeriesInstanceUID, text(study + ".1")},
		{tag.StudyID, text("S1")},
		{tag.SeriesNumber, text("1")},
		{tag.InstanceNumber, text(fmt.Sprint(n))},
		{tag.ImagePositionPatient, text("-128", "-128", fmt.Sprint(4*n))},
		{tag.ImageOrientationPatient, text("1", "0", "0", "0", "1", "0")},
		{tag.SamplesPerPixel, []int{1}},
		{tag.PhotometricInterpretation, text("MONOCHROME2")},
		{tag.Rows, []int{side}},
		{tag.Columns, []int{side}},
		{tag.PixelSpacing, text("4", "4")},
		{tag.BitsAllocated, []int{16}},
		{tag.BitsStored, []int{16}},
		{tag.HighBit, []int{15}},
		{tag.PixelRepresentation, []int{0}},
	} {
		element, err := dicom.NewElement(e.tag, e.value)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", e.tag, err)
		}
		out = append(out, element)
	}
	return out, nil
}

// picture draws a head with two striata. The ratio of specific to non-specific binding in the putamen is the patient's
// planted one; the sides differ by the planted asymmetry. Counts are Poisson-like.
func picture(p patient, n int, left bool, rng *rand.Rand) []uint16 {
	out := make([]uint16, side*side)
	depth := 1 - 0.08*math.Abs(float64(n)-2) // the middle slice shows most
	for y := range side {
		for x := range side {
			dx, dy := float64(x)-31.5, float64(y)-31.5
			if dx*dx/(26*26)+dy*dy/(30*30) > 1 {
				continue
			}
			value := occiput
			caudate, putamen := region(dx, dy)
			ratio := p.PutamenRatio
			if (dx < 0) == left {
				ratio *= 1 - p.Asymmetry
			} else {
				ratio *= 1 + p.Asymmetry
			}
			switch {
			case putamen:
				value += occiput * (ratio - 1) * depth
			case caudate:
				value += occiput * 1.9 * depth
			}
			out[y*side+x] = uint16(clamp(value+math.Sqrt(max(value, 1))*rng.NormFloat64(), 0, math.MaxUint16))
		}
	}
	return out
}

// region tells the caudate and the putamen of either side apart, as ellipses around the midline.
func region(dx, dy float64) (caudate, putamen bool) {
	x := math.Abs(dx)
	caudate = (x-5)*(x-5)/9+(dy+8)*(dy+8)/12 <= 1
	putamen = (x-10)*(x-10)/9+(dy+1)*(dy+1)/25 <= 1
	return caudate, putamen && !caudate
}
