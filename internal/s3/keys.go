// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/versity/versitygw/auth"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

const (
	keyPrefix   = "ASIA" // what S3's clients and versitygw know as a temporary key
	maxPodTTL   = time.Hour
	minTTL      = time.Minute
	maxHumanTTL = 12 * time.Hour
)

// Keys are temporary S3 credentials. A client needs all three.
type Keys struct {
	AccessKeyID     string    `json:"accessKeyId"`
	SecretAccessKey string    `json:"secretAccessKey"`
	SessionToken    string    `json:"sessionToken"`
	Expires         time.Time `json:"expires"`
}

// sealed is what a session token holds, encrypted: either the user, or the token that proves who the user is.
type sealed struct {
	User    identity.User `json:"u,omitzero"`
	Token   string        `json:"t,omitempty"`
	Expires int64         `json:"e"` // seconds since 1970
}

// keyring makes and opens keys. It remembers nothing: a session token carries its own truth, sealed with AES-256-GCM and
// bound to its access key; the secret is an HMAC of the access key. So keys outlive a restart but not their end, and a
// pod's keys not the pod: its token is reviewed again, at most some seconds after the last time.
type keyring struct {
	seal          cipher.AEAD
	secret        []byte
	authenticator identity.Authenticator
	now           func() time.Time
}

// newKeyring reads the master key (32 bytes in hex, mode 0600), or makes it.
func newKeyring(file string, a identity.Authenticator, now func() time.Time) (*keyring, error) {
	master, err := masterKey(file)
	if err != nil {
		return nil, err
	}
	sealKey, err1 := hkdf.Key(sha256.New, master, nil, "fathom s3 session tokens", 32)
	secret, err2 := hkdf.Key(sha256.New, master, nil, "fathom s3 secret keys", 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fault.Wrap(fault.Internal, "s3.New", err)
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "s3.New", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "s3.New", err)
	}
	return &keyring{seal: aead, secret: secret, authenticator: a, now: now}, nil
}

func masterKey(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeMasterKey(file)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "s3.New", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Invalid, "s3.New", "%s can be read by others", file).WithHint("chmod 600 %s", file)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, fault.New(fault.Corrupt, "s3.New", "%s does not hold a key of 32 bytes", file).
			WithHint("remove it: all S3 keys end, pods get new ones by themselves")
	}
	return key, nil
}

func makeMasterKey(file string) ([]byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "s3.New", err)
	}
	f, err := os.OpenFile(file+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "s3.New", err)
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(file+".new", file)
	}
	return key, fault.Wrap(fault.Unavailable, "s3.New", err)
}

func (k *keyring) issue(s sealed, ttl time.Duration) (Keys, error) {
	expires := k.now().Add(ttl).Truncate(time.Second)
	s.Expires = expires.Unix()
	body, err := json.Marshal(s)
	if err != nil {
		return Keys{}, fault.Wrap(fault.Internal, "s3 keys", err)
	}
	id := keyPrefix + rand.Text()[:16]
	token := k.seal.Seal(nil, nil, body, []byte(id))
	return Keys{AccessKeyID: id, SecretAccessKey: k.secretOf(id), SessionToken: base64.StdEncoding.EncodeToString(token), Expires: expires}, nil
}

func (k *keyring) secretOf(id string) string {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))[:40]
}

// open returns whom the keys belong to now. Errors: Unauthenticated with the kind of refusal in its text, Unavailable.
func (k *keyring) open(ctx context.Context, id, token string) (identity.User, error) {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return identity.User{}, auth.ErrInvalidSessionToken
	}
	body, err := k.seal.Open(nil, nil, raw, []byte(id))
	if err != nil {
		return identity.User{}, auth.ErrInvalidSessionToken
	}
	var s sealed
	if err := json.Unmarshal(body, &s); err != nil {
		return identity.User{}, auth.ErrInvalidSessionToken
	}
	if !k.now().Before(time.Unix(s.Expires, 0)) {
		return identity.User{}, errExpired
	}
	if s.Token == "" {
		return s.User, nil
	}
	user, err := k.authenticator.Authenticate(ctx, s.Token)
	if fault.Is(err, fault.Unauthenticated) {
		return identity.User{}, errExpired
	}
	return user, err
}

// IssueKeys gives a person short-lived S3 keys. They act with the user's name and groups of now, until they end. The
// caller has authenticated the user. Ttl is between 1 minute and 12 hours; 0 means 1 hour. Errors: Invalid.
func (d *Door) IssueKeys(user identity.User, ttl time.Duration) (Keys, error) {
	if ttl == 0 {
		ttl = time.Hour
	}
	if ttl < minTTL || ttl > maxHumanTTL {
		return Keys{}, fault.New(fault.Invalid, "s3 keys", "keys live between %s and %s, not %s", minTTL, maxHumanTTL, ttl)
	}
	if user.Name == "" {
		return Keys{}, fault.New(fault.Unauthenticated, "s3 keys", "keys must belong to somebody")
	}
	return d.keys.issue(sealed{User: user}, ttl)
}

// signers lets versitygw verify signatures. There are no accounts to manage: every method but one refuses.
type signers struct {
	auth.IAMService
	keys *keyring
}

// DeriveSigningKey implements auth.SigningKeyProvider (SigV4, "Signature Calculations", task 3).
func (s signers) DeriveSigningKey(id, token, date, region, service string) ([]byte, auth.Account, error) {
	if !strings.HasPrefix(id, keyPrefix) {
		return nil, auth.Account{}, auth.ErrNoSuchUser
	}
	if token == "" {
		return nil, auth.Account{}, auth.ErrInvalidSessionToken
	}
	if _, err := s.keys.open(context.Background(), id, token); err != nil {
		return nil, auth.Account{}, wireError(err)
	}
	key := []byte("AWS4" + s.keys.secretOf(id))
	for _, part := range []string{date, region, service, "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	// The role ends versitygw's own policies; ours are asked with every touch of the storage.
	return key, auth.Account{Access: id, SessionToken: token, IsSession: true, Role: auth.RoleAdmin}, nil
}
