// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// judge finds another project's program.
func judge(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = filepath.Abs(filepath.Join("..", "..", ".tools", "bin", name))
		if err == nil {
			_, err = os.Stat(path)
		}
	}
	if err != nil {
		t.Skipf("needs %s (make judges): %v", name, err)
	}
	return path
}

func TestCrane(t *testing.T) {
	crane := judge(t, "crane")
	w := newWorld(t)
	home := t.TempDir()
	run := func(wantFail bool, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), crane, args...)
		cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
		var out, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &stderr
		if err := cmd.Run(); (err != nil) != wantFail {
			t.Fatalf("crane %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
		}
		return strings.TrimSpace(out.String() + stderr.String())
	}
	layer := filepath.Join(t.TempDir(), "layer.tar")
	if err := exec.CommandContext(t.Context(), "tar", "-cf", layer, "-C", "..", "oci/doc.go").Run(); err != nil {
		t.Fatal(err)
	}
	repository := w.host + "/clinic/tools/deep/image"
	run(true, "append", "-f", layer, "-t", repository+":v1")
	run(false, "auth", "login", w.host, "-u", "anybody", "-p", "editor")
	run(false, "append", "-f", layer, "-t", repository+":v1")
	d := run(false, "digest", repository+":v1")
	run(false, "copy", repository+":v1", w.host+"/clinic/other:v2") // mounts
	if got := run(false, "digest", w.host+"/clinic/other:v2"); got != d {
		t.Errorf("a copy is %s, want %s", got, d)
	}
	pulled := filepath.Join(t.TempDir(), "image.tar")
	run(false, "pull", repository+"@"+d, pulled)
	run(false, "validate", "--remote", repository+":v1")
	run(false, "tag", repository+":v1", "v3")
	if got := run(false, "ls", repository); got != "v1\nv3" {
		t.Errorf("tags %q", got)
	}
	if got := run(false, "catalog", w.host); got != "clinic/other\nclinic/tools/deep/image" {
		t.Errorf("catalog %q", got)
	}
	run(false, "delete", repository+"@"+d)
	run(true, "manifest", repository+":v1")
	run(true, "pull", w.host+"/elsewhere/image:v1", pulled)
	run(false, "auth", "login", w.host, "-u", "anybody", "-p", "viewer")
	run(true, "append", "-f", layer, "-t", repository+":v9")
}

