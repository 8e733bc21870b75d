// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

// rights are what a page offers or leaves out. They only shape pages: each request is authorized for itself.
var rights = []struct {
	name                        string
	verb, resource, subresource string
}{
	{"data", "get", "datasets", "data"},
	{"identified", "get", "datasets", "identified"},
	{"upload", "create", "workspaces", "objects"},
	{"retryDataset", "update", "datasets", ""},
	{"retryModel", "update", "models", ""},
	{"retryReport", "update", "reports", ""},
	{"cancelRun", "create", "runs", "cancel"},
	{"log", "get", "runs", "log"},
	{"decide", "update", "models", "promotion"},
	{"predict", "create", "endpoints", "predict"},
	{"decideAsAdmin", "delete", "models", "promotion"},
	{"audit", "get", "workspaces", "audit"},
	{"tracking", "get", "models", "tracking"},
}

type workspaceLine struct {
	Name    string `json:"name"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Member is true for whoever may list the workspace's datasets.
	Member bool `json:"member"`
}

// me tells who the caller is and which workspaces there are.
func (s *server) me(w http.ResponseWriter, r *http.Request) {
	var list v1alpha1.WorkspaceList
	if err := s.Client.List(r.Context(), &list); err != nil {
		s.fail(w, r, err)
		return
	}
	user := identity.UserFrom(r.Context())
	lines := []workspaceLine{}
	for _, ws := range list.Items {
		reason, message := v1alpha1.Ready(ws.Status.Conditions)
		action := identity.Action{Verb: "list", Group: "fathom.dev", Resource: "datasets", Namespace: ws.Name}
		lines = append(lines, workspaceLine{ws.Name, reason, message, s.Authorizer.Authorize(r.Context(), user, action) == nil})
	}
	slices.SortFunc(lines, func(a, b workspaceLine) int { return strings.Compare(a.Name, b.Name) })
	writeJSON(w, map[string]any{"user": user.Name, "groups": user.Groups, "workspaces": lines})
}

// rights tells what the caller may do in the workspace.
func (s *server) rights(w http.ResponseWriter, r *http.Request) {
	user := identity.UserFrom(r.Context())
	may := map[string]bool{}
	for _, right := range rights {
		action := identity.Action{Verb: right.verb, Group: "fathom.dev", Resource: right.resource, Subresource: right.subresource,
			Namespace: r.PathValue("workspace")}
		may[right.name] = s.Authorizer.Authorize(r.Context(), user, action) == nil
	}
	writeJSON(w, map[string]any{"may": may})
}

// retry asks an object's station to try again what failed, as `fathom retry` does.
func (s *server) retry(o func() client.Object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		object := o()
		if err := s.get(r, object); err != nil {
			s.fail(w, r, err)
			return
		}
		before := object.DeepCopyObject().(client.Object)
		notes := object.GetAnnotations()
		if notes == nil {
			notes = map[string]string{}
		}
		notes[v1alpha1.AnnotationRetry] = s.Now().UTC().Format("20060102150405.000")
		object.SetAnnotations(notes)
		if err := s.Client.Patch(r.Context(), object, client.MergeFrom(before)); err != nil {
			s.fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// itemsOf lists the objects of a list.
func itemsOf(list client.ObjectList) ([]client.Object, error) {
	items, err := meta.ExtractList(list)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "list", err)
	}
	out := make([]client.Object, 0, len(items))
	for _, i := range items {
		if o, ok := i.(client.Object); ok {
			out = append(out, o)
		}
	}
	return out, nil
}
