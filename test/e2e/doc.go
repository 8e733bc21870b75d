// SPDX-License-Identifier: Apache-2.0

// Package e2e runs Fathom as people do, from outside: the built binaries, an empty state directory, the command line and
// HTTP with the kubeconfig's certificate. It uses no code of the product.
package e2e
