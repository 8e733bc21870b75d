// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

const stepPatience = 2 * time.Minute

// The workspace and, per round, the two datasets of which neither has anything to do.
const (
	stepWorkspace = "apiVersion: fathom.dev/v1alpha1\nkind: Workspace\nmetadata: {name: bench}\n"
	codeDataset   = `apiVersion: fathom.dev/v1alpha1
kind: Dataset
metadata: {name: code-%[1]d, namespace: bench}
spec: {from: {code: {path: ./code, command: [/bin/sh, copy.sh, "%[1]d"]}}}
`
	queryDataset = `apiVersion: fathom.dev/v1alpha1
kind: Dataset
metadata: {name: query-%[1]d, namespace: bench}
spec: {from: {query: {sql: "select %[1]d as n"}}}
`
	copyScript = "cp data.parquet \"$FATHOM_OUTPUT/data.parquet\"\n"
)

// measureStep applies datasets that do nothing and waits until they are ready: the whole way through the command line,
// admission, plan, queue, Job, scheduler, node, container, staging, upload and commit. Each is new; none is found again.
func measureStep(ctx context.Context, b *bench) ([]figure, error) {
	dir, err := b.fresh("step")
	if err != nil {
		return nil, err
	}
	if err := writeStep(dir); err != nil {
		return nil, err
	}
	p, _, err := b.up(ctx, filepath.Join(dir, "state"))
	if err != nil {
		return nil, err
	}
	figures, err := stepRounds(ctx, b, p, dir)
	return figures, errors.Join(err, p.stop())
}

func stepRounds(ctx context.Context, b *bench, p *platform, dir string) ([]figure, error) {
	if err := p.verb(ctx, "apply", "-f", filepath.Join(dir, "workspace.yaml")); err != nil {
		return nil, err
	}
	o, err := p.observe(ctx, "bench")
	if err != nil {
		return nil, err
	}
	defer o.stop()
	container, err := newContainer(b, dir)
	if err != nil {
		return nil, err
	}
	code := figure{what: "code dataset, `fathom apply` to Ready", unit: "ms", peer: "runc run of /bin/true", aim: "≤ 40 ms"}
	query := figure{what: "query dataset, `fathom apply` to Ready", unit: "ms", peer: "fork and exec of /bin/true", aim: "≤ 40 ms"}
	n := 0
	kinds := []struct {
		figure *figure
		yaml   string
		name   string
		floor  func(context.Context) (time.Duration, error)
	}{{&code, codeDataset, "code", container.run}, {&query, queryDataset, "query", forkExec}}
	for round := -1; round < b.rounds; round++ { // the first warms up
		for _, k := range kinds {
			n++
			file := filepath.Join(dir, fmt.Sprintf("%s-%d.yaml", k.name, n))
			if err := os.WriteFile(file, fmt.Appendf(nil, k.yaml, n), 0o600); err != nil {
				return nil, err
			}
			var took, floor time.Duration
			err := inTurn(round, func() (err error) {
				begin := time.Now()
				if err := p.verb(ctx, "apply", "-f", file); err != nil {
					return err
				}
				at, err := o.wait(ctx, fmt.Sprintf("dataset/%s-%d", k.name, n), stepPatience)
				took = at.Sub(begin)
				return err
			}, func() (err error) { floor, err = k.floor(ctx); return err })
			if err != nil {
				return nil, err
			}
			if round < 0 {
				continue
			}
			k.figure.values = append(k.figure.values, took.Seconds()*1e3)
			if k.floor != nil && floor > 0 {
				k.figure.peers = append(k.figure.peers, floor.Seconds()*1e3)
			}
		}
	}
	return []figure{code, query}, nil
}

func writeStep(dir string) error {
	code := filepath.Join(dir, "code")
	return errors.Join(os.Mkdir(code, 0o755),
		os.WriteFile(filepath.Join(dir, "workspace.yaml"), []byte(stepWorkspace), 0o600),
		os.WriteFile(filepath.Join(code, "copy.sh"), []byte(copyScript), 0o644), //nolint:gosec // part of a bundle
		writeParquet(filepath.Join(code, "data.parquet")))
}

// writeParquet writes a table of one row.
func writeParquet(path string) error {
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	rows := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rows.Release()
	rows.Field(0).(*array.Int64Builder).Append(1)
	batch := rows.NewRecordBatch()
	defer batch.Release()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(w.Write(batch), w.Close()) // closes the file too
}
