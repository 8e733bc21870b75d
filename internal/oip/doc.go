// SPDX-License-Identifier: Apache-2.0

// Package oip reads and writes the messages of the Open Inference Protocol v2 over REST: requests and answers whose tensors
// are JSON, or raw bytes that follow the JSON (the binary tensor extension, as tritonclient sends by default).
//
// Everything that comes from outside is checked here: syntax, depth, types, shapes and lengths. What a message asks for in
// memory is at most a small multiple of its own length. Errors are Invalid, or TooLarge beyond [Limits], and say what is
// wrong in words for the client.
//
// Protocol: github.com/kserve/open-inference-protocol; extension: Triton's extension_binary_data.md.
package oip

import (
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// HeaderLength is the header that says where the JSON ends and the raw bytes begin.
const HeaderLength = "Inference-Header-Content-Length"

// Limits bound one message. The zero value means the defaults.
type Limits struct {
	// Elements of one tensor. Zero: 16 Mi.
	Elements int64
	// Tensors of a message. Zero: 4096.
	Tensors int
}

func (l Limits) withDefaults() Limits {
	if l.Elements == 0 {
		l.Elements = 16 << 20
	}
	if l.Tensors == 0 {
		l.Tensors = 4096
	}
	return l
}

const (
	maxAxes = 16  // of a shape
	maxID   = 256 // bytes of a request's id
)

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "", format, args...)
}

// clip keeps a client's text short in a message.
func clip[T ~string | ~[]byte](s T) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(string(s[:100]), "") + "…"
	}
	return string(s)
}
