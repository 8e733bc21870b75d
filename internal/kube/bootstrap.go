// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	_ "embed"

	"fathom.dev/fathom/internal/kube/manifest"
)

// roles are the ClusterRoles and bindings of the owner and of Fathom's components.
//
//go:embed rbac.yaml
var roles []byte

// lastOfOurRoles exists when an earlier start got as far as applying all roles, Kubernetes' own included.
const lastOfOurRoles = "fathom:node"

// bootstrap applies the roles.
func (cp *ControlPlane) bootstrap(ctx context.Context) error {
	return cp.InstallCRDs(ctx, roles)
}

// InstallCRDs makes CustomResourceDefinitions (YAML, several documents allowed) true and waits until they are served;
// ClusterRoles and their bindings may be among them. See [manifest.Apply] for the errors.
func (cp *ControlPlane) InstallCRDs(ctx context.Context, manifests ...[]byte) error {
	config, err := cp.administrator()
	if err != nil {
		return err
	}
	return manifest.Apply(ctx, config, manifests...)
}
