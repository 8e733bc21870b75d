// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/privacy"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/query/duck"
)

const (
	noMatch = "the line does not match the pattern"
	maxLine = 1 << 20 // bytes
)

// lines reads text files line by line with a pattern.
type lines struct {
	*ingestion
	pattern, path *regexp.Regexp // path is nil without a pattern for paths
	columns       []query.Column

	file    int // index of the open one
	open    io.Closer
	scanner *bufio.Scanner
	line    int64
	fromURL []any // values of the path's groups for the open file

	missed int64
}

// loadText makes a row of each line that matches: a column for each named group, _file and _line.
func (in *ingestion) loadText(ctx context.Context) error {
	l := &lines{ingestion: in, file: -1}
	if err := l.prepare(); err != nil {
		return err
	}
	err := in.engine.Append(ctx, rawTable, l.columns, l.next)
	if l.open != nil {
		l.open.Close()
	}
	if err != nil {
		return err
	}
	var rows int64
	if err := in.engine.One(ctx, "SELECT count(*) FROM "+rawTable, &rows); err != nil {
		return err
	}
	if l.missed > 0 {
		in.report.RowsIn += l.missed
		in.report.Excluded = append(in.report.Excluded, privacy.Exclusion{Reason: noMatch, Rows: l.missed})
	}
	if rows == 0 && l.missed > 0 {
		return blamed("PatternMatchesNothing", "spec.from.files.pattern", fault.New(fault.Invalid, "", "none of %d lines matches the pattern", l.missed).
			WithHint("try it on one line; it is a regular expression of RE2"))
	}
	return nil
}

func (l *lines) prepare() error {
	var err error
	if l.pattern, err = namedPattern("spec.from.files.pattern", l.p.Pattern); err != nil {
		return err
	}
	if l.p.PathPattern != "" {
		if l.path, err = namedPattern("spec.from.files.pathPattern", l.p.PathPattern); err != nil {
			return err
		}
	}
	names := groupNames(l.pattern)
	if l.path != nil {
		names = append(names, groupNames(l.path)...)
	}
	names = append(names, "_file", "_line")
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return blamed("InvalidPattern", "spec.from.files.pattern", fault.New(fault.Invalid, "", "the group %q occurs twice", n))
		}
		typ := "VARCHAR"
		if n == "_line" {
			typ = "BIGINT"
		}
		l.columns = append(l.columns, query.Column{Name: n, Type: typ})
	}
	return nil
}

// namedPattern compiles a pattern that must have a named group.
func namedPattern(field, text string) (*regexp.Regexp, error) {
	p, err := regexp.Compile(text)
	if err != nil {
		return nil, blamed("InvalidPattern", field, fault.New(fault.Invalid, "", "the pattern is wrong: %w", err).
			WithHint("write it in RE2's syntax, with (?P<name>…) for each column"))
	}
	if len(groupNames(p)) == 0 {
		return nil, blamed("InvalidPattern", field, fault.New(fault.Invalid, "", "the pattern has no named group").WithHint("write (?P<name>…) for each column"))
	}
	return p, nil
}

func groupNames(p *regexp.Regexp) []string {
	return slices.DeleteFunc(slices.Clone(p.SubexpNames()), func(s string) bool { return s == "" })
}

// next gives the next matching line as a row.
func (l *lines) next() (int, int64, []any, error) {
	for {
		for l.scanner == nil || !l.scanner.Scan() {
			if err := l.advance(); err != nil {
				return 0, 0, nil, err
			}
		}
		l.line++
		text := strings.TrimSuffix(l.scanner.Text(), "\r")
		if text == "" {
			continue
		}
		name := l.files[l.file].Name
		if !utf8.ValidString(text) {
			return 0, 0, nil, fault.New(fault.Invalid, name, "line %d: the text is not UTF-8", l.line).WithHint("save the file as UTF-8")
		}
		values := groupValues(l.pattern, text)
		if values == nil {
			l.missed++
			continue
		}
		return l.file, l.line, append(append(values, l.fromURL...), l.label(name), l.line), nil
	}
}

// label is what _file holds: with pseudonyms not the path, which may hold an identifier.
func (l *lines) label(name string) string {
	if len(l.policy.Pseudonymise) > 0 {
		return l.key.Name(name)
	}
	return name
}

// advance opens the next file; io.EOF after the last.
func (l *lines) advance() error {
	if l.scanner != nil {
		if err := l.scanner.Err(); err != nil {
			return fault.New(fault.Invalid, l.files[l.file].Name, "line %d: the line is longer than 1 MiB, or the file is damaged", l.line+1)
		}
		l.open.Close()
	}
	l.file++
	if l.file == len(l.files) {
		l.open = nil
		return io.EOF
	}
	f := l.files[l.file]
	r, err := duck.OpenText(f)
	if err != nil {
		l.open = nil
		return err
	}
	l.open, l.line, l.fromURL = r, 0, nil
	l.scanner = bufio.NewScanner(r)
	l.scanner.Buffer(nil, maxLine)
	if l.path != nil {
		if l.fromURL = groupValues(l.path, f.Name); l.fromURL == nil {
			return fault.New(fault.Invalid, f.Name, "the path does not match spec.from.files.pathPattern")
		}
	}
	return nil
}

// groupValues are the named groups of a match, NULL for a group that took no part; nil without a match.
func groupValues(p *regexp.Regexp, text string) []any {
	at := p.FindStringSubmatchIndex(text)
	if at == nil {
		return nil
	}
	var values []any
	for i, n := range p.SubexpNames() {
		switch {
		case n == "":
		case at[2*i] < 0:
			values = append(values, nil)
		default:
			values = append(values, text[at[2*i]:at[2*i+1]])
		}
	}
	return values
}
