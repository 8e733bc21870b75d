// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"math"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

// promotion is a person's decision: approve a version that keeps the rules, or roll back to one that was in production.
func (s *server) promotion(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Action  string `json:"action"` // approve or rollback
		Version int64  `json:"version,omitempty"`
	}
	if err := readJSON(r, &request); err != nil {
		s.fail(w, r, err)
		return
	}
	var versions v1alpha1.ModelVersionList
	err := s.Client.List(r.Context(), &versions, client.InNamespace(r.PathValue("workspace")),
		client.MatchingLabels{v1alpha1.LabelFor: "model." + r.PathValue("name")})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	user := identity.UserFrom(r.Context()).Name
	v, err := choose(versions.Items, request.Action, request.Version)
	if err != nil {
		s.fail(w, r, fault.Wrap(fault.Invalid, "model "+r.PathValue("name"), err))
		return
	}
	if err := s.mayDecide(r, request.Action); err != nil {
		s.fail(w, r, err)
		return
	}
	before := v.DeepCopy()
	if request.Action == "approve" {
		v.Status.ApprovedBy = user
	} else {
		now := after(versions.Items, s.Now())
		v.Status.Stage, v.Status.PromotedAt = v1alpha1.StageProduction, &now
		v.Status.Why = "rolled back to by " + user
	}
	if err := s.Client.Status().Patch(r.Context(), v, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		s.fail(w, r, fault.Wrap(fault.Conflict, "model version "+v.Name, err))
		return
	}
	writeJSON(w, map[string]any{"version": v.Spec.Number, "action": request.Action, "by": user})
}

// mayDecide holds the caller against spec.promote.approval.role. Both approvers and admins may update models/promotion, which
// the route asks for; only admins may also delete it.
func (s *server) mayDecide(r *http.Request, decision string) error {
	var m v1alpha1.Model
	if err := s.get(r, &m); err != nil {
		return err
	}
	if a := m.Spec.Promote.Approval; decision != "approve" || a == nil || a.Role != "admin" {
		return nil
	}
	user := identity.UserFrom(r.Context())
	action := identity.Action{
		Verb: "delete", Group: "fathom.dev", Resource: "models", Subresource: "promotion", Namespace: m.Namespace, Name: m.Name, Data: true,
	}
	decided := s.Authorizer.Authorize(r.Context(), user, action)
	if err := s.Record(user, action, r, decided); err != nil {
		return fault.Wrap(fault.Unavailable, "audit", err)
	}
	return decided
}

// choose finds the version that a decision is about.
func choose(versions []v1alpha1.ModelVersion, action string, number int64) (*v1alpha1.ModelVersion, error) {
	wanted := map[string]string{"approve": v1alpha1.StageAwaiting, "rollback": v1alpha1.StageArchived}[action]
	if wanted == "" {
		return nil, fault.New(fault.Invalid, "action", "%q is neither approve nor rollback", action)
	}
	current := production(versions)
	var best *v1alpha1.ModelVersion
	for i := range versions {
		v := &versions[i]
		if number != 0 && v.Spec.Number != number {
			continue
		}
		if number == 0 && action == "rollback" && v.Spec.Number > current {
			continue // back means to an earlier one
		}
		if v.Status.Stage != wanted {
			if number != 0 {
				return nil, fault.New(fault.Conflict, fmt.Sprintf("version %d", number), "it is %s, not %s: %s",
					v.Status.Stage, wanted, v.Status.Why)
			}
			continue
		}
		if best == nil || later(v, best) {
			best = v
		}
	}
	if best != nil {
		return best, nil
	}
	if number != 0 {
		return nil, fault.New(fault.NotFound, "version", "there is no version %d", number).WithHint("`fathom show model` lists them")
	}
	if action == "rollback" {
		return nil, fault.New(fault.NotFound, "version", "none before version %d was in production", current).
			WithHint("name one with --version; `fathom show model` lists them")
	}
	return nil, fault.New(fault.NotFound, "version", "none awaits approval").WithHint("see `fathom status`")
}

// production is the number of the version that is in production; of two, while one replaces the other, the one promoted
// last. It is beyond every number when there is none.
func production(versions []v1alpha1.ModelVersion) int64 {
	var found *v1alpha1.ModelVersion
	for i := range versions {
		if v := &versions[i]; v.Status.Stage == v1alpha1.StageProduction && (found == nil || later(v, found)) {
			found = v
		}
	}
	if found == nil {
		return math.MaxInt64
	}
	return found.Spec.Number
}

// after is now, or a second after the last promotion: what was promoted last is served, and times are whole seconds.
func after(versions []v1alpha1.ModelVersion, now time.Time) metav1.Time {
	at := metav1.NewTime(now.Truncate(time.Second))
	for _, v := range versions {
		if p := v.Status.PromotedAt; p != nil && !p.Before(&at) {
			at = metav1.NewTime(p.Add(time.Second))
		}
	}
	return at
}

// later prefers what was in production last, else the newest.
func later(a, b *v1alpha1.ModelVersion) bool {
	if a.Status.PromotedAt != nil && b.Status.PromotedAt != nil && !a.Status.PromotedAt.Equal(b.Status.PromotedAt) {
		return b.Status.PromotedAt.Before(a.Status.PromotedAt)
	}
	return a.Spec.Number > b.Spec.Number
}
