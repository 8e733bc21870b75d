// SPDX-License-Identifier: Apache-2.0

package lake

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	icebergio "github.com/apache/iceberg-go/io"
)

// durableFS writes Iceberg's metadata so that a closed file survives a power cut: the catalog row that names it is
// synced, so the file must be on disk first. The library's own file system does not sync.
type durableFS struct{ icebergio.LocalFS }

var useDurableFS = sync.OnceFunc(func() {
	factory := func(context.Context, *url.URL, map[string]string) (icebergio.IO, error) { return durableFS{}, nil }
	icebergio.Unregister("file")
	icebergio.Register("file", factory)
})

// localPath is the path of a file location. Iceberg escapes what a URL cannot hold, such as spaces; a lake's own path holds no
// percent sign, so there is nothing else to undo.
func localPath(location string) string {
	path := strings.TrimPrefix(location, "file://")
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}

func (durableFS) Create(name string) (icebergio.FileWriter, error) {
	path := localPath(name)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &durableFile{File: f}, nil
}

func (d durableFS) WriteFile(name string, content []byte) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

type durableFile struct{ *os.File }

func (f *durableFile) Close() error {
	if err := f.Sync(); err != nil {
		f.File.Close()
		return err
	}
	if err := f.File.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.Name()))
}
