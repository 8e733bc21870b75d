// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/operator/run"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/source"
	"fathom.dev/fathom/internal/staging"
)

// blobs opens what a stage names: blobs of the lake, source files of buckets, and captured traffic.
type blobs struct {
	*lake.Store
	sources  *source.Index
	captured *capture.Store
}

// OpenBlob looks in the lake first.
func (b blobs) OpenBlob(ctx context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error) {
	f, size, err := b.Store.OpenBlob(ctx, digest)
	if fault.Is(err, fault.NotFound) {
		f, size, err = b.sources.Open(ctx, digest)
	}
	if fault.Is(err, fault.NotFound) {
		f, size, err = b.captured.Open(ctx, digest)
	}
	return f, size, err
}

// artifacts are the tracking server's files, in the lake.
type artifacts struct{ store *lake.Store }

func (a artifacts) Put(ctx context.Context, r io.Reader) (ref.Digest, int64, error) {
	return a.store.PutBlob(ctx, r, "")
}

func (a artifacts) Open(ctx context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error) {
	return a.store.OpenBlob(ctx, digest)
}

// pod tells the staging door which run a token's pod belongs to.
func (p *platform) pod(ctx context.Context, workspace, name, uid string) (staging.Pod, error) {
	of, attempt, rank, err := run.Member(ctx, p.objects, p.live, workspace, name, uid)
	return staging.Pod{Run: of, Attempt: attempt, Rank: rank}, err
}

// extraPodName and extraPodUID are what the API server adds to a token that is bound to a pod.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// trackingScope limits a pod to the tracking run of its own run: what it writes is not for the pods of other folds.
func (p *platform) trackingScope(ctx context.Context, workspace string, user identity.User) (tracked string, limited bool, err error) {
	name, uid := user.Extra[extraPodName], user.Extra[extraPodUID]
	if len(name) == 0 && len(uid) == 0 {
		return "", false, nil
	}
	if len(name) != 1 || len(uid) != 1 {
		return "", true, fault.New(fault.Forbidden, "tracking", "the token is bound to a pod in a way that is not understood")
	}
	pod, err := p.pod(ctx, workspace, name[0], uid[0])
	if err != nil {
		return "", true, err
	}
	r, err := p.findRun(ctx, ref.Name{Workspace: workspace, Name: pod.Run})
	if err != nil {
		return "", true, err
	}
	return r.Spec.TrackingRun, true, nil
}

// findRun reads a run, past the cache if it is not there yet.
func (p *platform) findRun(ctx context.Context, name ref.Name) (*v1alpha1.Run, error) {
	var r v1alpha1.Run
	key := types.NamespacedName{Namespace: name.Workspace, Name: name.Name}
	err := p.objects.Get(ctx, key, &r)
	if apierrors.IsNotFound(err) {
		err = p.live.Get(ctx, key, &r)
	}
	if apierrors.IsNotFound(err) {
		return nil, fault.New(fault.NotFound, "run "+name.String(), "there is none")
	}
	return &r, fault.Wrap(fault.Unavailable, "run "+name.String(), err)
}

// stage says what an attempt of a run reads and does.
func (p *platform) stage(ctx context.Context, name ref.Name, attempt int) (staging.Plan, error) {
	r, err := p.findRun(ctx, name)
	if err != nil {
		return staging.Plan{}, err
	}
	stage, err := staging.Resolve(ctx, p.lake, r)
	stage.Attempt = attempt
	return staging.Plan{Stage: stage, Gang: run.Gang(r, int32(attempt))}, err
}

const maxDocument = 64 << 20 // bytes of a JSON document that is read whole

func (p *platform) readAll(ctx context.Context, digest ref.Digest) ([]byte, error) {
	f, size, err := p.lake.OpenBlob(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxDocument {
		return nil, fault.New(fault.TooLarge, "document", "%d bytes; at most %d", size, maxDocument)
	}
	return io.ReadAll(f)
}
