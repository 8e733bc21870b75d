// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

// Enforcement is what keeps the workspace's pods apart on this machine, as it really is.
type Enforcement struct {
	// Isolation is sandbox or process.
	Isolation string `json:"isolation"`
	// Missing names what is not enforced.
	Missing []string `json:"missing"`
	// Policies are the names of the workspace's NetworkPolicies.
	Policies []string `json:"policies"`
}

// AuditQuery asks for lines about a workspace; empty fields choose all.
type AuditQuery struct {
	Workspace              string
	User, Action, Decision string
	Before                 uint64 // lines before this one: the next page
	Limit                  int
}

// aboutWorkspace answers with the workspace, the accounts in it and what is enforced.
func (s *server) aboutWorkspace(w http.ResponseWriter, r *http.Request) {
	var ws v1alpha1.Workspace
	name := r.PathValue("workspace")
	if err := s.Client.Get(r.Context(), types.NamespacedName{Name: name}, &ws); err != nil {
		s.fail(w, r, err)
		return
	}
	var accounts corev1.ServiceAccountList
	var policies networkingv1.NetworkPolicyList
	for _, list := range []client.ObjectList{&accounts, &policies} {
		if err := s.Client.List(r.Context(), list, client.InNamespace(name)); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	enforced := Enforcement{Policies: []string{}, Missing: []string{}}
	enforced.Isolation, enforced.Missing = s.Isolation()
	if enforced.Missing == nil {
		enforced.Missing = []string{}
	}
	for _, p := range policies.Items {
		enforced.Policies = append(enforced.Policies, p.Name)
	}
	names := []string{}
	for _, a := range accounts.Items {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	slices.Sort(enforced.Policies)
	writeJSON(w, map[string]any{"spec": ws.Spec, "status": ws.Status, "accounts": names, "enforcement": enforced})
}

// audit answers with lines about everyone's decisions in the workspace.
func (s *server) audit(w http.ResponseWriter, r *http.Request) {
	s.auditLines(w, r, r.URL.Query().Get("user"))
}

// ownAudit answers with lines about the caller's decisions.
func (s *server) ownAudit(w http.ResponseWriter, r *http.Request) {
	s.auditLines(w, r, identity.UserFrom(r.Context()).Name)
}

func (s *server) auditLines(w http.ResponseWriter, r *http.Request, user string) {
	q := r.URL.Query()
	query := AuditQuery{Workspace: r.PathValue("workspace"), User: user, Action: q.Get("action"), Decision: q.Get("decision"), Limit: 200}
	if text := q.Get("before"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			s.fail(w, r, fault.New(fault.Invalid, "before", "%q is no number of a line", text))
			return
		}
		query.Before = n
	}
	if d := query.Decision; d != "" && !strings.Contains(" allowed refused failed ", " "+d+" ") {
		s.fail(w, r, fault.New(fault.Invalid, "decision", "%q is none of allowed, refused and failed", d))
		return
	}
	lines, err := s.Audit(r.Context(), query)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, map[string]any{"lines": lines})
}
