// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/sha256"
	"time"

	"fathom.dev/fathom/internal/fault"
)

const (
	maxTokenBytes = 16 << 10
	maxTTL        = 10 * time.Second
	askTimeout    = 10 * time.Second
)

// ReviewFunc asks the API server who a bearer token belongs to (TokenReview). It returns Unauthenticated for a token
// that is not valid for one of the audiences, and Unavailable when it could not ask.
type ReviewFunc func(ctx context.Context, token string, audiences []string) (User, error)

// AuthenticatorOptions configures [NewAuthenticator]. Review is required.
type AuthenticatorOptions struct {
	Review ReviewFunc
	// Audiences a token must be valid for one of. Default: "fathom".
	Audiences []string
	// TTL is how long a good answer is remembered: how long a revoked token may still work. Default and maximum 10 s.
	TTL time.Duration
	// NegativeTTL is how long a refusal is remembered. Default 2 s, at most TTL.
	NegativeTTL time.Duration
	// Size bounds the number of remembered tokens. Default 4096.
	Size int
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

type cachedAuthenticator struct {
	review    ReviewFunc
	audiences []string
	answers   *answers[User]
}

// NewAuthenticator returns an [Authenticator] that remembers answers for a few seconds, by the token's hash. Callers
// that ask about the same token at the same time share one review. Unavailable is never remembered.
func NewAuthenticator(opt AuthenticatorOptions) (Authenticator, error) {
	if opt.Review == nil {
		return nil, fault.New(fault.Internal, "identity.NewAuthenticator", "Review is required")
	}
	if len(opt.Audiences) == 0 {
		opt.Audiences = []string{"fathom"}
	}
	cache, err := newAnswers[User](cacheOptions{
		ttl: opt.TTL, negativeTTL: opt.NegativeTTL, size: opt.Size, now: opt.Now, remember: fault.Unauthenticated,
	})
	if err != nil {
		return nil, err
	}
	return &cachedAuthenticator{review: opt.Review, audiences: opt.Audiences, answers: cache}, nil
}

// Authenticate implements [Authenticator].
func (a *cachedAuthenticator) Authenticate(ctx context.Context, token string) (User, error) {
	if token == "" || len(token) > maxTokenBytes {
		return User{}, fault.New(fault.Unauthenticated, "authenticate", "the token is empty or longer than 16 KiB")
	}
	user, err := a.answers.get(ctx, sha256.Sum256([]byte(token)), func(ctx context.Context) (User, error) {
		user, err := a.review(ctx, token, a.audiences)
		if err == nil && user.Name == "" {
			err = fault.New(fault.Unauthenticated, "authenticate", "the token belongs to nobody")
		}
		return user, err
	})
	if err != nil {
		return User{}, err
	}
	return user.clone(), nil
}
