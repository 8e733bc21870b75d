// SPDX-License-Identifier: Apache-2.0

package inference

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"fathom.dev/fathom/internal/fault"
)

// small is how much of a body of unknown length is read before memory is set aside for it.
const small = 64 << 10

// read reads a whole body within the limits; free gives its memory back.
func (s *server) read(r *http.Request) (body []byte, free func(), err error) {
	length := r.ContentLength
	if length > s.MaxBody {
		return nil, nil, s.tooLarge()
	}
	if length < 0 {
		return s.readUnknown(r)
	}
	if err := s.memory.Acquire(r.Context(), length); err != nil {
		return nil, nil, fault.Wrap(fault.Unavailable, "", err)
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		s.memory.Release(length)
		return nil, nil, broken(err)
	}
	return body, func() { s.memory.Release(length) }, nil
}

// readUnknown reads a chunked body. It asks for the largest size at once, so that two halves never wait for each other.
func (s *server) readUnknown(r *http.Request) ([]byte, func(), error) {
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(r.Body, small)); err != nil {
		return nil, nil, broken(err)
	}
	if b.Len() < small {
		return b.Bytes(), func() {}, nil
	}
	if err := s.memory.Acquire(r.Context(), s.MaxBody); err != nil {
		return nil, nil, fault.Wrap(fault.Unavailable, "", err)
	}
	free := func() { s.memory.Release(s.MaxBody) }
	_, err := io.Copy(&b, io.LimitReader(r.Body, s.MaxBody-small+1))
	if err == nil && int64(b.Len()) > s.MaxBody {
		err = s.tooLarge()
	} else if err != nil {
		err = broken(err)
	}
	if err != nil {
		free()
		return nil, nil, err
	}
	return b.Bytes(), free, nil
}

func (s *server) tooLarge() error {
	return fault.New(fault.TooLarge, "", "the body is larger than %d bytes", s.MaxBody).WithHint("send fewer rows at once")
}

func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "", "the body ends before its Content-Length")
	}
	return fault.New(fault.Invalid, "", "the body cannot be read")
}
