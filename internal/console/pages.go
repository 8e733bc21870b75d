// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"html/template"
	"net/http"
	"strings"
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

// framed is secure for pages that the app shows in a frame, where they run nothing and see nothing of it.
func framed(w http.ResponseWriter) {
	secure(w)
	h := w.Header()
	h.Set("Content-Security-Policy", strings.Replace(h.Get("Content-Security-Policy"), "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
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
