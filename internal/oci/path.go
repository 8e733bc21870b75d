// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/registry"
)

// kind is what a path asks for (distribution spec 1.1, "Endpoints").
type kind int

const (
	blobs     kind = iota // <name>/blobs/<digest>
	manifests             // <name>/manifests/<reference>
	tags                  // <name>/tags/list
	referrers             // <name>/referrers/<digest>
	uploads               // <name>/blobs/uploads/
	upload                // <name>/blobs/uploads/<id>
)

// target is what a request is about.
type target struct {
	kind       kind
	repository registry.Repository
	rest       string // digest, reference or id of the upload
}

// parse reads what follows "/v2/<workspace>/". The end decides, so that a repository may be called "blobs".
func parse(workspace, path string) (target, error) {
	parts := strings.Split(path, "/")
	if n := len(parts); n >= 4 && parts[n-3] == "blobs" && parts[n-2] == "uploads" {
		kind := upload
		if parts[n-1] == "" {
			kind = uploads
		}
		return about(kind, workspace, parts[:n-3], parts[n-1])
	}
	n := len(parts)
	if n < 3 {
		return target{}, fault.New(fault.NotFound, "route", "%.80q is nothing of a registry", path)
	}
	name, last := parts[:n-2], parts[n-1]
	switch parts[n-2] {
	case "blobs":
		if last == "uploads" { // clients leave the slash away
			return about(uploads, workspace, name, "")
		}
		return about(blobs, workspace, name, last)
	case "manifests":
		return about(manifests, workspace, name, last)
	case "referrers":
		return about(referrers, workspace, name, last)
	case "tags":
		if last == "list" {
			return about(tags, workspace, name, "")
		}
	}
	return target{}, fault.New(fault.NotFound, "route", "%.80q is nothing of a registry", path)
}

func about(k kind, workspace string, name []string, rest string) (target, error) {
	r, err := registry.ParseRepository(workspace + "/" + strings.Join(name, "/"))
	return target{kind: k, repository: r, rest: rest}, err
}
