// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/google/uuid"

	"fathom.dev/fathom/internal/fault"
)

// small is how much of a body of unknown length is read before memory is set aside for it.
const small = 64 << 10

// read takes the whole body, so that it can be sent again; free gives its memory back.
func (g *gateway) read(r *http.Request, x *exchange) (free func(), err error) {
	length := r.ContentLength
	if length > g.MaxBody {
		return nil, g.tooLarge()
	}
	if length < 0 {
		return g.readUnknown(r, x)
	}
	if err := g.memory.Acquire(r.Context(), length); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "", err)
	}
	x.body = x.borrow(int(length))
	if _, err := io.ReadFull(r.Body, x.body); err != nil {
		g.memory.Release(length)
		return nil, broken(err)
	}
	return func() { g.memory.Release(length) }, nil
}

// readUnknown reads a chunked body. It asks for the largest size at once, so that two halves never wait for each other.
func (g *gateway) readUnknown(r *http.Request, x *exchange) (func(), error) {
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(r.Body, small)); err != nil {
		return nil, broken(err)
	}
	if b.Len() < small {
		x.body = b.Bytes()
		return func() {}, nil
	}
	if err := g.memory.Acquire(r.Context(), g.MaxBody); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "", err)
	}
	free := func() { g.memory.Release(g.MaxBody) }
	_, err := io.Copy(&b, io.LimitReader(r.Body, g.MaxBody-small+1))
	if err == nil && int64(b.Len()) > g.MaxBody {
		err = g.tooLarge()
	} else if err != nil {
		err = broken(err)
	}
	if err != nil {
		free()
		return nil, err
	}
	x.body = b.Bytes()
	return free, nil
}

func (g *gateway) tooLarge() error {
	return fault.New(fault.TooLarge, "", "the body is larger than %d bytes", g.MaxBody).WithHint("send fewer rows at once")
}

func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "", "the body ends before its Content-Length")
	}
	return fault.New(fault.Invalid, "", "the body cannot be read")
}

// requestID takes the client's name for the request or makes one; made ones sort by time.
func requestID(r *http.Request) (string, error) {
	id := r.Header.Get(RequestHeader)
	if id == "" {
		made, err := uuid.NewV7()
		return made.String(), fault.Wrap(fault.Internal, "request id", err)
	}
	if len(id) > 128 {
		return "", wrongID()
	}
	for _, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '.' && c != '_' && c != '-' {
			return "", wrongID()
		}
	}
	return id, nil
}

func wrongID() error {
	return fault.New(fault.Invalid, "", "%s must be at most 128 letters, digits, '.', '_' and '-'", RequestHeader)
}
