// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"fathom.dev/fathom/internal/bundle"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// absent turns NotFound into what the sweep knows.
func absent(err error) error {
	if fault.Is(err, fault.NotFound) {
		return errAbsent
	}
	return err
}

func openLake(dir string) (*store, error) {
	l, err := lake.Open(lake.Options{Dir: filepath.Join(dir, "lake"), Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) }})
	if err != nil {
		return nil, err
	}
	a, b := ref.Name{Workspace: "w", Name: "a"}, ref.Name{Workspace: "w", Name: "b-2"}
	return &store{
		writes: []write{
			commitOf(l, a, 1, "x"), commitOf(l, a, 2, "y"), bundleOf(l), commitOf(l, b, 1, "x"), runOf(l, "run-1"), subjectsOf(l), commitOf(l, a, 3, "x"),
		},
		whole: func() error {
			damage, err := l.Verify(context.Background())
			if err == nil && len(damage) > 0 {
				err = fmt.Errorf("%+v", damage)
			}
			return err
		},
		close: l.Close,
	}, nil
}

// table is a Parquet file of one column.
func table(column string, value int64) ([]byte, error) {
	schema := arrow.NewSchema([]arrow.Field{{Name: column, Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	build := array.NewInt64Builder(memory.DefaultAllocator)
	build.Append(value)
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, nil, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	err = w.Write(array.NewRecordBatch(schema, []arrow.Array{build.NewArray()}, 1))
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

func commitOf(l *lake.Store, name ref.Name, number int, column string) write {
	ctx, fingerprint := context.Background(), fmt.Sprintf("fp-%s-%d", name.Name, number)
	return write{
		name: fmt.Sprintf("%s version %d", name, number),
		do: func() error {
			content, err := table(column, int64(number))
			if err != nil {
				return err
			}
			d, n, err := l.PutBlob(ctx, bytes.NewReader(content), "")
			if err != nil {
				return err
			}
			m, err := lake.NewManifest([]lake.File{{Path: "data.parquet", Digest: d, Size: n}})
			if err != nil {
				return err
			}
			v, err := l.Commit(ctx, lake.CommitRequest{Name: name, Fingerprint: fingerprint, Files: m, Subjects: []string{"p1"}, CreatedBy: "test"})
			if err == nil && v.Rows != 1 {
				err = fmt.Errorf("committed %+v", v)
			}
			return err
		},
		kept: func() error {
			v, err := l.ByFingerprint(ctx, name, fingerprint)
			if err != nil {
				return absent(err)
			}
			if latest, err := l.Latest(ctx, name); err != nil || latest.Number < v.Number {
				return fmt.Errorf("latest is %d: %w", latest.Number, err)
			}
			files, err := l.Files(ctx, v)
			if err != nil || len(files) != 1 {
				return fmt.Errorf("%d files: %w", len(files), err)
			}
			if _, err := l.Schema(ctx, v); err != nil {
				return err
			}
			return l.VerifyBlob(ctx, files[0].Digest)
		},
	}
}

// bundleOf keeps code: a folder packed the same way on every machine.
func bundleOf(l *lake.Store) write {
	pack := func() ([]byte, error) {
		var out bytes.Buffer
		err := bundle.Pack(&out, ".")
		return out.Bytes(), err
	}
	return write{
		name: "a bundle of code",
		do: func() error {
			code, err := pack()
			if err != nil {
				return err
			}
			_, _, err = l.PutBlob(context.Background(), bytes.NewReader(code), "")
			return err
		},
		kept: func() error {
			code, err := pack()
			if err != nil {
				return err
			}
			return absent(l.VerifyBlob(context.Background(), ref.DigestOf(code)))
		},
	}
}

func runOf(l *lake.Store, name string) write {
	ctx := context.Background()
	record := lake.RunRecord{UID: "uid-" + name, Workspace: "w", Name: name, Step: "train", ForKind: "Model", ForName: "m", Phase: "Succeeded",
		Finished: time.UnixMilli(1_700_000_000_000)}
	return write{
		name: "a finished run",
		do:   func() error { return l.RecordRun(ctx, record) },
		kept: func() error {
			runs, _, err := l.Runs(ctx, lake.RunFilter{Workspace: "w"}, lake.Page{})
			if err != nil || len(runs) == 0 {
				return errors.Join(err, errAbsent)
			}
			if len(runs) != 1 || runs[0].UID != record.UID {
				return fmt.Errorf("runs %+v", runs)
			}
			return nil
		},
	}
}

func subjectsOf(l *lake.Store) write {
	model := lake.Artifact{Kind: lake.KindModel, Workspace: "w", Name: "m", Version: "1"}
	return write{
		name: "whom a model knew",
		do:   func() error { return l.RecordSubjects(context.Background(), model, []string{"p1", "p2"}) },
		kept: func() error {
			known, err := l.Subjects(context.Background(), model)
			if err == nil && len(known) != 2 {
				err = fmt.Errorf("subjects %q", known)
			}
			return absent(err)
		},
	}
}
