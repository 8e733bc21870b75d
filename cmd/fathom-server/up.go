// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/kube"
)

// newUp is `fathom-server up`: the whole platform in one process, until it is interrupted.
func newUp() *cobra.Command {
	var opts kube.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run Fathom in this process until it is interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return up(cmd, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Dir, "state-dir", ".state", "directory that keeps all state")
	flags.IntVar(&opts.Port, "port", 0, "port of the Kubernetes API on 127.0.0.1; 0 picks a free one and keeps it")
	flags.StringVar(&opts.NodeName, "node-name", "", "name of the local node (default: the host's name)")
	flags.StringVar(&opts.ServiceCIDR, "service-cidr", "", "addresses of Services (default 10.96.0.0/16)")
	flags.IPSliceVar(&opts.ExtraIPs, "extra-ip", []net.IP{}, "further addresses in the API server's certificate")
	return cmd
}

func up(cmd *cobra.Command, opts kube.Options) error {
	ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	begin := time.Now()
	starting, stopStarting := context.WithTimeout(ctx, 2*time.Minute)
	defer stopStarting()
	cp, err := kube.Start(starting, opts)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ready in %.1fs: %s\nkubeconfig: %s\n", time.Since(begin).Seconds(), cp.Endpoint(), cp.KubeconfigPath())
	select {
	case <-ctx.Done():
		cancel() // a second interrupt ends the process at once
		err = nil
	case err = <-cp.Failed():
	}
	stopping, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	if stopErr := cp.Stop(stopping); err == nil {
		err = stopErr
	}
	return err
}
