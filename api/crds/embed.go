// SPDX-License-Identifier: Apache-2.0

// Package crds carries the generated custom resource definitions, so that any process can install them.
package crds

import "embed"

// Files holds one YAML file for each kind.
//
//go:embed *.yaml
var Files embed.FS
