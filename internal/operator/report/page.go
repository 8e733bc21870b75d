// SPDX-License-Identifier: Apache-2.0

package report

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"sync"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/page"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// table is a name that a page's SQL reads, with the line of the first statement that does.
type table struct {
	name string
	line int
}

// readPage finds the tables that the page of a report reads. Invalid: no page, or a mistake in it, with its line.
func (s *Station) readPage(ctx context.Context, r *v1alpha1.Report) ([]table, error) {
	if r.Spec.Bundle == "" {
		return nil, fault.New(fault.Invalid, "spec.bundle", "the page is not uploaded").
			WithHint("apply with `fathom apply`, which uploads spec.page and the pictures beside it")
	}
	digest, err := ref.ParseDigest(r.Spec.Bundle)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "spec.bundle", err)
	}
	if s.Uploaded != nil {
		if err := s.Uploaded(r.Namespace, r.Spec.Bundle); err != nil {
			return nil, fault.Wrap(fault.KindOf(err), "spec.bundle", err)
		}
	}
	if known, ok := s.pages.get(pageKey{r.Namespace, digest}); ok {
		return known, nil
	}
	text, err := s.markdown(ctx, digest)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.Invalid, "spec.bundle", "the lake has no bundle %s", digest.Short()).WithHint("apply again with `fathom apply`")
	} else if err != nil {
		return nil, err
	}
	tables, err := s.tables(ctx, r.Namespace, text)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, path.Base(r.Spec.Page), err)
	}
	s.pages.put(pageKey{r.Namespace, digest}, tables)
	return tables, nil
}

// markdown reads page.md out of the bundle.
func (s *Station) markdown(ctx context.Context, digest ref.Digest) ([]byte, error) {
	f, _, err := s.Lake.OpenBlob(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := tar.NewReader(f)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, fault.New(fault.Invalid, "spec.bundle", "the bundle holds no page.md").WithHint("apply the report with `fathom apply`")
		} else if err != nil {
			return nil, fault.New(fault.Invalid, "spec.bundle", "it is not a bundle: %v", err)
		}
		if header.Typeflag != tar.TypeReg || header.Name != "page.md" {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(files, page.MaxBytes+1))
		return text, fault.Wrap(fault.Corrupt, "read page.md", err)
	}
}

// tables parses every statement; what they read is the same for as long as the page is.
func (s *Station) tables(ctx context.Context, workspace string, text []byte) ([]table, error) {
	document, err := page.Parse(text)
	if err != nil {
		return nil, err
	}
	out := []table{}
	seen := map[string]bool{}
	for _, statement := range document.Statements {
		checked, err := s.Check(ctx, query.CheckParams{SQL: statement.SQL, Workspace: workspace})
		if err != nil {
			return nil, err
		}
		if checked.Error != nil {
			return nil, statement.Place(fault.Wrap(fault.Invalid, "", checked.Error))
		}
		for _, name := range checked.Tables {
			if !seen[name] {
				seen[name] = true
				out = append(out, table{name, statement.Line})
			}
		}
	}
	return out, nil
}

// pageCache remembers what pages read: a bundle never changes.
type pageCache struct {
	mu  sync.Mutex
	was map[pageKey][]table
}

type pageKey struct {
	workspace string
	bundle    ref.Digest
}

const maxPages = 1024 // answers kept; beyond that the cache starts anew

func newPageCache() *pageCache { return &pageCache{was: map[pageKey][]table{}} }

func (c *pageCache) get(k pageKey) ([]table, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.was[k]
	return t, ok
}

func (c *pageCache) put(k pageKey, t []table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.was) >= maxPages {
		clear(c.was)
	}
	c.was[k] = t
}
