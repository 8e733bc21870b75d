// SPDX-License-Identifier: Apache-2.0

package structure

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	module = "fathom.dev/fathom"
)

// file is one text file of the repository.
type file struct {
	path string // slash-separated, from the root
	text string
	// Of Go files only:
	syntax  *ast.File
	imports []string
}

func (f file) dir() string       { return path.Dir(f.path) }
func (f file) isTest() bool      { return strings.HasSuffix(f.path, "_test.go") }
func (f file) isGo() bool        { return f.syntax != nil }
func (f file) isTestdata() bool  { return strings.Contains("/"+f.path, "/testdata/") }
func (f file) isGenerated() bool { return f.syntax != nil && ast.IsGenerated(f.syntax) }

// newFile parses text when the name says that it is Go.
func newFile(name, text string) (file, error) {
	f := file{path: name, text: text}
	if !strings.HasSuffix(name, ".go") {
		return f, nil
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
	if err != nil {
		return f, err
	}
	f.syntax = syntax
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, p)
	}
	return f, nil
}

// made are folders that hold what was built or fetched, not written.
var made = map[string]bool{"bin": true, "node_modules": true, "dist": true, "screenshots": true}

var readTree = sync.OnceValues(func() ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" && name != root
		switch {
		case d.IsDir() && (hidden || made[d.Name()]):
			return fs.SkipDir
		case !d.Type().IsRegular() || hidden:
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return nil // not a text
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := newFile(filepath.ToSlash(rel), string(text))
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
})

// tree is every text file that is written by hand or generated into the repository.
func tree(t *testing.T) []file {
	t.Helper()
	files, err := readTree()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("found %d files only below %s: is this the repository?", len(files), root)
	}
	return files
}

// example is a file of a test's own.
func example(t *testing.T, name, text string) file {
	t.Helper()
	f, err := newFile(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
