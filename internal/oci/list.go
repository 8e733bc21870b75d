// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/registry"
)

// pageOf reads n and last. A number of entries that nobody can mean is cut, not obeyed (CVE-2023-2253).
func pageOf(r *http.Request) (registry.Page, error) {
	p := registry.Page{After: r.URL.Query().Get("last"), Limit: registry.MaxPage}
	text := r.URL.Query().Get("n")
	if text == "" {
		return p, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return p, &wireError{"UNSUPPORTED", http.StatusBadRequest, fault.New(fault.Invalid, "n", "%.40q is no number of entries", text)}
	}
	p.Limit = int(min(n, registry.MaxPage))
	return p, nil
}

// next links to the following page (distribution spec 1.1, "Listing Tags"; RFC 5988).
func next(w http.ResponseWriter, r *http.Request, limit int, last string) {
	query := url.Values{"n": {fmt.Sprint(limit)}, "last": {last}}
	if kind := r.URL.Query().Get("artifactType"); kind != "" {
		query.Set("artifactType", kind)
	}
	w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", r.URL.EscapedPath(), query.Encode()))
}

func (d *door) listTags(w http.ResponseWriter, r *http.Request, t target) error {
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	found, more, err := d.Registry.Tags(r.Context(), t.repository, p)
	if err != nil {
		return coded("NAME_UNKNOWN", err)
	}
	if more && len(found) > 0 {
		next(w, r, p.Limit, found[len(found)-1])
	}
	writeJSON(w, "application/json", map[string]any{"name": t.repository.String(), "tags": append([]string{}, found...)})
	return nil
}

// listReferrers answers with an index of what refers to a digest; of nothing it is an empty index.
func (d *door) listReferrers(w http.ResponseWriter, r *http.Request, t target) error {
	subject, err := t.digest()
	if err != nil {
		return err
	}
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	artifactType := r.URL.Query().Get("artifactType")
	found, more, err := d.Registry.Referrers(r.Context(), t.repository, subject, artifactType, p)
	if err != nil {
		return err
	}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, k := range found {
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType: k.MediaType, Digest: k.Digest, Size: k.Size, ArtifactType: k.ArtifactType, Annotations: k.Annotations,
		})
	}
	if more && len(found) > 0 {
		next(w, r, p.Limit, string(found[len(found)-1].Digest))
	}
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	writeJSON(w, v1.MediaTypeImageIndex, index)
	return nil
}

// catalog lists the repositories of the workspaces from which the caller may pull.
func (d *door) catalog(w http.ResponseWriter, r *http.Request) error {
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	workspaces, err := d.Workspaces(r.Context())
	if err != nil {
		return err
	}
	user, names := identity.UserFrom(r.Context()), []string{}
	lastWorkspace, lastName, _ := strings.Cut(p.After, "/")
	more := false
	for _, workspace := range workspaces {
		if workspace < lastWorkspace || d.Authorizer.Authorize(r.Context(), user, images(get, workspace)) != nil {
			continue
		}
		here := registry.Page{Limit: p.Limit - len(names)}
		if workspace == lastWorkspace {
			here.After = lastName
		}
		found, rest, err := d.Registry.Repositories(r.Context(), workspace, here)
		if err != nil {
			return err
		}
		for _, name := range found {
			names = append(names, workspace+"/"+name)
		}
		if more = rest; more {
			break
		}
	}
	if more && len(names) > 0 {
		next(w, r, p.Limit, names[len(names)-1])
	}
	writeJSON(w, "application/json", map[string][]string{"repositories": names})
	return nil
}
