// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"fathom.dev/fathom/internal/audit"
	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/registry"
	"fathom.dev/fathom/internal/tracking"
)

func openTracking(dir string) (*store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "db"), 0o700); err != nil {
		return nil, err
	}
	s, err := tracking.Open(tracking.Options{Path: filepath.Join(dir, "db", "tracking.db")})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	const run = "0123456789abcdef0123456789abcdef"
	in := func(do func(w *tracking.Workspace) error) func() error {
		return func() error {
			w, err := s.In(ctx, "w")
			if err != nil {
				return err
			}
			return do(w)
		}
	}
	again := func(err error) error { // it was made before the crash
		if fault.Is(err, fault.Conflict) {
			return nil
		}
		return err
	}
	batch := func(step int64) write {
		return write{
			name: fmt.Sprint("metrics of step ", step),
			do: in(func(w *tracking.Workspace) error {
				if _, err := w.CreateRun(ctx, tracking.NewRun{ID: run, Name: "train"}); again(err) != nil {
					return err
				}
				return w.LogBatch(ctx, run, tracking.Batch{
					Metrics: []tracking.Metric{{Key: "loss", Value: float64(step), Time: step, Step: step}, {Key: "auc", Value: 1, Time: step, Step: step}},
					Params:  []tracking.Tag{{Key: fmt.Sprint("p", step), Value: "v"}},
				})
			}),
			kept: in(func(w *tracking.Workspace) error {
				var found [2]int
				for i, key := range []string{"loss", "auc"} {
					points, _, err := w.MetricHistory(ctx, run, key, 100, "")
					if err != nil && !fault.Is(err, fault.NotFound) {
						return err
					}
					for _, p := range points {
						if p.Step == step {
							found[i]++
						}
					}
				}
				if found == [2]int{} {
					return errAbsent
				}
				if found != [2]int{1, 1} {
					return fmt.Errorf("points %v of a batch that is all or nothing", found)
				}
				return nil
			}),
		}
	}
	registered := write{
		name: "a registered version with its alias",
		do: in(func(w *tracking.Workspace) error {
			if _, err := w.CreateRegisteredModel(ctx, "m", "", nil); again(err) != nil {
				return err
			}
			if _, err := w.Version(ctx, "m", 1); fault.Is(err, fault.NotFound) {
				if err := w.PutArtifact(ctx, "m/1/model.onnx", ref.DigestOf([]byte("model")), 5); err != nil {
					return err
				}
				if _, err := w.CreateVersion(ctx, "m", tracking.NewVersion{Source: "mlflow-artifacts:/m/1"}); err != nil {
					return err
				}
			}
			return w.SetAlias(ctx, "m", "champion", 1)
		}),
		kept: in(func(w *tracking.Workspace) error {
			v, err := w.VersionByAlias(ctx, "m", "champion")
			if err != nil {
				return errAbsent
			}
			if v.Version != 1 {
				return fmt.Errorf("version %d", v.Version)
			}
			_, err = w.Artifact(ctx, "m/1/model.onnx")
			return err
		}),
	}
	return &store{writes: []write{batch(1), batch(2), registered, batch(3)}, close: s.Close}, nil
}

func openAudit(dir string) (*store, error) {
	path := filepath.Join(dir, "audit")
	l, err := audit.Open(audit.Options{Dir: path, SegmentBytes: 900, CheckpointEvery: 2})
	if err != nil {
		return nil, err
	}
	var writes []write
	for i := range 8 {
		user := fmt.Sprint("user-", i)
		writes = append(writes, write{
			name: "the line of " + user,
			do: func() error {
				return l.Append(context.Background(), audit.Entry{User: user, Action: "get datasets/data", Object: "w/a", Decision: audit.Allowed})
			},
			kept: func() error {
				lines, err := l.Tail(context.Background(), audit.Filter{User: user}, 10)
				if err == nil && len(lines) == 0 {
					err = errAbsent
				}
				return err
			},
		})
	}
	return &store{writes: writes, close: l.Close, whole: func() error {
		r, err := audit.Verify(path)
		if err == nil && (!r.OK() || r.Torn > 0) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	}}, nil
}

