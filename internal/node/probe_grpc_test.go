// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/node/isolation"
)

// loopbackPod is a pod whose ports are the host's.
type loopbackPod struct{ isolation.Pod }

func (loopbackPod) Dial(ctx context.Context, port int) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

func TestGRPCProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, state := grpc.NewServer(), health.NewServer()
	healthv1.RegisterHealthServer(server, state)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	state.SetServingStatus("model", healthv1.HealthCheckResponse_NOT_SERVING)
	p := &prober{pod: loopbackPod{}, podIP: "127.0.0.1"}
	port, model, nothing := int32(l.Addr().(*net.TCPAddr).Port), "model", "nothing"
	for _, c := range []struct {
		name   string
		action v1.GRPCAction
		want   bool
	}{{"the server", v1.GRPCAction{Port: port}, true}, {"a service that is not ready", v1.GRPCAction{Port: port, Service: &model}, false},
		{"an unknown service", v1.GRPCAction{Port: port, Service: &nothing}, false}, {"nobody", v1.GRPCAction{Port: 1}, false}} {
		err := p.try(t.Context(), &v1.Probe{TimeoutSeconds: 5, ProbeHandler: v1.ProbeHandler{GRPC: &c.action}})
		if (err == nil) != c.want {
			t.Errorf("%s: %v; want success %t", c.name, err, c.want)
		}
	}
}
