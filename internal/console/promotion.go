// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
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
	before := v.DeepCopy()
	if request.Action == "approve" {
		v.Status.ApprovedBy = user
	} else {
		now := metav1.NewTime(s.Now().Truncate(time.Second))
		v.Status.Stage, v.Status.PromotedAt = v1alpha1.StageProduction, &now
		v.Status.Why = "rolled back to by " + user
	}
	if err := s.Client.Status().Patch(r.Context(), v, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		s.fail(w, r, fault.Wrap(fault.Conflict, "model version "+v.Name, err))
		return
	}
	writeJSON(w, map[string]any{"version": v.Spec.Number, "action": request.Action, "by": user})
}

// choose finds the version that a decision is about.
func choose(versions []v1alpha1.ModelVersion, action string, number int64) (*v1alpha1.ModelVersion, error) {
	wanted := map[string]string{"approve": v1alpha1.StageAwaiting, "rollback": v1alpha1.StageArchived}[action]
	if wanted == "" {
		return nil, fault.New(fault.Invalid, "action", "%q is neither approve nor rollback", action)
	}
	var best *v1alpha1.ModelVersion
	for i := range versions {
		v := &versions[i]
		if number != 0 && v.Spec.Number != number {
			continue
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
	if best == nil {
		return nil, fault.New(fault.NotFound, "version", "none is %s", wanted).WithHint("see `fathom status`")
	}
	return best, nil
}

// later prefers what was in production last, else the newest.
func later(a, b *v1alpha1.ModelVersion) bool {
	if a.Status.PromotedAt != nil && b.Status.PromotedAt != nil && !a.Status.PromotedAt.Equal(b.Status.PromotedAt) {
		return b.Status.PromotedAt.Before(a.Status.PromotedAt)
	}
	return a.Spec.Number > b.Spec.Number
}
