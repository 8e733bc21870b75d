// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/query"
	"fathom.dev/fathom/internal/ref"
)

// sql answers a statement over the current versions of the workspace's datasets. Each dataset that it reads is authorized
// for itself: identified ones need datasets/identified.
func (s *server) sql(w http.ResponseWriter, r *http.Request) {
	var request struct {
		SQL    string `json:"sql"`
		Format string `json:"format,omitempty"`
		Limit  int64  `json:"limit,omitempty"`
	}
	if err := readJSON(r, &request); err != nil {
		s.fail(w, r, err)
		return
	}
	p := query.ReadParams{SQL: request.SQL, Workspace: r.PathValue("workspace"), Limit: request.Limit, Format: request.Format}
	var err error
	if p.Tables, err = s.tables(r, p.Workspace, p.SQL); err != nil {
		s.fail(w, r, err)
		return
	}
	answer := &lateWriter{w: w, contentType: contentType(request.Format)}
	if err := s.Query(r.Context(), p, answer); err != nil && !answer.began {
		s.fail(w, r, err)
	}
}

func contentType(format string) string {
	switch format {
	case "json":
		return "application/x-ndjson"
	case "csv":
		return "text/csv; charset=utf-8"
	}
	return "text/plain; charset=utf-8"
}

// lateWriter sets the headers with the first byte, so that an error before it can still be told properly.
type lateWriter struct {
	w           http.ResponseWriter
	contentType string
	began       bool
}

func (l *lateWriter) Write(b []byte) (int, error) {
	if !l.began {
		l.began = true
		l.w.Header().Set("Content-Type", l.contentType)
	}
	return l.w.Write(b)
}

// tables finds the datasets that a statement reads, authorizes each, and gives their files.
func (s *server) tables(r *http.Request, workspace, sql string) ([]query.Table, error) {
	checked, err := s.Tables(r.Context(), query.CheckParams{SQL: sql, Workspace: workspace})
	if err != nil {
		return nil, err
	}
	if checked.Error != nil {
		return nil, fault.Wrap(fault.Invalid, "sql", checked.Error)
	}
	var list v1alpha1.DatasetList
	if err := s.Client.List(r.Context(), &list, client.InNamespace(workspace)); err != nil {
		return nil, err
	}
	var out []query.Table
	for _, table := range checked.Tables {
		d, err := find(list.Items, table)
		if err != nil {
			return nil, err
		}
		if err := s.mayRead(r, d); err != nil {
			return nil, err
		}
		files, err := s.files(r.Context(), d)
		if err != nil {
			return nil, err
		}
		out = append(out, query.Table{Name: table, Files: files})
	}
	return out, nil
}

func find(datasets []v1alpha1.Dataset, table string) (*v1alpha1.Dataset, error) {
	var names []string
	for i := range datasets {
		if strings.EqualFold(ref.Table(datasets[i].Name), table) {
			if datasets[i].Status.Version == 0 {
				return nil, fault.New(fault.Conflict, "sql", "dataset %s has no version yet", datasets[i].Name).
					WithHint("see `fathom status`")
			}
			return &datasets[i], nil
		}
		names = append(names, ref.Table(datasets[i].Name))
	}
	slices.Sort(names)
	return nil, fault.New(fault.NotFound, "sql", "there is no table %s", table).WithHint("tables are %s", strings.Join(names, ", "))
}

// mayRead authorizes and records the reading of one dataset.
func (s *server) mayRead(r *http.Request, d *v1alpha1.Dataset) error {
	user := identity.UserFrom(r.Context())
	action := identity.Action{
		Verb: "get", Group: "fathom.dev", Resource: "datasets", Subresource: "data", Namespace: d.Namespace, Name: d.Name, Data: true,
	}
	if d.Status.Identified {
		action.Subresource = "identified"
	}
	decision := s.Authorizer.Authorize(r.Context(), user, action)
	if err := s.Record(user, action, r, decision); err != nil {
		return fault.Wrap(fault.Unavailable, "audit", err)
	}
	return decision
}

// files are the Parquet files of the dataset's current version, as paths on this machine.
func (s *server) files(ctx context.Context, d *v1alpha1.Dataset) ([]string, error) {
	v, err := s.Lake.Version(ctx, ref.Name{Workspace: d.Namespace, Name: d.Name}, int(d.Status.Version))
	if err != nil {
		return nil, err
	}
	return s.versionFiles(ctx, v)
}

// versionFiles are the Parquet files of a version, as paths on this machine.
func (s *server) versionFiles(ctx context.Context, v lake.Version) ([]string, error) {
	files, err := s.Lake.Files(ctx, v)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		if strings.HasSuffix(f.Path, ".parquet") && !strings.HasPrefix(f.Path, "objects/") {
			if err := s.Lake.CheckBlob(ctx, f.Digest); err != nil {
				return nil, err
			}
			out = append(out, s.Lake.BlobPath(f.Digest))
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Corrupt, "dataset "+v.Name.Name, "version %d has no table", v.Number)
	}
	return out, nil
}
