// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"slices"
	"strings"
	"testing"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// hostilePaths are ways out of a folder that other servers fell for.
var hostilePaths = []string{
	"", ".", "..", "/", "/etc/passwd", "../x", "a/../../x", "a/..", "a//b", "a/./b", "a/", `a\..\b`, `..\x`, "a\x00b", "%2e%2e/x", "%252e%252e%252fx", "..%2fx", "..%5cx",
	"%2fetc", "file:///etc/passwd", "http://evil/x", "s3:x", "a%00b", "%25252e%25252e/x", "a\nb", strings.Repeat("a", 2001), "a/%2e%2e/%2e%2e/b",
}

func TestHostilePaths(t *testing.T) {
	w := in(t, open(t), "neurology")
	must(w.CreateRegisteredModel(t.Context(), "m", "", nil))(t)
	for _, path := range hostilePaths {
		wantInvalid := func(what string, err error) {
			t.Helper()
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s of %q: %v, want Invalid", what, clip(path), err)
			}
		}
		wantInvalid("PutArtifact", w.PutArtifact(t.Context(), path, "sha256:00", 1))
		wantInvalid("DeleteArtifacts", w.DeleteArtifacts(t.Context(), path))
		wantInvalid("Artifact", second(w.Artifact(t.Context(), path)))
		if path != "" {
			wantInvalid("Artifacts", second(w.Artifacts(t.Context(), path)))
			wantInvalid("CreateExperiment", second(w.CreateExperiment(t.Context(), "e"+path, path, nil)))
		}
		for _, source := range []string{path, "file:" + path, "http:///#/" + path, "mlflow-artifacts:/" + path + "/../..", "runs:/" + path, "models:/" + path} {
			_, err := w.CreateVersion(t.Context(), "m", NewVersion{Source: source})
			if !fault.Is(err, fault.NotFound) { // "runs:/a/" is well-formed
				wantInvalid("CreateVersion "+clip(source), err)
			}
		}
	}
	for _, location := range []string{"mlflow-artifacts:/../x", "mlflow-artifacts://host/x", "mlflow-artifacts:/a?b", "mlflow-artifacts:/a#/../b", "mlflow-artifacts:/%2e%2e"} {
		_, err := w.CreateExperiment(t.Context(), "x", location, nil)
		wantKind(t, err, fault.Invalid)
	}
	for _, path := range []string{"a", "a/b.c", "a b/ü+#?&=.txt", "100%", "50%-60%", "a/..b", "..a/b", "...", "a:b/c", "x/y:z"} {
		err := w.PutArtifact(t.Context(), path, "sha256:00", 1)
		if bad := path == "a:b/c"; fault.Is(err, fault.Invalid) != bad {
			t.Errorf("PutArtifact of %q: %v", path, err)
		}
	}
}

func TestArtifactsListsOneLevel(t *testing.T) {
	s := open(t)
	w := in(t, s, "neurology")
	for _, path := range []string{"r/a.txt", "r/d/x", "r/d/y/z", "r/d-e", "r/d.f", "r/d0", "rr/x", "q"} {
		if err := w.PutArtifact(t.Context(), path, ref.DigestOf([]byte(path)), int64(len(path))); err != nil {
			t.Fatal(err)
		}
	}
	list := func(folder string) (names []string) {
		t.Helper()
		for _, a := range must(w.Artifacts(t.Context(), folder))(t) {
			name := a.Path
			if a.Folder {
				name += "/"
			}
			names = append(names, name)
		}
		return names
	}
	for folder, want := range map[string][]string{
		"": {"q", "r/", "rr/"}, "r": {"r/a.txt", "r/d-e", "r/d.f", "r/d/", "r/d0"}, "r/d": {"r/d/x", "r/d/y/"}, "q": {"q"}, "absent": nil,
	} {
		if got := list(folder); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", folder, got, want)
		}
	}
	if err := w.DeleteArtifacts(t.Context(), "r/d"); err != nil {
		t.Fatal(err)
	}
	if got, want := list("r"), []string{"r/a.txt", "r/d-e", "r/d.f", "r/d0"}; !slices.Equal(got, want) {
		t.Errorf("after deleting r/d: %v, want %v", got, want)
	}
	wantKind(t, w.DeleteArtifacts(t.Context(), "r/d"), fault.NotFound)
	digests := 0
	if err := s.Digests(t.Context(), func(ref.Digest) bool { digests++; return true }); err != nil || digests != 6 {
		t.Errorf("%d digests, %v, want 6", digests, err)
	}
}
