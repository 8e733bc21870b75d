// SPDX-License-Identifier: Apache-2.0

package oip

import (
	"math"

	"github.com/x448/float16"
)

// halfBits rounds to the nearest 16-bit float, ties to even; false when the value is beyond its range.
func halfBits(t Type, v float32) (uint16, bool) {
	if t == FP16 {
		h := float16.Fromfloat32(v)
		return h.Bits(), !h.IsInf(0)
	}
	bits := math.Float32bits(v)
	if v != v { // rounding must not carry a NaN's last bits away
		return 0x7fc0, true
	}
	bits += 0x7fff + bits>>16&1
	return uint16(bits >> 16), bits&0x7f800000 != 0x7f800000
}

// shortAt reads a 16-bit value: a float or a UINT16.
func shortAt(t Type, d []uint16, i int) (float64, bool) {
	if t == Uint16 || i < 0 || i >= len(d) {
		return at(d, i)
	}
	return float64(halfValue(t, d[i])), true
}

func halfValue(t Type, bits uint16) float32 {
	if t == FP16 {
		return float16.Frombits(bits).Float32()
	}
	return math.Float32frombits(uint32(bits) << 16)
}
