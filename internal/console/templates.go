// SPDX-License-Identifier: Apache-2.0

package console

import "html/template"

var frameTemplate = template.Must(template.New("frame").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<link rel="icon" type="image/svg+xml" href="/ui/assets/icon.svg">
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

var hintTemplate = template.Must(template.New("hint").Parse(
	`<p>This page shows only to people who may see it. Run <code>fathom open</code> in a terminal: it prints a link that logs this browser in once.</p>
`))

var unbuiltTemplate = template.Must(template.New("unbuilt").Parse(
	`<p>This server was built without the console. Run <code>make build</code> with Node 20 or later and start it again. Everything else works.</p>
`))

var redirectTemplate = template.Must(template.New("redirect").Parse(
	`<meta http-equiv="refresh" content="0; url={{.}}"><p>You are logged in. <a href="{{.}}">Continue</a>.</p>
`))
