// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"fathom.dev/fathom/internal/testenv"
)

// listener answers "hello" on two TCP ports and one UDP port, and echoes lines on a third TCP port.
const listener = `
import socket, socketserver, threading
class Hello(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(b"hello")
class Datagram(socketserver.BaseRequestHandler):
    def handle(self): self.request[1].sendto(b"hello", self.client_address)
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile: self.wfile.write(line)
class Server(socketserver.ThreadingTCPServer): daemon_threads = True
servers = [Server(("", 8080), Hello), Server(("", 9090), Hello), Server(("", 7070), Echo), socketserver.ThreadingUDPServer(("", 5353), Datagram)]
for s in servers[1:]: threading.Thread(target=s.serve_forever).start()
print("listening", flush=True)
servers[0].serve_forever()
`

// prober tries every name=protocol:host:port of its arguments and prints the names of those that answered.
const prober = `
import socket, sys
for target in sys.argv[1:]:
    name, _, rest = target.partition("=")
    protocol, host, port = rest.split(":")
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(1)
    try:
        s.connect((host, int(port)))
        if protocol == "udp": s.send(b"x")
        if s.recv(5) == b"hello": print(name)
    except OSError: pass
    s.close()
`

func python(name, program string, change ...func(*v1.Pod)) *v1.Pod {
	pod := shell(name, "", append(change, grace(0))...)
	pod.Spec.Containers[0].Command = []string{"/usr/bin/python3", "-c", program}
	return pod
}

func labelled(pairs ...string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Labels = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			p.Labels[pairs[i]] = pairs[i+1]
		}
	}
}

// matrix is pods a, b, c in one namespace and o in another, all listening.
type matrix struct {
	*cluster
	other     *cluster
	names     []string
	addresses map[string]string
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	if _, err := exec.LookPath("/usr/bin/python3"); err != nil {
		t.Skip("no /usr/bin/python3 for pods:", err)
	}
	c := startNode(t, "sandbox")
	if _, unenforced := c.node.Isolation(); strings.Contains(strings.Join(unenforced, " "), "NetworkPolicy") {
		t.Skip("not enforced here:", unenforced)
	}
	m := &matrix{cluster: c.in(t), other: c.in(t), names: []string{"a", "b", "c", "o"}, addresses: map[string]string{}}
	m.other.label("team", "other")
	ports := func(p *v1.Pod) {
		p.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: "web", ContainerPort: 8080}}
	}
	for _, name := range m.names {
		m.of(name).create(python(name, listener, labelled("name", name), ports))
	}
	for _, name := range m.names {
		m.of(name).awaitLog(name, "listening")
		m.addresses[name] = m.of(name).await(name, "running", running).Status.PodIP
	}
	return m
}

func (m *matrix) of(name string) *cluster {
	if name == "o" {
		return m.other
	}
	return m.cluster
}

func (c *cluster) label(key, value string) {
	c.Helper()
	ns, err := c.client.CoreV1().Namespaces().Get(c.Context(), c.namespace, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[key] = value
	if _, err := c.client.CoreV1().Namespaces().Update(c.Context(), ns, metav1.UpdateOptions{}); err != nil {
		c.Fatal(err)
	}
}

// policies replaces all of the namespace's.
func (m *matrix) policies(specs ...string) {
	m.Helper()
	api := m.client.NetworkingV1().NetworkPolicies(m.namespace)
	if err := api.DeleteCollection(m.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		m.Fatal(err)
	}
	for i, text := range specs {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}}
		if err := yaml.UnmarshalStrict([]byte(text), &p.Spec); err != nil {
			m.Fatal(err)
		}
		if _, err := api.Create(m.Context(), p, metav1.CreateOptions{}); err != nil {
			m.Fatal(err)
		}
	}
}

// connections tries everything with everybody: "a>b:8080" for each that answered.
func (m *matrix) connections() []string {
	m.Helper()
	var all []string
	for _, from := range m.names {
		args := []string{"exec", "/usr/bin/python3", "-c", "'" + prober + "'"}
		for _, to := range m.names {
			if to != from {
				for _, port := range []string{"tcp:8080", "tcp:9090", "udp:5353"} {
					protocol, number, _ := strings.Cut(port, ":")
					args = append(args, fmt.Sprintf("%s\\>%s:%s=%s:%s:%s", from, to, number, protocol, m.addresses[to], number))
				}
			}
		}
		all = append(all, strings.Fields(m.of(from).exec(from, strings.Join(args, " ")))...)
	}
	slices.Sort(all)
	return all
}

