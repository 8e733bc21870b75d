// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// How long a person's token may live.
const (
	MinTokenLife = time.Minute
	MaxTokenLife = 12 * time.Hour
)

const (
	// tokenPrefix tells our tokens from the API server's, and lets scanners of secrets find them.
	tokenPrefix = "fathom_"
	// extraToken marks a user who came with one of our tokens: it cannot make another, which would outlive it.
	extraToken = "fathom.dev/token"
)

// Tokens makes bearer tokens for people whose clients cannot show a certificate: registries', trackers'. A token carries the
// user's name and groups of when it was made, sealed with AES-256-GCM, until it ends. Nothing is remembered.
type Tokens struct {
	seal cipher.AEAD
	now  func() time.Time
}

type sealedUser struct {
	User    User  `json:"u"`
	Expires int64 `json:"e"` // seconds since 1970
}

// OpenTokens reads the key (32 bytes in hex, mode 0600) from the file, or makes it. Removing the file ends all tokens.
func OpenTokens(file string, now func() time.Time) (*Tokens, error) {
	key, err := sealingKey(file)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "tokens", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	return &Tokens{seal: seal, now: now}, fault.Wrap(fault.Internal, "tokens", err)
}

func sealingKey(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSealingKey(file)
	} else if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "tokens", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Invalid, "tokens", "%s can be read by others", file).WithHint("chmod 600 %s", file)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fault.New(fault.Corrupt, "tokens", "%s does not hold a key of 32 bytes", file).WithHint("remove it: all tokens of people end")
	}
	return key, nil
}

func makeSealingKey(file string) ([]byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	f, err := os.CreateTemp(filepath.Dir(file), "token-key-*")
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "tokens", err)
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	return key, fault.Wrap(fault.Unavailable, "tokens", err)
}

// Issue makes a token for an authenticated person; it ends after life. Invalid: life is not between MinTokenLife and
// MaxTokenLife; Forbidden: pods, and who came with such a token.
func (t *Tokens) Issue(user User, life time.Duration) (token string, expires time.Time, err error) {
	const op = "token"
	switch {
	case user.Name == "":
		return "", time.Time{}, fault.New(fault.Unauthenticated, op, "a token must belong to somebody")
	case user.Pod() != "":
		return "", time.Time{}, fault.New(fault.Forbidden, op, "tokens are for people; pod %s has its own", user.Pod())
	case len(user.Extra[extraToken]) > 0:
		return "", time.Time{}, fault.New(fault.Forbidden, op, "a token cannot make another").WithHint("log in again")
	case life < MinTokenLife || life > MaxTokenLife:
		return "", time.Time{}, fault.New(fault.Invalid, op, "a token lives between %s and %s, not %s", MinTokenLife, MaxTokenLife, life)
	}
	expires = t.now().Add(life).Truncate(time.Second)
	body, err := json.Marshal(sealedUser{User: user, Expires: expires.Unix()})
	if err != nil {
		return "", time.Time{}, fault.Wrap(fault.Internal, op, err)
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(t.seal.Seal(nil, nil, body, nil)), expires, nil
}

// Before returns an Authenticator that knows our tokens and leaves all others to next.
func (t *Tokens) Before(next Authenticator) Authenticator { return tokenAuthenticator{t, next} }

type tokenAuthenticator struct {
	tokens *Tokens
	next   Authenticator
}

// Authenticate implements [Authenticator].
func (a tokenAuthenticator) Authenticate(ctx context.Context, token string) (User, error) {
	text, ours := strings.CutPrefix(token, tokenPrefix)
	if !ours || len(token) > maxTokenBytes {
		return a.next.Authenticate(ctx, token)
	}
	refused := fault.New(fault.Unauthenticated, "authenticate", "the token is not valid")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return User{}, refused
	}
	body, err := a.tokens.seal.Open(nil, nil, raw, nil)
	if err != nil {
		return User{}, refused
	}
	var s sealedUser
	if err := json.Unmarshal(body, &s); err != nil || s.User.Name == "" {
		return User{}, refused
	}
	if !a.tokens.now().Before(time.Unix(s.Expires, 0)) {
		return User{}, fault.New(fault.Unauthenticated, "authenticate", "the token has ended").WithHint("make another with `fathom token`")
	}
	if s.User.Extra == nil {
		s.User.Extra = map[string][]string{}
	}
	s.User.Extra[extraToken] = []string{"true"}
	return s.User, nil
}
