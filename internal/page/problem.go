// SPDX-License-Identifier: Apache-2.0

package page

import (
	"errors"
	"fmt"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// Problem is a mistake in a page, placed.
type Problem struct {
	Line, Column int // from 1; Column is 0 when unknown
	Message      string
}

// Error is "line 12: message".
func (p *Problem) Error() string {
	if p.Column > 0 {
		return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Message)
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Message)
}

// wrong makes an Invalid error about a line, with a hint if there is one.
func wrong(line int, hint, format string, args ...any) error {
	return &fault.Error{Kind: fault.Invalid, Err: &Problem{Line: line, Message: fmt.Sprintf(format, args...)}, Hint: hint}
}

// Place moves a mistake in the statement's SQL to the line of the page; any other error stays as it is.
func (s Statement) Place(err error) error {
	var p *query.Problem
	if !errors.As(err, &p) {
		return err
	}
	moved := &Problem{Line: s.Line, Message: p.Message}
	if p.Line > 0 {
		moved.Line, moved.Column = s.Line+p.Line-1, p.Column
	}
	return &fault.Error{Kind: fault.KindOf(err), Err: moved, Hint: p.Hint}
}
