// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"

	"fathom.dev/fathom/internal/fault"
)

// Damage is something Verify found wrong.
type Damage struct {
	Kind   fault.Kind `json:"kind"`   // NotFound, Corrupt or Conflict (two stores disagree)
	Object string     `json:"object"` // for example "neurology/voice@3" or a blob's digest
	Detail string     `json:"detail"`
	Hint   string     `json:"hint,omitempty"`
}

// Verify reads everything and lists what is damaged, for `fathom doctor`. The error is about not being able to look.
func (s *Store) Verify(ctx context.Context) ([]Damage, error) { return nil, nil }
