// SPDX-License-Identifier: Apache-2.0

// Package pki is the control plane's certificate authority: one key on disk, and short-lived certificates signed
// with it. All keys are ECDSA P-256.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fathom.dev/fathom/internal/fault"
)

const (
	authorityTTL = 10 * 365 * 24 * time.Hour
	clockSkew    = 5 * time.Minute // certificates are valid from a little before now
)

// Authority signs certificates. It may be used from several goroutines.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
	now  func() time.Time
}

// Pair is a certificate and its private key, in PEM.
type Pair struct {
	Cert, Key []byte
	NotAfter  time.Time
}

// Open reads dir/ca.key and dir/ca.crt. With create it makes what is missing; without, a missing key is an error,
// because a new one would not fit what was signed with the old. Errors: Corrupt, Forbidden (cannot be written).
func Open(dir string, create bool, now func() time.Time) (*Authority, error) {
	keyPEM, err := Key(filepath.Join(dir, "ca.key"), create)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, Damaged(filepath.Join(dir, "ca.key"), err)
	}
	a := &Authority{key: key, now: now}
	path := filepath.Join(dir, "ca.crt")
	a.pem, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, a.selfSign(path)
	}
	if err != nil {
		return nil, Damaged(path, err)
	}
	block, _ := pem.Decode(a.pem)
	if block == nil {
		return nil, Damaged(path, errors.New("no PEM block"))
	}
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, Damaged(path, err)
	}
	if public, ok := a.cert.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(a.key.Public()) {
		return nil, Damaged(path, errors.New("it does not belong to ca.key"))
	}
	return a, nil
}

// Read opens an authority without making or changing anything; Corrupt when a file is damaged or missing.
func Read(dir string) (*Authority, error) {
	if _, err := os.Stat(filepath.Join(dir, "ca.crt")); err != nil {
		return nil, Damaged(filepath.Join(dir, "ca.crt"), err)
	}
	return Open(dir, false, time.Now)
}

// NotAfter is when the authority's own certificate ends.
func (a *Authority) NotAfter() time.Time { return a.cert.NotAfter }

// Key reads a private key file (PEM, mode 0600), or makes it when it is missing and create is set.
func Key(path string, create bool) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return data, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || !create {
		return nil, Damaged(path, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "pki.Key", err)
	}
	if data, err = encodeKey(key); err != nil {
		return nil, err
	}
	return data, WriteFile(path, data, 0o600)
}

// Damaged is the error, of kind Corrupt, for a file without which stored data cannot be used.
func Damaged(path string, err error) error {
	return fault.New(fault.Corrupt, "kube.Start", "%s is damaged or missing: %w", path, err).
		WithHint("nothing was changed; restore the state directory from a backup, or start with an empty one")
}

// PEM is the authority's own certificate.
func (a *Authority) PEM() []byte { return slices.Clone(a.pem) }

// Pool is a pool with the authority's own certificate only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Write puts the pair into dir/name.key and dir/name.crt, each in one step and with mode 0600.
func (p Pair) Write(dir, name string) error {
	if err := WriteFile(filepath.Join(dir, name+".key"), p.Key, 0o600); err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, name+".crt"), p.Cert, 0o600)
}

func (a *Authority) selfSign(path string) error {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "fathom authority"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	der, err := a.sign(template, template, a.key.Public(), authorityTTL)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return fault.Wrap(fault.Internal, "pki.Open", err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return WriteFile(path, a.pem, 0o644)
}

func (a *Authority) sign(template, parent *x509.Certificate, public crypto.PublicKey, ttl time.Duration) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "pki: sign", err)
	}
	template.SerialNumber = serial
	template.NotBefore = a.now().Add(-clockSkew)
	template.NotAfter = a.now().Add(ttl)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	return der, fault.Wrap(fault.Internal, "pki: sign", err)
}

// leaf makes a fresh key and a certificate for it.
func (a *Authority) leaf(template *x509.Certificate, ttl time.Duration) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fault.Wrap(fault.Internal, "pki: sign", err)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := a.sign(template, a.cert, key.Public(), ttl)
	if err != nil {
		return Pair{}, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:      keyPEM,
		NotAfter: template.NotAfter,
	}, nil
}

// Client makes a certificate that says user and groups.
func (a *Authority) Client(user string, groups []string, ttl time.Duration) (Pair, error) {
	return a.leaf(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ttl)
}

// Serving makes a certificate for a TLS server.
func (a *Authority) Serving(names []string, ips []net.IP, ttl time.Duration) (Pair, error) {
	return a.leaf(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "fathom server"},
		DNSNames:    names,
		IPAddresses: ips,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ttl)
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "pki: encode key", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func parseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParseECPrivateKey(block.Bytes)
}
