// SPDX-License-Identifier: Apache-2.0

// Package web holds the console's app as `vite build` leaves it, so that fathom-server carries it. Without Node the package
// compiles all the same: it then holds a placeholder only.
package web

import (
	"embed"
	"io/fs"
)

// Until the app is built there is placeholder.txt only, which the build keeps.
//
//go:embed all:dist
var files embed.FS

// App is the folder with index.html and assets/; index.html is missing when the app was not built.
func App() fs.FS {
	app, err := fs.Sub(files, "dist")
	if err != nil { // unreachable: the folder is embedded
		panic(err)
	}
	return app
}
