// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/kube"
	"fathom.dev/fathom/internal/node/image"
	"fathom.dev/fathom/internal/oci"
	"fathom.dev/fathom/internal/registry"
)

// openRegistry opens what the OCI door keeps, in the lake's store of blobs.
func (p *platform) openRegistry() error {
	var err error
	if p.registry, err = registry.Open(registry.Options{
		Path: p.path("db", "registry.db"), Dir: p.path("lake", "uploads"), Blobs: p.lake, Room: p.room,
	}); err != nil {
		return err
	}
	p.onStop(func(context.Context) error { return p.registry.Close() })
	p.tokens, err = identity.OpenTokens(p.path("pki", "tokens.key"), time.Now)
	return err
}

// stored is how many bytes a workspace holds: its datasets' versions and its images.
func (p *platform) stored(ctx context.Context, workspace string) (int64, error) {
	tables, err := p.lake.Bytes(ctx, workspace)
	if err != nil {
		return 0, err
	}
	images, err := p.registry.Bytes(ctx, workspace)
	return tables + images, err
}

// room is how many more bytes a workspace may store.
func (p *platform) room(ctx context.Context, workspace string) (int64, error) {
	var w v1alpha1.Workspace
	if err := p.objects.Get(ctx, types.NamespacedName{Name: workspace}, &w); client.IgnoreNotFound(err) != nil {
		return 0, fault.Wrap(fault.Unavailable, "workspace", err)
	} else if err != nil {
		return 0, fault.New(fault.NotFound, "workspace", "there is no workspace %s", workspace)
	}
	quota := w.Spec.Quota.Storage
	if quota == nil {
		return 1 << 62, nil
	}
	used, err := p.stored(ctx, workspace)
	return quota.Value() - used, err
}

func (p *platform) workspaces(ctx context.Context) ([]string, error) {
	var list v1alpha1.WorkspaceList
	if err := p.objects.List(ctx, &list); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "workspaces", err)
	}
	var names []string
	for _, w := range list.Items {
		names = append(names, w.Name)
	}
	slices.Sort(names)
	return names, nil
}

// imageSources is where the node has images from: the OCI door, as the node, and layouts in a folder of the state directory.
func (p *platform) imageSources() (image.Options, error) {
	config, err := rest.TLSConfigFor(p.control.RESTConfig(kube.Node))
	if err != nil {
		return image.Options{}, fault.Wrap(fault.Internal, "images", err)
	}
	layouts := p.path("images")
	if err := os.MkdirAll(layouts, 0o700); err != nil {
		return image.Options{}, fault.Wrap(fault.Forbidden, "state", err)
	}
	address := p.doors.main.Addr().String()
	return image.Options{
		Layouts: layouts, Registry: address, Names: []string{fmt.Sprintf("localhost:%d", port(p.doors.main))},
		Client: &http.Client{Transport: &http.Transport{TLSClientConfig: config, ResponseHeaderTimeout: 30 * time.Second}},
	}, nil
}

// images builds the OCI door.
func (p *platform) images(authenticator identity.Authenticator, authorizer identity.Authorizer) (http.Handler, error) {
	return oci.New(oci.Options{
		Registry: p.registry, Blobs: p.lake, Tokens: p.tokens, Workspaces: p.workspaces,
		Authenticator: authenticator, Authorizer: authorizer, Record: p.record("oci"),
		Sweep: func(ctx context.Context, grace time.Duration, try bool) (any, error) { return p.sweep(ctx, grace, try) },
	})
}
