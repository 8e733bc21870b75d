// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// world is two pods of a run and one of another in namespace w, and one in namespace o.
func world() (pods []Pod, names map[netip.Addr]string, namespaces map[string]map[string]string) {
	names = map[netip.Addr]string{}
	add := func(name, namespace, run, last string, web uint16) {
		a := netip.MustParseAddr("10.64.0." + last)
		names[a] = name
		pods = append(pods, Pod{Namespace: namespace, Labels: map[string]string{"run": run, "name": name}, Address: a,
			Ports: []NamedPort{{"web", TCP, web}, {"dns", UDP, 53}}})
	}
	add("a1", "w", "a", "2", 80)
	add("a2", "w", "a", "3", 8080)
	add("b1", "w", "b", "6", 80)
	add("o1", "o", "a", "9", 80)
	return pods, names, map[string]map[string]string{"w": {"team": "own"}, "o": {"team": "other"}}
}

// asked are the connections that the table below asks about.
var asked = []Ports{{Protocol: TCP, First: 80}, {Protocol: TCP, First: 8080}, {Protocol: UDP, First: 53}, {Protocol: SCTP, First: 80}, {Protocol: 1}}

var letters = map[byte]string{TCP: "t", UDP: "u", SCTP: "s", 1: "icmp"}

const denyAll = "{podSelector: {}, policyTypes: [Ingress, Egress]}"

func TestCompile(t *testing.T) {
	const everything = "t80 t8080 u53 s80 icmp"
	for _, test := range []struct {
		name     string
		policies []string // specs, in namespace w
		want     string   // lines "from>to connections" of what differs from everything
	}{
		{"nothing said", nil, ``},
		{"denied", []string{denyAll}, `a1>a2 - | a1>b1 - | a1>o1 - | a2>a1 - | a2>b1 - | a2>o1 - | b1>a1 - | b1>a2 - | b1>o1 - | o1>a1 - | o1>a2 - | o1>b1 -`},
		{"policyTypes default to ingress", []string{"{podSelector: {matchLabels: {name: a1}}}"}, `a2>a1 - | b1>a1 - | o1>a1 -`},
		{"policyTypes default to both with egress rules", []string{"{podSelector: {matchLabels: {name: a1}}, egress: [{to: [{podSelector: {matchLabels: {name: a2}}}]}]}"},
			`a1>b1 - | a1>o1 - | a2>a1 - | b1>a1 - | o1>a1 -`},
		{"egress only", []string{"{podSelector: {matchLabels: {name: a1}}, policyTypes: [Egress]}"}, `a1>a2 - | a1>b1 - | a1>o1 -`},
		{"egress rules without the type count for nothing", []string{"{podSelector: {matchLabels: {name: a1}}, policyTypes: [Ingress], ingress: [{}], egress: [{to: []}]}"}, ``},
		{"an empty rule allows all", []string{denyAll, "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}"}, ``},
		{"a gang in a denied workspace", []string{denyAll, "{podSelector: {matchLabels: {run: a}}, policyTypes: [Ingress, Egress], " +
			"ingress: [{from: [{podSelector: {matchLabels: {run: a}}}]}], egress: [{to: [{podSelector: {matchLabels: {run: a}}}]}]}"},
			`a1>b1 - | a1>o1 - | a2>b1 - | a2>o1 - | b1>a1 - | b1>a2 - | b1>o1 - | o1>a1 - | o1>a2 - | o1>b1 -`},
		{"both ends must agree", []string{denyAll, "{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}"},
			`a1>a2 - | a1>b1 - | a1>o1 - | a2>a1 - | a2>b1 - | a2>o1 - | b1>a1 - | b1>a2 - | b1>o1 -`},
		{"namespace", []string{"{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]}"},
			`a1>a2 - | a1>b1 - | a2>a1 - | a2>b1 - | b1>a1 - | b1>a2 -`},
		{"namespace and pod together", []string{"{podSelector: {matchLabels: {name: b1}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: own}}, podSelector: {matchLabels: {run: a}}}]}]}"},
			`o1>b1 -`},
		{"namespace or pod", []string{"{podSelector: {matchLabels: {name: b1}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}, {podSelector: {matchLabels: {name: a1}}}]}]}"},
			`a2>b1 -`},
		{"expressions", []string{"{podSelector: {matchExpressions: [{key: name, operator: In, values: [b1]}]}, ingress: [{from: [{podSelector: {matchExpressions: [{key: run, operator: NotIn, values: [a]}]}}]}]}"},
			`a1>b1 - | a2>b1 - | o1>b1 -`},
		{"port", []string{"{podSelector: {matchLabels: {name: b1}}, ingress: [{ports: [{port: 80}]}]}"}, `a1>b1 t80 | a2>b1 t80 | o1>b1 t80`},
		{"ports", []string{"{podSelector: {matchLabels: {name: b1}}, ingress: [{ports: [{port: 79, endPort: 81}, {port: 53, protocol: UDP}, {port: 80, protocol: SCTP}]}]}"},
			`a1>b1 t80 u53 s80 | a2>b1 t80 u53 s80 | o1>b1 t80 u53 s80`},
		{"all ports of a protocol", []string{"{podSelector: {matchLabels: {name: b1}}, ingress: [{ports: [{protocol: TCP}]}]}"},
			`a1>b1 t80 t8080 | a2>b1 t80 t8080 | o1>b1 t80 t8080`},
		{"named port of the receiver", []string{"{podSelector: {matchLabels: {run: a}}, ingress: [{ports: [{port: web}]}]}"},
			`a1>a2 t8080 | a2>a1 t80 | b1>a1 t80 | b1>a2 t8080 | o1>a1 t80 | o1>a2 t8080`},
		{"named port of another protocol", []string{"{podSelector: {matchLabels: {name: b1}}, ingress: [{ports: [{port: web, protocol: UDP}]}]}"}, `a1>b1 - | a2>b1 - | o1>b1 -`},
		{"named port towards others", []string{"{podSelector: {matchLabels: {name: b1}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: web}, {port: 53, protocol: UDP}]}]}"},
			`b1>a1 t80 u53 | b1>a2 t8080 u53 | b1>o1 -`},
		{"named port towards anybody", []string{"{podSelector: {matchLabels: {name: b1}}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}"},
			`b1>a1 t80 | b1>a2 t8080 | b1>o1 t80`},
		{"block", []string{"{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.64.0.0/29, except: [10.64.0.3/32]}}]}]}"},
			`a2>a1 - | a2>b1 - | o1>a1 - | o1>a2 - | o1>b1 -`},
		{"block and exceptions at its ends", []string{"{podSelector: {matchLabels: {run: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [0.0.0.0/5, 10.64.0.4/30, 128.0.0.0/1]}}]}]}"},
			`a1>b1 - | a2>b1 -`},
		{"block of addresses that pods do not have", []string{"{podSelector: {matchLabels: {name: a1}}, ingress: [{from: [{ipBlock: {cidr: 'fd00::/8'}}]}]}"}, `a2>a1 - | b1>a1 - | o1>a1 -`},
		{"a selector that cannot be read", []string{"{podSelector: {matchLabels: {name: a1}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: run, operator: Like, values: [a]}]}}]}]}"},
			`a2>a1 - | b1>a1 - | o1>a1 -`},
		{"a subject that cannot be read", []string{"{podSelector: {matchExpressions: [{key: run, operator: Like}]}, policyTypes: [Ingress]}"},
			`a1>a2 - | a1>b1 - | a2>a1 - | a2>b1 - | b1>a1 - | b1>a2 - | o1>a1 - | o1>a2 - | o1>b1 -`},
	} {
		t.Run(test.name, func(t *testing.T) {
			pods, names, namespaces := world()
			rules := Compile(parse(t, test.policies), pods, namespaces)
			var got []string
			for _, from := range pods {
				for _, to := range pods {
					if from.Address == to.Address {
						continue
					}
					if answer := connections(rules, from.Address, to.Address); answer != everything {
						got = append(got, fmt.Sprintf("%s>%s %s", names[from.Address], names[to.Address], answer))
					}
				}
			}
			want := strings.FieldsFunc(test.want, func(r rune) bool { return r == '|' })
			for i := range want {
				want[i] = strings.TrimSpace(want[i])
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " | "), strings.Join(want, " | "))
			}
		})
	}
}

func parse(t *testing.T, specs []string) []*networkingv1.NetworkPolicy {
	t.Helper()
	var list []*networkingv1.NetworkPolicy
	for i, text := range specs {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "w", Name: fmt.Sprint(i)}}
		if err := yaml.UnmarshalStrict([]byte(text), &p.Spec); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func connections(r Rules, from, to netip.Addr) string {
	var got []string
	for _, c := range asked {
		if r.Allows(from, to, c.Protocol, c.First) {
			text := letters[c.Protocol]
			if c.First > 0 {
				text += fmt.Sprint(c.First)
			}
			got = append(got, text)
		}
	}
	if got == nil {
		return "-"
	}
	return strings.Join(got, " ")
}

func TestNobodyKnownNobodyHeard(t *testing.T) {
	pods, _, _ := world()
	rules := Compile(nil, pods[:1], nil)
	stranger := netip.MustParseAddr("10.64.0.77")
	if rules.Allows(pods[0].Address, stranger, TCP, 80) || rules.Allows(stranger, pods[0].Address, TCP, 80) {
		t.Error("an address without a pod may connect")
	}
	if len(Compile(nil, []Pod{{Namespace: "w"}}, nil)) != 0 {
		t.Error("a pod without address has rules")
	}
}

func TestRulesDoNotDependOnTheOrder(t *testing.T) {
	pods, _, namespaces := world()
	policies := parse(t, []string{denyAll, "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}", "{podSelector: {}, egress: [{}]}"})
	first := fmt.Sprint(Compile(policies, pods, namespaces))
	slices.Reverse(policies)
	slices.Reverse(pods)
	if second := fmt.Sprint(Compile(policies, pods, namespaces)); first != second {
		t.Errorf("%s\n%s", first, second)
	}
}

func TestClosed(t *testing.T) {
	pods, _, _ := world()
	const ingress, egress = "{podSelector: {matchLabels: {name: a1}}}", "{podSelector: {matchLabels: {run: a}}, policyTypes: [Egress]}"
	for _, test := range []struct {
		policies []string
		want     string
	}{{nil, ""}, {[]string{denyAll}, "a1 a2 b1"}, {[]string{ingress}, ""}, {[]string{egress}, ""}, {[]string{ingress, egress}, "a1"}} {
		var got []string
		for _, p := range pods {
			if Closed(parse(t, test.policies), p) {
				got = append(got, p.Labels["name"])
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%v closes %v; want %s", test.policies, got, test.want)
		}
	}
}

func TestNamedPorts(t *testing.T) {
	pod := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{{Ports: []v1.ContainerPort{
		{Name: "web", ContainerPort: 80}, {ContainerPort: 81}, {Name: "dns", ContainerPort: 53, Protocol: v1.ProtocolUDP}}}}}}
	if got, want := fmt.Sprint(NamedPorts(pod)), "[{web 6 80} {dns 17 53}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
