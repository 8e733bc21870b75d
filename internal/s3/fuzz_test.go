// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/versity/versitygw/backend"
)

// FuzzKey: a key that is accepted stays inside its bucket, and the inbox is seen through every spelling.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"a/b", "../x", "inbox/x", "a//b", "%2e%2e/x", "a\x00", "inbox%2fx", "Inbox/", "/", ".", "ws/inbox/x?versionId=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		_, copied, _, _ := backend.ParseCopySource("bucket/" + raw)
		unescaped, _ := url.PathUnescape(raw)
		for _, key := range []string{raw, unescaped, copied} {
			if checkKey(key) != nil {
				continue
			}
			clean := filepath.Clean("/bucket/" + key)
			if !filepath.IsLocal(strings.TrimSuffix(key, "/")) || !strings.HasPrefix(clean, "/bucket/") {
				t.Errorf("%q leaves its bucket", key)
			}
			if strings.HasPrefix(clean+"/", "/bucket/inbox/") && !identified(key) {
				t.Errorf("%q is in the inbox and was not seen", key)
			}
		}
	})
}
