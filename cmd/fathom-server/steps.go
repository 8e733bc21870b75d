// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/query"
)

// steps runs fathom-step beside the server for what needs SQL but no pod: reading a statement, and people's questions.
// DuckDB is not linked into the server; a child process costs some tens of milliseconds and cannot take it down.
type steps struct{ binary string }

const (
	checkPatience = 20 * time.Second
	queryPatience = 5 * time.Minute
)

// check parses a statement.
func (s steps) check(ctx context.Context, p query.CheckParams) (query.Checked, error) {
	var out bytes.Buffer
	var checked query.Checked
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	if err := s.run(ctx, "check", p, &out); err != nil {
		return checked, err
	}
	err := json.Unmarshal(out.Bytes(), &checked)
	return checked, fault.Wrap(fault.Internal, "check", err)
}

// query answers a statement.
func (s steps) query(ctx context.Context, p query.ReadParams, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	return s.run(ctx, "sql", p, out)
}

func (s steps) run(ctx context.Context, command string, params any, out io.Writer) error {
	input, err := json.Marshal(params)
	if err != nil {
		return fault.Wrap(fault.Internal, command, err)
	}
	temp, err := os.MkdirTemp("", "fathom-"+command+"-")
	if err != nil {
		return fault.Wrap(fault.Unavailable, command, err)
	}
	defer os.RemoveAll(temp)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.binary, command, "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), out, &stderr
	termination := temp + "/termination.json"
	cmd.Env = []string{"TMPDIR=" + temp, "PATH=/usr/bin:/bin", "FATHOM_TERMINATION=" + termination, "FATHOM_INPUTS=" + temp, "HOME=" + temp}
	err = cmd.Run()
	if err == nil {
		return nil
	}
	if told := toldBy(termination); told != nil {
		return told
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == 2 {
		return fault.New(fault.Invalid, command, "%s", lastLine(stderr.String()))
	}
	if ctx.Err() != nil {
		return fault.New(fault.Exhausted, command, "it took too long").WithHint("narrow the statement down, or make it a dataset")
	}
	return fault.New(fault.Internal, command, "%v: %s", err, lastLine(stderr.String()))
}

// toldBy reads what the step said about its end.
func toldBy(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var told struct {
		Kind    fault.Kind `json:"kind"`
		Message string     `json:"message"`
	}
	if json.Unmarshal(content, &told) != nil || told.Message == "" {
		return nil
	}
	return &fault.Error{Kind: told.Kind, Err: errors.New(told.Message)}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
