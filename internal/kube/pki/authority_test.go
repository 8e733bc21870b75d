// SPDX-License-Identifier: Apache-2.0

package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube/pki"
)

func TestCertificates(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	authority, err := pki.Open(t.TempDir(), true, func() time.Time { return now })
	must(t, err)
	client, err := authority.Client("ada", []string{"researchers"}, time.Hour)
	must(t, err)
	serving, err := authority.Serving([]string{"localhost"}, []net.IP{net.IPv6loopback}, time.Hour)
	must(t, err)
	forClients, forServers := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, c := range []struct {
		name  string
		pair  pki.Pair
		usage []x509.ExtKeyUsage
		at    time.Duration
		host  string
		want  bool
	}{
		{"client", client, forClients, 0, "", true},
		{"client of another machine's clock", client, forClients, -4 * time.Minute, "", true},
		{"client, expired", client, forClients, time.Hour + time.Second, "", false},
		{"client as a server", client, forServers, 0, "", false},
		{"server by name", serving, forServers, 0, "localhost", true},
		{"server by address", serving, forServers, 0, "::1", true},
		{"server by another name", serving, forServers, 0, "example.org", false},
		{"server as a client", serving, forClients, 0, "", false},
	} {
		leaf := parse(t, c.pair)
		_, err := leaf.Verify(x509.VerifyOptions{Roots: authority.Pool(), KeyUsages: c.usage, CurrentTime: now.Add(c.at), DNSName: c.host})
		if got := err == nil; got != c.want {
			t.Errorf("%s: %v; want valid: %v", c.name, err, c.want)
		}
	}
	if leaf := parse(t, client); leaf.Subject.CommonName != "ada" || leaf.Subject.Organization[0] != "researchers" {
		t.Errorf("the client certificate says %v", leaf.Subject)
	}
}

func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	first, err := pki.Open(dir, true, time.Now)
	must(t, err)
	again, err := pki.Open(dir, false, time.Now)
	must(t, err)
	if string(first.PEM()) != string(again.PEM()) {
		t.Error("the authority's certificate changed")
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key has mode %v", info.Mode())
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
	}{
		{"no key", func(dir string) error { return os.Remove(filepath.Join(dir, "ca.key")) }},
		{"empty key", func(dir string) error { return os.Truncate(filepath.Join(dir, "ca.key"), 0) }},
		{"half a certificate", func(dir string) error { return os.Truncate(filepath.Join(dir, "ca.crt"), 200) }},
		{"another authority's certificate", func(dir string) error {
			other := filepath.Join(dir, "other")
			if err := os.Mkdir(other, 0o700); err != nil {
				return err
			}
			if _, err := pki.Open(other, true, time.Now); err != nil {
				return err
			}
			return os.Rename(filepath.Join(other, "ca.crt"), filepath.Join(dir, "ca.crt"))
		}},
	} {
		dir := t.TempDir()
		_, err := pki.Open(dir, true, time.Now)
		must(t, err)
		must(t, c.damage(dir))
		if _, err := pki.Open(dir, false, time.Now); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v; want Corrupt", c.name, err)
		}
	}
}

func parse(t *testing.T, p pki.Pair) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	must(t, err)
	return pair.Leaf
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
