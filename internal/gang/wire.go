// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"encoding/json"
	"slices"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/ref"
)

// File is one content-addressed file.
type File struct {
	Path   string     `json:"path"` // slash-separated, relative
	Digest ref.Digest `json:"digest"`
	Size   int64      `json:"size"` // bytes
}

// Manifest lists the files of a run's output, sorted by path. Its encoding is a blob whose digest names the output.
type Manifest struct {
	Files []File `json:"files"`
}

// Encode validates, sorts and writes the manifest; equal sets of files give equal bytes. A path that appears twice or
// leaves its folder, or a malformed digest, is Invalid.
func (m Manifest) Encode() ([]byte, error) {
	files := slices.Clone(m.Files)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	for i, f := range files {
		if err := f.validate(nil); err != nil {
			return nil, err
		}
		if i > 0 && files[i-1].Path == f.Path {
			return nil, fault.New(fault.Invalid, "manifest", "two ranks wrote the output file %s", f.Path).
				WithHint("let rank 0 alone write it, or put FATHOM_RANK into the file's name")
		}
	}
	if files == nil {
		files = []File{}
	}
	return json.Marshal(Manifest{Files: files})
}

// Stage is what one rank needs before its command starts. It travels as JSON from the staging door to fathom-launch.
type Stage struct {
	// Attempt is the number of this try, from 1.
	Attempt int `json:"attempt"`
	// Code is the bundle (see package bundle) unpacked into the code folder; nil when the command is Fathom's own.
	Code *File `json:"code,omitempty"`
	// Inputs are files below the run's root; the first part of each path is "inputs" or "code".
	Inputs []File `json:"inputs"`
	// Checkpoints are the files that the last attempt left, below the checkpoints folder.
	Checkpoints []File `json:"checkpoints,omitempty"`
	// Params is the content of params.json; empty means {}.
	Params json.RawMessage `json:"params,omitempty"`
	// Env is added to the command's environment and wins over what the pod has.
	Env map[string]string `json:"env,omitempty"`
	// Command is what to run, looked up on PATH.
	Command []string `json:"command"`
	// Workdir is where, below the code folder; empty is the code folder itself.
	Workdir string `json:"workdir,omitempty"`
	// Hosts are the addresses of all ranks in their order; written to the file "hostfile" for MPI launchers.
	Hosts []string `json:"hosts,omitempty"`
}

// Folders that Inputs may be placed in.
var inputFolders = []string{"inputs", "code"}

// Validate reports the first path or digest of the stage that is not allowed as Invalid.
func (s Stage) Validate() error {
	if len(s.Command) == 0 {
		return fault.New(fault.Invalid, "stage", "the command is empty")
	}
	for _, f := range s.Inputs {
		if err := f.validate(inputFolders); err != nil {
			return err
		}
	}
	for _, f := range s.Checkpoints {
		if err := f.validate(nil); err != nil {
			return err
		}
	}
	if s.Code != nil {
		if _, err := ref.ParseDigest(string(s.Code.Digest)); err != nil {
			return err
		}
	}
	if s.Workdir != "" {
		if _, err := ref.RelPath(s.Workdir); err != nil {
			return err
		}
	}
	return nil
}

func (f File) validate(folders []string) error {
	if _, err := ref.RelPath(f.Path); err != nil {
		return err
	}
	if _, err := ref.ParseDigest(string(f.Digest)); err != nil {
		return err
	}
	if folders == nil {
		return nil
	}
	for _, folder := range folders {
		if len(f.Path) > len(folder)+1 && f.Path[:len(folder)+1] == folder+"/" {
			return nil
		}
	}
	return fault.New(fault.Invalid, "stage", "the input %q must lie below inputs/ or code/", f.Path)
}

// Progress is how far a command says it is.
type Progress struct {
	Fraction float64 `json:"fraction"` // 0..1
	Message  string  `json:"message,omitempty"`
}

// Termination is how a rank ended, as far as it can tell. A step may write kind, reason, message and field to the
// file FATHOM_TERMINATION; fathom-launch adds the rest.
type Termination struct {
	// Kind is a fault kind; Unavailable and Exhausted are tried again. Empty means the command did not say.
	Kind fault.Kind `json:"kind,omitempty"`
	// Reason is a stable CamelCase word, for example UnknownColumn.
	Reason string `json:"reason,omitempty"`
	// Message says what happened and what to do next.
	Message string `json:"message,omitempty"`
	// Field is the field of the user's object that is to blame, for example spec.from.query.sql.
	Field string `json:"field,omitempty"`
	// ExitCode is the command's; 128 plus the signal's number when a signal ended it.
	ExitCode int `json:"exitCode"`
	// Signal names the signal that ended the command; empty otherwise.
	Signal string `json:"signal,omitempty"`
	// Tail is the end of what the command wrote to standard error, at most 4 KiB.
	Tail string `json:"tail,omitempty"`
}

// Completion is one rank's claim to have finished, with the files it uploaded.
type Completion struct {
	Files []File `json:"files"`
}

// Receipt answers a Completion: whether all ranks have completed and the output is committed, or which of the
// claimed files the door does not know and wants again.
type Receipt struct {
	Committed bool       `json:"committed"`
	Output    ref.Digest `json:"output,omitempty"`
	Missing   []string   `json:"missing,omitempty"`
}

// Report is what the staging door knows about a run's newest attempt.
type Report struct {
	Attempt  int
	Progress Progress   // rank 0's
	Output   ref.Digest // the committed manifest; empty until all ranks completed
	Files    int        // files of the committed output
	Bytes    int64      // bytes of the committed output
	// Failures are what ranks said when they ended badly, in the order of arrival: the first is the likely cause.
	Failures []Failure
}

// Failure is one rank's termination.
type Failure struct {
	Rank int `json:"rank"`
	Termination
}
