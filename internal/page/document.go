// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
	"go.yaml.in/yaml/v3"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// Bounds of a page.
const (
	MaxBytes      = 4 << 20 // of Markdown
	MaxStatements = 200
)

// Document is a page that was read.
type Document struct {
	// Title is the front matter's, or else the first heading's; it may be empty.
	Title string
	// Description is the front matter's: one sentence below the title.
	Description string
	// Statements in their order.
	Statements []Statement
	// Pictures are the local files that the page shows, in their order.
	Pictures []Picture

	headed bool // the text has a heading of the first level
	source []byte
	root   ast.Node
	token  string // marks the places of the answers in the text
}

// Statement is one SQL block.
type Statement struct {
	// SQL as written; Line is the page's line at which it begins, from 1.
	SQL  string
	Line int
	// Figure says how to show the answer.
	Figure Figure
}

// Picture is a file beside the page.
type Picture struct {
	Path string // relative, clean
	Line int
}

// frontMatter is what may stand between two lines of dashes at a page's top; other keys are left to other programs.
type frontMatter struct {
	Title       string `yaml:"title"`
	Description string `yaml:"description"`
}

// Parse reads a page. Invalid, with a *Problem: front matter that is no YAML, a block whose attributes are wrong, an empty
// statement, a picture from elsewhere; TooLarge beyond the bounds.
func Parse(markdown []byte) (*Document, error) {
	if len(markdown) > MaxBytes {
		return nil, fault.New(fault.TooLarge, "page", "it has %d bytes; at most %d are read", len(markdown), MaxBytes)
	}
	markdown = bytes.ReplaceAll(bytes.TrimPrefix(markdown, []byte("\xef\xbb\xbf")), []byte("\r\n"), []byte("\n"))
	d := &Document{token: "fathom-block-" + ref.DigestOf(markdown).Hex()[:16] + "-"}
	front, err := splitFront(markdown)
	if err != nil {
		return nil, err
	}
	d.Title, d.Description = front.Title, front.Description
	d.source = front.blanked
	d.root = markdownParser.Parser().Parse(text.NewReader(d.source))
	if err := ast.Walk(d.root, d.visit); err != nil {
		return nil, err
	}
	if len(d.Statements) > MaxStatements {
		return nil, fault.New(fault.TooLarge, "page", "it has %d SQL blocks; at most %d are run", len(d.Statements), MaxStatements)
	}
	return d, nil
}

type front struct {
	frontMatter
	blanked []byte // the page with the front matter's lines emptied, so that line numbers stay
}

func splitFront(markdown []byte) (front, error) {
	f := front{blanked: markdown}
	rest, ok := bytes.CutPrefix(markdown, []byte("---\n"))
	if !ok {
		return f, nil
	}
	var head []byte
	if end := bytes.Index(rest, []byte("\n---\n")); end >= 0 {
		head, rest = rest[:end], rest[end+5:]
	} else if head, ok = bytes.CutSuffix(rest, []byte("\n---")); ok {
		rest = nil
	} else {
		return f, nil // a line of dashes and no second one is a rule, not front matter
	}
	if err := yaml.Unmarshal(head, &f.frontMatter); err != nil {
		return f, wrong(2, "write key: value, as in title: Findings", "the front matter is not YAML: %v", err)
	}
	lines := bytes.Count(markdown[:len(markdown)-len(rest)], []byte("\n"))
	f.blanked = append(bytes.Repeat([]byte("\n"), lines), rest...)
	return f, nil
}

// visit collects statements, pictures and the title.
func (d *Document) visit(n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	switch x := n.(type) {
	case *ast.FencedCodeBlock:
		return ast.WalkContinue, d.block(x)
	case *ast.Image:
		return ast.WalkContinue, d.picture(x)
	case *ast.Heading:
		if x.Level == 1 {
			d.headed = true
			if d.Title == "" {
				d.Title = plainText(x, d.source)
			}
		}
	}
	return ast.WalkContinue, nil
}

