// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/page"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
)

// render makes index.html of the page in the code bundle, with its pictures.
func render(ctx context.Context, s *step) error {
	var p page.Params
	if err := s.read(&p); err != nil {
		return err
	}
	if p.File == "" {
		p.File = "page.md"
	}
	if err := s.renderPage(ctx, p); err != nil {
		return blamed("PageInvalid", "spec.page", fault.Wrap(fault.Internal, path.Base(p.File), err))
	}
	s.tell(1, "rendered")
	return nil
}

func (s *step) renderPage(ctx context.Context, p page.Params) error {
	code, err := os.OpenRoot(s.code)
	if err != nil {
		return fault.Wrap(fault.Internal, "open the page's folder", err)
	}
	defer code.Close()
	text, err := code.ReadFile("page.md")
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Invalid, "", "the bundle holds no page.md").WithHint("apply the report with `fathom apply`")
	} else if err != nil {
		return fault.Wrap(fault.Internal, "read the page", err)
	}
	document, err := page.Parse(text)
	if err != nil {
		return err
	}
	if err := s.copyPictures(code, document); err != nil {
		return err
	}
	var answers []page.Answer
	for i, statement := range document.Statements {
		s.tell(0.05+0.9*float64(i)/float64(len(document.Statements)), "query %d of %d", i+1, len(document.Statements))
		answer, err := s.answer(ctx, p, statement)
		if err != nil {
			return statement.Place(err)
		}
		answers = append(answers, answer)
	}
	html, err := document.Render(answers, p)
	if err != nil {
		return err
	}
	return fault.Wrap(fault.Internal, "write index.html", os.WriteFile(filepath.Join(s.output, "index.html"), html, 0o644))
}

// answer runs one statement in an engine of its own, which reaches nothing but the inputs.
func (s *step) answer(ctx context.Context, p page.Params, statement page.Statement) (page.Answer, error) {
	rows := int64(page.MaxRows)
	if k := statement.Figure.Kind; k == page.Table || k == page.Value {
		rows = page.MaxTableRows
	}
	var out bytes.Buffer
	err := duck.Read(ctx, query.ReadParams{
		SQL: statement.SQL, Workspace: p.Workspace, Tables: p.Tables, Limits: p.Limits, Format: "json", Limit: rows + 1,
	}, s.inputs, &out)
	if err != nil {
		return page.Answer{}, err
	}
	return page.ReadAnswer(&out)
}

// pictures are the files of a bundle that travel with its page.
var pictures = []string{".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp"}

// copyPictures copies all pictures of the bundle, after a look whether those that the page shows are there.
func (s *step) copyPictures(code *os.Root, document *page.Document) error {
	for _, picture := range document.Pictures {
		if info, err := code.Stat(picture.Path); err != nil || !info.Mode().IsRegular() {
			return &fault.Error{Kind: fault.Invalid, Hint: "put the file into the page's folder",
				Err: &page.Problem{Line: picture.Line, Message: "there is no picture " + picture.Path + " beside the page"}}
		}
	}
	output, err := os.OpenRoot(s.output)
	if err != nil {
		return fault.Wrap(fault.Internal, "open the output", err)
	}
	defer output.Close()
	return fs.WalkDir(code.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !slices.Contains(pictures, strings.ToLower(path.Ext(name))) {
			return fault.Wrap(fault.Internal, "copy pictures", err)
		}
		content, err := code.ReadFile(name)
		if err == nil {
			err = output.MkdirAll(path.Dir(name), 0o755)
		}
		if err == nil {
			err = output.WriteFile(name, content, 0o644)
		}
		return fault.Wrap(fault.Internal, "copy "+name, err)
	})
}
