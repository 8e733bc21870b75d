// SPDX-License-Identifier: Apache-2.0

// Package identity answers two questions for every door: who is calling, and may they?
//
// The answers come from the Kubernetes API (TokenReview and SubjectAccessReview), through functions that the desk
// injects; this package holds the types, the caches and the route table that every door is built from. A door
// without a mapping for a route cannot be constructed: [NewMux] refuses it.
package identity

import (
	"context"
	"maps"
	"slices"
)

// User is an authenticated caller. The zero User is nobody.
type User struct {
	Name   string
	Groups []string
	UID    string
	// Extra holds what the API server adds to a bound token, such as
	// "authentication.kubernetes.io/pod-name".
	Extra map[string][]string
}

// InGroup reports whether the user belongs to the group.
func (u User) InGroup(group string) bool { return slices.Contains(u.Groups, group) }

// Pod is the name of the pod that the caller's token is bound to; "" for people and programs outside of pods.
func (u User) Pod() string {
	if names := u.Extra["authentication.kubernetes.io/pod-name"]; len(names) > 0 {
		return names[0]
	}
	return ""
}

// Action is what a request wants, in Kubernetes' terms. Group defaults to "fathom.dev".
type Action struct {
	Verb        string // get, list, create, update, delete
	Group       string
	Resource    string // datasets, models, endpoints, runs, workspaces …
	Subresource string // data, identified, predict, promotion, output …
	Namespace   string // the workspace; empty for cluster-wide
	Name        string
	// Data marks an access to data: its decision leaves one line in the audit log.
	Data bool
}

// Authenticator turns a bearer token into a User. It returns an Unauthenticated fault for a token that is not valid
// for the audience "fathom", and Unavailable when it could not find out; it never returns nobody without an error.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (User, error)
}

// Authorizer decides. It returns nil, a Forbidden fault that names the verb, resource and user, or Unavailable.
type Authorizer interface {
	Authorize(ctx context.Context, user User, action Action) error
}

// clone keeps a caller from changing what the cache remembers.
func (u User) clone() User {
	c := u
	c.Groups = slices.Clone(u.Groups)
	c.Extra = maps.Clone(u.Extra)
	for k, v := range c.Extra {
		c.Extra[k] = slices.Clone(v)
	}
	return c
}

type userKey struct{}

// WithUser stores the caller in the context.
func WithUser(ctx context.Context, u User) context.Context {
	return context.WithValue(ctx, userKey{}, u)
}

// UserFrom returns the caller that [NewMux] authenticated; the zero User when there is none.
func UserFrom(ctx context.Context) User {
	u, _ := ctx.Value(userKey{}).(User)
	return u
}
