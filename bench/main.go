// SPDX-License-Identifier: Apache-2.0

// Command bench measures Fathom beside physical floors and peers that run on the same machine at the same time, and
// prints a table. Ratios count; absolute figures only inform. docs/benchmarks.md says what each row is and how it is made.
//
//	go run ./bench                          all rows
//	go run ./bench -row step -rounds 9      one row
//	go run ./bench -o json                  for programs
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is what all rows share.
type bench struct {
	bin, tools, work string // folders: Fathom's binaries, what peers need, scratch
	source           string // the repository
	rounds           int
	say              func(format string, args ...any)
	built            *study    // the study, when a row has built it
	empty            *platform // one without anything in it, when a row has started it
}

// rows are in the order of the table.
var rows = []struct {
	name, what string
	measure    func(context.Context, *bench) ([]figure, error)
}{
	{"up", "`fathom up` to ready; memory and CPU when idle", measureUp},
	{"step", "a dataset that does nothing, from apply to Ready", measureStep},
	{"study", "empty directory to insight of examples/parkinsons", measureStudy},
	{"infer", "predictions as JSON, beside FastAPI and ONNX Runtime", measureInfer},
	{"tracking", "log_batch of 1000 metrics, beside an MLflow server", measureTracking},
	{"objects", "4 KiB objects written and read through the S3 door, beside SeaweedFS", measureObjects},
	{"admission", "gangs that get quota at once, until each is admitted", measureAdmission},
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == noopMode { // the floor of a server, started by the infer row
		serveNoop(os.Args[2])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	row := flags.String("row", "", "only this row: "+names())
	rounds := flags.Int("rounds", 5, "rounds of each row; the study's are at most 3")
	format := flags.String("o", "", "json, or empty for a table")
	bin := flags.String("bin", "bin", "folder of Fathom's binaries")
	tools := flags.String("tools", ".tools/bench", "folder for what peers need; kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 {
		return errors.New("-rounds must be at least 1")
	}
	b := &bench{rounds: *rounds, say: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
	}}
	var err error
	for at, from := range map[*string]string{&b.bin: *bin, &b.tools: *tools, &b.source: "."} {
		if *at, err = filepath.Abs(from); err != nil {
			return err
		}
	}
	if b.work, err = os.MkdirTemp("", "fathom-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	defer b.closeStudy()
	defer b.closePlain()
	figures, err := b.measure(ctx, *row)
	if err != nil {
		return err
	}
	if *format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report(figures))
	}
	return print(out, figures)
}

func (b *bench) measure(ctx context.Context, only string) ([]figure, error) {
	var figures []figure
	known := false
	for _, r := range rows {
		if only != "" && only != r.name {
			continue
		}
		known = true
		b.say("%s: %s", r.name, r.what)
		f, err := r.measure(ctx, b)
		var missing *absent
		switch {
		case errors.As(err, &missing):
			b.say("%s: SKIPPED, %v", r.name, missing)
			f = append(f, figure{what: "SKIPPED: " + missing.Error()})
		case err != nil:
			return nil, fmt.Errorf("row %s: %w", r.name, err)
		}
		for i := range f {
			f[i].row = r.name
		}
		figures = append(figures, f...)
	}
	if !known {
		return nil, fmt.Errorf("there is no row %q: %s", only, names())
	}
	return figures, nil
}

func names() string {
	var list []string
	for _, r := range rows {
		list = append(list, r.name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// absent says what a row cannot be measured without.
type absent struct{ what string }

func (a *absent) Error() string { return a.what }
