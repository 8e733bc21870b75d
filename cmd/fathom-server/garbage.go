// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

const (
	firstSweep = 10 * time.Minute // after the start
	sweepEvery = 6 * time.Hour
)

// startSweeping removes, now and then, blobs that nothing refers to.
func (p *platform) startSweeping(ctx context.Context) error {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for timer := time.NewTimer(firstSweep); ; timer.Reset(sweepEvery) {
			select {
			case <-running.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			swept, err := p.sweep(running, lake.Grace, false)
			if err != nil {
				p.logger.Warn("blobs that nothing refers to could not be removed", "error", err)
			} else if swept.Removed > 0 {
				p.logger.Info("removed blobs that nothing referred to", "blobs", swept.Removed, "bytes", swept.Bytes)
			}
		}
	}()
	p.onStop(func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
	return nil
}

// sweep removes blobs that nothing refers to; with try it only tells.
func (p *platform) sweep(ctx context.Context, grace time.Duration, try bool) (lake.Swept, error) {
	if grace < lake.MinGrace {
		return lake.Swept{}, fault.New(fault.Invalid, "grace", "%s is less than %s: what is being stored now must have time to be referred to", grace, lake.MinGrace)
	}
	if !try {
		if err := p.registry.Drop(ctx, grace); err != nil {
			return lake.Swept{}, err
		}
	}
	return p.lake.Sweep(ctx, lake.SweepOptions{Grace: grace, Roots: p.roots, Try: try})
}

// roots are the references from outside of the lake, in the order in which they move: what a run's pods hand in, then what
// objects name, then what the registry and the tracking store keep.
func (p *platform) roots(ctx context.Context, keep func(ref.Digest)) error {
	for _, look := range []func(context.Context, func(ref.Digest)) error{p.handedIn, p.brought, p.declared, p.registry.Contents, p.tracking.Blobs} {
		if err := look(ctx, keep); err != nil {
			return err
		}
	}
	return nil
}

// handedIn are the files of the staging door's ledger.
func (p *platform) handedIn(_ context.Context, keep func(ref.Digest)) error {
	return eachFile(p.path("staging"), func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return lake.Digests(f, keep)
	})
}

// brought is what workspaces uploaded: package upload names files by it.
func (p *platform) brought(_ context.Context, keep func(ref.Digest)) error {
	return eachFile(p.path("uploads"), func(path string) error {
		if d, err := ref.ParseDigest("sha256:" + filepath.Base(path)); err == nil {
			keep(d)
		}
		return nil
	})
}

// eachFile visits the files below a folder; those that go meanwhile are passed over.
func eachFile(dir string, visit func(string) error) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			err = visit(path)
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
	return fault.Wrap(fault.Unavailable, "sweep", err)
}

// declared is what live objects name, in whatever field.
func (p *platform) declared(ctx context.Context, keep func(ref.Digest)) error {
	for _, list := range []client.ObjectList{
		&v1alpha1.RunList{}, &v1alpha1.DatasetList{}, &v1alpha1.ModelList{}, &v1alpha1.ModelVersionList{}, &v1alpha1.ReportList{}, &v1alpha1.EndpointList{},
		&v1alpha1.WorkspaceList{},
	} {
		if err := p.live.List(ctx, list); err != nil {
			return fault.Wrap(fault.Unavailable, "sweep", err)
		}
		text, err := json.Marshal(list)
		if err == nil {
			err = lake.Digests(strings.NewReader(string(text)), keep)
		}
		if err != nil {
			return fault.Wrap(fault.Internal, "sweep", err)
		}
	}
	return nil
}
