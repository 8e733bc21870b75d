// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// Group is the API group of Fathom's kinds and the default of [Action.Group].
const Group = "fathom.dev"

// AccessFunc asks the API server whether the user may (SubjectAccessReview). The reason is for people and may be
// empty. An error means that it could not ask.
type AccessFunc func(ctx context.Context, user User, action Action) (allowed bool, reason string, err error)

// AuthorizerOptions configures [NewAuthorizer]. Access is required.
type AuthorizerOptions struct {
	Access AccessFunc
	// TTL is how long "yes" is remembered: how long a removed permission may still work. Default and maximum 10 s.
	TTL time.Duration
	// NegativeTTL is how long "no" is remembered. Default 2 s, at most TTL.
	NegativeTTL time.Duration
	// Size bounds the number of remembered decisions. Default 16384.
	Size int
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

type cachedAuthorizer struct {
	access  AccessFunc
	answers *answers[struct{}]
}

// NewAuthorizer returns an [Authorizer] that remembers decisions for a few seconds. Errors are never remembered.
func NewAuthorizer(opt AuthorizerOptions) (Authorizer, error) {
	if opt.Access == nil {
		return nil, fault.New(fault.Internal, "identity.NewAuthorizer", "Access is required")
	}
	if opt.Size == 0 {
		opt.Size = 16384
	}
	cache, err := newAnswers[struct{}](cacheOptions{
		ttl: opt.TTL, negativeTTL: opt.NegativeTTL, size: opt.Size, now: opt.Now, remember: fault.Forbidden,
	})
	if err != nil {
		return nil, err
	}
	return &cachedAuthorizer{access: opt.Access, answers: cache}, nil
}

// Authorize implements [Authorizer]. Nobody, and an action without a verb or a resource, are always refused.
func (a *cachedAuthorizer) Authorize(ctx context.Context, user User, action Action) error {
	if user.Name == "" {
		return fault.New(fault.Unauthenticated, "authorize", "nobody proved who is asking")
	}
	if action.Verb == "" || action.Resource == "" {
		return fault.New(fault.Internal, "authorize", "the action has no verb or no resource")
	}
	if action.Group == "" {
		action.Group = Group
	}
	_, err := a.answers.get(ctx, decisionKey(user, action), func(ctx context.Context) (struct{}, error) {
		allowed, reason, err := a.access(ctx, user, action)
		if err != nil {
			return struct{}{}, fault.Wrap(fault.Unavailable, "authorize", err)
		}
		if !allowed {
			return struct{}{}, refusal(user, action, reason)
		}
		return struct{}{}, nil
	})
	return err
}

func refusal(user User, action Action, reason string) error {
	e := fault.New(fault.Forbidden, "authorize", "user %q may not %s", user.Name, action)
	if reason != "" {
		e = e.WithHint("%s", reason)
	}
	return e
}

// decisionKey covers everything that the answer may depend on; lengths keep the fields apart.
func decisionKey(user User, action Action) [sha256.Size]byte {
	b := make([]byte, 0, 512)
	for _, field := range []string{action.Verb, action.Group, action.Resource, action.Subresource, action.Namespace, action.Name, user.Name, user.UID} {
		b = appendField(b, field)
	}
	b = appendFields(b, user.Groups)
	for _, key := range slices.Sorted(maps.Keys(user.Extra)) {
		b = appendFields(appendField(b, key), user.Extra[key])
	}
	return sha256.Sum256(b)
}

func appendField(b []byte, field string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

func appendFields(b []byte, fields []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(fields)))
	for _, field := range fields {
		b = appendField(b, field)
	}
	return b
}

// String is the action as people read it: "get datasets/data voice in neurology".
func (a Action) String() string {
	var b strings.Builder
	b.WriteString(a.Verb + " " + a.Resource)
	if a.Subresource != "" {
		b.WriteString("/" + a.Subresource)
	}
	if a.Name != "" {
		b.WriteString(" " + a.Name)
	}
	if a.Namespace != "" {
		b.WriteString(" in " + a.Namespace)
	}
	return b.String()
}
