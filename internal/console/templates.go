// SPDX-License-Identifier: Apache-2.0

package console

import "html/template"

var frameTemplate = template.Must(template.New("frame").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --accent: #2563eb; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } a { color: var(--accent); } td.message { color: #666; } code { background: #8882; padding: .1em .3em; border-radius: 3px; }
.state { display: inline-block; padding: 0 .5em; border-radius: 1em; background: #8882; white-space: nowrap; }
.Ready { background: #16a34a33; } .Running, .Waiting, .AwaitingApproval { background: #f59e0b33; } .Failed, .Invalid, .Refused, .Cycle { background: #dc262633; }
@media (prefers-color-scheme: dark) { td.message { color: #aaa; } :root { --accent: #7aa2ff; } }
</style></head><body><h1>{{.Title}}</h1>
{{.Body}}</body></html>
`))

var overviewTemplate = template.Must(template.New("overview").Parse(`{{if .}}<table><thead>
<tr><th>Kind</th><th>Name</th><th>State</th><th>Version</th><th>Message</th></tr></thead><tbody>
{{range .}}<tr><td>{{.Kind}}</td><td>{{if .Link}}<a href="{{.Link}}">{{.Name}}</a>{{else}}{{.Name}}{{end}}</td>
<td><span class="state {{.State}}">{{.State}}</span></td><td>{{.Version}}</td><td class="message">{{.Message}}</td></tr>
{{end}}</tbody></table>{{else}}<p>Nothing is declared yet. Write a few YAML objects and run <code>fathom apply -f FOLDER</code>.</p>{{end}}
`))

var hintTemplate = template.Must(template.New("hint").Parse(
	`<p>This page shows only to people who may see it. Run <code>fathom open</code> in a terminal: it prints a link that logs this browser in once.</p>
`))

var redirectTemplate = template.Must(template.New("redirect").Parse(
	`<meta http-equiv="refresh" content="0; url={{.}}"><p>You are logged in. <a href="{{.}}">Continue</a>.</p>
`))
