// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fathom.dev/fathom/internal/kube"
)

// newKube is `fathom-server kube`: the control plane alone, for tests (internal/testenv) and debugging.
func newKube() *cobra.Command {
	var opts kube.Options
	var attached bool
	cmd := &cobra.Command{
		Use:    "kube",
		Short:  "Run only the Kubernetes control plane",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			if attached {
				ctx = untilClosed(ctx, cmd.InOrStdin())
			}
			return runControlPlane(ctx, cmd, opts)
		},
	}
	controlPlaneFlags(cmd.Flags(), &opts)
	cmd.Flags().BoolVar(&attached, "attached", false, "end when standard input is closed, that is with the parent process")
	return cmd
}

func controlPlaneFlags(flags *pflag.FlagSet, opts *kube.Options) {
	flags.StringVar(&opts.Dir, "state-dir", ".state", "directory that keeps all state")
	flags.IntVar(&opts.Port, "port", 0, "port of the Kubernetes API on 127.0.0.1; 0 picks a free one and keeps it")
	flags.StringVar(&opts.NodeName, "node-name", "", "name of the local node (default: the host's name)")
	flags.StringVar(&opts.ServiceCIDR, "service-cidr", "", "addresses of Services (default 10.96.0.0/16)")
	flags.IPSliceVar(&opts.ExtraIPs, "extra-ip", []net.IP{}, "further addresses in the API server's certificate")
	flags.DurationVar(&opts.CertificateTTL, "certificate-ttl", 0, "life of certificates, which are renewed at half of it (default 24h)")
}

// untilClosed is a context that ends with parent, or when in has no more to read.
func untilClosed(parent context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}
