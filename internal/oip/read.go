// SPDX-License-Identifier: Apache-2.0

package oip

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"fathom.dev/fathom/internal/fault"
)

// Request is an inference request.
type Request struct {
	ID     string
	Inputs []Tensor
	// Outputs are those asked for; empty means all.
	Outputs []Output
	// Binary asks for outputs as raw bytes where Outputs does not say otherwise.
	Binary bool
}

// Output is one requested output.
type Output struct {
	Name   string
	Binary bool
}

// Response is the answer to a request.
type Response struct {
	Model, Version string
	ID             string
	Outputs        []Tensor
}

// ReadRequest reads a request's body; header is the value of [HeaderLength], empty when absent. The result does not refer to
// body. Errors: Invalid, TooLarge.
func ReadRequest(body []byte, header string, limits Limits) (*Request, error) {
	r, err := newReader(body, header, limits)
	if err != nil {
		return nil, err
	}
	defer r.done()
	q := &Request{}
	var outputs []outputSpec
	err = r.whole(func(key string) error {
		switch key {
		case "id":
			q.ID, err = r.text("id", maxID)
			return err
		case "inputs":
			q.Inputs, err = r.tensors("inputs")
			return err
		case "outputs":
			outputs, err = r.outputs()
			return err
		case "parameters":
			return r.object("parameters", func(key string) error {
				switch key {
				case "binary_data_output":
					q.Binary, err = r.flag(key)
					return err
				}
				return r.skip()
			})
		}
		return r.skip()
	})
	if err != nil {
		return nil, err
	}
	if len(q.Inputs) == 0 {
		return nil, invalid("the request has no inputs")
	}
	for _, o := range outputs {
		binary := q.Binary
		if o.binary != nil {
			binary = *o.binary
		}
		q.Outputs = append(q.Outputs, Output{Name: o.name, Binary: binary})
	}
	return q, nil
}

// ReadResponse reads an answer's body, as [ReadRequest] does a request's.
func ReadResponse(body []byte, header string, limits Limits) (*Response, error) {
	r, err := newReader(body, header, limits)
	if err != nil {
		return nil, err
	}
	defer r.done()
	a := &Response{}
	err = r.whole(func(key string) error {
		switch key {
		case "id":
			a.ID, err = r.text("id", maxID)
		case "model_name":
			a.Model, err = r.text(key, maxID)
		case "model_version":
			a.Version, err = r.text(key, maxID)
		case "outputs":
			a.Outputs, err = r.tensors("outputs")
		default:
			err = r.skip()
		}
		return err
	})
	return a, err
}

// reader walks over the JSON part of a message; raw is what is left of the bytes behind it.
type reader struct {
	*jsontext.Decoder
	decoder *decoder
	json    []byte
	raw     []byte
	limits  Limits
}

func newReader(body []byte, header string, limits Limits) (*reader, error) {
	r := &reader{json: body, limits: limits.withDefaults()}
	if header != "" {
		n, err := strconv.ParseUint(header, 10, 62)
		if err != nil || n > uint64(len(body)) {
			return nil, invalid("%s is %q, but the body has %d bytes", HeaderLength, clip(header), len(body))
		}
		r.json, r.raw = body[:n], body[n:]
	}
	r.decoder = decoders.Get().(*decoder)
	r.decoder.text = *bytes.NewBuffer(r.json)
	r.Decoder = r.decoder.json
	r.Reset(&r.decoder.text)
	return r, nil
}

// decoder is used again by other messages.
type decoder struct {
	text bytes.Buffer
	json *jsontext.Decoder
}

var decoders = sync.Pool{New: func() any { return &decoder{json: jsontext.NewDecoder(new(bytes.Buffer))} }}

// done lets go of the body.
func (r *reader) done() {
	r.decoder.text = bytes.Buffer{}
	r.Reset(&r.decoder.text)
	decoders.Put(r.decoder)
}

// whole reads the message: one object, nothing behind it, no raw byte left over.
func (r *reader) whole(member func(key string) error) error {
	if err := r.object("the body", member); err != nil {
		return err
	}
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return invalid("something follows the JSON object")
	}
	if len(r.raw) > 0 {
		return invalid("%d bytes follow that belong to no tensor", len(r.raw))
	}
	return nil
}

// object calls member for each key; member has to read the value.
func (r *reader) object(what string, member func(key string) error) error {
	if kind := r.PeekKind(); kind != '{' {
		return r.unexpected(what, "an object")
	}
	if _, err := r.ReadToken(); err != nil {
		return syntax(err)
	}
	for r.PeekKind() != '}' {
		key, err := r.ReadToken()
		if err != nil {
			return syntax(err)
		}
		if err := member(key.String()); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return syntax(err)
}

// array calls item for each element; item has to read it.
func (r *reader) array(what string, item func() error) error {
	if r.PeekKind() != '[' {
		return r.unexpected(what, "a list")
	}
	if _, err := r.ReadToken(); err != nil {
		return syntax(err)
	}
	for r.PeekKind() != ']' {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return syntax(err)
}

func (r *reader) text(what string, max int) (string, error) {
	if r.PeekKind() != '"' {
		return "", r.unexpected(what, "a string")
	}
	token, err := r.ReadToken()
	if err != nil {
		return "", syntax(err)
	}
	s := token.String()
	if len(s) > max {
		return "", invalid("%s is longer than %d bytes", what, max)
	}
	return s, nil
}

func (r *reader) flag(what string) (bool, error) {
	if kind := r.PeekKind(); kind != 't' && kind != 'f' {
		return false, r.unexpected(what, "true or false")
	}
	token, err := r.ReadToken()
	if err != nil {
		return false, syntax(err)
	}
	return token.Bool(), nil
}

// integer reads a whole number that fits 64 bits.
func (r *reader) integer(what string) (int64, error) {
	if r.PeekKind() != '0' {
		return 0, r.unexpected(what, "a whole number")
	}
	value, err := r.ReadValue()
	if err != nil {
		return 0, syntax(err)
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, invalid("%s must be a whole number, not %s", what, clip(value))
	}
	return n, nil
}

func (r *reader) skip() error { return syntax(r.SkipValue()) }

// unexpected tells a wrong kind of value, or the syntax error that hides behind it.
func (r *reader) unexpected(what, want string) error {
	if r.PeekKind() == 0 {
		return syntax(r.SkipValue())
	}
	return invalid("%s must be %s", what, want)
}

// syntax turns the decoder's errors into ours, in words of JSON.
func syntax(err error) error {
	var bad *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("the body is not JSON: it ends early")
	case errors.As(err, &bad):
		return invalid("the body is not JSON: %s (byte %d)", cause(bad), bad.ByteOffset)
	}
	return fault.New(fault.Invalid, "", "the body is not JSON")
}

func cause(bad *jsontext.SyntacticError) string {
	text := strings.TrimPrefix(bad.Err.Error(), "jsontext: ")
	if strings.Contains(text, "'N'") || strings.Contains(text, "'I'") {
		text += "; NaN and Infinity are not JSON, a missing number is null"
	}
	return clip(text)
}
