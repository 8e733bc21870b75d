// SPDX-License-Identifier: Apache-2.0

// Package fault gives every error a kind, an operation and an answer to "shall I try again?".
//
// Callers test the kind with [Is] or [KindOf], never the text. The text is for people: it names the object, the
// field and, where one is known, the next step.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an error by what the caller can do about it.
type Kind string

// The kinds. Each maps to exactly one HTTP status in the doors.
const (
	Invalid         Kind = "Invalid"         // the request or object is wrong; trying again cannot help (400)
	Unauthenticated Kind = "Unauthenticated" // nobody proved who is asking (401)
	Forbidden       Kind = "Forbidden"       // the caller is known and may not (403)
	NotFound        Kind = "NotFound"        // there is no such thing (404)
	Conflict        Kind = "Conflict"        // it exists already or changed meanwhile (409)
	TooLarge        Kind = "TooLarge"        // a documented limit was passed (413)
	Exhausted       Kind = "Exhausted"       // quota, disk or memory; frees up later (429 or 507)
	Unavailable     Kind = "Unavailable"     // a part is down or starting; try again (503)
	Corrupt         Kind = "Corrupt"         // stored bytes do not match their digest (500)
	Internal        Kind = "Internal"        // our mistake (500)
)

// Error is an error with a kind, the operation that failed and a hint on the next step.
type Error struct {
	Kind Kind
	Op   string // what was being done, for example "lake.Commit neurology/voice"
	Hint string // what to do next; empty when there is no advice
	Err  error  // the cause
}

// Error joins operation, cause and hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	if e.Err != nil {
		b.WriteString(e.Err.Error())
	} else {
		b.WriteString(string(e.Kind))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind from a format.
func New(kind Kind, op, format string, args ...any) *Error {
	return &Error{Kind: kind, Op: op, Err: fmt.Errorf(format, args...)}
}

// Wrap gives err a kind and an operation; nil stays nil. A cause that already has a kind keeps it.
func Wrap(kind Kind, op string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		kind = known.Kind
	}
	return &Error{Kind: kind, Op: op, Err: err}
}

// WithHint returns e with the next step told.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// KindOf returns the kind of the nearest Error in err's chain: Unavailable for a cancelled or expired context,
// Internal for any other error, "" for nil.
func KindOf(err error) Kind {
	var known *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &known):
		return known.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	default:
		return Internal
	}
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Retryable reports whether the same call may succeed later without anyone changing anything.
func Retryable(err error) bool {
	switch KindOf(err) {
	case Exhausted, Unavailable, Conflict, Internal:
		return true
	}
	return false
}

// HTTPStatus is the status code a door answers with for a kind.
func HTTPStatus(kind Kind) int {
	switch kind {
	case Invalid:
		return 400
	case Unauthenticated:
		return 401
	case Forbidden:
		return 403
	case NotFound:
		return 404
	case Conflict:
		return 409
	case TooLarge:
		return 413
	case Exhausted:
		return 429
	case Unavailable:
		return 503
	}
	return 500
}
