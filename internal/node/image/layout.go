// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"fathom.dev/fathom/internal/fault"
)

// layoutFolder is an OCI layout (image-spec, "OCI Image Layout"). Only what is asked for is read; oras-go's reads every manifest.
type layoutFolder string

func openLayout(folder string) (layoutFolder, error) {
	if _, err := os.Stat(filepath.Join(folder, v1.ImageIndexFile)); errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.NotFound, "image", "there is no OCI layout %s", folder).
			WithHint("make one, for example with `crane pull --format=oci IMAGE %s`", folder)
	} else if err != nil {
		return "", fault.Wrap(fault.Unavailable, "image", err)
	}
	return layoutFolder(folder), nil
}

// Resolve finds a tag or digest. A layout with one image answers to latest when that image has no tag.
func (l layoutFolder) Resolve(_ context.Context, reference string) (v1.Descriptor, error) {
	text, err := l.read(v1.ImageIndexFile)
	if err != nil {
		return v1.Descriptor{}, err
	}
	var index v1.Index
	if err := json.Unmarshal(text, &index); err != nil {
		return v1.Descriptor{}, fault.New(fault.Invalid, "image", "%s of layout %s is no JSON: %v", v1.ImageIndexFile, string(l), err)
	}
	for _, d := range index.Manifests {
		if string(d.Digest) == reference || d.Annotations[v1.AnnotationRefName] == reference {
			return d, nil
		}
	}
	if len(index.Manifests) == 1 && reference == "latest" && index.Manifests[0].Annotations[v1.AnnotationRefName] == "" {
		return index.Manifests[0], nil
	}
	if d, err := digest.Parse(reference); err == nil {
		return l.manifest(d)
	}
	return v1.Descriptor{}, errdef.ErrNotFound
}

// manifest describes one that the layout's own index does not list, since another index does.
func (l layoutFolder) manifest(d digest.Digest) (v1.Descriptor, error) {
	text, err := l.read(blobPath(d))
	if err != nil {
		return v1.Descriptor{}, err
	}
	var m struct{ MediaType string }
	if err := json.Unmarshal(text, &m); err != nil || m.MediaType == "" {
		return v1.Descriptor{}, fault.New(fault.Invalid, "image", "%s of layout %s is no manifest", d, string(l))
	}
	return v1.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(text))}, nil
}

func blobPath(d digest.Digest) string {
	return path.Join(v1.ImageBlobsDir, string(d.Algorithm()), d.Encoded())
}

func (l layoutFolder) read(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(string(l), filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if len(text) > maxDocument {
		return nil, fault.New(fault.TooLarge, "image", "%s of layout %s has more than %d bytes", name, string(l), maxDocument)
	}
	return text, err
}

// Fetch opens a blob.
func (l layoutFolder) Fetch(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fault.New(fault.Invalid, "image", "%q is no digest", string(d.Digest))
	}
	return os.Open(filepath.Join(string(l), filepath.FromSlash(blobPath(d.Digest))))
}
