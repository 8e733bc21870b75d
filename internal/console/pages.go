// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"html/template"
	"mime"
	"net/http"
	"path"

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
