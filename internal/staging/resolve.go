// SPDX-License-Identifier: Apache-2.0

package staging

import (
	"context"
	"encoding/json"
	"io"
	"path"
	"strings"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
)

// Source is what runs are staged from.
type Source interface {
	Version(ctx context.Context, name ref.Name, number int) (lake.Version, error)
	GetManifest(ctx context.Context, digest ref.Digest) (lake.FileManifest, error)
	OpenBlob(ctx context.Context, digest ref.Digest) (io.ReadSeekCloser, int64, error)
	StatBlob(ctx context.Context, digest ref.Digest) (int64, error)
}

// maxParams bounds a run's parameters, in bytes.
const maxParams = 16 << 20

// Resolve turns a run's declaration into what its pods get. Of a dataset's version they get the table's Parquet files and
// the objects, nothing that is kept beside them. NotFound: a version or blob that the run names is gone.
func Resolve(ctx context.Context, from Source, r *v1alpha1.Run) (gang.Stage, error) {
	s := gang.Stage{Command: r.Spec.Command}
	for _, in := range r.Spec.Inputs {
		files, err := inputFiles(ctx, from, r.Namespace, in)
		if err != nil {
			return s, err
		}
		s.Inputs = append(s.Inputs, files...)
	}
	if r.Spec.Code != "" {
		digest := ref.Digest(r.Spec.Code)
		size, err := from.StatBlob(ctx, digest)
		if err != nil {
			return s, fault.Wrap(fault.Internal, "code bundle "+digest.Short(), err)
		}
		s.Code = &gang.File{Path: "code.tar", Digest: digest, Size: size}
	}
	if r.Spec.Parameters != "" {
		f, _, err := from.OpenBlob(ctx, ref.Digest(r.Spec.Parameters))
		if err != nil {
			return s, err
		}
		defer f.Close()
		if err := json.NewDecoder(io.LimitReader(f, maxParams)).Decode(&s.Params); err != nil {
			return s, fault.New(fault.Corrupt, "parameters of run "+r.Name, "not JSON: %v", err)
		}
	}
	return s, nil
}

func inputFiles(ctx context.Context, from Source, workspace string, in v1alpha1.RunInput) ([]gang.File, error) {
	digest := ref.Digest(in.Manifest)
	if in.Dataset != "" {
		v, err := from.Version(ctx, ref.Name{Workspace: workspace, Name: in.Dataset}, int(in.Version))
		if err != nil {
			return nil, err
		}
		digest = v.Manifest
	}
	manifest, err := from.GetManifest(ctx, digest)
	if err != nil {
		return nil, err
	}
	var files []gang.File
	for _, f := range manifest.Files {
		name := f.Path
		if in.Dataset != "" && !isData(name) {
			continue
		}
		if in.Path != "" {
			below, ok := strings.CutPrefix(name, in.Path+"/")
			if !ok {
				continue
			}
			name = below
		}
		// The input "." is the inputs folder itself.
		files = append(files, gang.File{Path: path.Join("inputs", in.Name, name), Digest: f.Digest, Size: f.Size})
	}
	return files, nil
}

// isData tells the table and the objects of a version from what is kept beside them.
func isData(name string) bool {
	return strings.HasPrefix(name, "objects/") || strings.HasSuffix(name, ".parquet")
}
