// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"
)

// check asks the standard health service of gRPC, without TLS, as the kubelet does.
func (p *prober) check(ctx context.Context, action *v1.GRPCAction) error {
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return p.pod.Dial(ctx, int(action.Port)) }
	conn, err := grpc.NewClient("passthrough:///"+p.podIP, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial), grpc.WithUserAgent("kube-probe/fathom"), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	request := &healthv1.HealthCheckRequest{}
	if action.Service != nil {
		request.Service = *action.Service
	}
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, request)
	if err != nil {
		return err
	}
	if answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the health service answered %s", answer.GetStatus())
	}
	return nil
}
