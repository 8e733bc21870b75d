// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

func TestCommitAndReadBack(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "J\u00f6rg's lake {1}") // Iceberg escapes what a URL cannot hold
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

func TestCommitRefuses(t *testing.T) {
	s := openTest(t, t.TempDir())
	good := put(t, s, "data.parquet", parquetOf(t, ints("x", 1)))
	absent := File{"data.parquet", ref.DigestOf([]byte("absent")), 6}
	with := func(change func(*CommitRequest)) CommitRequest {
		r := request(t, "fp", good)
		change(&r)
		return r
	}
	for _, c := range []struct {
		name string
		r    CommitRequest
		kind fault.Kind
		says string
	}{
		{"bad name", with(func(r *CommitRequest) { r.Name.Name = "../x" }), fault.Invalid, "not a name"},
		{"no fingerprint", with(func(r *CommitRequest) { r.Fingerprint = "" }), fault.Invalid, "fingerprint"},
		{"summary is no JSON", with(func(r *CommitRequest) { r.Summary = json.RawMessage("{") }), fault.Invalid, "JSON"},
		{"summary too large", with(func(r *CommitRequest) { r.Summary = json.RawMessage(`"` + strings.Repeat("x", MaxSummary) + `"`) }),
			fault.TooLarge, "summary"},
		{"input names nothing", with(func(r *CommitRequest) { r.Inputs = []Input{{Role: "x"}} }), fault.Invalid, "artifact"},
		{"subject with a line break", with(func(r *CommitRequest) { r.Subjects = []string{"a\n"} }), fault.Invalid, "pseudonym"},
		{"no table", request(t, "fp", put(t, s, "a.txt", []byte("x")), put(t, s, "objects/b.parquet", []byte("y"))), fault.Invalid, "no *.parquet"},
		{"blob is missing", request(t, "fp", absent), fault.NotFound, "no blob"},
		{"size is wrong", request(t, "fp", File{good.Path, good.Digest, 1}), fault.Invalid, "bytes"},
		{"not Parquet", request(t, "fp", put(t, s, "data.parquet", []byte("a,b\n1,2\n"))), fault.Invalid, "data.parquet"},
		{"cut off", request(t, "fp", put(t, s, "data.parquet", parquetOf(t, ints("x", 1))[:60])), fault.Invalid, "data.parquet"},
		{"different columns", request(t, "fp", good, put(t, s, "more.parquet", parquetOf(t, texts("x", "a")))), fault.Invalid, "x long and x string"},
		{"half floats", request(t, "fp", put(t, s, "data.parquet", parquetOf(t, column{"half", arrow.FixedWidthTypes.Float16, []string{"1.0"}}))),
			fault.Invalid, `"half"`},
		{"column twice", request(t, "fp", put(t, s, "data.parquet", parquetOf(t, ints("x", 1), ints("x", 1)))), fault.Invalid, `"x"`},
		{"local time", request(t, "fp", put(t, s, "data.parquet", parquetOf(t, column{"at",
			&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "Europe/Berlin"}, []string{"null"}}))), fault.Invalid, `"at"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Commit(t.Context(), c.r)
			wantKind(t, err, c.kind)
			if !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%q does not say %q", err, c.says)
			}
		})
	}
	if _, err := s.Latest(t.Context(), voice); !fault.Is(err, fault.NotFound) {
		t.Fatalf("something was committed: %v", err)
	}
}

func TestConcurrentCommits(t *testing.T) {
	s := openTest(t, t.TempDir())
	var wg sync.WaitGroup
	var mu sync.Mutex
	numbers := map[string]map[int]bool{}
	for i := range 24 { // eight fingerprints, three times each, in three datasets
		name := ref.Name{Workspace: "neurology", Name: fmt.Sprintf("d%d", i%3)}
		r := request(t, fmt.Sprint("fp", i%8), put(t, s, "data.parquet", parquetOf(t, ints("x", i%8))))
		r.Name = name
		wg.Go(func() {
			v, err := s.Commit(context.Background(), r)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			key := name.Name + v.Fingerprint
			if numbers[key] == nil {
				numbers[key] = map[int]bool{}
			}
			numbers[key][v.Number] = true
		})
	}
	wg.Wait()
	for key, n := range numbers {
		if len(n) != 1 {
			t.Errorf("%s has numbers %v", key, n)
		}
	}
	names, err := s.Datasets(t.Context(), "neurology")
	if err != nil || len(names) != 3 {
		t.Fatalf("datasets %v, %v", names, err)
	}
	for _, n := range names {
		all, _, err := s.Versions(t.Context(), n, Page{})
		if err != nil || len(all) != 8 || all[0].Number != 8 {
			t.Errorf("%s has %d versions, %v", n, len(all), err)
		}
	}
	wantClean(t, s)
}

func TestReaderSeesWholeVersionsOnly(t *testing.T) {
	s := openTest(t, t.TempDir())
	commit(t, s, request(t, "fp0", put(t, s, "a.parquet", parquetOf(t, ints("x", 0))), put(t, s, "b.parquet", parquetOf(t, ints("x", 0)))))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			v, err := s.Latest(context.Background(), voice)
			if err != nil {
				t.Error(err)
				return
			}
			rows := scan(t, s, v)
			if len(rows) != 2 || rows[0] != rows[1] || fmt.Sprint("fp", strings.Split(rows[0], "|")[0]) != v.Fingerprint {
				t.Errorf("version %d reads %v", v.Number, rows)
				return
			}
		}
	})
	for i := 1; i <= 15; i++ {
		cols := []column{ints("x", i)}
		if i%2 == 1 {
			cols = append(cols, texts("odd", "yes"))
		}
		b := parquetOf(t, cols...)
		commit(t, s, request(t, fmt.Sprint("fp", i), put(t, s, "a.parquet", b), put(t, s, "b.parquet", b)))
	}
	close(stop)
	wg.Wait()
}

func TestVersionsPages(t *testing.T) {
	s := openTest(t, t.TempDir())
	for i := range 5 {
		commit(t, s, request(t, fmt.Sprint("fp", i), put(t, s, "a.parquet", parquetOf(t, ints("x", i)))))
	}
	page, next, err := s.Versions(t.Context(), voice, Page{Limit: 2})
	if err != nil || len(page) != 2 || page[0].Number != 5 || next != "4" {
		t.Fatalf("%v %q %v", page, next, err)
	}
	page, next, err = s.Versions(t.Context(), voice, Page{Limit: 3, After: next})
	if err != nil || len(page) != 3 || page[2].Number != 1 || next != "" {
		t.Fatalf("%v %q %v", page, next, err)
	}
	_, _, err = s.Versions(t.Context(), voice, Page{After: "x"})
	wantKind(t, err, fault.Invalid)
}

func TestDelete(t *testing.T) {
	s := openTest(t, t.TempDir())
	wantKind(t, s.Delete(t.Context(), voice), fault.NotFound)
	v := commit(t, s, first(t, s))
	if err := s.Delete(t.Context(), voice); err != nil {
		t.Fatal(err)
	}
	_, err := s.ByFingerprint(t.Context(), voice, "fp1")
	wantKind(t, err, fault.NotFound)
	if _, err := s.Why(t.Context(), v.Artifact()); err != nil {
		t.Fatalf("the lineage was lost: %v", err)
	}
	if again := commit(t, s, first(t, s)); again.Number != 2 || len(scan(t, s, again)) != 1 {
		t.Fatalf("made anew: %+v", again)
	}
	wantClean(t, s)
}

func BenchmarkCommit(b *testing.B) {
	s := openTest(b, b.TempDir())
	for i := range b.N {
		commit(b, s, request(b, fmt.Sprint("fp", i), put(b, s, "a.parquet", parquetOf(b, ints("x", i)))))
	}
}

func BenchmarkPutBlob(b *testing.B) {
	s := openTest(b, b.TempDir())
	for i := range b.N {
		put(b, s, "a", fmt.Appendf(nil, "content %d", i))
	}
}
