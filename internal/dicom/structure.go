// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"
)

// The library recurses and allocates as a file tells it to, so a file's structure is walked first: every length must lie
// inside what holds it, and sequences may nest so deep and no deeper. The walk also finds the basic offset table, which
// the library drops.

const (
	maxDepth  = 64        // sequences in sequences
	undefined = 1<<32 - 1 // a length
)

// structure is what the walk found.
type structure struct {
	syntax  string   // transfer syntax UID
	offsets []uint32 // basic offset table (PS3.5 A.4); nil when there is none
}

var errEarly = errors.New("it ends too early")

// inspect walks a whole file.
func inspect(content []byte) (structure, error) {
	var s structure
	meta := walker{b: content, order: binary.LittleEndian, found: &s}
	at, err := meta.metaInformation()
	if err != nil {
		return s, err
	}
	body := walker{b: content, order: binary.LittleEndian, found: &s}
	switch s.syntax {
	case "":
		return s, errors.New("it names no transfer syntax")
	case uid.ImplicitVRLittleEndian:
		body.implicit = true
	case uid.ExplicitVRBigEndian:
		body.order = binary.BigEndian
	case uid.DeflatedExplicitVRLittleEndian:
		inflated, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(content[at:])), MaxSize+1))
		if err != nil || len(inflated) > MaxSize {
			return s, errors.New("its compressed part is damaged or larger than 2 GiB")
		}
		body.b, at = inflated, 0
	}
	_, err = body.elements(at, len(body.b), 0, false)
	return s, err
}

// walker reads headers and skips values.
type walker struct {
	b        []byte
	order    binary.ByteOrder
	implicit bool
	found    *structure
}

// header is the start of an element.
type header struct {
	tag    tag.Tag
	vr     string // empty for implicit encoding and for items
	length uint32
	value  int // offset of the value
}

// longVRs have a length of 32 bits in explicit encoding; shortVRs one of 16. OF, OD, OL, OV, SV and UV, which the
// library would damage, are only told from garbage here.
var (
	longVRs  = []string{"OB", "OD", "OF", "OL", "OW", "SQ", "UC", "UN", "UR", "UT"}
	shortVRs = []string{"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"}
)

func (w *walker) header(at, end int) (header, error) {
	var h header
	if end-at < 8 {
		return h, errEarly
	}
	h.tag = tag.Tag{Group: w.order.Uint16(w.b[at:]), Element: w.order.Uint16(w.b[at+2:])}
	h.value = at + 8
	if w.implicit || h.tag.Group == tag.GroupSeqItem {
		h.length = w.order.Uint32(w.b[at+4:])
		return h, nil
	}
	h.vr = string(w.b[at+4 : at+6])
	switch {
	case slices.Contains(shortVRs, h.vr):
		h.length = uint32(w.order.Uint16(w.b[at+6:]))
		if h.length == 0xffff {
			return h, fmt.Errorf("%s has an impossible length", name(h.tag))
		}
	case slices.Contains(longVRs, h.vr):
		if end-at < 12 {
			return h, errEarly
		}
		h.length = w.order.Uint32(w.b[at+8:])
		h.value = at + 12
	default:
		return h, fmt.Errorf("%s has an unsupported value representation", name(h.tag))
	}
	return h, nil
}

// metaInformation walks group 0002 and returns where the data set starts.
func (w *walker) metaInformation() (int, error) {
	at := 132
	for at+2 <= len(w.b) && w.order.Uint16(w.b[at:]) == tag.MetadataGroup {
		h, err := w.header(at, len(w.b))
		if err != nil {
			return 0, err
		}
		if int64(h.value)+int64(h.length) > int64(len(w.b)) {
			return 0, errEarly
		}
		at = h.value + int(h.length)
		if h.tag == tag.TransferSyntaxUID {
			w.found.syntax = string(bytes.Trim(w.b[h.value:at], " \x00"))
		}
	}
	return at, nil
}

// elements walks to end, or to the delimiter of an item, and returns what follows.
func (w *walker) elements(at, end, depth int, delimited bool) (int, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("sequences nest deeper than %d", maxDepth)
	}
	for at < end {
		h, err := w.header(at, end)
		if err != nil {
			return 0, err
		}
		if h.tag == tag.ItemDelimitationItem && delimited {
			return h.value, nil
		}
		if at, err = w.value(h, end, depth); err != nil {
			return 0, err
		}
	}
	if delimited {
		return 0, errEarly
	}
	return at, nil
}

// value walks one value and returns what follows.
func (w *walker) value(h header, end, depth int) (int, error) {
	isSequence := h.vr == "SQ"
	if w.implicit {
		info, err := tag.Find(h.tag)
		isSequence = err == nil && info.VRs[0] == "SQ"
	}
	switch {
	case h.length != undefined && int64(h.value)+int64(h.length) > int64(end):
		return 0, errEarly
	case h.length != undefined && isSequence:
		return w.sequence(h.value, h.value+int(h.length), depth, false)
	case h.length != undefined:
		return h.value + int(h.length), nil
	case h.tag == tag.PixelData, h.vr == "OB", h.vr == "OW":
		return w.fragments(h, end, depth)
	case isSequence, h.vr == "UN", w.implicit:
		return w.sequence(h.value, end, depth, true)
	}
	return 0, fmt.Errorf("%s has no length", name(h.tag))
}

// sequence walks items.
func (w *walker) sequence(at, end, depth int, delimited bool) (int, error) {
	for at < end {
		h, err := w.header(at, end)
		switch {
		case err != nil:
			return 0, err
		case h.tag == tag.SequenceDelimitationItem && delimited:
			return h.value, nil
		case h.tag != tag.Item:
			return 0, errors.New("a sequence holds something that is no item")
		case h.length == undefined:
			at, err = w.elements(h.value, end, depth+1, true)
		case int64(h.value)+int64(h.length) > int64(end):
			return 0, errEarly
		default:
			at, err = w.elements(h.value, h.value+int(h.length), depth+1, false)
		}
		if err != nil {
			return 0, err
		}
	}
	if delimited {
		return 0, errEarly
	}
	return at, nil
}

// fragments walks compressed data: items of bytes, the first of which is the offset table.
func (w *walker) fragments(of header, end, depth int) (int, error) {
	at := of.value
	for first := true; ; first = false {
		h, err := w.header(at, end)
		switch {
		case err != nil:
			return 0, err
		case h.tag == tag.SequenceDelimitationItem:
			return h.value, nil
		case h.tag != tag.Item || h.length == undefined || int64(h.value)+int64(h.length) > int64(end):
			return 0, errors.New("its compressed pixel data is damaged")
		}
		at = h.value + int(h.length)
		if first && depth == 0 && of.tag == tag.PixelData {
			if h.length%4 != 0 {
				return 0, errors.New("its basic offset table is damaged")
			}
			for i := h.value; i < at; i += 4 {
				w.found.offsets = append(w.found.offsets, w.order.Uint32(w.b[i:]))
			}
		}
	}
}
