// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

const (
	// A stream ends after this long and the browser opens the next, so that a session that ended is noticed.
	streamLife = 10 * time.Minute
	// Rights are asked again, and a line is sent that keeps the connection, this often.
	streamPulse = 15 * time.Second
)

// ObjectName names an object of a workspace.
type ObjectName struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// shown are the kinds that the console shows live.
var shown = []struct {
	kind, resource string
	list           func() client.ObjectList
	one            func() client.Object
}{
	{"Dataset", "datasets", func() client.ObjectList { return &v1alpha1.DatasetList{} }, func() client.Object { return &v1alpha1.Dataset{} }},
	{"Model", "models", func() client.ObjectList { return &v1alpha1.ModelList{} }, func() client.Object { return &v1alpha1.Model{} }},
	{"ModelVersion", "modelversions", func() client.ObjectList { return &v1alpha1.ModelVersionList{} }, func() client.Object { return &v1alpha1.ModelVersion{} }},
	{"Endpoint", "endpoints", func() client.ObjectList { return &v1alpha1.EndpointList{} }, func() client.Object { return &v1alpha1.Endpoint{} }},
	{"Report", "reports", func() client.ObjectList { return &v1alpha1.ReportList{} }, func() client.Object { return &v1alpha1.Report{} }},
	{"Run", "runs", func() client.ObjectList { return &v1alpha1.RunList{} }, func() client.Object { return &v1alpha1.Run{} }},
}

// snapshot is every object of a workspace that the caller may list, as the Kubernetes API shows it.
type snapshot struct {
	Objects []json.RawMessage `json:"objects"`
	// Kinds are those that the caller may list; objects of others are missing.
	Kinds []string `json:"kinds"`
}

// changes is what happened since: objects as they are now, and names of those that are gone.
type changes struct {
	Set  []json.RawMessage `json:"set,omitempty"`
	Gone []ObjectName      `json:"gone,omitempty"`
}

func (s *server) objects(w http.ResponseWriter, r *http.Request) {
	all, err := s.snapshot(r.Context(), r.PathValue("workspace"), s.mayList(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, all)
}

// mayList says which kinds the caller may list in the workspace.
func (s *server) mayList(r *http.Request) map[string]bool {
	may := map[string]bool{}
	for _, k := range shown {
		action := identity.Action{Verb: "list", Group: "fathom.dev", Resource: k.resource, Namespace: r.PathValue("workspace")}
		may[k.kind] = s.Authorizer.Authorize(r.Context(), identity.UserFrom(r.Context()), action) == nil
	}
	return may
}

func (s *server) snapshot(ctx context.Context, workspace string, may map[string]bool) (snapshot, error) {
	all := snapshot{Objects: []json.RawMessage{}}
	for _, k := range shown {
		if !may[k.kind] {
			continue
		}
		all.Kinds = append(all.Kinds, k.kind)
		list := k.list()
		if err := s.Client.List(ctx, list, client.InNamespace(workspace)); err != nil {
			return all, err
		}
		items, err := itemsOf(list)
		if err != nil {
			return all, err
		}
		for _, o := range items {
			text, err := bare(k.kind, o)
			if err != nil {
				return all, err
			}
			all.Objects = append(all.Objects, text)
		}
	}
	return all, nil
}

// bare is an object without what only the Kubernetes API needs.
func bare(kind string, o client.Object) (json.RawMessage, error) {
	o = o.DeepCopyObject().(client.Object)
	o.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	o.SetManagedFields(nil)
	o.SetOwnerReferences(nil)
	o.SetFinalizers(nil)
	notes := maps.Clone(o.GetAnnotations())
	maps.DeleteFunc(notes, func(key, _ string) bool { return !strings.HasPrefix(key, "fathom.dev/") })
	o.SetAnnotations(notes)
	text, err := json.Marshal(o)
	return text, fault.Wrap(fault.Internal, kind, err)
}

// watch streams a workspace as server-sent events: "snapshot" once, then "changes" as they happen.
func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	workspace := r.PathValue("workspace")
	news := s.Changes(ctx, workspace) // before the snapshot, so that nothing falls between them
	may := s.mayList(r)
	all, err := s.snapshot(ctx, workspace, may)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := flushing{w}
	if err := send(out, "snapshot", all); err != nil {
		return
	}
	pulse := time.NewTicker(streamPulse)
	defer pulse.Stop()
	for {
		var names []ObjectName
		select {
		case <-ctx.Done():
			return
		case <-pulse.C:
			if again := s.mayList(r); !maps.Equal(again, may) {
				return // the browser comes back and is told what it may see now
			}
			if _, err := fmt.Fprint(out, ": still here\n\n"); err != nil {
				return
			}
			continue
		case names = <-news:
		}
		if names == nil {
			return
		}
		told, err := s.changes(ctx, workspace, names, may)
		if err == nil && (len(told.Set) > 0 || len(told.Gone) > 0) {
			err = send(out, "changes", told)
		}
		if err != nil {
			return
		}
	}
}

// changes reads how the named objects are now.
func (s *server) changes(ctx context.Context, workspace string, names []ObjectName, may map[string]bool) (changes, error) {
	var told changes
	for _, n := range names {
		for _, k := range shown {
			if k.kind != n.Kind || !may[k.kind] {
				continue
			}
			o := k.one()
			err := s.Client.Get(ctx, types.NamespacedName{Namespace: workspace, Name: n.Name}, o)
			if apierrors.IsNotFound(err) {
				told.Gone = append(told.Gone, n)
				continue
			}
			text, bareErr := bare(k.kind, o)
			if err != nil || bareErr != nil {
				return told, fault.Wrap(fault.Unavailable, "changes", err)
			}
			told.Set = append(told.Set, text)
		}
	}
	return told, nil
}

// send writes one server-sent event.
func send(out flushing, event string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(fault.Internal, event, err)
	}
	_, err = fmt.Fprintf(out, "event: %s\ndata: %s\n\n", event, text)
	return err
}
