// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"encoding/json"
	"html/template"
	"mime"
	"net/http"
	"path"
	"sort"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// secure sets the headers of every page: nothing from elsewhere, no scripts, no frames of others.
func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy",
		"default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

func (s *server) modelPage(w http.ResponseWriter, r *http.Request) {
	v, err := s.version(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page, err := s.Page(r.Context(), nameOf(r), v.Spec.Number)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	secure(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page) // the client is gone if this fails
}

func (s *server) reportRoot(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path+"/index.html", http.StatusFound)
}

// reportFile serves a file of the report's rendered page.
func (s *server) reportFile(w http.ResponseWriter, r *http.Request) {
	var report v1alpha1.Report
	if err := s.get(r, &report); err != nil {
		s.fail(w, r, err)
		return
	}
	if report.Status.Output == "" {
		_, message := v1alpha1.Ready(report.Status.Conditions)
		s.fail(w, r, fault.New(fault.NotFound, "report "+report.Name, "it is not rendered yet: %s", message))
		return
	}
	manifest, err := s.Lake.GetManifest(r.Context(), ref.Digest(report.Status.Output))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	file, ok := manifest.Find(r.PathValue("file"))
	if !ok {
		s.fail(w, r, fault.New(fault.NotFound, "report "+report.Name, "it has no file %q", r.PathValue("file")))
		return
	}
	secure(w)
	contentType := mime.TypeByExtension(path.Ext(file.Path))
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	s.blob(w, r, file.Digest, contentType)
}

// row is a line of an overview.
type row struct{ Kind, Name, State, Version, Message, Link string }

// overview is a workspace's objects on one page.
func (s *server) overview(w http.ResponseWriter, r *http.Request) {
	rows, err := s.rows(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	secure(w)
	renderPage(w, "Workspace "+r.PathValue("workspace"), overviewTemplate, rows)
}

func (s *server) rows(r *http.Request) ([]row, error) {
	in := client.InNamespace(r.PathValue("workspace"))
	base := "/ui/workspaces/" + r.PathValue("workspace")
	var rows []row
	add := func(kind, name string, version int64, link string, reason, message string) {
		text := ""
		if version > 0 {
			text = jsonText(version)
		}
		rows = append(rows, row{kind, name, reason, text, message, link})
	}
	var datasets v1alpha1.DatasetList
	var models v1alpha1.ModelList
	var endpoints v1alpha1.EndpointList
	var reports v1alpha1.ReportList
	for _, list := range []client.ObjectList{&datasets, &models, &endpoints, &reports} {
		if err := s.Client.List(r.Context(), list, in); err != nil {
			return nil, err
		}
	}
	for _, d := range datasets.Items {
		reason, message := v1alpha1.Ready(d.Status.Conditions)
		add("Dataset", d.Name, d.Status.Version, "", reason, message)
	}
	for _, m := range models.Items {
		reason, message := v1alpha1.Ready(m.Status.Conditions)
		link := ""
		if m.Status.Latest > 0 {
			link = base + "/models/" + m.Name
		}
		add("Model", m.Name, m.Status.Promoted, link, reason, message)
	}
	for _, e := range endpoints.Items {
		reason, message := v1alpha1.Ready(e.Status.Conditions)
		add("Endpoint", e.Name, e.Status.Version, "", reason, message)
	}
	for _, p := range reports.Items {
		reason, message := v1alpha1.Ready(p.Status.Conditions)
		link := ""
		if p.Status.Version > 0 {
			link = base + "/reports/" + p.Name + "/index.html"
		}
		add("Report", p.Name, p.Status.Version, link, reason, message)
	}
	return rows, nil
}

func jsonText(v any) string {
	b, _ := json.Marshal(v) // numbers always marshal
	return string(b)
}

func (s *server) home(w http.ResponseWriter, r *http.Request) {
	var list v1alpha1.WorkspaceList
	if err := s.Client.List(r.Context(), &list); err != nil {
		s.fail(w, r, err)
		return
	}
	var rows []row
	for _, ws := range list.Items {
		reason, message := v1alpha1.Ready(ws.Status.Conditions)
		rows = append(rows, row{"Workspace", ws.Name, reason, "", message, "/ui/workspaces/" + ws.Name})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Name < rows[j].Name })
	secure(w)
	renderPage(w, "Fathom", overviewTemplate, rows)
}

// loginHint tells a browser without a session how to get one.
func (s *server) loginHint(w http.ResponseWriter) {
	secure(w)
	w.WriteHeader(http.StatusUnauthorized)
	renderPage(w, "Please log in", hintTemplate, nil)
}

func renderPage(w http.ResponseWriter, title string, body *template.Template, data any) {
	var content bytes.Buffer
	if err := body.Execute(&content, data); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = frameTemplate.Execute(w, map[string]any{"Title": title, "Body": template.HTML(content.String())})
}
