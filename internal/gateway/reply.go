// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"

	"fathom.dev/fathom/internal/oip"
)

// errUnasked is an answer that no model server gives.
var errUnasked = errors.New("an answer to nothing that was asked")

// reply is a replica's answer: its header, and the body still to be read.
type reply struct {
	status  int
	length  int64 // of the body; -1 when it is not told
	closing bool  // the replica closes the connection behind it
	kind    string
	retry   string
	json    string // of oip.HeaderLength
	body    io.Reader
}

// readReply reads an answer's header. That of a model server lies in one piece in the buffer and tells the body's length; what is
// written otherwise is left to net/http.
func readReply(in *bufio.Reader) (*reply, error) {
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	piece, _ := in.Peek(in.Buffered())
	if end := bytes.Index(piece, []byte("\r\n\r\n")); end > 0 {
		r := &reply{length: -1}
		if r.parse(piece[:end]) && r.length >= 0 {
			_, _ = in.Discard(end + 4)
			r.body = io.LimitReader(in, r.length)
			return r, nil
		}
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < http.StatusOK {
		return nil, errUnasked
	}
	return &reply{
		status: answer.StatusCode, length: answer.ContentLength, closing: answer.Close, body: answer.Body,
		kind: answer.Header.Get("Content-Type"), retry: answer.Header.Get("Retry-After"), json: answer.Header.Get(oip.HeaderLength),
	}, nil
}

// parse is false for a header that is not plain: "HTTP/1.1 200 OK" and lines "Name: value", of which those that frame the body come
// once and say only its length.
func (r *reply) parse(head []byte) bool {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if !printable(line) || len(line) < 13 || string(line[:9]) != "HTTP/1.1 " || line[12] != ' ' {
		return false
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || status < http.StatusOK || status == http.StatusNoContent || status == http.StatusNotModified {
		return false
	}
	r.status = status
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(": "))
		if !found || !printable(line) || !r.field(name, value) {
			return false
		}
	}
	return true
}

func printable(line []byte) bool {
	for _, c := range line {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func (r *reply) field(name, value []byte) bool {
	if len(value) == 0 || value[0] == ' ' || value[len(value)-1] == ' ' {
		return false
	}
	first := true
	switch string(name) {
	case "Content-Length":
		n, err := strconv.ParseUint(string(value), 10, 62)
		first = err == nil && r.length < 0
		r.length = int64(n)
	case "Content-Type":
		first, r.kind = r.kind == "", "application/json"
		if string(value) != r.kind {
			r.kind = string(value)
		}
	case "Retry-After":
		first, r.retry = r.retry == "", string(value)
	case oip.HeaderLength:
		first, r.json = r.json == "", string(value)
	case "Date", "X-Content-Type-Options":
	default:
		return false
	}
	return first
}
