// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	v1 "k8s.io/api/core/v1"
)

// TestOnlyTheAPIServerCallsTheNode goes through every path of the node's own API as somebody else.
func TestOnlyTheAPIServerCallsTheNode(t *testing.T) {
	c := startNode(t, "process").in(t)
	c.create(shell("box", "echo hidden; sleep 1000", grace(0)))
	c.awaitLog("box", "hidden")
	object, err := c.client.CoreV1().Nodes().Get(t.Context(), c.options.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("https://127.0.0.1:%d", object.Status.DaemonEndpoints.KubeletEndpoint.Port)
	path := c.namespace + "/box"
	paths := []string{
		"/containerLogs/" + path + "/main", "/exec/" + path + "/main?command=id&output=1", "/exec/" + path + "/uid/main?command=id&output=1",
		"/attach/" + path + "/main?output=1", "/portForward/" + path + "?port=1", "/pods", "/healthz",
		"/metrics/resource", "/apis/metrics.k8s.io/v1beta1/pods",
	}
	for _, who := range []struct {
		name   string
		config *rest.Config
	}{{"owner", c.env.Owner()}, {"doors", c.env.Doors()}, {"node", c.env.Node()}, {"nobody", nil}} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		if who.config != nil {
			config, err := rest.TLSConfigFor(who.config)
			if err != nil {
				t.Fatal(err)
			}
			config.InsecureSkipVerify = true
			client.Transport = &http.Transport{TLSClientConfig: config}
		}
		for _, p := range paths {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				request, err := http.NewRequestWithContext(t.Context(), method, base+p, nil)
				if err != nil {
					t.Fatal(err)
				}
				answer, err := client.Do(request)
				if err != nil {
					if who.config != nil {
						t.Errorf("%s %s as %s: %v", method, p, who.name, err)
					}
					continue // refused in the handshake
				}
				body, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusForbidden || strings.Contains(string(body), "hidden") {
					t.Errorf("%s %s as %s: %d %q; want 403", method, p, who.name, answer.StatusCode, body)
				}
			}
		}
	}
	if got := c.log("box", v1.PodLogOptions{}); got != "hidden\n" {
		t.Errorf("through the API server: %q", got)
	}
}
