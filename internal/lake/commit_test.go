// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/ref"
)

func TestCommitAndReadBack(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := openTest(t, dir)
	r := request(t, "fp1",
		put(t, s, "part-0.parquet", parquetOf(t, ints("x", 1, 2), texts("who", "p1", "p2"))),
		put(t, s, "sub/part-1.parquet", parquetOf(t, ints("x", 3), texts("who", "p3"))),
		put(t, s, "objects/a/1.dcm", []byte("pixels")))
	r.Summary = json.RawMessage(`{"rowsIn": 4}`)
	r.Run = "uid-1"
	r.Inputs = []Input{{Role: RoleSource, Artifact: Artifact{Kind: KindFile, Workspace: "neurology", Name: "inbox/voice/a.csv",
		Digest: ref.DigestOf([]byte("csv")), Facts: map[string]string{"size": "3"}}}}
	r.Subjects = []string{"p2", "p1", "p3", "p1"}
	v := commit(t, s, r)
	if v.Number != 1 || v.Rows != 3 || v.Bytes != r.Files.Size() || v.Snapshot == 0 || string(v.Summary) != `{"rowsIn": 4}` {
		t.Fatalf("version %+v", v)
	}
	if want := []Column{{"x", "long", true}, {"who", "string", true}}; !reflect.DeepEqual(v.Columns, want) {
		t.Fatalf("columns %v", v.Columns)
	}
	if got := scan(t, s, v); !reflect.DeepEqual(got, []string{"1|p1", "2|p2", "3|p3"}) {
		t.Fatalf("rows %v", got)
	}
	again := commit(t, s, r)
	if again.Number != 1 || again.Snapshot != v.Snapshot {
		t.Fatalf("the same fingerprint was committed twice: %+v", again)
	}
	s.Close()
	s = openTest(t, dir)
	for what, get := range map[string]func() (Version, error){
		"Version":       func() (Version, error) { return s.Version(ctx, voice, 1) },
		"Latest":        func() (Version, error) { return s.Latest(ctx, voice) },
		"ByFingerprint": func() (Version, error) { return s.ByFingerprint(ctx, voice, "fp1") },
	} {
		got, err := get()
		if err != nil || !reflect.DeepEqual(canonical(t, got), canonical(t, v)) {
			t.Fatalf("%s: %+v, %v; want %+v", what, got, err, v)
		}
	}
	files, err := s.Files(ctx, v)
	if err != nil || !reflect.DeepEqual(files, r.Files.Files) {
		t.Fatalf("files %v %v", files, err)
	}
	schema, err := s.Schema(ctx, v)
	if err != nil || !strings.Contains(schema, `"who"`) {
		t.Fatalf("schema %s %v", schema, err)
	}
}

func canonical(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
