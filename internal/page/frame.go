// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"html/template"
	"regexp"
	"time"

	"fathom.dev/fathom/internal/chart"
	"fathom.dev/fathom/internal/fault"
)

var (
	checkbox = regexp.MustCompile(`^checkbox$`)
	anchor   = regexp.MustCompile(`^[\p{L}\p{N}_:.-]+$`) // of headings and footnotes
)

// Style is the look of every insight page. Colours follow the reader's setting; paper is always light.
const Style = `
:root{color-scheme:light dark;--ink:#16202c;--soft:#536273;--line:#d9dfe6;--paper:#fff;--panel:#f5f7f9;--accent:#1d4ed8;--good:#15803d;--warn:#a16207;--bad:#b91c1c}
@media (prefers-color-scheme:dark){:root{--ink:#e4e9ef;--soft:#9fadbc;--line:#313c48;--paper:#12181f;--panel:#1a222b;--accent:#8ab0ff;--good:#5bd08a;--warn:#f0c05a;--bad:#ff8a80}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--panel:#fff;--accent:#000;--good:#15803d;--warn:#a16207;--bad:#b91c1c}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main,footer{max-width:44rem;width:calc(100% - 2.2rem);margin:0 auto}
main{padding-top:2.2rem}
h1,h2,h3,h4{line-height:1.25;text-wrap:balance}
h1{font-size:1.95rem;letter-spacing:-.015em;margin:0 0 .5rem}
h2{font-size:1.3rem;margin:2.6rem 0 .6rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1.06rem;margin:1.8rem 0 .4rem}
p,ul,ol{margin:.7rem 0}
a{color:var(--accent)}
.lead{font-size:1.1rem;color:var(--soft);margin-top:0}
img{max-width:100%;height:auto}
figure{margin:1.5rem 0;break-inside:avoid}
figcaption{font-weight:600;text-align:left;margin-bottom:.55rem}
figure.value{display:inline-block;margin:.4rem 2.2rem .6rem 0;vertical-align:top}
figure.value strong{display:block;font-size:2.3rem;line-height:1.15;font-weight:650;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
figure.value small{font-size:1rem;font-weight:400;color:var(--soft)}
figure.value figcaption{font-weight:400;color:var(--soft);font-size:.92rem;margin:0;max-width:15rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.93rem;min-width:50%}
th,td{padding:.34rem .8rem .34rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
thead th{color:var(--soft);font-weight:600;border-bottom-width:2px;vertical-align:bottom}
th.n,td.n,th[align=right],td[align=right]{text-align:right;font-variant-numeric:tabular-nums;padding-left:.8rem}
th:last-child,td:last-child{padding-right:.1rem}
pre{overflow-x:auto;background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem;font-size:.84rem;line-height:1.5}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.92em}
pre code{font-size:1em}
blockquote{margin:1rem 0;padding:.1rem 1rem;border-left:3px solid var(--line);color:var(--soft)}
details{margin:.5rem 0;font-size:.9rem}
summary{cursor:pointer;color:var(--soft)}
summary:focus-visible,a:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.badge{display:inline-block;padding:0 .55em;border-radius:1em;font-size:.82rem;font-weight:600;border:1px solid currentColor;white-space:nowrap}
.badge.good{color:var(--good)}.badge.warn{color:var(--warn)}.badge.bad{color:var(--bad)}
.verdict,.finding{border-left:4px solid var(--line);background:var(--panel);padding:.55rem 1rem;margin:1.2rem 0;border-radius:0 6px 6px 0}
.verdict p,.finding p{margin:.3rem 0}
.verdict.good{border-color:var(--good)}.verdict.warn,.finding.warn{border-color:var(--warn)}.verdict.bad,.finding.bad{border-color:var(--bad)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:0 2rem;align-items:start}
.small{font-size:.88rem;color:var(--soft);font-weight:400}.nowrap{white-space:nowrap}
tbody th{font-weight:500}
.confusion td.right{background:color-mix(in srgb,var(--good) 14%,transparent)}
tr.this td{font-weight:650;background:var(--panel)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;font-size:.93rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.tree ul{list-style:none;margin:.1rem 0;padding-left:1.1rem;border-left:1px solid var(--line)}.tree li{margin:.15rem 0}
.tree details{margin:0;font-size:.93rem}.tree summary{color:inherit}.tree .leaf{font-size:.93rem;padding-left:1.05rem}.tree .role{color:var(--soft);font-size:.85rem}
.none,.note{color:var(--soft);font-size:.92rem}
footer{margin-top:3.2rem;padding:1rem 0 2.5rem;border-top:1px solid var(--line);color:var(--soft);font-size:.86rem}
footer code{overflow-wrap:anywhere}
@media (max-width:32rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}h1{font-size:1.55rem}main{padding-top:1.3rem}figure.value strong{font-size:1.9rem}figure.value{margin-right:1.4rem}}
@media print{body{font-size:10.5pt}main,footer{max-width:none;width:auto}details:not([open]){display:none}a{color:inherit}h2,h3{break-after:avoid}}
`

var frame = template.Must(template.New("frame").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="generator" content="Fathom"><title>{{.Title}}</title>
<style>{{.Style}}</style></head>
<body><main>
{{.Body}}
</main><footer>{{.Footer}}</footer></body></html>
`))

// Frame puts a body and a footer into a whole page: no scripts, nothing from elsewhere.
func Frame(title string, body, footer template.HTML) ([]byte, error) {
	var b bytes.Buffer
	err := frame.Execute(&b, struct {
		Title        string
		Style        template.CSS
		Body, Footer template.HTML
	}{title, template.CSS(Style + chart.Style), body, footer})
	return b.Bytes(), fault.Wrap(fault.Internal, "render page", err)
}

var footer = template.Must(template.New("footer").Funcs(template.FuncMap{"at": At}).Parse(`
<p>{{with .Report}}Report <b>{{$.Workspace}}/{{.}}</b>{{end}}{{with .At}}{{if not .IsZero}}, rendered {{at .}}{{end}}{{end}}.
{{if .Datasets}}It read:{{else}}It read no dataset.{{end}}</p>
{{if .Datasets}}<div class="scroll"><table><thead><tr><th scope="col">Dataset</th><th scope="col" class="n">Version</th><th scope="col" class="n">Rows</th><th scope="col">Made</th></tr></thead><tbody>
{{range .Datasets}}<tr><td>{{.Name}}</td><td class="n">{{.Version}}</td><td class="n">{{.Rows}}</td><td>{{if .Made.IsZero}}–{{else}}{{at .Made}}{{end}}</td></tr>
{{end}}</tbody></table></div>{{end}}
{{with .Fingerprint}}<p>Fingerprint <code>{{.}}</code>: the same page over the same versions is the same page.</p>{{end}}`))

// At writes a moment for people, in UTC.
func At(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

func footerHTML(meta Params) (template.HTML, error) {
	var b bytes.Buffer
	if err := footer.Execute(&b, meta); err != nil {
		return "", fault.Wrap(fault.Internal, "render page", err)
	}
	return template.HTML(b.String()), nil
}
