// SPDX-License-Identifier: Apache-2.0

package duck

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// Every loaded table has two columns besides its own: the index of the file a row came from, and the row's number in
// that file, from 1, headers not counted.
const (
	FileColumn = "_fathom_file"
	RowColumn  = "_fathom_row"
)

// Source is a file to load: where it lies and what people call it.
type Source struct {
	Path string // absolute
	Name string // for messages
}

// LoadCSV reads CSV files into a table of text columns; empty fields are NULL. The first line names the columns, which
// must be the same in all files, in any order. The separator is the most frequent of , ; tab | in the first line.
func (e *Engine) LoadCSV(ctx context.Context, table string, files []Source) error {
	var first []string
	for i, f := range files {
		header, comma, err := csvHeader(f)
		if err != nil {
			return err
		}
		if i == 0 {
			first = header
		} else if err := sameColumns(files[0].Name, first, f.Name, header); err != nil {
			return err
		}
		columns := make([]string, len(header))
		for j, h := range header {
			columns[j] = Text(h) + ": 'VARCHAR'"
		}
		read := fmt.Sprintf("read_csv(%s, auto_detect = false, header = true, delim = %s, quote = '\"', escape = '\"', strict_mode = true, columns = {%s})",
			Text(f.Path), Text(string(comma)), strings.Join(columns, ", "))
		if err := e.insert(ctx, table, i, read); err != nil {
			return csvError(f, err)
		}
	}
	return nil
}

// insert appends a relation to the table, which the first file (index 0) creates.
func (e *Engine) insert(ctx context.Context, table string, index int, relation string) error {
	verb := "INSERT INTO " + Ident(table) + " BY NAME"
	if index == 0 {
		verb = "CREATE TABLE " + Ident(table) + " AS"
	}
	return e.Exec(ctx, fmt.Sprintf("%s SELECT *, %d::INTEGER AS %s, row_number() OVER ()::BIGINT AS %s FROM %s",
		verb, index, FileColumn, RowColumn, relation))
}

const firstLine = 1 << 20 // bytes that a header may take

func csvHeader(f Source) ([]string, rune, error) {
	r, err := OpenText(f)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	head := bufio.NewReaderSize(r, firstLine)
	line, err := head.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, fault.New(fault.Invalid, f.Name, "cannot be read: %v", err)
	}
	line = strings.TrimPrefix(line, "\ufeff")
	if strings.TrimSpace(line) == "" {
		return nil, 0, fault.New(fault.Invalid, f.Name, "the first line is empty").WithHint("the first line of a CSV file names its columns")
	}
	comma := separator(line)
	reader := csv.NewReader(strings.NewReader(line))
	reader.Comma = comma
	header, err := reader.Read()
	if err != nil {
		return nil, 0, fault.New(fault.Invalid, f.Name, "line 1: the column names cannot be read: %v", err)
	}
	return header, comma, checkHeader(f, header)
}

func checkHeader(f Source, header []string) error {
	seen := map[string]bool{}
	for i, h := range header {
		key := strings.ToLower(h)
		switch {
		case strings.TrimSpace(h) == "":
			return fault.New(fault.Invalid, f.Name, "line 1: column %d has no name", i+1)
		case seen[key]:
			return fault.New(fault.Invalid, f.Name, "line 1: the column %q occurs twice", h)
		case strings.HasPrefix(key, "_fathom_"):
			return fault.New(fault.Invalid, f.Name, "line 1: the column name %q is reserved", h)
		}
		seen[key] = true
	}
	return nil
}

// separator is the candidate that occurs most often outside quotes; a comma when there is none.
func separator(line string) rune {
	counts := map[rune]int{}
	quoted := false
	for _, r := range line {
		if r == '"' {
			quoted = !quoted
		}
		if !quoted {
			counts[r]++
		}
	}
	best := ','
	for _, c := range ",;\t|" {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return best
}

func sameColumns(firstFile string, first []string, file string, header []string) error {
	var missing, extra []string
	for _, h := range first {
		if !slices.Contains(header, h) {
			missing = append(missing, h)
		}
	}
	for _, h := range header {
		if !slices.Contains(first, h) {
			extra = append(extra, h)
		}
	}
	if len(missing)+len(extra) == 0 {
		return nil
	}
	var parts []string
	if len(missing) > 0 {
		parts = append(parts, "lacks "+strings.Join(missing, ", "))
	}
	if len(extra) > 0 {
		parts = append(parts, "has also "+strings.Join(extra, ", "))
	}
	return fault.New(fault.Invalid, file, "its columns differ from those of %s: it %s", firstFile, strings.Join(parts, " and ")).
		WithHint("make the files alike, or declare two datasets and join them with a query")
}

// OpenText opens a source that may be gzip-compressed.
func OpenText(f Source) (io.ReadCloser, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, fault.New(fault.Internal, f.Name, "the staged file cannot be opened: %v", errors.Unwrap(err))
	}
	magic := make([]byte, 2)
	n, _ := io.ReadFull(file, magic)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, fault.Wrap(fault.Internal, f.Name, err)
	}
	if n == 2 && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		zip, err := gzip.NewReader(file)
		if err != nil {
			file.Close()
			return nil, fault.New(fault.Invalid, f.Name, "it looks compressed, but is no gzip file")
		}
		return struct {
			io.Reader
			io.Closer
		}{zip, file}, nil
	}
	return file, nil
}

