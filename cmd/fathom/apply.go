// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

func newApply(g *global) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:     "apply -f FILE_OR_FOLDER",
		Short:   "Declare objects; their code, SQL and pages are uploaded",
		Long:    "Declare the objects of YAML files, workspaces first. The code, SQL and pages that they name are uploaded. What is the same as before changes nothing.",
		Example: "  fathom apply -f study/\n  fathom apply -f study.yaml -n neurology",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			objects, err := read(files, g.workspace)
			if err != nil {
				return err
			}
			c, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			return apply(cmd.Context(), c, g, objects, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringSliceVarP(&files, "filename", "f", nil, "YAML file, or folder of YAML files; may be repeated")
	return cmd
}

// apply declares the objects in order and says what changed. Nothing is declared before every file that they name was read.
func apply(ctx context.Context, c *connection, g *global, objects []declared, out io.Writer) error {
	for _, d := range objects {
		if err := d.resolve(ctx, onlyDigest); err != nil {
			return err
		}
	}
	var results []map[string]string
	for _, d := range objects {
		if d.GetKind() != "Workspace" {
			if err := c.waitForWorkspace(ctx, d.GetNamespace()); err != nil {
				return err
			}
		}
		if err := d.resolve(ctx, c.upload); err != nil {
			return err
		}
		outcome, err := c.declare(ctx, d)
		if err != nil {
			return d.wrap("", err)
		}
		results = append(results, map[string]string{"object": d.title(), "outcome": outcome})
		if !g.forPrograms() {
			fmt.Fprintf(out, "%s %s\n", d.title(), outcome)
		}
	}
	if g.forPrograms() {
		return g.encode(out, results)
	}
	return nil
}

// declare creates or updates one object by server-side apply.
func (c *connection) declare(ctx context.Context, d declared) (string, error) {
	before := &unstructured.Unstructured{}
	before.SetGroupVersionKind(d.GroupVersionKind())
	err := c.client.Get(ctx, client.ObjectKeyFromObject(d.Unstructured), before)
	existed := err == nil
	if client.IgnoreNotFound(err) != nil {
		return "", fromAPI(err)
	}
	patch, err := d.MarshalJSON()
	if err != nil {
		return "", err
	}
	after := d.DeepCopy()
	err = c.client.Patch(ctx, after, client.RawPatch(types.ApplyPatchType, patch),
		client.FieldOwner("fathom"), client.ForceOwnership, client.FieldValidation("Strict"))
	if err != nil {
		return "", fromAPI(err)
	}
	switch {
	case !existed:
		return "created", nil
	case before.GetGeneration() == after.GetGeneration():
		return "unchanged", nil
	}
	return "configured", nil
}

const workspacePatience = 30 * time.Second

// waitForWorkspace waits until the workspace of the name can take objects.
func (c *connection) waitForWorkspace(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, workspacePatience)
	defer cancel()
	for {
		var w v1alpha1.Workspace
		err := c.client.Get(ctx, types.NamespacedName{Name: name}, &w)
		if client.IgnoreNotFound(err) == nil && err != nil {
			return fault.New(fault.NotFound, "workspace "+name, "there is none").WithHint("declare it: kind: Workspace, metadata: {name: %s}", name)
		}
		reason, message := v1alpha1.Ready(w.Status.Conditions)
		if reason == v1alpha1.ReasonReady || apierrors.IsForbidden(err) { // who may not look is told so by what comes next
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "workspace "+name, "it is not ready: %s", message)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func newDelete(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "delete KIND NAME",
		Short:   "Stop keeping an object true; its versions stay in the lake",
		Example: "  fathom delete endpoint parkinsons",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := kindOf(args[0])
			if err != nil {
				return err
			}
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			object := &unstructured.Unstructured{}
			object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
			object.SetName(args[1])
			if kind != "Workspace" {
				object.SetNamespace(c.workspace)
			}
			if err := c.client.Delete(cmd.Context(), object); err != nil {
				return fromAPI(err)
			}
			title := strings.ToLower(kind) + "/" + args[1]
			return g.printed(cmd.OutOrStdout(), map[string]string{"object": title, "outcome": "deleted"}, "%s deleted", title)
		},
	}
}
