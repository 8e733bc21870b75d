// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

// FuzzArtifactPath: a path that is accepted stays inside its folder, however often a client decodes it.
func FuzzArtifactPath(f *testing.F) {
	for _, s := range []string{"a/b.txt", "../x", "a/../../x", "%2e%2e/x", "%252e%252e%252fx", "..\\x", "/x", "file:///x", "a//b", "a/./b", "\x00", "ü/ö", strings.Repeat("a/", 999)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ArtifactPath(s)
		if err != nil {
			return
		}
		if got != s || len(s) > MaxArtifactPath {
			t.Errorf("%q was accepted as %q", s, got)
		}
		for range 4 {
			if path.IsAbs(s) || path.Clean(s) != s || s == ".." || strings.HasPrefix(s, "../") || strings.ContainsAny(s, "\\\x00") {
				t.Errorf("%q was accepted, and a client may read it as %q", got, s)
			}
			decoded, err := url.PathUnescape(s)
			if err != nil || decoded == s {
				return
			}
			s = decoded
		}
	})
}
