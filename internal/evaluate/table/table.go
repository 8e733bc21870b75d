// SPDX-License-Identifier: Apache-2.0

// Package table reads the Parquet files of a dataset into columns that can be evaluated, and writes chosen rows and columns of
// them to Parquet again without changing a value or a type.
//
// A table is in memory as a whole; it is safe for many readers.
package table

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"fathom.dev/fathom/internal/fault"
)

// Table is a dataset's rows.
type Table struct {
	fields  []arrow.Field
	columns []arrow.Array
	rows    int
}

// Read loads all files *.parquet below a folder, in the order of their paths. Errors: NotFound without any; Invalid for files
// of different columns; Corrupt for one that cannot be read.
func Read(ctx context.Context, dir string) (*Table, error) {
	// Inputs are often staged as links, which a walk does not follow.
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".parquet" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.Internal, "table.Read", err)
	}
	if len(paths) == 0 {
		return nil, fault.New(fault.NotFound, "table.Read", "there is no Parquet file in %s", filepath.Base(dir))
	}
	slices.Sort(paths)
	var parts []arrow.Table
	for _, path := range paths {
		part, err := readFile(ctx, path)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return join(parts)
}

// ReadFile loads one Parquet file. Errors: NotFound; Corrupt.
func ReadFile(ctx context.Context, path string) (*Table, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fault.Wrap(fault.NotFound, "table.Read", err)
	}
	part, err := readFile(ctx, path)
	if err != nil {
		return nil, err
	}
	return join([]arrow.Table{part})
}

func readFile(ctx context.Context, path string) (arrow.Table, error) {
	corrupt := func(err error) error {
		return fault.Wrap(fault.Corrupt, "table.Read "+filepath.Base(path), err)
	}
	reader, err := file.OpenParquetFile(path, false)
	if err != nil {
		return nil, corrupt(err)
	}
	defer func() { _ = reader.Close() }()
	columns, err := pqarrow.NewFileReader(reader, pqarrow.ArrowReadProperties{BatchSize: 1 << 16}, memory.DefaultAllocator)
	if err != nil {
		return nil, corrupt(err)
	}
	read, err := columns.ReadTable(ctx)
	if err != nil {
		return nil, corrupt(err)
	}
	return read, nil
}

// join concatenates the files' rows, column by column.
func join(parts []arrow.Table) (*Table, error) {
	t := &Table{fields: parts[0].Schema().Fields()}
	chunks := make([][]arrow.Array, len(t.fields))
	for _, part := range parts {
		if !sameColumns(part.Schema().Fields(), t.fields) {
			return nil, fault.New(fault.Invalid, "table.Read", "the dataset's files have different columns: %s and %s", parts[0].Schema(), part.Schema())
		}
		t.rows += int(part.NumRows())
		for i := range t.fields {
			chunks[i] = append(chunks[i], part.Column(i).Data().Chunks()...)
		}
	}
	for i, field := range t.fields {
		column, err := concatenate(field.Type, chunks[i])
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "table.Read", err)
		}
		t.columns = append(t.columns, column)
	}
	return t, nil
}

func concatenate(kind arrow.DataType, chunks []arrow.Array) (arrow.Array, error) {
	if len(chunks) == 0 {
		return array.MakeArrayOfNull(memory.DefaultAllocator, kind, 0), nil
	}
	return array.Concatenate(chunks, memory.DefaultAllocator)
}

func sameColumns(a, b []arrow.Field) bool {
	return slices.EqualFunc(a, b, func(x, y arrow.Field) bool { return x.Name == y.Name && arrow.TypeEqual(x.Type, y.Type) })
}

// Rows is the number of rows.
func (t *Table) Rows() int { return t.rows }

// Names are the columns' names in order.
func (t *Table) Names() []string {
	names := make([]string, len(t.fields))
	for i, field := range t.fields {
		names[i] = field.Name
	}
	return names
}

// Has reports whether there is a column of that name.
func (t *Table) Has(name string) bool { return slices.Contains(t.Names(), name) }

// Write stores the named columns of the given rows, in those orders, as a Parquet file (zstd). The file is whole or absent.
func (t *Table) Write(ctx context.Context, path string, names []string, rows []int) error {
	index := array.NewInt64Builder(memory.DefaultAllocator)
	for _, row := range rows {
		index.Append(int64(row))
	}
	at := index.NewArray()
	var fields []arrow.Field
	var columns []arrow.Array
	for _, name := range names {
		i := slices.Index(t.Names(), name)
		if i < 0 {
			return fault.New(fault.NotFound, "table.Write", "there is no column %q", name)
		}
		taken, err := compute.TakeArray(ctx, t.columns[i], at)
		if err != nil {
			return fault.Wrap(fault.Internal, "table.Write "+name, err)
		}
		fields, columns = append(fields, t.fields[i]), append(columns, taken)
	}
	return write(path, arrow.NewSchema(fields, nil), columns, len(rows))
}

func write(path string, schema *arrow.Schema, columns []arrow.Array, rows int) (err error) {
	defer func() { err = fault.Wrap(fault.Internal, "table.Write", err) }()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(path), ".table-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	writer, err := pqarrow.NewFileWriter(schema, out, parquet.NewWriterProperties(
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCreatedBy("fathom")),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return errors.Join(err, out.Close())
	}
	// Close of the writer closes the file.
	if err := errors.Join(writer.Write(array.NewRecordBatch(schema, columns, int64(rows))), writer.Close()); err != nil {
		return err
	}
	if err := os.Chmod(out.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}
