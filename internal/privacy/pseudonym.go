// SPDX-License-Identifier: Apache-2.0

package privacy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"math/big"
	"os"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

const minKey = 32 // bytes

// Key makes pseudonyms. One workspace has one key, so that the same person has the same pseudonym in all its datasets
// and another one elsewhere.
type Key struct{ secret []byte }

// NewKey takes a secret of at least 32 bytes; fewer are Invalid.
func NewKey(secret []byte) (Key, error) {
	if len(secret) < minKey {
		return Key{}, fault.New(fault.Invalid, "pseudonym key", "the key has %d bytes, at least %d are needed", len(secret), minKey)
	}
	return Key{secret: append([]byte(nil), secret...)}, nil
}

// ReadKey reads the secret from a file; all its bytes count.
func ReadKey(path string) (Key, error) {
	if path == "" {
		return Key{}, fault.New(fault.Invalid, "pseudonym key", "no key file is given, but identifiers must be replaced")
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fault.New(fault.Unavailable, "pseudonym key", "the key file cannot be read")
	}
	return NewKey(secret)
}

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Pseudonym stands for an identifier: "p-" and 20 characters of HMAC-SHA-256 (100 bits). White space around the
// identifier does not count: DICOM pads with it.
func (k Key) Pseudonym(identifier string) string {
	return "p-" + base32Lower.EncodeToString(k.sum("subject", strings.TrimSpace(identifier)))[:20]
}

// UID stands for a DICOM unique identifier: "2.25." and the decimal of a keyed 128-bit UUID (version 8), at most 44
// characters.
func (k Key) UID(uid string) string {
	b := k.sum("uid", strings.Trim(uid, " \x00"))[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return "2.25." + decimal(b)
}

// Days is how far a subject's dates are moved: between 1 and 3650 days into the past, always the same for one subject.
func (k Key) Days(subject string) int {
	return -1 - int(binary.BigEndian.Uint64(k.sum("days", strings.TrimSpace(subject)))%3650)
}

// Name stands for a path or other label that may hold an identifier.
func (k Key) Name(label string) string {
	return "f-" + base32Lower.EncodeToString(k.sum("name", label))[:16]
}

// sum keeps the uses of the key apart.
func (k Key) sum(use, value string) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("fathom/" + use + "\x00" + value))
	return mac.Sum(nil)
}

func decimal(b []byte) string { return new(big.Int).SetBytes(b).String() }
