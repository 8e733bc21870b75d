// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
)

func TestTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.key")
	now := start
	open := func() *Tokens {
		made, err := OpenTokens(file, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	made := open()
	ada := User{Name: "ada", Groups: []string{"researchers"}}
	token, expires, err := made.Issue(ada, time.Hour)
	if err != nil || !expires.Equal(start.Add(time.Hour)) || strings.Contains(token, "ada") {
		t.Fatalf("%q until %s, %v", token, expires, err)
	}
	check := open().Before(tokens{"other": {Name: "bob"}}) // also after a restart
	got, err := check.Authenticate(t.Context(), token)
	if err != nil || got.Name != "ada" || !slices.Equal(got.Groups, ada.Groups) {
		t.Fatalf("%+v %v", got, err)
	}
	if _, _, err := made.Issue(got, time.Hour); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a token made another: %v", err)
	}
	if other, err := check.Authenticate(t.Context(), "other"); err != nil || other.Name != "bob" {
		t.Errorf("the API server's token: %+v %v", other, err)
	}
	for _, wrong := range []string{"fathom_", "fathom_!", token[:len(token)-2], token + "AA", "fathom_" + strings.Repeat("A", 200)} {
		if u, err := check.Authenticate(t.Context(), wrong); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%.20s… is %+v, %v", wrong, u, err)
		}
	}
	now = now.Add(time.Hour)
	if _, err := check.Authenticate(t.Context(), token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("it works after its end: %v", err)
	}
}

func TestTokensRefuse(t *testing.T) {
	made, err := OpenTokens(filepath.Join(t.TempDir(), "tokens.key"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	pod := User{Name: "sa", Extra: map[string][]string{"authentication.kubernetes.io/pod-name": {"p"}}}
	for _, tt := range []struct {
		name string
		user User
		life time.Duration
		want fault.Kind
	}{
		{"nobody", User{}, time.Hour, fault.Unauthenticated},
		{"a pod", pod, time.Hour, fault.Forbidden},
		{"too long", User{Name: "ada"}, 13 * time.Hour, fault.Invalid},
		{"no time", User{Name: "ada"}, 0, fault.Invalid},
	} {
		if _, _, err := made.Issue(tt.user, tt.life); !fault.Is(err, tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	for content, mode := range map[string]os.FileMode{"short": 0o600, strings.Repeat("ab", 32): 0o644} {
		file := filepath.Join(t.TempDir(), "tokens.key")
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenTokens(file, time.Now); err == nil {
			t.Errorf("%q with mode %o is taken", content, mode)
		}
	}
}
