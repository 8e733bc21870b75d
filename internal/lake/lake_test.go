// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go/table"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

var voice = ref.Name{Workspace: "neurology", Name: "voice-2"}

func testOptions(dir string) Options {
	return Options{Dir: filepath.Join(dir, "lake"), Now: func() time.Time { return time.UnixMilli(1_700_000_000_123) }}
}

func openTest(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// column is one column of a test table; values is a JSON array.
type column struct {
	name   string
	typ    arrow.DataType
	values []string
}

// parquetOf writes columns as a Parquet file without field ids.
func parquetOf(t testing.TB, cols ...column) []byte {
	t.Helper()
	fields := make([]arrow.Field, len(cols))
	arrays := make([]arrow.Array, len(cols))
	for i, c := range cols {
		fields[i] = arrow.Field{Name: c.name, Type: c.typ, Nullable: true}
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.typ, strings.NewReader("["+strings.Join(c.values, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		arrays[i] = a
	}
	sc := arrow.NewSchema(fields, nil)
	rows := 0
	if len(arrays) > 0 {
		rows = arrays[0].Len()
	}
	var b bytes.Buffer
	w, err := pqarrow.NewFileWriter(sc, &b, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(array.NewRecordBatch(sc, arrays, int64(rows))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ints(name string, values ...int) column {
	c := column{name: name, typ: arrow.PrimitiveTypes.Int64}
	for _, v := range values {
		c.values = append(c.values, fmt.Sprint(v))
	}
	return c
}

func texts(name string, values ...string) column {
	c := column{name: name, typ: arrow.BinaryTypes.String}
	for _, v := range values {
		c.values = append(c.values, fmt.Sprintf("%q", v))
	}
	return c
}

func put(t testing.TB, s *Store, path string, content []byte) File {
	t.Helper()
	d, n, err := s.PutBlob(context.Background(), bytes.NewReader(content), "")
	if err != nil {
		t.Fatal(err)
	}
	return File{Path: path, Digest: d, Size: n}
}

func request(t testing.TB, fingerprint string, files ...File) CommitRequest {
	t.Helper()
	m, err := NewManifest(files)
	if err != nil {
		t.Fatal(err)
	}
	return CommitRequest{Name: voice, Fingerprint: fingerprint, Files: m, CreatedBy: "test"}
}

func commit(t testing.TB, s *Store, r CommitRequest) Version {
	t.Helper()
	v, err := s.Commit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// scan reads a version back through Iceberg alone, as "a|b" lines.
func scan(t testing.TB, s *Store, v Version, columns ...string) []string {
	t.Helper()
	ctx := context.Background()
	tbl, err := s.tables.load(ctx, v.Name)
	if err != nil || tbl == nil {
		t.Fatalf("load: %v %v", tbl, err)
	}
	if len(columns) == 0 {
		for _, c := range v.Columns {
			columns = append(columns, c.Name)
		}
	}
	got, err := tbl.Scan(table.WithSnapshotID(v.Snapshot), table.WithSelectedFields(columns...)).ToArrowTable(ctx)
	if err != nil {
		t.Fatalf("scan version %d: %v", v.Number, err)
	}
	defer got.Release()
	var lines []string
	rdr := array.NewTableReader(got, 0)
	defer rdr.Release()
	for rdr.Next() {
		rec := rdr.RecordBatch()
		for i := range int(rec.NumRows()) {
			var cells []string
			for c := range int(rec.NumCols()) {
				cells = append(cells, rec.Column(c).ValueStr(i))
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
	}
	return lines
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Fatalf("error %v has kind %q, want %q", err, fault.KindOf(err), kind)
	}
}

func readAll(t testing.TB, s *Store, d ref.Digest) []byte {
	t.Helper()
	f, size, err := s.OpenBlob(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("read %d of %d bytes: %v", len(b), size, err)
	}
	return b
}