// openCapture: a captured request is acknowledged when its segment is sealed; before, it may be lost.
func openCapture(dir string) (*store, error) {
	path := filepath.Join(dir, "capture")
	s, err := capture.Open(capture.Options{Dir: path, Rows: 1})
	if err != nil {
		return nil, err
	}
	ctx, endpoint := context.Background(), ref.Name{Workspace: "w", Name: "e"}
	holds := func(id string) error {
		files, err := s.Captured(ctx, "w", "e")
		if err != nil {
			return err
		}
		for _, f := range files {
			r, _, err := s.Open(ctx, f.Digest)
			if err != nil {
				return err
			}
			var content bytes.Buffer
			_, err = content.ReadFrom(r)
			if err = errors.Join(err, r.Close()); err != nil {
				return err
			}
			if ref.DigestOf(content.Bytes()) != f.Digest {
				return fmt.Errorf("segment %s does not match its digest", f.Path)
			}
			if strings.Contains(content.String(), `"request_id":"`+id+`"`) {
				return nil
			}
		}
		return errAbsent
	}
	var writes []write
	for i := range 3 {
		id := fmt.Sprint("request-", i)
		writes = append(writes, write{
			name: id,
			do: func() error {
				err := s.Append(ctx, endpoint, capture.Record{RequestID: id, Time: time.Unix(1, 0), Version: 1, Status: 200, Rows: 1,
					Columns: []capture.Column{{Name: "x", Numbers: []float64{1}}}})
				for deadline := time.Now().Add(3 * time.Second); err == nil && holds(id) != nil; time.Sleep(5 * time.Millisecond) {
					if time.Now().After(deadline) {
						return errors.New("it is not sealed")
					}
				}
				return err
			},
			kept: func() error { return holds(id) },
		})
	}
	return &store{writes: writes, close: s.Close, whole: func() error {
		_, damage, err := capture.Verify(path)
		if err == nil && len(damage) > 0 {
			err = fmt.Errorf("%+v", damage)
		}
		return err
	}}, nil
}

func openRegistry(dir string) (*store, error) {
	l, err := lake.Open(lake.Options{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		return nil, err
	}
	s, err := registry.Open(registry.Options{Path: filepath.Join(dir, "db", "registry.db"), Dir: filepath.Join(dir, "lake", "uploads"), Blobs: l})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	ctx, repository := context.Background(), registry.Repository{Workspace: "w", Name: "code"}
	layer := []byte("a layer")
	push := func(tag string) write {
		body := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","annotations":{"tag":"` + tag + `"}}`)
		return write{
			name: "a manifest with the tag " + tag,
			do: func() error {
				if err := s.Put(ctx, repository, bytes.NewReader(layer), digest.FromBytes(layer)); err != nil {
					return err
				}
				return s.PutManifest(ctx, repository, registry.Manifest{MediaType: "application/vnd.oci.image.manifest.v1+json",
					Blobs: []digest.Digest{digest.FromBytes(layer)}}, body, digest.FromBytes(body), tag, func(digest.Digest) error { return nil })
			},
			kept: func() error {
				k, err := s.Resolve(ctx, repository, registry.Reference{Tag: tag})
				if err != nil {
					return absent(err)
				}
				if got, err := s.Read(ctx, k); err != nil || !bytes.Equal(got, body) {
					return fmt.Errorf("it reads %q: %w", got, err)
				}
				content, _, err := s.Stat(ctx, repository, digest.FromBytes(layer))
				if err != nil {
					return err
				}
				return l.VerifyBlob(ctx, content)
			},
		}
	}
	return &store{writes: []write{push("v1"), push("v2")}, close: func() error { return errors.Join(s.Close(), l.Close()) }}, nil
}
