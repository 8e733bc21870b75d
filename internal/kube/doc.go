// SPDX-License-Identifier: Apache-2.0

// Package kube runs a whole Kubernetes control plane inside the process: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler, on the loopback interface, with all state in one directory.
//
// [Start] takes a configuration and answers with a [ControlPlane] that is ready to be used; [ControlPlane.Stop]
// ends it. Because Kubernetes keeps feature gates, metrics and logging in process-wide variables, a process can
// start one control plane in its life.
//
// Who is who. The package owns a certificate authority (pki/ca.crt, pki/ca.key) and issues short-lived client
// certificates from it: one for every server component ([Identity]), and one for the person who owns the machine,
// in the kubeconfig file. They are renewed at each start and long before they expire. Nobody holds a lasting
// system:masters credential; start-up uses one that lives ten minutes and never leaves memory. Requests without
// credentials are refused, not treated as anonymous.
//
// What is on disk. etcd/ holds the objects (an acknowledged write was fsynced), pki/ the keys (mode 0600),
// kubeconfig the owner's access, logs/ the components' log and the audit log. Secrets are encrypted before they
// reach etcd, with a key kept in pki/encryption.yaml: lose that file and the Secrets are lost.
//
// Only this package and cmd/fathom-server link Kubernetes' server code.
package kube
