// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"

	"fathom.dev/fathom/internal/fault"
)

// geometry is the shape of the pixel data.
type geometry struct {
	rows, columns, frames, samples, bits int
	signed                               bool
	halved                               bool // YBR_FULL_422: colour for every second pixel only
}

const maxPixels = 1 << 31 // samples of one object

func (g geometry) values() int { return g.rows * g.columns * g.frames * g.samples }

// bytes of the uncompressed pixel data; single bits are packed over frames, and two pixels may share their colour.
func (g geometry) bytes() int {
	values := g.values()
	if g.halved {
		values = values / 3 * 2
	}
	return (values*g.bits + 7) / 8
}

func (o *Object) geometry() (geometry, error) {
	var g geometry
	for _, f := range []struct {
		into     *int
		tag      tag.Tag
		fallback int
	}{{&g.rows, tag.Rows, 0}, {&g.columns, tag.Columns, 0}, {&g.bits, tag.BitsAllocated, 0}, {&g.samples, tag.SamplesPerPixel, 1}, {&g.frames, tag.NumberOfFrames, 1}} {
		*f.into = f.fallback
		if text := o.Text(f.tag); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return g, fmt.Errorf("%s is not a number", name(f.tag))
			}
			*f.into = n
		}
		if *f.into <= 0 || *f.into > maxPixels {
			return g, fmt.Errorf("%s is missing or out of range", name(f.tag))
		}
	}
	for _, factors := range [][2]int{{g.rows * g.columns, g.frames}, {g.rows * g.columns * g.frames, g.samples}} {
		if factors[0] > maxPixels/factors[1] {
			return g, errors.New("the image is larger than 2^31 samples")
		}
	}
	g.signed = o.Text(tag.PixelRepresentation) == "1"
	g.halved = g.samples == 3 && strings.HasSuffix(o.Text(tag.PhotometricInterpretation), "_422")
	return g, nil
}

// Stored are the stored values of an uncompressed image, frame by frame, row by row, samples as in the file. Compressed
// transfer syntaxes are Invalid: they are kept as they are, never decoded here.
func (o *Object) Stored() ([]int32, error) {
	px, ok := o.pixels()
	if !ok {
		return nil, fault.New(fault.Invalid, "decode pixels", "the object has no pixel data")
	}
	if px.IsEncapsulated {
		return nil, fault.New(fault.Invalid, "decode pixels", "the transfer syntax %s is compressed and not decoded here", o.TransferSyntax())
	}
	g, err := o.geometry()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "decode pixels", err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if o.TransferSyntax() == uid.ExplicitVRBigEndian {
		order = binary.BigEndian
	}
	values, err := unpack(px.UnprocessedValueData, g, order)
	return values, fault.Wrap(fault.Invalid, "decode pixels", err)
}

func unpack(b []byte, g geometry, order binary.ByteOrder) ([]int32, error) {
	if g.halved {
		return nil, errors.New("halved colour (YBR_FULL_422) is not decoded here")
	}
	if len(b) < g.bytes() {
		return nil, errors.New("the pixel data is too short")
	}
	out := make([]int32, g.values())
	for i := range out {
		switch {
		case g.bits == 1:
			out[i] = int32(b[i/8] >> (i % 8) & 1)
		case g.bits == 8 && g.signed:
			out[i] = int32(int8(b[i]))
		case g.bits == 8:
			out[i] = int32(b[i])
		case g.bits == 16 && g.signed:
			out[i] = int32(int16(order.Uint16(b[2*i:])))
		case g.bits == 16:
			out[i] = int32(order.Uint16(b[2*i:]))
		case g.bits == 32:
			out[i] = int32(order.Uint32(b[4*i:]))
		default:
			return nil, fmt.Errorf("%d bits a sample are not supported", g.bits)
		}
	}
	return out, nil
}
