// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// noncePlace stands in index.html where the nonce of one answer goes.
const noncePlace = "__NONCE__"

// app answers every page of the console with the same document; its program reads the address.
func (s *server) app(w http.ResponseWriter, r *http.Request) {
	index, err := fs.ReadFile(s.App, "index.html")
	if errors.Is(err, fs.ErrNotExist) {
		secure(w)
		w.WriteHeader(http.StatusNotImplemented)
		renderPage(w, "The console was not built", unbuiltTemplate, nil)
		return
	}
	nonce, nonceErr := newNonce()
	if err = errors.Join(err, nonceErr); err != nil {
		s.fail(w, r, fault.Wrap(fault.Internal, "console", err))
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", appPolicy(nonce))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(bytes.ReplaceAll(index, []byte(noncePlace), []byte(nonce))) // the client is gone if this fails
}

// appPolicy lets the app's own files run and nothing else. Its component library writes <style> elements, which carry the
// nonce of this answer; scripts are files, without exception.
func appPolicy(nonce string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce + "'; img-src 'self' data: blob:; font-src 'self'; " +
		"connect-src 'self'; frame-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}

func newNonce() (string, error) {
	raw := make([]byte, 16)
	_, err := rand.Read(raw)
	return base64.RawStdEncoding.EncodeToString(raw), err
}

// asset serves a file whose name holds the hash of its content: the program, styles and icons, no data.
func (s *server) asset(w http.ResponseWriter, r *http.Request) {
	name := path.Join("assets", r.PathValue("file"))
	for _, packed := range []struct{ encoding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}, {"", ""}} {
		if packed.encoding != "" && !accepts(r, packed.encoding) {
			continue
		}
		content, err := fs.ReadFile(s.App, name+packed.suffix)
		if err != nil {
			continue
		}
		h := w.Header()
		if packed.encoding != "" {
			h.Set("Content-Encoding", packed.encoding)
		}
		contentType := mime.TypeByExtension(path.Ext(name))
		if contentType == "" {
			contentType = "application/octet-stream"
		}
		h.Set("Content-Type", contentType)
		h.Set("Content-Length", strconv.Itoa(len(content)))
		h.Set("Vary", "Accept-Encoding")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(content) // the client is gone if this fails
		return
	}
	s.fail(w, r, fault.New(fault.NotFound, "asset", "there is no %s; reload the page, it may be of an older version", r.PathValue("file")))
}

// accepts reads Accept-Encoding without weights: no browser gives one of these the weight 0.
func accepts(r *http.Request, encoding string) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		if name, _, _ := strings.Cut(strings.TrimSpace(part), ";"); name == encoding {
			return true
		}
	}
	return false
}
