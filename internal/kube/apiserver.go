// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"fathom.dev/fathom/internal/fault"
)

// tokenIssuer is the "iss" of service-account tokens and, being the only API audience, the "aud" of those that open
// the Kubernetes API. Tokens for other audiences ("fathom" for the doors) are issued and reviewed on request, but
// do not open it.
const tokenIssuer = "https://kubernetes.default.svc.cluster.local"

func (cp *ControlPlane) apiServerArguments(port int) []string {
	key := cp.state.key
	return []string{
		"--bind-address=" + loopback,
		"--advertise-address=" + loopback,
		"--secure-port=" + strconv.Itoa(port),
		"--endpoint-reconciler-type=none", // Endpoints cannot hold a loopback address
		"--etcd-servers=unix://" + cp.state.socket,
		"--service-cluster-ip-range=" + cp.opts.ServiceCIDR,

		"--tls-cert-file=" + key("apiserver.crt"),
		"--tls-private-key-file=" + key("apiserver.key"),
		"--client-ca-file=" + key("ca.crt"),
		"--anonymous-auth=false",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--kubelet-client-certificate=" + key("apiserver-kubelet.crt"),
		"--kubelet-client-key=" + key("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + key("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--proxy-client-cert-file=" + key("apiserver-kubelet.crt"), // the node also serves an aggregated API
		"--proxy-client-key-file=" + key("apiserver-kubelet.key"),

		"--service-account-issuer=" + tokenIssuer,
		"--api-audiences=" + tokenIssuer,
		"--service-account-signing-key-file=" + key("service-accounts.key"),
		"--service-account-key-file=" + key("service-accounts.key"),
		"--service-account-extend-token-expiration=false",

		"--encryption-provider-config=" + key("encryption.yaml"),
		"--audit-policy-file=" + key("audit-policy.yaml"),
		"--audit-log-path=" + cp.state.path("logs", "kubernetes-audit.log"),
		"--audit-log-maxsize=50",
		"--audit-log-maxbackup=5",

		"--shutdown-watch-termination-grace-period=2s", // ends others' watches, which would hold up a stop
		"--enable-priority-and-fairness=false",         // one user's machine: costs memory, orders nothing
		"--profiling=false",
	}
}

// startAPIServer runs the server on listener and waits until it is ready: storage answers, the built-in roles exist.
func (cp *ControlPlane) startAPIServer(ctx context.Context, listener net.Listener) error {
	opts := options.NewServerRunOptions()
	opts.SecureServing.Listener = listener
	if err := parse(opts.Flags(), cp.apiServerArguments(listener.Addr().(*net.TCPAddr).Port)); err != nil {
		return err
	}
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fault.Wrap(fault.Internal, "kube: feature gates", err)
	}
	part := cp.run("kube-apiserver", func(ctx context.Context) error {
		completed, err := opts.Complete(ctx)
		if err != nil {
			return err
		}
		if errs := completed.Validate(); len(errs) > 0 {
			return errors.Join(errs...)
		}
		return app.Run(ctx, completed)
	})
	cp.parts = append(cp.parts, part)
	return cp.waitReady(ctx)
}

// withoutRoles leaves out the two checks that always take a second, because Kubernetes makes its built-in roles and
// priority classes only then.
const withoutRoles = "/readyz?exclude=poststarthook/rbac/bootstrap-roles&exclude=poststarthook/scheduling/bootstrap-system-priority-classes"

// waitReady waits until requests are answered as they should be. A restart need not wait for the built-in roles.
func (cp *ControlPlane) waitReady(ctx context.Context) error {
	config, err := cp.administrator()
	if err != nil {
		return err
	}
	admin, err := connect(config)
	if err != nil {
		return err
	}
	if cp.client, err = connect(cp.RESTConfig(Operator)); err != nil {
		return err
	}
	if err := cp.poll(ctx, admin, withoutRoles); err != nil {
		return err
	}
	_, err = admin.RbacV1().ClusterRoleBindings().Get(ctx, lastOfOurRoles, metav1.GetOptions{})
	if err == nil {
		return nil
	}
	return cp.poll(ctx, admin, "/readyz")
}

func (cp *ControlPlane) poll(ctx context.Context, client kubernetes.Interface, check string) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		select {
		case err := <-cp.failed:
			return false, err
		default:
		}
		_, last = client.Discovery().RESTClient().Get().RequestURI(check).DoRaw(ctx)
		return last == nil, nil
	})
	if ctx.Err() != nil {
		return fault.Wrap(fault.Unavailable, "kube: kube-apiserver did not become ready", errors.Join(ctx.Err(), last))
	}
	return err
}

func connect(config *rest.Config) (*kubernetes.Clientset, error) {
	client, err := kubernetes.NewForConfig(config)
	return client, fault.Wrap(fault.Internal, "kube: connect", err)
}

// parse applies command line arguments to a component's options. Arguments are the interface that Kubernetes keeps
// stable and documents.
func parse(sets cliflag.NamedFlagSets, arguments []string) error {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	return fault.Wrap(fault.Internal, "kube: arguments", flags.Parse(arguments))
}
