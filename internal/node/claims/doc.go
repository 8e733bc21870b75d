// SPDX-License-Identifier: Apache-2.0

// Package claims makes persistent volumes for claims: directories of the node.
//
// There are two StorageClasses. Volumes of ClassLocal, the default, are kept when their claim is deleted; those of
// ClassScratch go with it. A claim is bound at once. The size of a volume is what was asked for; it is not enforced.
package claims

import (
	"log/slog"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

const (
	// Provisioner is the name under which StorageClasses refer to this package.
	Provisioner = "fathom.dev/local"
	// ClassLocal is the default class; its volumes are retained.
	ClassLocal = "local"
	// ClassScratch is the class whose volumes are removed with their claims.
	ClassScratch = "local-scratch"
)

// Options of Start. All are required.
type Options struct {
	Client kubernetes.Interface
	// Dir holds a directory for each volume.
	Dir string
	// NodeName is the label kubernetes.io/hostname of the node, which volumes are tied to.
	NodeName string
	// Event records what a person should know about a claim.
	Event  func(object runtime.Object, kind, reason, message string)
	Logger *slog.Logger
}
