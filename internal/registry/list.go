// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/fault"
)

// MaxPage is the most entries that a list returns at once.
const MaxPage = 1000

// Page asks for part of a sorted list: up to Limit entries after the one named.
type Page struct {
	After string
	Limit int // at most MaxPage are returned; negative is Invalid
}

func (p Page) limit() (int, error) {
	if p.Limit < 0 {
		return 0, fault.New(fault.Invalid, "n", "%d is no number of entries", p.Limit)
	}
	return min(p.Limit, MaxPage), nil
}

// cut takes one entry more than asked for as a sign that there are more.
func cut[T any](all []T, limit int) (page []T, more bool) {
	if len(all) > limit {
		return all[:limit], true
	}
	return all, false
}

// Tags lists the tags of a repository by byte order, and whether there are more; NotFound when nothing was ever kept there.
func (s *Store) Tags(ctx context.Context, r Repository, p Page) (tags []string, more bool, err error) {
	limit, err := p.limit()
	if err != nil {
		return nil, false, err
	}
	var known bool
	if err := s.db.QueryRowContext(ctx, `select exists (select 1 from blobs where workspace = ?1 and name = ?2)
		or exists (select 1 from manifests where workspace = ?1 and name = ?2)`, r.Workspace, r.Name).Scan(&known); err != nil {
		return nil, false, sqlFault(err)
	}
	if !known {
		return nil, false, fault.New(fault.NotFound, "registry", "there is no repository %s", r)
	}
	rows, err := s.db.QueryContext(ctx, "select tag from tags where workspace = ? and name = ? and tag > ? order by tag limit ?",
		r.Workspace, r.Name, p.After, limit+1)
	if err != nil {
		return nil, false, sqlFault(err)
	}
	tags, err = column[string](rows)
	tags, more = cut(tags, limit)
	return tags, more, err
}

// Repositories lists the repositories of a workspace that hold a manifest, by name, and whether there are more.
func (s *Store) Repositories(ctx context.Context, workspace string, p Page) (names []string, more bool, err error) {
	limit, err := p.limit()
	if err != nil {
		return nil, false, err
	}
	rows, err := s.db.QueryContext(ctx, "select distinct name from manifests where workspace = ? and name > ? order by name limit ?",
		workspace, p.After, limit+1)
	if err != nil {
		return nil, false, sqlFault(err)
	}
	names, err = column[string](rows)
	names, more = cut(names, limit)
	return names, more, err
}

// Referrers lists the manifests of a repository whose subject is d, by digest, and whether there are more. An empty
// artifactType means all.
func (s *Store) Referrers(ctx context.Context, r Repository, d digest.Digest, artifactType string, p Page) (found []Kept, more bool, err error) {
	limit, err := p.limit()
	if err != nil {
		return nil, false, err
	}
	rows, err := s.db.QueryContext(ctx, "select "+keptColumns+` from manifests where workspace = ? and name = ? and subject = ? and subject <> ''
		and digest > ? and (? = '' or artifact_type = ?) order by digest limit ?`, r.Workspace, r.Name, string(d), p.After, artifactType, artifactType, limit+1)
	if err != nil {
		return nil, false, sqlFault(err)
	}
	defer rows.Close()
	for rows.Next() {
		k, err := scanKept(rows.Scan)
		if err != nil {
			return nil, false, sqlFault(err)
		}
		found = append(found, k)
	}
	found, more = cut(found, limit)
	return found, more, sqlFault(rows.Err())
}
