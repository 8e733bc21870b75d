// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fathom.dev/fathom/internal/backup"
	"fathom.dev/fathom/internal/environment"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/kube/pki"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/staging"
)

// anyPod lets everybody be rank 0 of the first attempt.
type anyPod struct{}

func (anyPod) Authenticate(context.Context, string) (identity.User, error) {
	return identity.User{Name: "pod", Extra: map[string][]string{
		"authentication.kubernetes.io/pod-name": {"p"}, "authentication.kubernetes.io/pod-uid": {"u"}}}, nil
}

func (anyPod) Authorize(context.Context, identity.User, identity.Action) error { return nil }

// openRuns: what a run's pods hand over, from the first file to the transition that ends the run.
func openRuns(dir string) (*store, error) {
	l, err := lake.Open(lake.Options{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		return nil, err
	}
	ledger, err := staging.OpenLedger(filepath.Join(dir, "staging"))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	door, err := staging.New(staging.Options{
		Authenticator: anyPod{}, Authorizer: anyPod{}, Ledger: ledger, Blobs: l,
		Plan: func(context.Context, ref.Name, int) (staging.Plan, error) {
			return staging.Plan{Stage: gang.Stage{Command: []string{"true"}}, Gang: gang.Gang{Name: "train-1", Workspace: "w"}}, nil
		},
		Pod: func(context.Context, string, string, string) (staging.Pod, error) {
			return staging.Pod{Run: "train", Attempt: 1}, nil
		},
	})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	call := func(method, path, body string) error {
		r := httptest.NewRequest(method, "/runs/w/train/"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		if w.Code >= http.StatusMultipleChoices {
			return fmt.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return nil
	}
	of := func(path string) gang.File {
		return gang.File{Path: path, Digest: ref.DigestOf([]byte("model")), Size: 5}
	}
	blob := func() error { return absent(l.VerifyBlob(context.Background(), ref.DigestOf([]byte("model")))) }
	return &store{
		writes: []write{
			{"a checkpoint", func() error { return call("PUT", "checkpoints/c?digest="+string(of("").Digest), "model") }, blob},
			{"an output", func() error { return call("PUT", "output/model.onnx?digest="+string(of("").Digest), "model") }, blob},
			{"the end of the run", func() error {
				body, err := json.Marshal(gang.Completion{Files: []gang.File{of("model.onnx")}})
				if err != nil {
					return err
				}
				if err := call("PUT", "output/model.onnx?digest="+string(of("").Digest), "model"); err != nil {
					return err
				}
				return call("POST", "complete", string(body))
			}, func() error {
				r, err := ledger.Report(ref.Name{Workspace: "w", Name: "train"})
				if err != nil {
					return err
				}
				if r.Output == "" {
					return errAbsent
				}
				if _, err := l.GetManifest(context.Background(), r.Output); err != nil {
					return err
				}
				return blob()
			}},
		},
		whole: func() error {
			_, damaged, err := staging.VerifyLedger(filepath.Join(dir, "staging"))
			if err == nil && len(damaged) > 0 {
				err = fmt.Errorf("%v", damaged)
			}
			return err
		},
		close: func() error { return errors.Join(ledger.Close(), l.Close()) },
	}, nil
}

// openBackup: a backup is there whole or not at all.
func openBackup(dir string) (*store, error) {
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(source, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(source, "a"), []byte(strings.Repeat("text\n", 10_000)), 0o600); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "b.fathom")
	ctx := context.Background()
	return &store{
		writes: []write{{
			name: "a backup",
			do: func() error {
				w, err := backup.Create(file, backup.Options{Header: backup.Header{Created: time.Unix(1, 0)}})
				if err != nil {
					return err
				}
				if err := w.Tree(ctx, source, "", nil); err != nil {
					return errors.Join(err, w.Discard())
				}
				_, err = w.Close()
				return err
			},
			kept: func() error {
				_, err := backup.Verify(ctx, file, nil)
				return absent(err)
			},
		}},
		close: func() error { return nil },
	}, nil
}

// openEnvironments: an environment has its name when it is complete.
func openEnvironments(dir string) (*store, error) {
	b, err := environment.New(environment.Options{Dir: filepath.Join(dir, "envs"), Cache: filepath.Join(os.TempDir(), "fathom-crash-uv")})
	if err != nil {
		return nil, err
	}
	requirements := []byte("# nothing\n")
	return &store{
		writes: []write{{
			name: "an environment",
			do: func() error {
				_, err := b.Build(context.Background(), requirements, func(string) {})
				return err
			},
			kept: func() error {
				digest, err := b.Digest(requirements)
				if err != nil {
					return err
				}
				_, err = b.Info(digest)
				return absent(err)
			},
		}},
		whole: func() error {
			_, damaged, err := environment.Verify(filepath.Join(dir, "envs"))
			if err == nil && len(damaged) > 0 {
				err = fmt.Errorf("%v", damaged)
			}
			return err
		},
		close: func() error { return nil },
	}, nil
}

// openKeys: the authority's key and certificate belong together, whenever they were interrupted.
func openKeys(dir string) (*store, error) {
	keys := filepath.Join(dir, "pki")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return nil, err
	}
	return &store{
		writes: []write{{
			name: "the authority",
			do: func() error {
				_, err := pki.Open(keys, true, time.Now)
				return err
			},
			kept: func() error {
				if _, err := os.Stat(filepath.Join(keys, "ca.crt")); errors.Is(err, fs.ErrNotExist) {
					return errAbsent
				}
				_, err := pki.Read(keys)
				if fault.Is(err, fault.Corrupt) {
					return fmt.Errorf("damaged: %w", err)
				}
				return err
			},
		}},
		close: func() error { return nil },
	}, nil
}
