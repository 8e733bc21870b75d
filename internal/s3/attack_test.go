// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

// TestEveryOperationWithEveryCredential is generated from the table: an operation that is added is in it.
func TestEveryOperationWithEveryCredential(t *testing.T) {
	now := time.Now()
	p := start(t, func(o *Options) { o.Now = func() time.Time { return now } })
	p.put("neuro/attack/keep", "keep")
	good, foreign := p.keysOf(editor), p.keysOf(other)
	now = now.Add(-2 * time.Hour)
	expired := p.keysOf(editor)
	now = now.Add(2 * time.Hour)
	withToken, err := p.keys.issue(sealed{Token: "removed-token"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	wrongSecret, mixed := good, good
	wrongSecret.SecretAccessKey = strings.Repeat("x", 40)
	mixed.SessionToken = foreign.SessionToken

	attacks := map[string]func(*http.Request) *http.Request{
		"no credentials": func(r *http.Request) *http.Request { return r },
		"garbage header": func(r *http.Request) *http.Request { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x"); return r },
		"bearer token":   func(r *http.Request) *http.Request { r.Header.Set("Authorization", "Bearer pod-token"); return r },
		"identity headers": func(r *http.Request) *http.Request {
			r.Header["X-Remote-User"], r.Header["X-Remote-Group"] = []string{"stella"}, []string{"neuro:steward"}
			return r
		},
		"wrong secret":       func(r *http.Request) *http.Request { return sign(t, r, wrongSecret) },
		"expired":            func(r *http.Request) *http.Request { return sign(t, r, expired) },
		"mixed":              func(r *http.Request) *http.Request { return sign(t, r, mixed) },
		"other's workspace":  func(r *http.Request) *http.Request { return sign(t, r, foreign) },
		"pod is gone":        func(r *http.Request) *http.Request { return sign(t, r, withToken) },
		"presigned, wrong":   func(r *http.Request) *http.Request { return presign(t, r, wrongSecret) },
		"presigned, expired": func(r *http.Request) *http.Request { return presign(t, r, expired) },
		"presigned, other's": func(r *http.Request) *http.Request { return presign(t, r, foreign) },
		"two signatures":     func(r *http.Request) *http.Request { return sign(t, presign(t, r, good), good) },
		"query credential only": func(r *http.Request) *http.Request {
			q := r.URL.Query()
			q.Set("X-Amz-Credential", good.AccessKeyID+"/"+now.Format("20060102")+"/us-east-1/s3/aws4_request")
			r.URL.RawQuery = q.Encode()
			return r
		},
		"query credential, unsigned trailer": func(r *http.Request) *http.Request {
			q := r.URL.Query()
			q.Set("X-Amz-Credential", good.AccessKeyID+"/"+now.Format("20060102")+"/us-east-1/s3/aws4_request")
			r.URL.RawQuery = q.Encode()
			return unsignedTrailer(r)
		},
		"unsigned trailer, no signature": unsignedTrailer,
		"unsigned trailer, wrong secret": func(r *http.Request) *http.Request { return sign(t, unsignedTrailer(r), wrongSecret) },
		"body changed": func(r *http.Request) *http.Request {
			r = sign(t, r, good)
			if r.ContentLength > 0 {
				b, _ := io.ReadAll(r.Body)
				b[len(b)-1] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(b))
				return r
			}
			r.Header.Set("X-Amz-Content-Sha256", hexSum("other"))
			return r
		},
		"unsigned header added": func(r *http.Request) *http.Request {
			r = sign(t, r, good)
			r.Header.Set("X-Amz-Meta-Evil", "1")
			return r
		},
		"path changed": func(r *http.Request) *http.Request { r = sign(t, r, good); r.URL.Path += "y"; return r },
		"method changed": func(r *http.Request) *http.Request {
			r = sign(t, r, good)
			r.Method = map[string]string{"GET": "HEAD", "HEAD": "GET", "PUT": "GET", "POST": "GET", "DELETE": "GET"}[r.Method]
			return r
		},
	}
	before := p.files()
	for _, op := range Operations() {
		for name, attack := range attacks {
			t.Run(op.Name+"/"+name, func(t *testing.T) {
				if name == "other's workspace" && op.Verb == "" || name == "presigned, other's" && op.Verb == "" {
					t.Skip("a list of one's own buckets")
				}
				status, body := p.do(attack(p.request(op, "neuro")))
				if (status < 400 || status >= 500) && !(status == 501 && name == "method changed") {
					t.Errorf("status %d: %s", status, body)
				}
				for _, r := range p.takeRecords() {
					if r.Decision == nil && name != "body changed" { // the body comes after the decision
						t.Errorf("allowed: %+v", r)
					}
				}
			})
		}
	}
	if after := p.files(); after != before {
		t.Errorf("the attacks changed the files:\n%s\n--- before:\n%s", after, before)
	}
	// The same requests, rightly signed, are let through.
	for _, op := range Operations() {
		if status, body := p.do(sign(t, p.request(op, "neuro"), good)); status == 401 || status == 403 || status >= 500 {
			t.Errorf("%s with good keys: %d %s", op.Name, status, body)
		}
	}
}

func TestPathTricks(t *testing.T) {
	p := start(t, nil)
	outside := filepath.Join(filepath.Dir(p.dir), "outside")
	if err := os.WriteFile(outside, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.put("neuro/inbox/raw", "raw")
	p.put("other/secret", "secret")
	for name, target := range map[string]string{"neuro/out": outside, "neuro/up": "../other", "neuro/side": "inbox", "neuro/link": "inbox/raw"} {
		if err := os.Symlink(target, filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	keys := p.keysOf(editor)
	paths := []string{
		"/neuro/../other/secret", "/neuro/%2e%2e/other/secret", "/neuro/..%2fother%2fsecret", "/neuro/%252e%252e/other/secret",
		"/neuro/a/../../other/secret", "/neuro/..%5c..%5coutside", "/neuro//etc/passwd", "/neuro/%2fetc/passwd", "/neuro/./inbox/raw",
		"/neuro/x%00.csv", "/neuro/x%0a", "/neuro%2f..%2fother/secret", "/../outside", "/%2e%2e/outside", "/.stage/x", "/.uploads/neuro",
		"/neuro/..", "/neuro/%2e%2e", "/neuro/%ff%fe", "/neuro/out", "/neuro/up/secret", "/neuro/side/raw", "/neuro/link", "/NEURO/inbox/raw", "/neuro/inbox%2fraw",
		"/neuro/" + strings.Repeat("x", 2000), "/neuro/" + strings.Repeat("x", 300),
	}
	before := p.files()
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			u, err := url.Parse(p.url)
			if err != nil {
				t.Fatal(err)
			}
			u.Opaque = "//" + u.Host + path
			r := &http.Request{Method: method, URL: u, Header: http.Header{"X-Amz-Content-Sha256": {hexSum("")}}, Host: u.Host}
			status, body := p.do(sign(t, r, keys))
			harmless := method == "DELETE" && (status == 204 || status == 200) && !strings.Contains(path, "inbox")
			if status >= 500 || strings.Contains(body, "outside") && !strings.Contains(body, "Error") || strings.Contains(body, ">raw<") || body == "raw" || body == "secret" ||
				status < 400 && !harmless && path != "/neuro/inbox%2fraw" {
				t.Errorf("%s %s: %d %.200s", method, path, status, body)
			}
			if path == "/neuro/inbox%2fraw" && method != "PUT" && method != "DELETE" && status != 403 {
				t.Errorf("%s %s: %d", method, path, status)
			}
			if path == "/neuro/inbox%2fraw" { // an editor may write and delete there
				p.put("neuro/inbox/raw", "raw")
			}
		}
	}
	if after := p.files(); after != before {
		t.Errorf("the files changed:\n%s\n--- before:\n%s", after, before)
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "outside" {
		t.Error("the file outside was touched")
	}
}

func TestWhatIsNotInTheTable(t *testing.T) {
	p := start(t, nil)
	p.put("neuro/x", "x")
	keys := p.keysOf(steward)
	before := p.files()
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"} {
		for _, path := range []string{"/", "/neuro", "/neuro/x", "/brand-new"} {
			for _, arg := range []string{"acl", "policy", "cors", "tagging", "lifecycle", "versioning", "versions", "website", "replication",
				"object-lock", "retention", "legal-hold", "torrent", "restore", "select", "ownershipControls", "notification", "versionId=1", "attributes", "whatever"} {
				if method == "GET" && arg == "versioning" || method == "CONNECT" {
					continue
				}
				r, err := http.NewRequest(method, p.url+path+"?"+arg, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-Amz-Content-Sha256", hexSum(""))
				if status, body := p.do(sign(t, r, keys)); status < 400 || status == 500 || status > 501 {
					t.Errorf("%s %s?%s: %d %s", method, path, arg, status, body)
				}
			}
		}
	}
	for _, path := range []string{"/brand-new", "/neuro"} {
		for _, method := range []string{"PUT", "DELETE"} {
			r, _ := http.NewRequest(method, p.url+path, nil)
			r.Header.Set("X-Amz-Content-Sha256", hexSum(""))
			if status, _ := p.do(sign(t, r, keys)); status != 403 {
				t.Errorf("%s %s: %d, want 403", method, path, status)
			}
		}
	}
	if after := p.files(); after != before {
		t.Errorf("the files changed:\n%s", after)
	}
}

func TestSTS(t *testing.T) {
	now := time.Now()
	p := start(t, func(o *Options) { o.Now = func() time.Time { return now } })
	form := func(change func(url.Values)) (int, string) {
		v := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::0:role/r"},
			"RoleSessionName": {"s"}, "WebIdentityToken": {"pod-token"}}
		if change != nil {
			change(v)
		}
		r, err := http.NewRequest("POST", p.url+"/", strings.NewReader(v.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return p.do(r)
	}
	tests := []struct {
		name   string
		change func(url.Values)
		down   bool
		status int
		want   string
	}{
		{"good", nil, false, 200, "<Expiration>" + now.Add(time.Hour).UTC().Format(time.RFC3339) + "</Expiration>"},
		{"shorter", func(v url.Values) { v.Set("DurationSeconds", "900") }, false, 200, now.Add(15 * time.Minute).UTC().Format(time.RFC3339)},
		{"longer is cut", func(v url.Values) { v.Set("DurationSeconds", "43200") }, false, 200, now.Add(time.Hour).UTC().Format(time.RFC3339)},
		{"no duration", func(v url.Values) { v.Set("DurationSeconds", "x") }, false, 400, "ValidationError"},
		{"negative duration", func(v url.Values) { v.Set("DurationSeconds", "-5") }, false, 400, "ValidationError"},
		{"wrong token", func(v url.Values) { v.Set("WebIdentityToken", "x") }, false, 400, "InvalidIdentityToken"},
		{"no token", func(v url.Values) { v.Del("WebIdentityToken") }, false, 400, "InvalidIdentityToken"},
		{"other action", func(v url.Values) { v.Set("Action", "AssumeRole") }, false, 400, "ValidationError"},
		{"session policy", func(v url.Values) { v.Set("Policy", "{}") }, false, 400, "ValidationError"},
		{"session policies", func(v url.Values) { v.Set("PolicyArns.member.1.arn", "x") }, false, 400, "ValidationError"},
		{"too long", func(v url.Values) { v.Set("WebIdentityToken", strings.Repeat("x", maxForm)) }, false, 400, "ValidationError"},
		{"API server down", nil, true, 503, "IDPCommunicationError"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.pods.mu.Lock()
			p.pods.down = tt.down
			p.pods.mu.Unlock()
			status, body := form(tt.change)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("%d %s; want %d %s", status, body, tt.status, tt.want)
			}
			if tt.status != 200 && strings.Contains(body, "<Credentials>") {
				t.Error("keys were given")
			}
		})
	}
}

func TestKeysEndWithTheirPod(t *testing.T) {
	now := time.Now()
	p := start(t, func(o *Options) { o.Now = func() time.Time { return now } })
	k, err := p.keys.issue(sealed{Token: "pod-token"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	list := func() (int, string) {
		r, _ := http.NewRequest("GET", p.url+"/neuro?list-type=2", nil)
		r.Header.Set("X-Amz-Content-Sha256", hexSum(""))
		return p.do(sign(t, r, k))
	}
	steps := []struct {
		name   string
		do     func()
		status int
		code   string
	}{
		{"lives", func() {}, 200, ""},
		{"API server down", func() { p.pods.down = true }, 503, "ServiceUnavailable"},
		{"API server back", func() { p.pods.down = false }, 200, ""},
		{"no longer an editor", func() { p.pods.tokens["pod-token"] = identity.User{Name: "pod"} }, 403, "AccessDenied"},
		{"pod removed", func() { delete(p.pods.tokens, "pod-token") }, 400, "ExpiredToken"},
		{"pod back", func() { p.pods.tokens["pod-token"] = pod }, 200, ""},
		{"an hour later", func() { now = now.Add(time.Hour) }, 400, "ExpiredToken"},
	}
	for _, s := range steps {
		p.pods.mu.Lock()
		s.do()
		p.pods.mu.Unlock()
		if status, body := list(); status != s.status || !strings.Contains(body, s.code) {
			t.Fatalf("%s: %d %s, want %d %s", s.name, status, body, s.status, s.code)
		}
	}
}

func TestIssueKeys(t *testing.T) {
	p := start(t, nil)
	for _, ttl := range []time.Duration{-1, time.Second, 13 * time.Hour} {
		if _, err := p.IssueKeys(editor, ttl); !fault.Is(err, fault.Invalid) {
			t.Errorf("ttl %s: %v", ttl, err)
		}
	}
	if _, err := p.IssueKeys(identity.User{}, 0); err == nil {
		t.Error("nobody got keys")
	}
	k := p.keysOf(editor)
	if strings.Contains(k.SessionToken, "ada") || p.keysOf(editor).AccessKeyID == k.AccessKeyID {
		t.Errorf("keys are not sealed or not new: %+v", k)
	}
	// Another door with the same key file, as after a restart, knows the keys; with another key file it does not.
	for file, want := range map[string]bool{p.opt.KeyFile: true, filepath.Join(t.TempDir(), "new"): false} {
		ring, err := newKeyring(file, p.pods, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		u, err := ring.open(context.Background(), k.AccessKeyID, k.SessionToken)
		if (err == nil && u.Name == "ada") != want {
			t.Errorf("%s: %v %v", file, u, err)
		}
	}
}

// TestNothingIsLeftOnTheConnection sends bodies that the door stops reading early, followed by a request that must not
// be seen: it is part of the body.
func TestNothingIsLeftOnTheConnection(t *testing.T) {
	p := start(t, nil)
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(p.caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(ca)
	inner := "DELETE /neuro/x HTTP/1.1\r\nHost: x\r\n\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner)
	for name, raw := range map[string]string{
		"chunked put without signature": "PUT /neuro/y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"chunked list":                  "GET /neuro HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"chunked sts":                   "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"length and chunks":             fmt.Sprintf("PUT /neuro/y HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n%s", chunk),
		"length":                        fmt.Sprintf("PUT /neuro/y HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{RootCAs: pool})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, raw+"GET /after-all HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			answers := 0
			for in := bufio.NewReader(conn); ; answers++ {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					break
				}
				b, _ := io.ReadAll(resp.Body)
				if resp.StatusCode < 400 {
					t.Errorf("answer %d: %d %s", answers, resp.StatusCode, b)
				}
			}
			if answers < 1 || answers > 2 {
				t.Errorf("%d answers to two requests", answers)
			}
		})
	}
}

func TestOnlyTLS(t *testing.T) {
	p := start(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, _ := io.ReadAll(conn); bytes.HasPrefix(b, []byte("HTTP/1.1 2")) || bytes.Contains(b, []byte("Error")) {
		t.Errorf("plain text was answered: %q", b)
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}}} //nolint:gosec // the test is about this
	if _, err := old.Get(p.url); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}
