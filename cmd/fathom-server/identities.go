// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/audit"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/kube"
	"fathom.dev/fathom/internal/s3"
)

// identities answers who is calling and whether they may, by asking the API server.
func (p *platform) identities() (identity.Authenticator, identity.Authorizer, error) {
	api, err := p.api(kube.Doors)
	if err != nil {
		return nil, nil, err
	}
	authenticator, err := identity.NewAuthenticator(identity.AuthenticatorOptions{
		Review: func(ctx context.Context, token string, audiences []string) (identity.User, error) {
			review, err := api.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
				Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
			}, metav1.CreateOptions{})
			if err != nil {
				return identity.User{}, fault.Wrap(fault.Unavailable, "token review", err)
			}
			if !review.Status.Authenticated {
				return identity.User{}, fault.New(fault.Unauthenticated, "authenticate", "the token is not valid")
			}
			u := review.Status.User
			extra := make(map[string][]string, len(u.Extra))
			for k, v := range u.Extra {
				extra[k] = v
			}
			return identity.User{Name: u.Username, Groups: u.Groups, UID: u.UID, Extra: extra}, nil
		},
	})
	if err != nil {
		return nil, nil, err
	}
	authorizer, err := identity.NewAuthorizer(identity.AuthorizerOptions{
		Access: func(ctx context.Context, user identity.User, a identity.Action) (bool, string, error) {
			extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
			for k, v := range user.Extra {
				extra[k] = v
			}
			review, err := api.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{
					User: user.Name, Groups: user.Groups, UID: user.UID, Extra: extra,
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Verb: a.Verb, Group: orFathom(a.Group), Version: "v1alpha1", Resource: a.Resource,
						Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name,
					},
				},
			}, metav1.CreateOptions{})
			if err != nil {
				return false, "", fault.Wrap(fault.Unavailable, "access review", err)
			}
			return review.Status.Allowed, review.Status.Reason, nil
		},
	})
	return p.tokens.Before(authenticator), authorizer, err
}

func orFathom(group string) string {
	if group == "" {
		return "fathom.dev"
	}
	return group
}

// record is the recorder of a door: one audit line for each decision on data.
func (p *platform) record(door string) identity.Recorder {
	return func(user identity.User, a identity.Action, r *http.Request, decision error) error {
		return p.audit.Append(r.Context(), entry(door, user, a, objectOf(a)+queryless(r), r.RemoteAddr, decision))
	}
}

// recordMany is the recorder of a door that is asked the same thing again and again: equal decisions share lines.
func (p *platform) recordMany(door string) identity.Recorder {
	return func(user identity.User, a identity.Action, r *http.Request, decision error) error {
		return p.repeats.Append(r.Context(), entry(door, user, a, objectOf(a)+queryless(r), r.RemoteAddr, decision))
	}
}

// queryless is the path of the request, which never carries values of data.
func queryless(r *http.Request) string { return " " + r.Method + " " + r.URL.EscapedPath() }

func objectOf(a identity.Action) string {
	if a.Name == "" {
		return a.Namespace
	}
	return a.Namespace + "/" + a.Name
}

func (p *platform) recordS3(ctx context.Context, a s3.Access) error {
	return p.audit.Append(ctx, entry("s3", a.User, a.Action, "s3://"+a.Bucket+"/"+a.Key, a.Remote, a.Decision))
}

func entry(door string, user identity.User, a identity.Action, object, remote string, decision error) audit.Entry {
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	e := audit.Entry{
		User: user.Name, Groups: user.Groups, Action: a.Verb + " " + resource, Object: object, Remote: remote, Door: door,
		Decision: audit.Allowed,
	}
	switch {
	case fault.Is(decision, fault.Forbidden):
		e.Decision, e.Reason = audit.Refused, decision.Error()
	case decision != nil:
		e.Decision, e.Reason = audit.Failed, string(fault.KindOf(decision))
	}
	return e
}

// metrics serves Prometheus' text format to those who may list nodes: it tells about all workspaces.
func (p *platform) metrics(registry *prometheus.Registry, a identity.Authenticator, z identity.Authorizer) http.Handler {
	serve := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	handler, err := identity.NewMux([]identity.Route{{
		Pattern: "GET /metrics",
		Action: func(*http.Request) (identity.Action, error) {
			return identity.Action{Verb: "list", Group: "apps", Resource: "deployments"}, nil
		},
		Handler: func(w http.ResponseWriter, r *http.Request) { serve.ServeHTTP(w, r) },
	}}, identity.MuxOptions{Authenticator: a, Authorizer: z})
	if err != nil { // the table is fixed
		panic(strings.TrimSpace(err.Error()))
	}
	return handler
}
