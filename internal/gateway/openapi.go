// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	_ "embed"
	"net/http"
	"strings"
)

// openapi describes the REST form of the protocol, as OpenAPI 3.1; {prefix} stands for the endpoint's path.
//
//go:embed openapi.json
var openapi string

// describe answers with the description of one endpoint.
func (g *gateway) describe(w http.ResponseWriter, r *http.Request) {
	if _, err := g.lookup(r); err != nil {
		fail(w, r, err)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head["X-Content-Type-Options"] = nosniff
	prefix := Prefix + r.PathValue("workspace") + "/" + r.PathValue("endpoint") // names without a sign that JSON escapes
	_, _ = w.Write([]byte(strings.Replace(openapi, "{prefix}", prefix, 1)))     // nobody is left to tell
}