func TestORAS(t *testing.T) {
	w := newWorld(t)
	repository, err := remote.NewRepository(w.host + "/clinic/data")
	if err != nil {
		t.Fatal(err)
	}
	repository.PlainHTTP = true
	repository.Client = &auth.Client{Credential: auth.StaticCredential(w.host, auth.Credential{Username: "me", Password: "editor"})}
	local := memory.New()
	push := func(kind string, subject *v1.Descriptor, tag, content string) v1.Descriptor {
		t.Helper()
		layer, err := oras.PushBytes(t.Context(), local, "text/plain", []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		d, err := oras.PackManifest(t.Context(), local, oras.PackManifestVersion1_1, kind,
			oras.PackManifestOptions{Layers: []v1.Descriptor{layer}, Subject: subject, ManifestAnnotations: map[string]string{"org.example": content}})
		if err == nil {
			err = local.Tag(t.Context(), d, tag)
		}
		if err == nil {
			_, err = oras.Copy(t.Context(), local, tag, repository, tag, oras.DefaultCopyOptions)
		}
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	image := push("application/vnd.example.data", nil, "v1", "data")
	signature := push("application/vnd.example.signature", &image, "signature", "signed")
	push("application/vnd.example.sbom", &image, "sbom", "parts")
	var found []string
	err = repository.Referrers(t.Context(), image, "application/vnd.example.signature", func(list []v1.Descriptor) error {
		for _, d := range list {
			found = append(found, string(d.Digest)+" "+d.ArtifactType+" "+d.Annotations["org.example"])
		}
		return nil
	})
	if want := string(signature.Digest) + " application/vnd.example.signature signed"; err != nil || len(found) != 1 || found[0] != want {
		t.Errorf("referrers %q, want %q, %v", found, want, err)
	}
	back := memory.New()
	if err = oras.ExtendedCopyGraph(t.Context(), repository, back, image, oras.DefaultExtendedCopyGraphOptions); err != nil {
		t.Fatal(err)
	}
	if there, err := back.Exists(t.Context(), signature); err != nil || !there {
		t.Errorf("the signature was not copied with what it signs: %v", err)
	}
	if exists, err := repository.Exists(t.Context(), v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("nothing"), Size: 7}); err != nil || exists {
		t.Errorf("it holds what nobody pushed: %v", err)
	}
}

func TestContainerd(t *testing.T) {
	w := newWorld(t)
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: docker.ConfigureDefaultRegistries(
		docker.WithPlainHTTP(docker.MatchLocalhost),
		docker.WithAuthorizer(docker.NewDockerAuthorizer(docker.WithAuthCreds(func(string) (string, string, error) { return "me", "editor", nil }))),
	)})
	name := w.host + "/clinic/containerd:v1"
	layer, config := []byte(strings.Repeat("a layer ", 1<<16)), []byte("{}")
	descriptor := func(mediaType string, content []byte) v1.Descriptor {
		return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	}
	parts := map[digest.Digest][]byte{digest.FromBytes(layer): layer, digest.FromBytes(config): config}
	body := w.image(descriptor(v1.MediaTypeImageConfig, config), descriptor(v1.MediaTypeImageLayer, layer))
	parts[digest.FromBytes(body)] = body
	pusher, err := resolver.Pusher(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []v1.Descriptor{
		descriptor(v1.MediaTypeImageConfig, config), descriptor(v1.MediaTypeImageLayer, layer), descriptor(v1.MediaTypeImageManifest, body),
	} {
		push(t, pusher, d, parts[d.Digest])
	}
	resolved, root, err := resolver.Resolve(t.Context(), name)
	if err != nil || root.Digest != digest.FromBytes(body) {
		t.Fatalf("%s is %v, %v", resolved, root, err)
	}
	fetcher, err := resolver.Fetcher(t.Context(), resolved)
	if err != nil {
		t.Fatal(err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(fetch(t, fetcher, root), &m); err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, fetcher, m.Layers[0]); !bytes.Equal(got, layer) {
		t.Errorf("the layer came back with %d bytes, want %d", len(got), len(layer))
	}
}

func push(t *testing.T, pusher remotes.Pusher, d v1.Descriptor, content []byte) {
	t.Helper()
	writer, err := pusher.Push(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err = writer.Write(content); err == nil {
		err = writer.Commit(context.WithoutCancel(t.Context()), d.Size, d.Digest)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func fetch(t *testing.T, fetcher remotes.Fetcher, d v1.Descriptor) []byte {
	t.Helper()
	r, err := fetcher.Fetch(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil || digest.FromBytes(body) != d.Digest {
		t.Fatalf("%s came back as %s, %v", d.Digest, digest.FromBytes(body), err)
	}
	return body
}

// TestConformance runs the specification's own judge. Its results name every test; only passes and what the specification
// leaves open are accepted.
func TestConformance(t *testing.T) {
	program := judge(t, "oci-conformance")
	w := newWorld(t)
	results := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir = results
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + results, "OCI_REGISTRY=" + w.host, "OCI_TLS=disabled", "OCI_REPO1=clinic/conformance/one", "OCI_REPO2=clinic/two",
		"OCI_USERNAME=me", "OCI_PASSWORD=editor", "OCI_RESULTS_DIR=" + results, "OCI_VERSION=1.1",
		"OCI_API_BLOBS_UPLOAD_CANCEL=true", "OCI_API_BLOBS_DIGEST_HEADER=true", "OCI_API_MANIFESTS_DIGEST_HEADER=true",
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "OCI Conformance Result: Pass") {
		t.Fatalf("%v\n%s", err, out)
	}
}
