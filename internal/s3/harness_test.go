// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

// platform is a door on a real listener, with people and pods in two workspaces.
type platform struct {
	*Door
	t        *testing.T
	url      string
	dir      string
	caFile   string
	client   *http.Client
	pods     *pods
	mu       sync.Mutex
	records  []Access
	changes  []string
	auditErr error
}

// pods is an Authenticator: token → user, until the token is removed.
type pods struct {
	mu     sync.Mutex
	tokens map[string]identity.User
	down   bool
}

func (p *pods) Authenticate(_ context.Context, token string) (identity.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return identity.User{}, fault.New(fault.Unavailable, "review", "the API server is down")
	}
	if u, ok := p.tokens[token]; ok {
		return u, nil
	}
	return identity.User{}, fault.New(fault.Unauthenticated, "review", "not a token")
}

var (
	editor  = identity.User{Name: "ada", Groups: []string{"neuro:editor"}}
	viewer  = identity.User{Name: "vic", Groups: []string{"neuro:viewer"}}
	steward = identity.User{Name: "stella", Groups: []string{"neuro:steward"}}
	other   = identity.User{Name: "otto", Groups: []string{"other:editor"}}
	both    = identity.User{Name: "bo", Groups: []string{"neuro:viewer", "other:editor"}}
	pod     = identity.User{Name: "system:serviceaccount:neuro:run", Groups: []string{"neuro:editor"}}
)

// roles is an Authorizer over groups "<workspace>:<role>".
type roles struct{}

var roleVerbs = map[string][]string{
	"viewer":  {"get workspaces/objects", "list workspaces/objects"},
	"editor":  {"get workspaces/objects", "list workspaces/objects", "create workspaces/objects", "delete workspaces/objects"},
	"steward": {"get workspaces/objects", "list workspaces/objects", "create workspaces/objects", "delete workspaces/objects", "get datasets/identified"},
}

func (roles) Authorize(_ context.Context, u identity.User, a identity.Action) error {
	for role, verbs := range roleVerbs {
		if u.InGroup(a.Namespace+":"+role) && slices.Contains(verbs, a.Verb+" "+a.Resource+"/"+a.Subresource) {
			return nil
		}
	}
	return fault.New(fault.Forbidden, "authorize", "user %q may not %s", u.Name, a)
}

func certificate(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fathom"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func start(t *testing.T, change func(*Options)) *platform {
	t.Helper()
	state := t.TempDir()
	cert, ca := certificate(t)
	p := &platform{t: t, dir: filepath.Join(state, "objects"), caFile: filepath.Join(state, "ca.pem"),
		pods: &pods{tokens: map[string]identity.User{"pod-token": pod}}}
	if err := os.WriteFile(p.caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	opt := Options{
		Dir: p.dir, KeyFile: filepath.Join(state, "s3.key"), Authenticator: p.pods, Authorizer: roles{},
		TLS:    &tls.Config{Certificates: []tls.Certificate{cert}},
		Record: p.record,
		OnChange: func(bucket, key string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.changes = append(p.changes, bucket+"/"+key)
		},
	}
	if change != nil {
		change(&opt)
	}
	d, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	p.Door = d
	for _, bucket := range []string{"neuro", "other"} {
		if err := d.EnsureBucket(bucket); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.url = "https://" + l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- d.Serve(context.Background(), l) }()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	p.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *platform) record(_ context.Context, a Access) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = append(p.records, a)
	return p.auditErr
}

// takeRecords returns the audit entries since the last call.
func (p *platform) takeRecords() []Access {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.records
	p.records = nil
	return r
}

func (p *platform) keysOf(u identity.User) Keys {
	p.t.Helper()
	k, err := p.IssueKeys(u, time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	return k
}

// put writes a file as a person would who copies it into the folder.
func (p *platform) put(path, content string) string {
	p.t.Helper()
	full := filepath.Join(p.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return full
}
