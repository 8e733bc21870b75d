// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// HostImage is the image that stands for the host's own programs; fathom.dev/host is its long name.
const HostImage = "host"

// EnvironmentAnnotation of a pod names the environment that its containers see at /fathom/env: sha256:<hex>.
const EnvironmentAnnotation = "fathom.dev/environment"

// isHostImage accepts host and fathom.dev/host, with any tag.
func isHostImage(image string) bool {
	name, _, _ := strings.Cut(image, ":")
	return name == HostImage || name == "fathom.dev/"+HostImage
}

// unsupported says what a pod asks for and the local node does not honour; "" when it honours everything.
func unsupported(pod *v1.Pod) string {
	s := pod.Spec
	switch {
	case s.HostNetwork:
		return "spec.hostNetwork"
	case s.HostPID:
		return "spec.hostPID"
	case s.HostIPC:
		return "spec.hostIPC"
	}
	for _, v := range s.Volumes {
		if !supportedVolume(v) {
			return fmt.Sprintf("the source of spec.volumes[%s]", v.Name)
		}
	}
	if uid := runAs(s.SecurityContext, nil).UID; uid == 0 {
		return "running as root (spec.securityContext.runAsUser: 0)"
	}
	for _, list := range [][]v1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			if what := unsupportedContainer(&s, &list[i]); what != "" {
				return what + " of container " + list[i].Name
			}
		}
	}
	return ""
}

func supportedVolume(v v1.Volume) bool {
	return v.EmptyDir != nil || v.ConfigMap != nil || v.Secret != nil || v.Projected != nil || v.DownwardAPI != nil
}

func unsupportedContainer(s *v1.PodSpec, c *v1.Container) string {
	if sc := c.SecurityContext; sc != nil {
		switch {
		case sc.Privileged != nil && *sc.Privileged:
			return "securityContext.privileged"
		case sc.Capabilities != nil && len(sc.Capabilities.Add) > 0:
			return "securityContext.capabilities.add"
		case runAs(s.SecurityContext, sc).UID == 0:
			return "running as root (securityContext.runAsUser: 0)"
		}
	}
	if len(c.VolumeDevices) > 0 {
		return "volumeDevices"
	}
	return ""
}
