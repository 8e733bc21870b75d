// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// emptied is the attribute without a value.
func emptied(e *dicom.Element) *dicom.Element {
	switch vr := e.RawValueRepresentation; vr {
	case "SQ":
		return element(e.Tag, vr, [][]*dicom.Element{})
	case "OB", "OW", "UN":
		return element(e.Tag, vr, []byte{})
	case "US", "SS", "UL", "SL", "AT":
		return element(e.Tag, vr, []int{})
	case "FL", "FD":
		return element(e.Tag, vr, []float64{})
	case "OF", "OD", "OL", "OV", "SV", "UV":
		return nil // these cannot be written
	default:
		return element(e.Tag, vr, []string{""})
	}
}

// dummies are values without meaning that are valid in their representation.
var dummies = map[string]any{
	"DA": []string{"19000101"}, "TM": []string{"000000"}, "DT": []string{"19000101000000"}, "AS": []string{"000Y"},
	"PN": []string{"REMOVED"}, "LO": []string{"REMOVED"}, "SH": []string{"REMOVED"}, "ST": []string{"REMOVED"},
	"LT": []string{"REMOVED"}, "UT": []string{"REMOVED"}, "UC": []string{"REMOVED"}, "CS": []string{"REMOVED"},
	"AE": []string{"REMOVED"}, "UR": []string{"about:blank"}, "DS": []string{"0"}, "IS": []string{"0"},
	"US": []int{0}, "SS": []int{0}, "UL": []int{0}, "SL": []int{0}, "FL": []float64{0}, "FD": []float64{0},
}

// dummied replaces a value; sequences and bytes have no dummy and are emptied.
func dummied(e *dicom.Element) *dicom.Element {
	if v, ok := dummies[e.RawValueRepresentation]; ok {
		return element(e.Tag, e.RawValueRepresentation, v)
	}
	return emptied(e)
}

var (
	codeText    = regexp.MustCompile(`^[A-Za-z0-9_ .+-]{0,16}$`)
	decimalText = regexp.MustCompile(`^[-+]?[0-9.]*([eE][-+]?[0-9]+)?$`)
	timeOfDay   = regexp.MustCompile(`^([0-9]{0,6}(\.[0-9]{1,6})?)([-+][0-9]{4})?$`) // what may follow the date of a DT
	integerText = regexp.MustCompile(`^[-+]?[0-9]*$`)
)

// texts are the shapes of text values that cannot identify; longer text must be listed with its attribute.
var texts = map[string]*regexp.Regexp{"CS": codeText, "DS": decimalText, "IS": integerText}

const maxTerm = 1024 // bytes of a term that is kept

// kept passes a value on after checking that it is what its representation promises: a name hidden in a number field
// must not pass.
func kept(e *dicom.Element) (*dicom.Element, error) {
	if e.Value == nil {
		return e, nil
	}
	vr := e.RawValueRepresentation
	if info, err := tag.Find(e.Tag); err != nil || !slices.Contains(info.VRs, vr) {
		return nil, &Refusal{NotCovered, name(e.Tag) + " has the unexpected representation " + vr}
	}
	switch vr {
	case "US", "SS", "UL", "SL", "AT", "FL", "FD", "OB", "OW":
		return e, nil
	case "CS", "DS", "IS":
		if !allText(e, texts[vr].MatchString) {
			return nil, &Refusal{NotCovered, name(e.Tag) + " holds other text than its representation " + vr + " allows"}
		}
		return e, nil
	case "LO", "SH", "ST", "LT", "UT", "UC", "UR":
		if !allText(e, func(s string) bool { return len(s) <= maxTerm }) {
			return nil, &Refusal{NotCovered, name(e.Tag) + " holds a long text"}
		}
		return e, nil
	}
	return nil, &Refusal{NotCovered, name(e.Tag) + " has the representation " + vr}
}

func allText(e *dicom.Element, good func(string) bool) bool {
	if e.Value.ValueType() != dicom.Strings {
		return false
	}
	return !slices.ContainsFunc(dicom.MustGetStrings(e.Value), func(s string) bool { return !good(strings.Trim(s, " \x00")) })
}

// shifted moves dates by the patient's number of days; times of day stay. What is no date is emptied.
func (d *deidentifier) shifted(e *dicom.Element, a attribute) (*dicom.Element, error) {
	vr := e.RawValueRepresentation
	if vr == "TM" && allText(e, isTime) {
		return e, nil
	}
	if vr != "DA" && vr != "DT" || e.Value == nil || e.Value.ValueType() != dicom.Strings {
		if a.action == remove {
			return nil, nil
		}
		return emptied(e), nil
	}
	days := d.Days(d.patient)
	values := slices.Clone(dicom.MustGetStrings(e.Value))
	for i, v := range values {
		values[i] = shiftDate(v, days)
	}
	return element(e.Tag, vr, values), nil
}

func isTime(s string) bool { return strings.Trim(s, "0123456789.:") == "" }

// shiftDate moves the first eight digits of a DA or DT and keeps what follows when it is a time; "" for anything else.
func shiftDate(v string, days int) string {
	v = strings.Trim(v, " \x00")
	if len(v) == 10 && v[4] == '.' && v[7] == '.' { // the form before DICOM 3.0
		v = v[:4] + v[5:7] + v[8:]
	}
	if len(v) < 8 || !timeOfDay.MatchString(v[8:]) {
		return ""
	}
	t, err := time.Parse("20060102", v[:8])
	if err != nil {
		return ""
	}
	return t.AddDate(0, 0, days).Format("20060102") + v[8:]
}

// number reads a decimal or integer value; ok is false when it is none.
func number(s string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return n, err == nil
}
