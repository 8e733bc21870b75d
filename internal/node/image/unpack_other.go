// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package image

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"fathom.dev/fathom/internal/fault"
)

func (s *Store) unpack(context.Context, source, name, v1.Manifest, digest.Digest) error {
	return fault.New(fault.Unavailable, "image", "images need Linux")
}
