// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
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
			ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			return runControlPlane(ctx, cmd, opts)
		},
	}
	controlPlaneFlags(cmd.Flags(), &opts)
	return cmd
}

// runControlPlane starts the control plane, says where it is, and stops it when ctx ends or a component dies.
func runControlPlane(ctx context.Context, cmd *cobra.Command, opts kube.Options) error {
	begin := time.Now()
	starting, started := context.WithTimeout(ctx, 2*time.Minute)
	defer started()
	cp, err := kube.Start(starting, opts)
	if err != nil && ctx.Err() != nil {
		return nil // interrupted while starting
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ready in %.1fs: %s\nkubeconfig: %s\n",
		time.Since(begin).Seconds(), cp.Endpoint(), cp.KubeconfigPath())
	select {
	case <-ctx.Done():
	case err = <-cp.Failed():
	}
	stopping, stopped := context.WithTimeout(context.Background(), 20*time.Second)
	defer stopped()
	if stopErr := cp.Stop(stopping); err == nil {
		err = stopErr
	}
	return err
}
