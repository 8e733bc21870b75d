// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fathom.dev/fathom/internal/bundle"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// store keeps bytes in the workspace and returns their digest; a plan only computes it.
type store func(ctx context.Context, workspace string, content []byte) (ref.Digest, error)

// onlyDigest is the store of a plan: nothing is uploaded.
func onlyDigest(_ context.Context, _ string, content []byte) (ref.Digest, error) {
	return ref.DigestOf(content), nil
}

// upload is the store of an apply.
func (c *connection) upload(ctx context.Context, workspace string, content []byte) (ref.Digest, error) {
	var answer struct {
		Digest ref.Digest `json:"digest"`
	}
	body, err := c.call(ctx, "POST", "/api/workspaces/"+workspace+"/bundles", bytes.NewReader(content))
	if err != nil {
		return "", err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return "", err
	}
	return answer.Digest, nil
}

// resolve replaces what an object says about files beside it by what the API can hold: SQL text and digests.
func (d declared) resolve(ctx context.Context, put store) error {
	for _, at := range [][]string{{"spec", "from", "code"}, {"spec", "train", "code"}} {
		if err := d.resolveCode(ctx, put, at); err != nil {
			return err
		}
	}
	if err := d.resolveSQL(); err != nil {
		return err
	}
	return d.resolvePage(ctx, put)
}

func (d declared) resolveCode(ctx context.Context, put store, at []string) error {
	code, found, _ := unstructured.NestedMap(d.Object, at...)
	path, _ := code["path"].(string)
	if !found || path == "" {
		return nil
	}
	field := strings.Join(at, ".")
	dir := d.absolute(path)
	var tar bytes.Buffer
	if err := bundle.Pack(&tar, dir); err != nil {
		return d.wrap(field+".path", err)
	}
	digest, err := put(ctx, d.GetNamespace(), tar.Bytes())
	if err != nil {
		return d.wrap(field+".path", err)
	}
	code["bundle"] = string(digest)
	if environment, ok := code["environment"].(map[string]any); ok {
		if file, _ := environment["python"].(string); file != "" {
			content, err := readInside(dir, file)
			if err != nil {
				return d.wrap(field+".environment.python", err)
			}
			if digest, err = put(ctx, d.GetNamespace(), content); err != nil {
				return d.wrap(field+".environment.python", err)
			}
			environment["requirements"] = string(digest)
		}
	}
	return unstructured.SetNestedMap(d.Object, code, at...)
}

func (d declared) resolveSQL() error {
	file, _, _ := unstructured.NestedString(d.Object, "spec", "from", "query", "file")
	if file == "" {
		return nil
	}
	content, err := readInside(d.dir, file)
	if err != nil {
		return d.wrap("spec.from.query.file", err)
	}
	return unstructured.SetNestedField(d.Object, string(content), "spec", "from", "query", "sql")
}

// pictures are the files that travel with a report's page.
var pictures = []string{".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp"}

func (d declared) resolvePage(ctx context.Context, put store) error {
	file, _, _ := unstructured.NestedString(d.Object, "spec", "page")
	if d.GetKind() != "Report" || file == "" {
		return nil
	}
	tar, err := packPage(d.absolute(file))
	if err != nil {
		return d.wrap("spec.page", err)
	}
	digest, err := put(ctx, d.GetNamespace(), tar)
	if err != nil {
		return d.wrap("spec.page", err)
	}
	return unstructured.SetNestedField(d.Object, string(digest), "spec", "bundle")
}

// packPage packs the page as page.md together with the pictures beside it.
func packPage(file string) ([]byte, error) {
	temp, err := os.MkdirTemp("", "fathom-page-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	content, err := readInside(filepath.Dir(file), filepath.Base(file))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(temp, "page.md"), content, 0o600); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !slices.Contains(pictures, strings.ToLower(filepath.Ext(e.Name()))) {
			continue
		}
		picture, err := os.ReadFile(filepath.Join(filepath.Dir(file), e.Name()))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(temp, e.Name()), picture, 0o600); err != nil {
			return nil, err
		}
	}
	var tar bytes.Buffer
	err = bundle.Pack(&tar, temp)
	return tar.Bytes(), err
}

func (d declared) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(d.dir, path)
}

// wrap names the object, the field and the file that an error is about.
func (d declared) wrap(field string, err error) error {
	return fault.Wrap(fault.Invalid, strings.TrimSpace(d.title()+" "+field)+" ("+d.file+")", err)
}

// readInside reads a file that must lie inside the folder.
func readInside(dir, file string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.New(fault.NotFound, "read", "there is no folder %s", dir)
	}
	defer root.Close()
	content, err := root.ReadFile(filepath.Clean(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "read", "there is no file %s in %s", file, dir)
	}
	if !filepath.IsLocal(filepath.Clean(file)) {
		return nil, fault.New(fault.Invalid, "read", "%s lies outside of %s", file, dir).WithHint("move the file into that folder")
	}
	return content, err
}
