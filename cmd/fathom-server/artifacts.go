// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"fmt"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/ref"
	"fathom.dev/fathom/internal/registry"
)

// shelf shows in the registry what the lake has: models, code, environments. Every call may be repeated.
type shelf struct {
	registry *registry.Store
	lake     *lake.Store
}

const (
	mediaModel        = "application/vnd.fathom.model.onnx.v1"
	mediaRequirements = "application/vnd.fathom.environment.requirements.v1+txt"
	mediaLock         = "application/vnd.fathom.environment.lock.v1+txt"
)

// model shows a version of a model under the tag v<number>.
func (s shelf) model(ctx context.Context, name ref.Name, number int64, run string, digest ref.Digest) error {
	size, err := s.lake.StatBlob(ctx, digest)
	if err != nil {
		return err
	}
	facts := map[string]string{"dev.fathom.workspace": name.Workspace, "dev.fathom.model": name.Name, v1.AnnotationVersion: fmt.Sprint(number)}
	if run != "" {
		facts["dev.fathom.tracking-run"] = run
	}
	return s.registry.Keep(ctx, registry.Artifact{
		Repository: modelRepository(name), Type: registry.TypeModel, Tag: versionTag(number), Annotations: facts,
		Parts: []registry.Part{{Name: "model.onnx", MediaType: mediaModel, Digest: digest, Size: size}},
	})
}

func modelRepository(name ref.Name) registry.Repository {
	return registry.Repository{Workspace: name.Workspace, Name: registry.Models + name.Name}
}

func versionTag(number int64) string { return fmt.Sprintf("v%d", number) }

// production lets the tag of that name follow a version.
func (s shelf) production(ctx context.Context, name ref.Name, number int64) error {
	return s.registry.Move(ctx, modelRepository(name), aliasCurrent, versionTag(number))
}

// bundle shows code that was uploaded; requirements files come the same way and are shown with their environment.
func (s shelf) bundle(ctx context.Context, workspace string, digest ref.Digest) error {
	f, size, err := s.lake.OpenBlob(ctx, digest)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := tar.NewReader(f).Next(); err != nil {
		return nil //nolint:nilerr // not code
	}
	return s.registry.Keep(ctx, registry.Artifact{
		Repository: registry.Repository{Workspace: workspace, Name: registry.Bundles}, Type: registry.TypeBundle, Tag: digest.Hex(),
		Parts: []registry.Part{{Name: "code.tar", MediaType: v1.MediaTypeImageLayer, Digest: digest, Size: size}},
	})
}

// environment shows what an environment was asked to hold, and what it holds.
func (s shelf) environment(ctx context.Context, workspace string, digest, requirements ref.Digest, python string, packages []string) error {
	size, err := s.lake.StatBlob(ctx, requirements)
	if err != nil {
		return err
	}
	lock, locked, err := s.lake.PutBlob(ctx, strings.NewReader(strings.Join(packages, "\n")+"\n"), "")
	if err != nil {
		return err
	}
	return s.registry.Keep(ctx, registry.Artifact{
		Repository: registry.Repository{Workspace: workspace, Name: registry.Environments}, Type: registry.TypeEnvironment, Tag: digest.Hex(),
		Annotations: map[string]string{"dev.fathom.python": python},
		Parts: []registry.Part{
			{Name: "requirements.txt", MediaType: mediaRequirements, Digest: requirements, Size: size},
			{Name: "fathom.lock", MediaType: mediaLock, Digest: lock, Size: locked},
		},
	})
}

// uploaded remembers what a workspace brought. That it is shown in the registry too is not worth refusing it for.
func (p *platform) uploaded(workspace string, digest ref.Digest) error {
	if err := p.uploads.Add(workspace, digest); err != nil {
		return err
	}
	if err := p.shelf().bundle(context.Background(), workspace, digest); err != nil {
		p.logger.Error("a bundle is not shown in the registry", "workspace", workspace, "digest", digest, "error", err)
	}
	return nil
}

func (p *platform) shelf() shelf { return shelf{p.registry, p.lake} }

// showEnvironment shows a finished environment to the workspaces that asked for it.
func (p *platform) showEnvironment(ctx context.Context, digest, requirements ref.Digest) error {
	workspaces, err := p.workspaces(ctx)
	if err != nil {
		return err
	}
	for _, workspace := range workspaces {
		key := workspace + " " + string(digest) + " " + string(requirements)
		if _, shown := p.shown.Load(key); shown || p.uploads.Check(workspace, string(requirements)) != nil {
			continue
		}
		info, err := p.envs.Info(digest)
		if err == nil {
			err = p.shelf().environment(ctx, workspace, digest, requirements, info.Python, info.Packages)
		}
		if err != nil {
			return err
		}
		p.shown.Store(key, true)
	}
	return nil
}