var (
	csvLine   = regexp.MustCompile(`CSV Error on Line: (\d+)`)
	csvCounts = regexp.MustCompile(`Expected Number of Columns: (\d+) Found: (\d+)`)
)

// csvError says where a CSV file is wrong. DuckDB's own text quotes the line, which may identify a person.
func csvError(f Source, err error) error {
	var raw *Raw
	if !errors.As(err, &raw) {
		return fault.Wrap(fault.Internal, f.Name, err)
	}
	place := ""
	if m := csvLine.FindStringSubmatch(raw.Message); m != nil {
		place = "line " + m[1] + ": "
	}
	switch {
	case csvCounts.MatchString(raw.Message):
		m := csvCounts.FindStringSubmatch(raw.Message)
		return fault.New(fault.Invalid, f.Name, "%s%s columns expected, %s found", place, m[1], m[2]).
			WithHint("check the line's separators and quotes")
	case strings.Contains(raw.Message, "unicode") || strings.Contains(raw.Message, "utf-8"):
		return fault.New(fault.Invalid, f.Name, "%sthe text is not UTF-8", place).WithHint("save the file as UTF-8")
	case strings.Contains(raw.Message, "quote"):
		return fault.New(fault.Invalid, f.Name, "%sa quote is not closed, or text follows a closing quote", place).WithHint("check the line's quotes")
	case raw.Type == "Out of Memory":
		return fault.New(fault.Exhausted, f.Name, "the step has too little memory").WithHint("raise spec.resources.memory")
	}
	return fault.New(fault.Invalid, f.Name, "%sthe line is not valid CSV", place).WithHint("check the line's separators and quotes")
}

// LoadParquet reads Parquet files into a table. Names and types of columns must be the same in all files.
func (e *Engine) LoadParquet(ctx context.Context, table string, files []Source) error {
	var first []query.Column
	for i, f := range files {
		read := "read_parquet(" + Text(f.Path) + ")"
		cols, err := e.Describe(ctx, "SELECT * FROM "+read)
		if err != nil {
			return fault.New(fault.Invalid, f.Name, "this is not a readable Parquet file")
		}
		if i == 0 {
			first = cols
		} else if err := sameColumns(files[0].Name, describe(first), f.Name, describe(cols)); err != nil {
			return err
		}
		if err := e.insert(ctx, table, i, read); err != nil {
			return fault.New(fault.Invalid, f.Name, "the Parquet file is damaged")
		}
	}
	return nil
}

func describe(cols []query.Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.Name + " " + c.Type
	}
	return out
}

// LoadNDJSON reads files with one JSON object a line into a table; a key that a line lacks is NULL.
func (e *Engine) LoadNDJSON(ctx context.Context, table string, files []Source) error {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	list := "[" + strings.Join(quoteAll(paths), ", ") + "]"
	options := "format = 'newline_delimited', records = true, sample_size = -1, maximum_sample_files = 1000000, union_by_name = true"
	cols, err := e.Describe(ctx, "SELECT * FROM read_json("+list+", "+options+")")
	if err != nil {
		return jsonError(files, err)
	}
	spec := make([]string, len(cols))
	for i, c := range cols {
		spec[i] = Text(c.Name) + ": " + Text(c.Type)
	}
	for i, f := range files {
		read := "read_json(" + Text(f.Path) + ", format = 'newline_delimited', records = true, columns = {" + strings.Join(spec, ", ") + "})"
		if err := e.insert(ctx, table, i, read); err != nil {
			return jsonError([]Source{f}, err)
		}
	}
	return nil
}

// jsonError names the first line that is no JSON object; DuckDB's own count is off at the end of a file.
func jsonError(files []Source, err error) error {
	for _, f := range files {
		if line := badJSONLine(f); line > 0 {
			return fault.New(fault.Invalid, f.Name, "line %d: this is not a JSON object", line).WithHint("write one JSON object a line")
		}
	}
	var raw *Raw
	if errors.As(err, &raw) && raw.Type == "Out of Memory" {
		return fault.New(fault.Exhausted, files[0].Name, "the step has too little memory").WithHint("raise spec.resources.memory")
	}
	return fault.New(fault.Invalid, files[0].Name, "the files cannot be read as one table: their values differ in type").
		WithHint("make the keys' types alike in all lines")
}

// badJSONLine is the number of the first line that is no JSON object; 0 when there is none.
func badJSONLine(f Source) int {
	r, err := OpenText(f)
	if err != nil {
		return 0
	}
	defer r.Close()
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 && (text[0] != '{' || !json.Valid(text)) {
			return n
		}
		if err != nil {
			return 0
		}
	}
}

// Append makes a table of text columns and fills it row by row; next returns io.EOF after the last row. A row is the
// index of its file, its number there, and one value a column; nil is NULL, other values are strings or []string.
func (e *Engine) Append(ctx context.Context, table string, columns []query.Column, next func() (file int, row int64, values []any, err error)) error {
	defs := make([]string, len(columns))
	for i, c := range columns {
		defs[i] = Ident(c.Name) + " " + c.Type
	}
	defs = append(defs, FileColumn+" INTEGER", RowColumn+" BIGINT")
	if err := e.Exec(ctx, "CREATE TABLE "+Ident(table)+" ("+strings.Join(defs, ", ")+")"); err != nil {
		return err
	}
	return e.append(table, func(add func(...any) error) error {
		for {
			file, row, values, err := next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := add(append(values, int32(file), row)...); err != nil {
				return err
			}
		}
	})
}
