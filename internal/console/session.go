// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

const (
	cookieName  = "__Host-fathom" // the prefix makes browsers insist on Secure, Path=/ and no Domain
	linkLife    = 2 * time.Minute
	sessionLife = 8 * time.Hour
	maxSessions = 10_000
	appHeader   = "X-Fathom-Console" // sent by the app with each request
)

// sessions keeps one-time codes and browser sessions in memory, by the hash of their secret.
type sessions struct {
	now  func() time.Time
	mu   sync.Mutex
	held map[[32]byte]session
}

type session struct {
	user    identity.User
	expires time.Time
	once    bool // a one-time code, not a session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, held: map[[32]byte]session{}}
}

// create makes a secret for the user.
func (s *sessions) create(user identity.User, life time.Duration, once bool) (string, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", fault.Wrap(fault.Internal, "session", err)
	}
	secret := base64.RawURLEncoding.EncodeToString(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for k, v := range s.held {
		if !now.Before(v.expires) {
			delete(s.held, k)
		}
	}
	if len(s.held) >= maxSessions {
		return "", fault.New(fault.Exhausted, "session", "too many sessions")
	}
	s.held[sha256.Sum256([]byte(secret))] = session{user: user, expires: now.Add(life), once: once}
	return secret, nil
}

// find returns the user of a secret; a one-time code is gone afterwards.
func (s *sessions) find(secret string, once bool) (identity.User, bool) {
	key := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	held, ok := s.held[key]
	if !ok || held.once != once || !s.now().Before(held.expires) {
		return identity.User{}, false
	}
	if once {
		delete(s.held, key)
	}
	return held.user, true
}

// wrap puts the user of a session cookie into the request. A cookie never helps a request from another site, nor one
// that also carries another credential.
func (s *sessions) wrap(next http.Handler) http.Handler { return withSessions{s, next} }

type withSessions struct {
	sessions *sessions
	next     http.Handler
}

// Unwrap is for identity.Routes.
func (h withSessions) Unwrap() http.Handler { return h.next }

// ServeHTTP implements [http.Handler].
func (h withSessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil && r.Header.Get("Authorization") == "" && sameSite(r) {
		if user, ok := h.sessions.find(c.Value, false); ok {
			r = r.WithContext(identity.WithUser(r.Context(), user))
		}
	}
	h.next.ServeHTTP(w, r)
}

func sameSite(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		// A form of another site cannot send a header of its own, whatever it can do about the others.
		if r.Header.Get(appHeader) == "" {
			return false
		}
		origin, err := url.Parse(r.Header.Get("Origin"))
		return err == nil && origin.Host == r.Host
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin" || site == "none"
}

// createLink answers with a path that logs a browser in once, as the caller.
func (s *server) createLink(w http.ResponseWriter, r *http.Request) {
	code, err := s.sessions.create(identity.UserFrom(r.Context()), linkLife, true)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, map[string]string{"path": "/ui/login?code=" + code})
}

func (s *server) login(w http.ResponseWriter, r *http.Request) {
	user, ok := s.sessions.find(r.URL.Query().Get("code"), true)
	if !ok {
		s.loginHint(w)
		return
	}
	secret, err := s.sessions.create(user, sessionLife, false)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		MaxAge: int(sessionLife.Seconds()),
	})
	next := r.URL.Query().Get("next")
	if !strings.HasPrefix(next, "/ui/") {
		next = "/ui/"
	}
	// A page, not a redirect: a strict cookie is not sent with a redirect that began on another site.
	secure(w)
	renderPage(w, "Welcome", redirectTemplate, next)
}

func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }
