// SPDX-License-Identifier: Apache-2.0

package fields

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
)

var update = flag.Bool("update", false, "write the table of docs/node.md")

const document = "../../../docs/node.md"

// visit calls f for every field of a pod that the table must know, by the type that has it. Inlined structs belong to a
// field list of their own.
func visit(t *testing.T, kind reflect.Type, seen map[string]bool, f func(owner, field string, r Rule)) {
	t.Helper()
	if seen[kind.Name()] {
		return
	}
	seen[kind.Name()] = true
	for i := range kind.NumField() {
		field := kind.Field(i)
		name := jsonName(field)
		if name == "" {
			visit(t, field.Type, seen, f)
			continue
		}
		rule, known := table[kind.Name()][name]
		if !known {
			t.Errorf("%s.%s is not in the table: say whether the node honours, reports or refuses it", kind.Name(), name)
			continue
		}
		f(kind.Name(), name, rule)
		if rule.inside {
			inner := field.Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() != reflect.Struct {
				t.Errorf("%s.%s has no fields of its own", kind.Name(), name)
				continue
			}
			visit(t, inner, seen, f)
		}
	}
}

// TestEveryFieldIsTreated walks the types of a pod: a new field cannot be forgotten, and the table has none that is gone.
func TestEveryFieldIsTreated(t *testing.T) {
	used := map[string]bool{}
	visit(t, reflect.TypeFor[v1.PodSpec](), map[string]bool{}, func(owner, field string, r Rule) {
		used[owner+"."+field] = true
		if r.Sandbox == "" || r.Process == "" {
			t.Errorf("%s.%s has no treatment", owner, field)
		}
	})
	for owner, fields := range table {
		for field := range fields {
			if !used[owner+"."+field] {
				t.Errorf("the table has %s.%s, which no pod has", owner, field)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	yes, no, root, zero := true, false, int64(1), int64(0)
	container := func(change func(*v1.Container)) v1.PodSpec {
		c := v1.Container{Name: "main", Image: "host"}
		change(&c)
		return v1.PodSpec{Containers: []v1.Container{c}}
	}
	sandbox, process := []bool{true}, []bool{false}
	both := []bool{true, false}
	for _, c := range []struct {
		name              string
		spec              v1.PodSpec
		levels            []bool
		refused, reported string
	}{
		{"plain", v1.PodSpec{DNSPolicy: v1.DNSClusterFirst, EnableServiceLinks: &yes, RestartPolicy: v1.RestartPolicyNever}, both, "", ""},
		{"host network", v1.PodSpec{HostNetwork: true}, both, "spec.hostNetwork", ""},
		{"user namespace", v1.PodSpec{HostUsers: &no}, both, "spec.hostUsers", ""},
		{"host's users", v1.PodSpec{HostUsers: &yes}, both, "", ""},
		{"foreign names", v1.PodSpec{DNSPolicy: v1.DNSDefault}, both, "", "spec.dnsPolicy"},
		{"path of the host", v1.PodSpec{Volumes: []v1.Volume{{Name: "etc", VolumeSource: v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: "/etc"}}}}}, both, "spec.volumes[etc].hostPath", ""},
		{"privileged", container(func(c *v1.Container) { c.SecurityContext = &v1.SecurityContext{Privileged: &yes} }), both, "spec.containers[main].securityContext.privileged", ""},
		{"not privileged", container(func(c *v1.Container) { c.SecurityContext = &v1.SecurityContext{Privileged: &no} }), both, "", ""},
		{"low ports", container(func(c *v1.Container) {
			c.SecurityContext = &v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"NET_BIND_SERVICE"}}}
		}), both, "", ""},
		{"capability", container(func(c *v1.Container) {
			c.SecurityContext = &v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"SYS_ADMIN"}}}
		}), both, "spec.containers[main].securityContext.capabilities.add", ""},
		{"user", container(func(c *v1.Container) { c.SecurityContext = &v1.SecurityContext{RunAsUser: &root} }), sandbox, "", ""},
		{"user of a process", container(func(c *v1.Container) { c.SecurityContext = &v1.SecurityContext{RunAsUser: &root} }), process, "", "spec.containers[main].securityContext.runAsUser"},
		{"group 0", container(func(c *v1.Container) { c.SecurityContext = &v1.SecurityContext{RunAsGroup: &zero} }), sandbox, "", ""},
		{"probe of another host", container(func(c *v1.Container) {
			c.LivenessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Host: "127.0.0.1"}}}
		}), both, "spec.containers[main].livenessProbe.httpGet.host", ""},
		{"mount propagation", container(func(c *v1.Container) {
			share := v1.MountPropagationBidirectional
			c.VolumeMounts = []v1.VolumeMount{{Name: "data", MountPropagation: &share}}
		}), both, "spec.containers[main].volumeMounts[data].mountPropagation", ""},
		{"seccomp", v1.PodSpec{SecurityContext: &v1.PodSecurityContext{SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeRuntimeDefault}}}, sandbox, "", ""},
	} {
		for _, level := range c.levels {
			refused, reported := Check(&c.spec, level)
			if got := paths(refused); got != c.refused {
				t.Errorf("%s: refused %q; want %q", c.name, got, c.refused)
			}
			if got := paths(reported); got != c.reported {
				t.Errorf("%s: reported %q; want %q", c.name, got, c.reported)
			}
		}
	}
}

func paths(findings []Finding) string {
	list := make([]string, len(findings))
	for i, f := range findings {
		list[i] = f.Path
	}
	return strings.Join(list, " ")
}

// TestDocumentShowsTheTable compares the table of docs/node.md; -update writes it.
func TestDocumentShowsTheTable(t *testing.T) {
	const begin, end = "<!-- fields: written by go test ./internal/node/fields -update -->\n", "<!-- /fields -->"
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s lacks the marks of the table", document)
	}
	want := before + begin + markdown(t) + end + after
	if want == string(raw) {
		return
	}
	if !*update {
		t.Fatalf("%s shows another table than the code has: go test ./internal/node/fields -update", document)
	}
	if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func markdown(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	last, seen := "", map[string]bool{"EphemeralContainerCommon": true} // as Container
	rows := map[string][]string{}
	var order []string
	visit(t, reflect.TypeFor[v1.PodSpec](), seen, func(owner, field string, r Rule) {
		if owner != last {
			if !slices.Contains(order, owner) {
				order = append(order, owner)
			}
			last = owner
		}
		if r.inside {
			return
		}
		rows[owner] = append(rows[owner], fmt.Sprintf("| `%s` | %s | %s | %s |\n", field, r.Sandbox, r.Process, r.Note))
	})
	for _, owner := range order {
		if len(rows[owner]) == 0 {
			continue
		}
		slices.Sort(rows[owner])
		fmt.Fprintf(&out, "\n### %s\n\n| field | sandbox | process | |\n|---|---|---|---|\n%s", owner, strings.Join(rows[owner], ""))
	}
	return out.String() + "\n"
}
