// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"

	"fathom.dev/fathom/api/v1alpha1"
)

// identityOf is who the kubeconfig makes one, and what one may do in a workspace.
type identityOf struct {
	Name       string   `json:"name"`
	Groups     []string `json:"groups,omitempty"`
	Kubeconfig string   `json:"kubeconfig"`
	Server     string   `json:"server"`
	Workspace  string   `json:"workspace,omitempty"`
	May        []string `json:"may,omitempty"`
	MayNot     []string `json:"mayNot,omitempty"`
}

// right is something that a person may want to do.
type right struct{ says, verb, resource, subresource string }

var rights = []right{
	{"read what is declared", "list", "datasets", ""},
	{"read data", "get", "datasets", "data"},
	{"read identified data", "get", "datasets", "identified"},
	{"declare objects", "create", "datasets", ""},
	{"put files", "create", "workspaces", "objects"},
	{"read logs", "get", "runs", "log"},
	{"ask endpoints", "create", "endpoints", "predict"},
	{"approve and roll back models", "update", "models", "promotion"},
}

func newLogin(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "login",
		Short: "Tell who you are to Fathom, and what you may do",
		Long: "Tell who you are to Fathom, and what you may do in the workspace.\n\n" +
			"There is no password and nothing is stored: whoever holds a kubeconfig is who its certificate or token says. `fathom up` writes one for " +
			"the owner, who may do everything. Logging in through an identity provider (OIDC) is not built yet; until then a token of a " +
			"provider that the API server trusts can stand in the kubeconfig, as for `kubectl`.",
		Example: "  fathom login\n  fathom login -n neurology -o json\n  fathom login --kubeconfig ada.kubeconfig",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, path, err := g.restConfig()
			if err != nil {
				return err
			}
			c, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			me := identityOf{Kubeconfig: path, Server: config.Host}
			var self authenticationv1.SelfSubjectReview
			if err := c.client.Create(cmd.Context(), &self); err != nil {
				return fromAPI(err)
			}
			me.Name, me.Groups = self.Status.UserInfo.Username, self.Status.UserInfo.Groups
			if me.Workspace, err = g.only(cmd.Context(), c); err != nil {
				return err
			}
			if me.Workspace != "" {
				if err := c.rightsOf(cmd.Context(), &me); err != nil {
					return err
				}
			}
			if g.forPrograms() {
				return g.encode(cmd.OutOrStdout(), me)
			}
			me.tell(cmd.OutOrStdout())
			return nil
		},
	}
}

// only is the workspace that was named, or the only one there is, or "".
func (g *global) only(ctx context.Context, c *connection) (string, error) {
	if g.workspace != "" {
		return g.workspace, nil
	}
	var list v1alpha1.WorkspaceList
	if err := c.client.List(ctx, &list); err != nil || len(list.Items) != 1 {
		return "", nil // who may not list workspaces names one
	}
	return list.Items[0].Name, nil
}

// rightsOf asks for every right in the workspace.
func (c *connection) rightsOf(ctx context.Context, me *identityOf) error {
	for _, r := range rights {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: me.Workspace, Verb: r.verb, Group: v1alpha1.GroupVersion.Group, Resource: r.resource, Subresource: r.subresource,
			},
		}}
		if err := c.client.Create(ctx, review); err != nil {
			return fromAPI(err)
		}
		if review.Status.Allowed {
			me.May = append(me.May, r.says)
		} else {
			me.MayNot = append(me.MayNot, r.says)
		}
	}
	return nil
}

func (me identityOf) tell(w io.Writer) {
	fmt.Fprintf(w, "you are    %s\n", me.Name)
	if len(me.Groups) > 0 {
		fmt.Fprintf(w, "groups     %s\n", strings.Join(me.Groups, ", "))
	}
	fmt.Fprintf(w, "through    %s\n", me.Kubeconfig)
	fmt.Fprintf(w, "server     %s\n", me.Server)
	if me.Workspace == "" {
		fmt.Fprintln(w, "Name a workspace with -n to see what you may do in it.")
		return
	}
	fmt.Fprintf(w, "in %s\n", me.Workspace)
	for _, what := range me.May {
		fmt.Fprintf(w, "  may      %s\n", what)
	}
	for _, what := range me.MayNot {
		fmt.Fprintf(w, "  may not  %s\n", what)
	}
}
