// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/capture"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
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
	s := gang.Stage{Attempt: attempt, Command: r.Spec.Command, Params: json.RawMessage("{}")}
	if r.Spec.Code != "" {
		size, err := p.lake.StatBlob(ctx, ref.Digest(r.Spec.Code))
		if err != nil {
			return staging.Plan{}, err
		}
		s.Code = &gang.File{Path: "code", Digest: ref.Digest(r.Spec.Code), Size: size}
	}
	if r.Spec.Parameters != "" {
		if s.Params, err = p.readAll(ctx, ref.Digest(r.Spec.Parameters)); err != nil {
			return staging.Plan{}, err
		}
	}
	for _, in := range r.Spec.Inputs {
		files, err := p.inputFiles(ctx, name.Workspace, in)
		if err != nil {
			return staging.Plan{}, err
		}
		s.Inputs = append(s.Inputs, files...)
	}
	return staging.Plan{Stage: s, Gang: run.Gang(r, int32(attempt))}, nil
}

// inputFiles lists one input's files with their places below the run's root.
func (p *platform) inputFiles(ctx context.Context, workspace string, in v1alpha1.RunInput) ([]gang.File, error) {
	files, err := p.inputManifest(ctx, workspace, in)
	if err != nil {
		return nil, err
	}
	folder := path.Join("inputs", in.Name) // "." puts the files into inputs itself
	var out []gang.File
	for _, f := range files {
		relative := f.Path
		if in.Path != "" {
			var inside bool
			if relative, inside = strings.CutPrefix(f.Path, in.Path+"/"); !inside {
				continue
			}
		}
		out = append(out, gang.File{Path: path.Join(folder, relative), Digest: f.Digest, Size: f.Size})
	}
	return out, nil
}

func (p *platform) inputManifest(ctx context.Context, workspace string, in v1alpha1.RunInput) ([]lake.File, error) {
	if in.Manifest != "" {
		m, err := p.lake.GetManifest(ctx, ref.Digest(in.Manifest))
		return m.Files, err
	}
	v, err := p.lake.Version(ctx, ref.Name{Workspace: workspace, Name: in.Dataset}, int(in.Version))
	if err != nil {
		return nil, err
	}
	files, err := p.lake.Files(ctx, v)
	if err != nil {
		return nil, err
	}
	kept := files[:0]
	for _, f := range files { // the table and its objects; not what the step reported
		if strings.HasSuffix(f.Path, ".parquet") || strings.HasPrefix(f.Path, "objects/") {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

const maxParams = 64 << 20 // bytes of a run's parameters

func (p *platform) readAll(ctx context.Context, digest ref.Digest) ([]byte, error) {
	f, size, err := p.lake.OpenBlob(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxParams {
		return nil, fault.New(fault.TooLarge, "parameters", "%d bytes; at most %d", size, maxParams)
	}
	return io.ReadAll(f)
}
