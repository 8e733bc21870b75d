// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/identity"
)

// link makes a one-time link as a user and returns its path.
func (w *world) link(user string) string {
	w.Helper()
	var answer struct{ Path string }
	got := w.ask(user, "POST", "/api/sessions", "")
	if err := json.Unmarshal([]byte(got.text), &answer); err != nil {
		w.Fatal(err)
	}
	return answer.Path
}

// login follows a link and returns the session's cookie; nil when there is none.
func (w *world) login(path string) (*http.Cookie, reply) {
	w.Helper()
	got := w.ask("", "GET", path, "")
	for _, c := range got.Cookies() {
		return c, got
	}
	return nil, got
}

func TestLinkLogsInOnce(t *testing.T) {
	w := newWorld(t)
	var seen []string
	w.may = func(user string, _ identity.Action) bool {
		seen = append(seen, user)
		return true
	}
	link := w.link("ada")
	cookie, got := w.login(link + "&next=/ui/workspaces/neurology")
	if cookie == nil || got.StatusCode != 200 || !strings.Contains(got.text, `url=/ui/workspaces/neurology`) {
		t.Fatalf("%d %s", got.StatusCode, got.text)
	}
	if !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" || !strings.HasPrefix(cookie.Name, "__Host-") {
		t.Errorf("cookie %+v", cookie)
	}
	if again, got := w.login(link); again != nil || got.StatusCode != 401 {
		t.Errorf("the link worked twice: %d", got.StatusCode)
	}
	with := func(r *http.Request) { r.AddCookie(cookie) }
	if got := w.ask("", "GET", "/ui/", "", with); got.StatusCode != 200 || seen[len(seen)-1] != "ada" {
		t.Errorf("%d as %v", got.StatusCode, seen)
	}
	for _, next := range []string{"https://evil.test/", "//evil.test/", "/api/sessions", "javascript:alert(1)"} {
		_, got := w.login(w.link("ada") + "&next=" + next)
		if !strings.Contains(got.text, "url=/ui/\"") || strings.Contains(got.text, "evil") {
			t.Errorf("next %s leads to %s", next, got.text)
		}
	}
}

func TestLinksAndSessionsEnd(t *testing.T) {
	w := newWorld(t)
	late := w.link("ada")
	w.now = w.now.Add(linkLife)
	if cookie, got := w.login(late); cookie != nil || got.StatusCode != 401 {
		t.Errorf("an old link logs in: %d", got.StatusCode)
	}
	cookie, _ := w.login(w.link("ada"))
	with := func(r *http.Request) { r.AddCookie(cookie) }
	w.now = w.now.Add(sessionLife - time.Second)
	if got := w.ask("", "GET", "/ui/", "", with); got.StatusCode != 200 {
		t.Errorf("a session ended early: %d", got.StatusCode)
	}
	w.now = w.now.Add(time.Second)
	if got := w.ask("", "GET", "/ui/", "", with); got.StatusCode != 401 {
		t.Errorf("an old session works: %d", got.StatusCode)
	}
	code := strings.TrimPrefix(w.link("ada"), "/ui/login?code=")
	if got := w.ask("", "GET", "/ui/", "", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookieName, Value: code}) }); got.StatusCode != 401 {
		t.Errorf("a one-time code is a session: %d", got.StatusCode)
	}
	if got := w.ask("", "GET", "/ui/login?code="+cookie.Value, ""); got.StatusCode != 401 {
		t.Errorf("a session is a one-time code: %d", got.StatusCode)
	}
}

// TestCookiesOfOtherSites: a page elsewhere cannot use the browser's session, and a cookie does not help another credential.
func TestCookiesOfOtherSites(t *testing.T) {
	w := newWorld(t)
	w.study()
	cookie, _ := w.login(w.link("ada"))
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	app := func(origin string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set(appHeader, "1")
			r.Header.Set("Origin", origin)
		}
	}
	for _, c := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"own page", "GET", "/ui/", header("Sec-Fetch-Site", "same-origin"), 200},
		{"typed", "GET", "/ui/", header("Sec-Fetch-Site", "none"), 200},
		{"link on another site", "GET", "/ui/", header("Sec-Fetch-Site", "cross-site"), 401},
		{"sibling site", "GET", "/ui/", header("Sec-Fetch-Site", "same-site"), 401},
		{"own program", "POST", ws + "/runs/voice-1/cancel", app("https://fathom.test"), 204},
		{"own form, without the program's header", "POST", ws + "/runs/voice-1/cancel", header("Origin", "https://fathom.test"), 401},
		{"no origin", "POST", ws + "/runs/voice-1/cancel", header(appHeader, "1"), 401},
		{"form elsewhere", "POST", ws + "/runs/voice-1/cancel", app("https://evil.test"), 403},
		{"null origin", "POST", ws + "/runs/voice-1/cancel", header("Origin", "null"), 403},
		{"another credential too", "GET", "/ui/", header("Authorization", "Bearer !forged"), 401},
	} {
		got := w.ask("", c.method, c.path, "", func(r *http.Request) { r.AddCookie(cookie) }, c.change)
		if got.StatusCode != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, got.StatusCode, got.text, c.want)
		}
	}
	if got := w.ask("", "GET", "/ui/", "", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookieName, Value: "guess"}) }); got.StatusCode != 401 {
		t.Errorf("a guessed cookie: %d", got.StatusCode)
	}
}
