// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"os"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
)

// check reads query.CheckParams from the parameter file, or from standard input with the argument "-", and prints
// query.Checked. A mistake in the statement is an answer, not a failure: the exit status is 0.
func check(ctx context.Context, s *step) error {
	var p query.CheckParams
	if err := s.readOrStdin(&p); err != nil {
		return err
	}
	e, err := duck.Open(ctx, duck.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	checked, err := e.Check(ctx, p)
	if err != nil {
		return err
	}
	return fault.Wrap(fault.Internal, "print", json.NewEncoder(s.stdout).Encode(checked))
}

// readOrStdin reads parameters from standard input when the only argument is "-", from a file when it is a path, and
// otherwise from the step's parameter file.
func (s *step) readOrStdin(into any) error {
	if len(s.args) == 0 {
		return s.read(into)
	}
	var b []byte
	var err error
	if s.args[0] == "-" {
		b, err = io.ReadAll(s.stdin)
	} else {
		b, err = os.ReadFile(s.args[0])
	}
	if err != nil {
		return fault.Wrap(fault.Internal, "read parameters", err)
	}
	return decode(b, into)
}
