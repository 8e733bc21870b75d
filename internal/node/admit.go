// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"

	v1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/node/fields"
	"fathom.dev/fathom/internal/node/isolation"
)

// HostImage is the image that stands for the host's own programs; fathom.dev/host is its long name.
const HostImage = "host"

// EnvironmentAnnotation of a pod names the environment that its containers see at /fathom/env: sha256:<hex>.
const EnvironmentAnnotation = "fathom.dev/environment"

// FullyHonoured is the condition of a pod some of whose fields the node does not honour: it is False and lists them. Pods
// without it are honoured in all.
const FullyHonoured v1.PodConditionType = "fathom.dev/FullyHonoured"

// isHostImage accepts host and fathom.dev/host, with any tag.
func isHostImage(image string) bool {
	name, _, _ := strings.Cut(image, ":")
	return name == HostImage || name == "fathom.dev/"+HostImage
}

// judge says what a pod asks for and the local node refuses, "" when nothing, and what it runs without.
func judge(pod *v1.Pod, level isolation.Level) (refusal string, without []string) {
	refused, reported := fields.Check(&pod.Spec, level == isolation.LevelSandbox)
	for _, f := range reported {
		without = append(without, f.String())
	}
	if len(refused) > 0 {
		return refused[0].String(), without
	}
	return root(&pod.Spec), without
}

// root says where a pod asks to run as root.
func root(s *v1.PodSpec) string {
	if runAs(s.SecurityContext, nil).UID == 0 {
		return "spec.securityContext.runAsUser (running as root)"
	}
	for _, list := range [][]v1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			if runAs(s.SecurityContext, list[i].SecurityContext).UID == 0 {
				return "spec.containers[" + list[i].Name + "].securityContext.runAsUser (running as root)"
			}
		}
	}
	return ""
}
