// SPDX-License-Identifier: Apache-2.0

package kube

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
	"time"

	"fathom.dev/fathom/internal/fault"
)

const (
	authorityTTL = 10 * 365 * 24 * time.Hour
	clockSkew    = 5 * time.Minute // certificates are valid from a little before now
)

// authority signs the control plane's certificates. All keys are ECDSA P-256.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
	now  func() time.Time
}

// pair is a certificate (with its key) in PEM.
type pair struct {
	cert, key []byte
	notAfter  time.Time
}

// loadAuthority reads pki/ca.key and pki/ca.crt, or makes them.
func loadAuthority(st *state, now func() time.Time) (*authority, error) {
	keyPEM, err := keyFile(st, "ca.key")
	if err != nil {
		return nil, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, damaged(st.pki("ca.key"), err)
	}
	a := &authority{key: key, now: now}
	a.pem, err = os.ReadFile(st.pki("ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return a, a.selfSign(st.pki("ca.crt"))
	}
	if err != nil {
		return nil, damaged(st.pki("ca.crt"), err)
	}
	block, _ := pem.Decode(a.pem)
	if block == nil {
		return nil, damaged(st.pki("ca.crt"), errors.New("no PEM block"))
	}
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, damaged(st.pki("ca.crt"), err)
	}
	return a, nil
}

// keyFile returns a private key in PEM. It is made on the first start only: a key that vanished later is an error,
// because a new one would not fit the stored data.
func keyFile(st *state, name string) ([]byte, error) {
	data, err := os.ReadFile(st.pki(name))
	if err == nil {
		return data, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || st.used() {
		return nil, damaged(st.pki(name), err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "kube: make "+name, err)
	}
	if data, err = encodeKey(key); err != nil {
		return nil, err
	}
	return data, writeFile(st.pki(name), data, 0o600)
}

func damaged(path string, err error) error {
	return fault.New(fault.Corrupt, "kube.Start", "%s is damaged or missing: %w", path, err).
		WithHint("nothing was changed; restore the state directory from a backup, or start with an empty one")
}

func (a *authority) selfSign(path string) error {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "fathom"},
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
		return fault.Wrap(fault.Internal, "kube: make ca.crt", err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return writeFile(path, a.pem, 0o644)
}

func (a *authority) sign(template, parent *x509.Certificate, public crypto.PublicKey, ttl time.Duration) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "kube: sign", err)
	}
	template.SerialNumber = serial
	template.NotBefore = a.now().Add(-clockSkew)
	template.NotAfter = a.now().Add(ttl)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	return der, fault.Wrap(fault.Internal, "kube: sign", err)
}

// leaf makes a fresh key and a certificate for it.
func (a *authority) leaf(template *x509.Certificate, ttl time.Duration) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fault.Wrap(fault.Internal, "kube: sign", err)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := a.sign(template, a.cert, key.Public(), ttl)
	if err != nil {
		return pair{}, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{
		cert:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:      keyPEM,
		notAfter: template.NotAfter,
	}, nil
}

// client makes a certificate that says user and groups.
func (a *authority) client(user string, groups []string, ttl time.Duration) (pair, error) {
	return a.leaf(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ttl)
}

// serving makes a certificate for a TLS server.
func (a *authority) serving(names []string, ips []net.IP, ttl time.Duration) (pair, error) {
	return a.leaf(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "fathom"},
		DNSNames:    names,
		IPAddresses: ips,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ttl)
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "kube: encode key", err)
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
