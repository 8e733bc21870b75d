// SPDX-License-Identifier: Apache-2.0

package node

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/node/fields"
	"fathom.dev/fathom/internal/node/isolation"
)

// addEphemeral takes over containers that were added to the running pod. One that asks for what the node refuses has
// ended before it started: the pod itself goes on.
func (w *worker) addEphemeral() {
	known := map[string]bool{}
	for _, c := range w.containers {
		known[c.spec.Name] = true
	}
	for i := range w.pod.Spec.EphemeralContainers {
		e := w.pod.Spec.EphemeralContainers[i]
		if known[e.Name] {
			continue
		}
		spec := v1.Container(e.EphemeralContainerCommon)
		c := &container{spec: &spec, ephemeral: true}
		if why := w.refusedEphemeral(e, &spec); why != "" {
			at := metav1.NewTime(w.node.now())
			c.ended = &v1.ContainerStateTerminated{ExitCode: 128, Reason: ReasonUnsupported, StartedAt: at, FinishedAt: at,
				Message: "the local node does not support " + why}
		}
		w.containers = append(w.containers, c)
	}
}

func (w *worker) refusedEphemeral(e v1.EphemeralContainer, spec *v1.Container) string {
	alone := v1.PodSpec{EphemeralContainers: []v1.EphemeralContainer{e}}
	refused, _ := fields.Check(&alone, w.node.runtime.Level() == isolation.LevelSandbox)
	if len(refused) > 0 {
		return refused[0].String()
	}
	if runAs(w.pod.Spec.SecurityContext, spec.SecurityContext).UID == 0 {
		return "running as root"
	}
	return ""
}
