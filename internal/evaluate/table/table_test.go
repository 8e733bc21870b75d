// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"fathom.dev/fathom/internal/evaluate"
	"fathom.dev/fathom/internal/fault"
)

var every = arrow.NewSchema([]arrow.Field{
	{Name: "f32", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
	{Name: "i8", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "u64", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
	{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	{Name: "price", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}, Nullable: true},
	{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true},
	{Name: "coded", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, Nullable: true},
}, nil)

// file writes rows given as JSON with every type into a folder.
func writeRows(t *testing.T, dir, name, rows string) {
	t.Helper()
	record, _, err := array.RecordFromJSON(memory.DefaultAllocator, every, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(dir, name), every, record.Columns(), int(record.NumRows())); err != nil {
		t.Fatal(err)
	}
}

func TestEveryType(t *testing.T) {
	dir := t.TempDir()
	writeRows(t, dir, "a.parquet", `[{"f32": 1.5, "i8": -3, "u64": 7, "flag": true, "text": "x", "day": "1970-01-02", "at": "1970-01-01T00:00:01Z",
		"price": "1.25", "list": [1, 2], "coded": "a"}]`)
	writeRows(t, dir, "nested/b.parquet", `[{}, {"f32": 2, "text": "y", "coded": "b", "list": []}]`)
	link := filepath.Join(t.TempDir(), "dataset")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	rows, err := Read(context.Background(), link)
	if err != nil {
		t.Fatal(err)
	}
	if rows.Rows() != 3 || len(rows.Names()) != 10 {
		t.Fatalf("%d rows, columns %v", rows.Rows(), rows.Names())
	}
	types := map[string]string{"f32": Number, "i8": Integer, "u64": Integer, "flag": Boolean, "text": Text, "day": Time, "at": Time, "price": Number, "coded": Text, "list": Other}
	first := map[string]any{"f32": 1.5, "i8": -3.0, "u64": 7.0, "flag": 1.0, "text": "x", "day": 86400.0, "at": 1.0, "price": 1.25, "coded": "a"}
	for name, kind := range types {
		if got := rows.Type(name); got != kind {
			t.Errorf("%s is %s, want %s", name, got, kind)
		}
		c, err := rows.Column(name)
		if kind == Other {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || !c.Missing(1) || c.Text(1) != "" {
			t.Errorf("%s: %+v, %v", name, c, err)
			continue
		}
		var got any = c.Text(0)
		if !c.IsText() {
			got = c.Numbers[0]
		}
		if got != first[name] {
			t.Errorf("%s is %v, want %v", name, got, first[name])
		}
	}
}

func TestWriteKeepsTypesAndValues(t *testing.T) {
	dir := t.TempDir()
	writeRows(t, dir, "a.parquet", `[{"f32": 1, "text": "a", "list": [1]}, {"i8": 2}, {"f32": 3, "text": "c", "price": "0.10", "coded": "z"}]`)
	rows, err := Read(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"text", "price", "f32", "list", "coded", "at"}
	out := filepath.Join(dir, "new", "part.parquet")
	if err := rows.Write(context.Background(), out, names, []int{2, 0}); err != nil {
		t.Fatal(err)
	}
	again, err := Read(context.Background(), filepath.Dir(out))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Names(), names) || again.Rows() != 2 {
		t.Fatalf("%d rows of %v", again.Rows(), again.Names())
	}
	for i, field := range again.fields {
		from := slices.Index(rows.Names(), field.Name)
		if !arrow.TypeEqual(field.Type, rows.fields[from].Type) {
			t.Errorf("%s is %s now, was %s", field.Name, field.Type, rows.fields[from].Type)
		}
		for at, row := range []int{2, 0} {
			if got, want := again.columns[i].ValueStr(at), rows.columns[from].ValueStr(row); got != want {
				t.Errorf("%s is %s now, was %s", field.Name, got, want)
			}
		}
	}
	if err := rows.Write(context.Background(), out, []string{"none"}, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown column: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "new", ".table-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWriteColumns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.parquet")
	number := evaluate.Column{Feature: evaluate.Feature{Name: "p"}, Numbers: []float64{0.1, math.NaN()}}
	text := evaluate.Column{Feature: evaluate.Feature{Name: "who"}, Texts: []string{"a", ""}}
	if err := WriteColumns(path, []Integers{{"row", []int64{7, 1 << 60}}}, []evaluate.Column{number, text}); err != nil {
		t.Fatal(err)
	}
	rows, err := ReadFile(context.Background(), path)
	if err != nil || !slices.Equal(rows.Names(), []string{"row", "p", "who"}) {
		t.Fatalf("%v", err)
	}
	who, _ := rows.Column("who")
	p, _ := rows.Column("p")
	if !reflect.DeepEqual(who.Texts, text.Texts) || p.Numbers[0] != 0.1 || !math.IsNaN(p.Numbers[1]) {
		t.Errorf("%v %v", who, p)
	}
}

func TestReadMistakes(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(context.Background(), filepath.Join(dir, "none")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.parquet"), []byte("PAR1 no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(context.Background(), dir); fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), "bad.parquet") {
		t.Errorf("damaged: %v", err)
	}
	mixed := t.TempDir()
	writeRows(t, mixed, "a.parquet", `[{}]`)
	if err := WriteColumns(filepath.Join(mixed, "b.parquet"), []Integers{{"row", []int64{1}}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(context.Background(), mixed); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "different columns") {
		t.Errorf("different files: %v", err)
	}
}
