// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
)

// ask answers a person's question on standard output.
func ask(ctx context.Context, s *step) error {
	var p query.ReadParams
	if err := s.readOrStdin(&p); err != nil {
		return err
	}
	out := bufio.NewWriter(s.stdout)
	if err := duck.Read(ctx, p, s.inputs, out); err != nil {
		return sqlBlame(err)
	}
	return fault.Wrap(fault.Unavailable, "print", out.Flush())
}
