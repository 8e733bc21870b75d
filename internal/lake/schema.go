// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"fathom.dev/fathom/internal/fault"
)

// footer is what a commit needs to know of one Parquet file.
type footer struct {
	rows    int64
	schema  *iceberg.Schema // ids are the file's own, or fresh ones when it has none
	withIDs bool            // the file carries field ids
}

// readFooter reads a Parquet file's footer; Invalid names the file, and the column where one is to blame.
func readFooter(diskPath, name string) (ft footer, err error) {
	const op = "lake.Commit"
	defer func() {
		if p := recover(); p != nil { // the Parquet library panics on some malformed footers
			err = fault.New(fault.Invalid, op, "%s is not a readable Parquet file: %v", name, p)
		}
	}()
	rdr, err := file.OpenParquetFile(diskPath, false)
	if err != nil {
		return footer{}, fault.New(fault.Invalid, op, "%s is not a readable Parquet file: %w", name, err)
	}
	defer rdr.Close()
	arrows, err := pqarrow.NewFileReader(rdr, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return footer{}, fault.New(fault.Invalid, op, "%s is not a readable Parquet file: %w", name, err)
	}
	sc, err := arrows.Schema()
	if err != nil {
		return footer{}, fault.New(fault.Invalid, op, "%s is not a readable Parquet file: %w", name, err)
	}
	if err := checkColumns(sc, name); err != nil {
		return footer{}, err
	}
	schema, withIDs, err := toIceberg(sc)
	if err != nil {
		return footer{}, fault.New(fault.Invalid, op, "%s: %w", name, err)
	}
	return footer{rows: rdr.NumRows(), schema: schema, withIDs: withIDs}, nil
}

// checkColumns names the first column that a table cannot hold, and what to do about it.
func checkColumns(sc *arrow.Schema, name string) error {
	const op = "lake.Commit"
	if sc.NumFields() == 0 {
		return fault.New(fault.Invalid, op, "%s has no columns", name)
	}
	seen := map[string]bool{}
	for _, f := range sc.Fields() {
		if f.Name == "" || seen[f.Name] {
			return fault.New(fault.Invalid, op, "%s: column name %q is empty or used twice", name, f.Name)
		}
		seen[f.Name] = true
		one := arrow.NewSchema([]arrow.Field{{Name: f.Name, Type: f.Type, Nullable: f.Nullable}}, nil)
		_, err := table.ArrowSchemaToIcebergWithFreshIDs(one, false)
		if err != nil || f.Type.ID() == arrow.FLOAT16 { // the library cannot read a half float's statistics
			return fault.New(fault.Invalid, op, "%s: column %q has the type %s, which a table cannot hold", name, f.Name, f.Type).
				WithHint("convert it when writing it; time zones must be UTC")
		}
	}
	return nil
}

func toIceberg(sc *arrow.Schema) (*iceberg.Schema, bool, error) {
	if schema, err := table.ArrowSchemaToIceberg(sc, false, nil); err == nil {
		return schema, true, nil
	}
	schema, err := table.ArrowSchemaToIcebergWithFreshIDs(sc, false)
	return schema, false, err
}

// needsV3 tells columns that only version 3 of the table format has: nanoseconds (pandas before 3) and columns of nothing
// but nulls. Tables begin with version 2, which more readers know.
func needsV3(sc *iceberg.Schema) (bool, error) {
	fields, err := sc.FlatFields()
	if err != nil {
		return false, err
	}
	for f := range fields {
		switch f.Type {
		case iceberg.PrimitiveTypes.TimestampNs, iceberg.PrimitiveTypes.TimestampTzNs, iceberg.PrimitiveTypes.Unknown:
			return true, nil
		}
	}
	return false, nil
}

func columnsOf(sc *iceberg.Schema) []Column {
	out := make([]Column, 0, sc.NumFields())
	for _, f := range sc.Fields() {
		out = append(out, Column{Name: f.Name, Type: f.Type.String(), Nullable: !f.Required})
	}
	return out
}

// fieldIDs gives every column path of a table one id for all time, so that Parquet files without field ids (DuckDB,
// pandas) are readable by name in every version, also when a column was dropped, came back, or changed its type. The
// name mapping of the table remembers the ids.
type fieldIDs struct {
	mapping iceberg.NameMapping
	last    int // highest id in use
}

// assign returns sc with the ids of this table, remembering new paths.
func (a *fieldIDs) assign(sc *iceberg.Schema) *iceberg.Schema {
	fields := sc.Fields()
	level := []iceberg.MappedField(a.mapping)
	for i := range fields {
		fields[i] = a.field(&level, fields[i])
	}
	a.mapping = level
	return iceberg.NewSchema(0, fields...)
}

func (a *fieldIDs) field(level *[]iceberg.MappedField, f iceberg.NestedField) iceberg.NestedField {
	at := a.at(level, f.Name)
	f.ID = *(*level)[at].FieldID
	f.Type = a.nested(&(*level)[at].Fields, f.Type)
	return f
}

func (a *fieldIDs) nested(level *[]iceberg.MappedField, t iceberg.Type) iceberg.Type {
	switch t := t.(type) {
	case *iceberg.StructType:
		out := &iceberg.StructType{FieldList: slices.Clone(t.FieldList)}
		for i := range out.FieldList {
			out.FieldList[i] = a.field(level, out.FieldList[i])
		}
		return out
	case *iceberg.ListType:
		f := a.field(level, iceberg.NestedField{Name: "element", Type: t.Element})
		return &iceberg.ListType{ElementID: f.ID, Element: f.Type, ElementRequired: t.ElementRequired}
	case *iceberg.MapType:
		k := a.field(level, iceberg.NestedField{Name: "key", Type: t.KeyType})
		v := a.field(level, iceberg.NestedField{Name: "value", Type: t.ValueType})
		return &iceberg.MapType{KeyID: k.ID, KeyType: k.Type, ValueID: v.ID, ValueType: v.Type, ValueRequired: t.ValueRequired}
	}
	return t
}

// at finds a name in a level of the mapping, or adds it with the next free id.
func (a *fieldIDs) at(level *[]iceberg.MappedField, name string) int {
	at := slices.IndexFunc(*level, func(m iceberg.MappedField) bool { return slices.Contains(m.Names, name) })
	if at >= 0 {
		return at
	}
	a.last++
	id := a.last
	*level = append(*level, iceberg.MappedField{Names: []string{name}, FieldID: &id})
	return len(*level) - 1
}
