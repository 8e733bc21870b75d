// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// Replica is a process that answers for an endpoint.
type Replica struct {
	Pod
	Version int64 `json:"version"`
	Ready   bool  `json:"ready"`
}

const maxSpan = 24 * 60 // minutes that may be asked for; fewer are kept

// traffic answers how an endpoint was used in the last ?minutes=, by default 60.
func (s *server) traffic(w http.ResponseWriter, r *http.Request) {
	minutes := 60
	if text := r.URL.Query().Get("minutes"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxSpan {
			s.fail(w, r, fault.New(fault.Invalid, "minutes", "%q is no number of minutes from 1 to %d", text, maxSpan))
			return
		}
		minutes = n
	}
	if err := s.get(r, &v1alpha1.Endpoint{}); err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, s.Traffic(nameOf(r), time.Duration(minutes)*time.Minute))
}

// replicas lists the pods of an endpoint.
func (s *server) replicas(w http.ResponseWriter, r *http.Request) {
	var list corev1.PodList
	err := s.Client.List(r.Context(), &list, client.InNamespace(r.PathValue("workspace")),
		client.MatchingLabels{v1alpha1.LabelEndpoint: r.PathValue("name")})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := []Replica{}
	for i := range list.Items {
		p := &list.Items[i]
		version, _ := strconv.ParseInt(p.Labels[v1alpha1.LabelModelVersion], 10, 64) // the station writes numbers
		ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		out = append(out, Replica{Pod: podOf(p), Version: version, Ready: ready && p.DeletionTimestamp == nil})
	}
	slices.SortFunc(out, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	writeJSON(w, map[string]any{"replicas": out})
}

// tryIt hands a person's question to the door of endpoints, which knows no browser sessions, in their name. That door decides
// and records again, as for everyone's requests.
func (s *server) tryIt(below string) http.HandlerFunc {
	return s.people(func(w http.ResponseWriter, r *http.Request) {
		var e v1alpha1.Endpoint
		if err := s.get(r, &e); err != nil {
			s.fail(w, r, err)
			return
		}
		inner := r.Clone(r.Context())
		inner.URL = &url.URL{Path: "/endpoints/" + e.Namespace + "/" + e.Name + "/v2/models/" + e.Spec.Model + below}
		inner.RequestURI = inner.URL.Path
		s.Endpoints.ServeHTTP(w, inner)
	})
}
