// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
)

// subjectsDelta counts who came and went between two versions; who they are is not told.
type subjectsDelta struct {
	Added   int64 `json:"added"`
	Removed int64 `json:"removed"`
	Kept    int64 `json:"kept"`
}

// subjectsDelta is nil when a version names no subjects.
func (s *server) subjectsDelta(ctx context.Context, from, to lake.Version) (*subjectsDelta, error) {
	sets := make([][]string, 2)
	for i, v := range []lake.Version{from, to} {
		var err error
		if sets[i], err = s.Lake.Subjects(ctx, v.Artifact()); fault.Is(err, fault.NotFound) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return movedSubjects(sets[0], sets[1]), nil
}

func movedSubjects(before, after []string) *subjectsDelta {
	known := make(map[string]bool, len(before))
	for _, b := range before {
		known[b] = true
	}
	m := &subjectsDelta{}
	for _, a := range after {
		if known[a] {
			m.Kept++
		} else {
			m.Added++
		}
	}
	m.Removed = int64(len(before)) - m.Kept
	return m
}
