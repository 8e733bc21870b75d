// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

// step is a version of a table whose columns change from version to version.
type step struct {
	columns []column
	want    []string
}

func evolution() []step {
	list := arrow.ListOf(arrow.PrimitiveTypes.Int64)
	pair := arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	return []step{
		{[]column{ints("x", 1, 2), texts("who", "p1", "p2")}, []string{"1|p1", "2|p2"}},
		{[]column{ints("x", 3), texts("who", "p3"), ints("more", 9)}, []string{"3|p3|9"}},                        // added
		{[]column{ints("more", 7, 8)}, []string{"7", "8"}},                                                       // removed
		{[]column{texts("x", "now text"), ints("more", 1)}, []string{"now text|1"}},                              // back, of another type
		{[]column{{"x", arrow.PrimitiveTypes.Float64, []string{"0.5"}}, texts("who", "p9")}, []string{"0.5|p9"}}, // and another
		{[]column{ints("x"), texts("who")}, nil},                                                                 // no rows
		{[]column{{"l", list, []string{"[1,2]"}}, {"s", pair, []string{`{"a":5}`}}}, []string{`[1,2]|{"a":5}`}},  // nested
		{[]column{{"l", pair, []string{`{"a":6}`}}, ints("s", 4)}, []string{`{"a":6}|4`}},                        // nested, changed
		{[]column{ints("x", 3), {"t", &arrow.TimestampType{Unit: arrow.Nanosecond}, []string{"1000000001"}}, {"gone", arrow.Null, []string{"null"}}},
			[]string{"3|1970-01-01T00:00:01.000000001|(null)"}}, // needs version 3 of the table format
		{[]column{ints("x", 1, 2), texts("who", "p1", "p2")}, []string{"1|p1", "2|p2"}}, // as it began
	}
}

func commitAll(t *testing.T, s *Store, steps []step) []Version {
	var out []Version
	for i, st := range steps {
		v := commit(t, s, request(t, fmt.Sprint("fp", i), put(t, s, "data.parquet", parquetOf(t, st.columns...))))
		if v.Number != i+1 {
			t.Fatalf("step %d became version %d", i, v.Number)
		}
		out = append(out, v)
	}
	return out
}

func TestEveryVersionKeepsItsSchema(t *testing.T) {
	s := openTest(t, t.TempDir())
	steps := evolution()
	for i, v := range commitAll(t, s, steps) {
		if got := scan(t, s, v); !reflect.DeepEqual(got, steps[i].want) {
			t.Errorf("version %d: %q, want %q", v.Number, got, steps[i].want)
		}
	}
}

func TestEmptyFirstVersion(t *testing.T) {
	s := openTest(t, t.TempDir())
	v := commitAll(t, s, []step{{columns: []column{ints("x")}}})[0]
	if got := scan(t, s, v); v.Rows != 0 || len(got) != 0 || v.Snapshot == 0 {
		t.Fatalf("%+v has rows %v", v, got)
	}
}

// python is the interpreter of the outside judges, or a skip.
func python(t *testing.T, module string) string {
	t.Helper()
	p := os.Getenv("FATHOM_PYTHON")
	if p == "" {
		p = filepath.Join("..", "..", ".tools", "judges", "bin", "python")
	}
	p, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(p, "-c", "import "+module).CombinedOutput(); err != nil {
		t.Skipf("no Python with %s (set FATHOM_PYTHON or run `make judges`): %v %s", module, err, out)
	}
	return p
}

const readWithPyIceberg = `
import json, sys
from pyiceberg.catalog.sql import SqlCatalog
cat = SqlCatalog("fathom", uri="sqlite:///" + sys.argv[1], warehouse="file://" + sys.argv[2], init_catalog_tables="false")
t = cat.load_table(("neurology", "voice_2"))
refs = {name: ref.snapshot_id for name, ref in t.refs().items()}
out = {"tags": {}, "latest": t.scan().to_arrow().to_pylist(), "files": {}}
for name, snapshot in refs.items():
    if name != "main":
        out["tags"][name] = {"rows": t.scan(snapshot_id=snapshot).to_arrow().to_pylist(),
                             "version": t.snapshot_by_id(snapshot).summary["fathom.version"]}
print(json.dumps(out, default=str))
`

func TestPyIcebergReadsEveryVersion(t *testing.T) {
	interpreter := python(t, "pyiceberg.catalog.sql, pyarrow, pandas, sqlalchemy")
	dir := t.TempDir()
	s := openTest(t, dir)
	commitAll(t, s, evolution())
	out, err := exec.CommandContext(context.Background(), interpreter, "-c", readWithPyIceberg,
		filepath.Join(dir, "db", "catalog.db"), filepath.Join(dir, "lake", "warehouse")).Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var got struct {
		Tags map[string]struct {
			Rows    json.RawMessage
			Version string
		}
		Latest json.RawMessage
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := []string{
		`[{"x": 1, "who": "p1"}, {"x": 2, "who": "p2"}]`,
		`[{"x": 3, "who": "p3", "more": 9}]`,
		`[{"more": 7}, {"more": 8}]`,
		`[{"x": "now text", "more": 1}]`,
		`[{"x": 0.5, "who": "p9"}]`,
		`[]`,
		`[{"l": [1, 2], "s": {"a": 5}}]`,
		`[{"l": {"a": 6}, "s": 4}]`,
		`[{"x": 3, "t": "1970-01-01 00:00:01.000000001", "gone": null}]`,
		`[{"x": 1, "who": "p1"}, {"x": 2, "who": "p2"}]`,
	}
	for i, rows := range want {
		tag := got.Tags[fmt.Sprintf("v%d", i+1)]
		if string(tag.Rows) != rows || tag.Version != fmt.Sprint(i+1) {
			t.Errorf("tag v%d: version %q, rows %s, want %s", i+1, tag.Version, tag.Rows, rows)
		}
	}
	if string(got.Latest) != want[len(want)-1] {
		t.Errorf("latest %s", got.Latest)
	}
}
