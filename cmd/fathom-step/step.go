// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// step is the surroundings of a sub-command.
type step struct {
	args []string // after the sub-command's name

	params      string // file
	code        string // folder of the code bundle
	inputs      string // folder
	output      string // folder
	progress    string // file
	termination string // file

	stdin          io.Reader
	stdout, stderr io.Writer
}

// surroundings reads the environment that fathom-launch sets.
func surroundings() *step {
	at := func(name, fallback string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return fallback
	}
	return &step{
		params: at("FATHOM_PARAMS", "/fathom/params.json"), code: at("FATHOM_CODE", "/fathom/code"),
		inputs: at("FATHOM_INPUTS", "/fathom/inputs"), output: at("FATHOM_OUTPUT", "/fathom/output"),
		progress: at("FATHOM_PROGRESS", "/fathom/progress"), termination: at("FATHOM_TERMINATION", "/fathom/termination.json"),
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
	}
}

// read fills parameters from the parameter file.
func (s *step) read(into any) error {
	b, err := os.ReadFile(s.params)
	if err != nil {
		return fault.Wrap(fault.Internal, "read parameters", err)
	}
	return decode(b, into)
}

// decode refuses fields it does not know: parameters are written by our own programs.
func decode(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fault.New(fault.Internal, "read parameters", "%v", err)
	}
	return nil
}

// tell reports progress. Failing to tell is no reason to stop.
func (s *step) tell(fraction float64, format string, args ...any) {
	line := fmt.Sprintf("%.2f %s\n", fraction, fmt.Sprintf(format, args...))
	if s.progress != "" {
		_ = os.WriteFile(s.progress, []byte(line), 0o644)
	}
}

// report writes report.json into the output.
func (s *step) report(v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fault.Wrap(fault.Internal, "write report", err)
	}
	return fault.Wrap(fault.Internal, "write report", os.WriteFile(filepath.Join(s.output, "report.json"), append(b, '\n'), 0o644))
}

// blame gives an error a stable reason and the field of the user's object that is to blame.
type blame struct {
	reason, field string
	err           error
}

func (b *blame) Error() string { return b.err.Error() }
func (b *blame) Unwrap() error { return b.err }

// blamed wraps a non-nil error; an error that already carries a blame keeps it.
func blamed(reason, field string, err error) error {
	var known *blame
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &blame{reason: reason, field: field, err: err}
}

// termination is what fathom-launch passes on to the run's status.
type termination struct {
	Kind    fault.Kind `json:"kind"`
	Reason  string     `json:"reason"`
	Message string     `json:"message"`
	Field   string     `json:"field,omitempty"`
}

const maxMessage = 3000 // bytes; a pod's termination message holds 4096

// finish says how the command ended and returns the exit status.
func (s *step) finish(err error) int {
	if err == nil {
		return 0
	}
	end := termination{Kind: fault.KindOf(err), Reason: string(fault.KindOf(err)), Message: strings.Join(strings.Fields(err.Error()), " ")}
	var b *blame
	if errors.As(err, &b) {
		end.Reason, end.Field = b.reason, b.field
	}
	if len(end.Message) > maxMessage {
		end.Message = strings.ToValidUTF8(end.Message[:maxMessage], "") + "…"
	}
	if text, err := json.Marshal(end); err == nil && s.termination != "" {
		// Without the file the last line of standard error still tells.
		_ = os.WriteFile(s.termination, append(text, '\n'), 0o644)
	}
	fmt.Fprintln(s.stderr, end.Message)
	if end.Kind == fault.Invalid {
		return 2
	}
	return 1
}
