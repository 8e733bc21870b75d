// SPDX-License-Identifier: Apache-2.0

// Package oci is the registry's door: the OCI distribution specification 1.1, with referrers, for crane, oras, docker, podman
// and containerd. Repositories are "<workspace>/<name...>"; who may is decided for workspaces/images of the workspace, as for
// everything else: get to pull, create to push, update to let a tag name something else, delete to delete.
//
// Clients send a bearer token, or a token as the password of Basic with any user name.
package oci
