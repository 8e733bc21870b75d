// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"os"
	"path/filepath"
	"runtime"

	"fathom.dev/fathom/internal/fault"
)

// LibraryVariable is the environment variable that names the shared library of ONNX Runtime.
const LibraryVariable = "FATHOM_ONNXRUNTIME"

// FindLibrary returns the path of ONNX Runtime's shared library: the file or folder that [LibraryVariable] names (asked
// through getenv), else the first found in the folder of the executable and in ../lib beside it. Errors: NotFound.
func FindLibrary(getenv func(string) string, executable string) (string, error) {
	var places []string
	if named := getenv(LibraryVariable); named != "" {
		if isFile(named) {
			return named, nil
		}
		places = []string{named}
	} else if executable != "" {
		if real, err := filepath.EvalSymlinks(executable); err == nil {
			executable = real
		}
		dir := filepath.Dir(executable)
		places = []string{dir, filepath.Join(dir, "..", "lib")}
	}
	for _, place := range places {
		for _, name := range libraryNames() {
			if path := filepath.Join(place, name); isFile(path) {
				return path, nil
			}
		}
	}
	return "", fault.New(fault.NotFound, "predict.FindLibrary", "no %s in %q", libraryNames()[0], places).
		WithHint("set %s to the file", LibraryVariable)
}

func libraryNames() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libonnxruntime.dylib"}
	}
	return []string{"libonnxruntime.so", "libonnxruntime.so.1"}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
