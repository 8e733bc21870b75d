// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

func newPut(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "put FILE_OR_FOLDER... TARGET/",
		Short: "Put files into the workspace's bucket, where datasets read them",
		Long: "Put files, or all that is below folders, into the workspace's bucket, where datasets read them. Hidden files stay out. What is there " +
			"under the same name is replaced.",
		Example: "  fathom put visits/*.csv inbox/voice/\n  fathom put data/inbox inbox",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			target := strings.Trim(args[len(args)-1], "/")
			var uploads []upload
			for _, source := range args[:len(args)-1] {
				found, err := uploadsOf(source, target)
				if err != nil {
					return err
				}
				uploads = append(uploads, found...)
			}
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.waitForWorkspace(cmd.Context(), c.workspace); err != nil { // it may have been declared just now
				return err
			}
			if err := c.putAll(cmd.Context(), uploads, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return g.printed(cmd.OutOrStdout(), map[string]any{"files": len(uploads), "bucket": c.workspace, "target": target},
				"%d files put into %s/%s", len(uploads), c.workspace, target)
		},
	}
}

// upload is a file and its key in the bucket.
type upload struct {
	file, key string
	size      int64
}

// uploadsOf is a file, or what is below a folder.
func uploadsOf(source, target string) (out []upload, err error) {
	err = filepath.WalkDir(source, func(file string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.NotFound, "put", "there is no file or folder %s", file)
		}
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		relative, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		if relative == "." {
			relative = filepath.Base(source)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		out = append(out, upload{file, path.Join(target, filepath.ToSlash(relative)), info.Size()})
		return nil
	})
	return out, err
}

// putAll uploads the files one after the other; on a terminal it tells how far it is.
func (c *connection) putAll(ctx context.Context, uploads []upload, progress io.Writer) error {
	m := meter{begin: time.Now(), files: len(uploads)}
	for _, u := range uploads {
		m.total += u.size
	}
	if terminal(progress) {
		m.out = progress
		defer m.clear()
	}
	for _, u := range uploads {
		if err := c.put(ctx, u, &m); err != nil {
			return err
		}
		m.file()
	}
	return nil
}

func (c *connection) put(ctx context.Context, u upload, m *meter) error {
	f, err := os.Open(u.file)
	if err != nil {
		return err
	}
	defer f.Close()
	answer, err := c.call(ctx, "PUT", c.path("/objects/%s", (&url.URL{Path: u.key}).EscapedPath()), io.TeeReader(f, m))
	if err != nil {
		return fmt.Errorf("%s: %w", u.file, err)
	}
	return answer.Close()
}

// meter tells on one line how much has been sent, and how long the rest may take.
type meter struct {
	out                io.Writer // nil: nobody looks
	begin, shown       time.Time
	files, filesDone   int
	total, transferred int64
}

// Write counts what is sent.
func (m *meter) Write(b []byte) (int, error) {
	m.transferred += int64(len(b))
	m.show(time.Now())
	return len(b), nil
}

func (m *meter) file() {
	m.filesDone++
	m.show(time.Now())
}

func (m *meter) show(now time.Time) {
	if m.out == nil || now.Sub(m.shown) < 100*time.Millisecond {
		return
	}
	m.shown = now
	fmt.Fprintf(m.out, "\r\x1b[K%s", cut(m.says(now), width(m.out)))
}

func (m *meter) says(now time.Time) string {
	text := fmt.Sprintf("%d of %d files, %s of %s", m.filesDone, m.files, size(m.transferred), size(m.total))
	if m.total > 0 {
		if rest := remaining(left(float64(m.transferred)/float64(m.total), now.Sub(m.begin), 0)); rest != "" {
			text += ", " + rest
		}
	}
	return text
}

func (m *meter) clear() { fmt.Fprint(m.out, "\r\x1b[K") }
