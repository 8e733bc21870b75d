// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"bytes"

	"github.com/suyashkumar/dicom"

	"fathom.dev/fathom/internal/fault"
)

// Bytes is the object as a DICOM file with a preamble of zeros, whatever the source's preamble was.
func (o *Object) Bytes() (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fault.New(fault.Invalid, "write DICOM", "the object cannot be written")
		}
	}()
	var out bytes.Buffer
	if err := dicom.Write(&out, o.set, dicom.SkipVRVerification()); err != nil {
		return nil, fault.New(fault.Invalid, "write DICOM", "%s", reason(err))
	}
	return out.Bytes(), nil
}
