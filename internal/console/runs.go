// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// Pod is one process of a run that lives.
type Pod struct {
	Name     string     `json:"name"`
	Phase    string     `json:"phase"`
	Reason   string     `json:"reason,omitempty"`
	Message  string     `json:"message,omitempty"`
	Node     string     `json:"node,omitempty"`
	Started  *time.Time `json:"started,omitempty"`
	Restarts int32      `json:"restarts"`
	CPU      string     `json:"cpu,omitempty"`    // asked for
	Memory   string     `json:"memory,omitempty"` // asked for
}

// run answers with everything known of one run: the object while it lives, its pods, and the record once it has ended.
func (s *server) run(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{"pods": []Pod{}}
	var live v1alpha1.Run
	liveErr := s.get(r, &live)
	if liveErr != nil && !fault.Is(liveErr, fault.NotFound) {
		s.fail(w, r, liveErr)
		return
	}
	if liveErr == nil {
		text, err := bare("Run", &live)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		answer["object"] = text
		if answer["pods"], err = s.pods(r); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	record, err := s.Lake.Run(r.Context(), r.PathValue("workspace"), r.PathValue("name"))
	switch {
	case err == nil:
		answer["record"] = record
	case !fault.Is(err, fault.NotFound):
		s.fail(w, r, err)
		return
	case liveErr != nil:
		s.fail(w, r, liveErr)
		return
	}
	writeJSON(w, answer)
}

func (s *server) pods(r *http.Request) ([]Pod, error) {
	var list corev1.PodList
	err := s.Client.List(r.Context(), &list, client.InNamespace(r.PathValue("workspace")), client.MatchingLabels{v1alpha1.LabelRun: r.PathValue("name")})
	if err != nil {
		return nil, err
	}
	out := []Pod{}
	for i := range list.Items {
		out = append(out, podOf(&list.Items[i]))
	}
	slices.SortFunc(out, func(a, b Pod) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func podOf(p *corev1.Pod) Pod {
	out := Pod{Name: p.Name, Phase: string(p.Status.Phase), Reason: p.Status.Reason, Message: p.Status.Message, Node: p.Spec.NodeName}
	if p.Status.StartTime != nil {
		at := p.Status.StartTime.UTC()
		out.Started = &at
	}
	for _, c := range p.Status.ContainerStatuses {
		out.Restarts += c.RestartCount
		if waiting := c.State.Waiting; waiting != nil && out.Reason == "" {
			out.Reason, out.Message = waiting.Reason, waiting.Message
		}
		if ended := c.State.Terminated; ended != nil && out.Reason == "" {
			out.Reason, out.Message = ended.Reason, ended.Message
		}
	}
	for _, c := range p.Spec.Containers {
		if q, ok := c.Resources.Requests[corev1.ResourceCPU]; ok {
			out.CPU = q.String()
		}
		if q, ok := c.Resources.Requests[corev1.ResourceMemory]; ok {
			out.Memory = q.String()
		}
	}
	return out
}