// expand turns "a>b a>c:8080" into single connections, "*" standing for everybody.
func (m *matrix) expand(text string) []string {
	var all []string
	for _, entry := range strings.Fields(text) {
		pair, port, some := strings.Cut(entry, ":")
		from, to, _ := strings.Cut(pair, ">")
		ports := []string{"8080", "9090", "5353"}
		if some {
			ports = []string{port}
		}
		for _, f := range m.names {
			for _, t := range m.names {
				if f != t && (from == "*" || from == f) && (to == "*" || to == t) {
					for _, p := range ports {
						all = append(all, f+">"+t+":"+p)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const (
	denied = "{podSelector: {}, policyTypes: [Ingress, Egress]}"
	opened = "{podSelector: {}, policyTypes: [Egress], egress: [{}]}"
)

func TestNetworkPolicies(t *testing.T) {
	m := newMatrix(t)
	block := func(format string, names ...any) string {
		for i, n := range names {
			names[i] = m.addresses[n.(string)]
		}
		return fmt.Sprintf(format, names...)
	}
	for _, test := range []struct {
		name     string
		policies []string
		want     string
	}{
		{"none", nil, "*>*"},
		{"denied", []string{denied}, ""},
		{"ingress denied", []string{"{podSelector: {}}"}, "*>o"},
		{"egress denied", []string{"{podSelector: {}, policyTypes: [Egress]}"}, "o>*"},
		{"egress denied to one", []string{"{podSelector: {matchLabels: {name: a}}, policyTypes: [Egress]}"}, "b>* c>* o>*"},
		{"pods of a gang", []string{denied, "{podSelector: {matchExpressions: [{key: name, operator: In, values: [a, b]}]}, policyTypes: [Ingress, Egress], " +
			"ingress: [{from: [{podSelector: {matchExpressions: [{key: name, operator: In, values: [a, b]}]}}]}], " +
			"egress: [{to: [{podSelector: {matchExpressions: [{key: name, operator: In, values: [a, b]}]}}]}]}"}, "a>b b>a"},
		{"by label", []string{denied, opened, "{podSelector: {matchLabels: {name: b}}, ingress: [{from: [{podSelector: {matchLabels: {name: a}}}]}]}"}, "*>o a>b"},
		{"by namespace", []string{"{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]}"}, "o>* *>o"},
		{"by namespace and label", []string{"{podSelector: {matchLabels: {name: b}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {name: o}}}]}]}"}, "o>* *>a *>c *>o"},
		{"port", []string{denied, opened, "{podSelector: {matchLabels: {name: b}}, ingress: [{ports: [{port: 9090}]}]}"}, "*>o *>b:9090"},
		{"named port", []string{denied, opened, "{podSelector: {matchLabels: {name: b}}, ingress: [{ports: [{port: web}]}]}"}, "*>o *>b:8080"},
		{"ports up to", []string{denied, opened, "{podSelector: {matchLabels: {name: b}}, ingress: [{ports: [{port: 8000, endPort: 9999}]}]}"}, "*>o *>b:8080 *>b:9090"},
		{"UDP", []string{denied, opened, "{podSelector: {matchLabels: {name: b}}, ingress: [{ports: [{port: 5353, protocol: UDP}]}]}"}, "*>o *>b:5353"},
		{"egress to a port", []string{"{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {name: b}}}], ports: [{port: web}]}]}"}, "o>* a>b:8080 c>b:8080"},
		{"block", []string{denied, opened, block("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [%s/32, %s/32]}}]}]}", "a", "o")}, "*>o b>* c>*"},
		{"egress to a block", []string{block("{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: %s/32}}]}]}", "b")}, "o>* *>b"},
		{"none again", nil, "*>*"},
	} {
		t.Run(test.name, func(t *testing.T) {
			own := *m
			own.cluster, own.other = m.cluster.under(t), m.other.under(t)
			own.policies(test.policies...)
			want := own.expand(test.want)
			var got []string
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
				if got = own.connections(); slices.Equal(got, want) {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("connections\n%v\nwant\n%v", got, want)
			}
			own.outsidersStay()
		})
	}
	t.Run("new pods", func(t *testing.T) { (&matrix{cluster: m.cluster.under(t), addresses: m.addresses}).newPods() })
	t.Run("labels change", func(t *testing.T) { (&matrix{cluster: m.cluster.under(t), addresses: m.addresses}).labelsChange() })
	t.Run("connections end", func(t *testing.T) { (&matrix{cluster: m.cluster.under(t), addresses: m.addresses}).connectionsEnd() })
	t.Run("services", func(t *testing.T) { (&matrix{cluster: m.cluster.under(t), addresses: m.addresses}).services() })
}

// under gives the cluster, with its namespace, to a sub-test.
func (c *cluster) under(t *testing.T) *cluster {
	own := *c
	own.T = t
	return &own
}

// outsidersStay: the host reaches pods, pods reach the host's forwards and DNS, and execution works, whatever policies say.
func (m *matrix) outsidersStay() {
	m.Helper()
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(m.addresses["a"], "8080"), time.Second)
	if err != nil {
		m.Errorf("host to pod: %v", err)
		return
	}
	_ = conn.Close()
	port := m.options.HostForwards[0].Port
	out := m.exec("a", fmt.Sprintf("getent hosts kubernetes.default.svc >/dev/null && /bin/bash -c 'exec 3<>/dev/tcp/kubernetes.default.svc/%d' && echo forward", port))
	if strings.TrimSpace(out) != "forward" {
		m.Errorf("pod to the Kubernetes API: %q", out)
	}
}

// newPods: a pod that is made right after a policy is under it from its first packet on.
func (m *matrix) newPods() {
	for i := range 5 {
		m.policies()
		m.policies(denied)
		name := fmt.Sprint("eager-", i)
		pod := python(name, prober, labelled("name", name))
		pod.Spec.Containers[0].Command = append(pod.Spec.Containers[0].Command, "REACHED=tcp:"+m.addresses["o"]+":8080", "REACHED=udp:"+m.addresses["o"]+":5353")
		m.run(pod)
		if out := m.log(name, v1.PodLogOptions{}); strings.Contains(out, "REACHED") {
			m.Errorf("pod %s was out before its policy was in force: %q", name, out)
		}
	}
}

// labelsChange: rules follow the labels of running pods.
func (m *matrix) labelsChange() {
	m.policies(denied, opened, "{podSelector: {matchLabels: {name: b}}, ingress: [{from: [{podSelector: {matchLabels: {admitted: yes-please}}}]}]}")
	target := "REACHED=tcp:" + m.addresses["b"] + ":8080"
	reaches := func() bool {
		return strings.Contains(m.exec("c", "exec /usr/bin/python3 -c '"+prober+"' "+target), "REACHED")
	}
	testenv.Eventually(m.T, "c to be refused", func(context.Context) (bool, error) { return !reaches(), nil })
	for _, step := range []struct {
		patch string
		want  bool
	}{{`{"metadata":{"labels":{"admitted":"yes-please"}}}`, true}, {`{"metadata":{"labels":{"admitted":null}}}`, false}} {
		if _, err := m.client.CoreV1().Pods(m.namespace).Patch(m.Context(), "c", "application/merge-patch+json", []byte(step.patch), metav1.PatchOptions{}); err != nil {
			m.Fatal(err)
		}
		testenv.Eventually(m.T, fmt.Sprintf("reaching b to be %t after %s", step.want, step.patch), func(context.Context) (bool, error) {
			return reaches() == step.want, nil
		})
	}
}

// connectionsEnd: what was opened before a policy ends when the policy does not allow it, and goes on when it does.
func (m *matrix) connectionsEnd() {
	m.policies()
	talk := func(to string) string {
		return fmt.Sprintf(`
import socket, time
s = socket.create_connection((%q, 7070)); s.settimeout(5)
count = 0
try:
    while True:
        s.sendall(b"x\n")
        if s.recv(2) == b"": raise OSError("closed")
        count += 1
        if count %% 20 == 1: print("talking", flush=True)
        time.sleep(0.01)
except OSError as e: print("cut", e, flush=True)
time.sleep(1000)
`, m.addresses[to])
	}
	m.create(python("talks-b", talk("b"), labelled("name", "talks-b")))
	m.create(python("talks-c", talk("c"), labelled("name", "talks-c")))
	m.awaitLog("talks-b", "talking")
	m.awaitLog("talks-c", "talking")
	m.policies("{podSelector: {matchLabels: {name: b}}}", "{podSelector: {matchLabels: {name: c}}, ingress: [{ports: [{port: 7070}]}]}")
	m.awaitLog("talks-b", "cut")
	before := strings.Count(m.log("talks-c", v1.PodLogOptions{}), "talking")
	testenv.Eventually(m.T, "the allowed connection to go on", func(context.Context) (bool, error) {
		return strings.Count(m.log("talks-c", v1.PodLogOptions{}), "talking") > before, nil
	})
	if out := m.log("talks-c", v1.PodLogOptions{}); strings.Contains(out, "cut") {
		m.Errorf("an allowed connection was cut: %s", out)
	}
}

// services: the address of a Service leads round no policy.
func (m *matrix) services() {
	_, err := m.client.CoreV1().Services(m.namespace).Create(m.Context(), &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "mapped"}, Spec: v1.ServiceSpec{
		Selector: map[string]string{"name": "b"}, Ports: []v1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}}}, metav1.CreateOptions{})
	if err != nil {
		m.Fatal(err)
	}
	reaches := func() bool {
		return strings.Contains(m.exec("a", "exec /usr/bin/python3 -c '"+prober+"' REACHED=tcp:mapped:80"), "REACHED")
	}
	for _, step := range []struct {
		policies []string
		want     bool
	}{{nil, true}, {[]string{denied}, false}, {[]string{denied, opened, "{podSelector: {matchLabels: {name: b}}, ingress: [{from: [{podSelector: {matchLabels: {name: a}}}]}]}"}, true}} {
		m.policies(step.policies...)
		testenv.Eventually(m.T, fmt.Sprintf("reaching the Service to be %t under %v", step.want, step.policies), func(context.Context) (bool, error) {
			return reaches() == step.want, nil
		})
	}
}