// block takes a fenced block whose first word is sql as a statement.
func (d *Document) block(n *ast.FencedCodeBlock) error {
	if n.Info == nil {
		return nil
	}
	info := string(n.Info.Segment.Value(d.source))
	rest, ok := strings.CutPrefix(info, "sql")
	if !ok || rest != "" && !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "{") {
		return nil
	}
	fence := d.lineAt(n.Info.Segment.Start)
	figure, err := parseFigure(rest, fence)
	if err != nil {
		return err
	}
	sql := string(n.Lines().Value(d.source))
	if strings.TrimSpace(sql) == "" {
		return wrong(fence, "write one SELECT in it", "the SQL block is empty")
	}
	n.SetAttributeString(blockIndex, len(d.Statements))
	d.Statements = append(d.Statements, Statement{SQL: sql, Line: d.lineAt(n.Lines().At(0).Start), Figure: figure})
	return nil
}

func (d *Document) picture(n *ast.Image) error {
	line := 1
	for at := ast.Node(n); at != nil; at = at.Parent() {
		if at.Type() == ast.TypeBlock && at.Lines() != nil && at.Lines().Len() > 0 {
			line = d.lineAt(at.Lines().At(0).Start)
			break
		}
	}
	to := string(n.Destination)
	target, err := url.Parse(to)
	if err == nil && target.Scheme == "data" && strings.HasPrefix(target.Opaque, "image/") {
		return nil
	}
	if err != nil || target.Scheme != "" || target.Host != "" {
		return wrong(line, "copy the picture beside the page and name the file", "the picture %q is not a file beside the page: pages load nothing from elsewhere", to)
	}
	path, err := ref.RelPath(strings.TrimPrefix(target.Path, "./"))
	if err != nil {
		return wrong(line, "copy the picture beside the page and name the file", "the picture %q is not a file beside the page", to)
	}
	d.Pictures = append(d.Pictures, Picture{Path: path, Line: line})
	return nil
}

// lineAt counts from 1.
func (d *Document) lineAt(offset int) int { return bytes.Count(d.source[:offset], []byte("\n")) + 1 }

func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(c ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := c.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return strings.TrimSpace(b.String())
}

// blockIndex is the attribute of a block that says which statement it is.
const blockIndex = "data-fathom-statement"

// markdownParser reads GitHub's Markdown. HTML passes it and is sanitised afterwards.
var markdownParser = goldmark.New(
	goldmark.WithExtensions(extension.GFM, extension.Footnote),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
)

// htmlRenderer leaves a token where an answer belongs.
func (d *Document) htmlRenderer() renderer.Renderer {
	return renderer.NewRenderer(renderer.WithNodeRenderers(
		util.Prioritized(html.NewRenderer(html.WithUnsafe()), 1000),
		util.Prioritized(extension.NewTableHTMLRenderer(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)), 500),
		util.Prioritized(extension.NewStrikethroughHTMLRenderer(), 500),
		util.Prioritized(extension.NewTaskCheckBoxHTMLRenderer(), 500),
		util.Prioritized(extension.NewFootnoteHTMLRenderer(), 500),
		util.Prioritized(blocks{d}, 100),
	))
}

// blocks renders fenced blocks.
type blocks struct{ *Document }

// RegisterFuncs is part of goldmark's interface.
func (b blocks) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindFencedCodeBlock, b.render)
}

func (b blocks) render(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	if at, ok := n.AttributeString(blockIndex); ok {
		_, _ = w.WriteString("<p>" + b.place(at.(int)) + "</p>\n") // the writer keeps its error
		return ast.WalkSkipChildren, nil
	}
	_, _ = w.WriteString("<pre><code>")
	_, _ = w.Write(util.EscapeHTML(n.Lines().Value(source)))
	_, _ = w.WriteString("</code></pre>\n")
	return ast.WalkSkipChildren, nil
}
