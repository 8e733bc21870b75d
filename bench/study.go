// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	studyWorkspace = "neurology"
	studyPatience  = 15 * time.Minute
	mostStudies    = 3 // rounds: each takes a minute or so
)

// study is the built example of examples/parkinsons.
type study struct {
	*platform
	total  time.Duration
	phases string
}

func (b *bench) closeStudy() {
	if b.built != nil {
		_ = b.built.stop() // the figures are told already
		b.built = nil
	}
}

// measureStudy builds the study once without any package in the cache and then again with a warm one.
func measureStudy(ctx context.Context, b *bench) ([]figure, error) {
	cache, err := b.fresh("uv-cache")
	if err != nil {
		return nil, err
	}
	cold := figure{what: "study, packages downloaded", unit: "s", aim: "≤ 90 s"}
	warm := figure{what: "study, packages in uv's cache", unit: "s", aim: "≤ 60 s"}
	for round := range min(b.rounds, mostStudies) + 1 {
		b.closeStudy()
		s, err := b.build(ctx, cache)
		if err != nil {
			return nil, err
		}
		b.built = s
		f := &warm
		if round == 0 {
			f = &cold
		}
		f.values, f.note = append(f.values, s.total.Seconds()), "the last: "+s.phases
		b.say("study: %.1f s: %s", s.total.Seconds(), s.phases)
	}
	return []figure{cold, warm}, nil
}

// study gives the built study, building it if no row has.
func (b *bench) study(ctx context.Context) (*study, error) {
	if b.built == nil {
		s, err := b.build(ctx, filepath.Join(b.tools, "uv-cache"))
		if err != nil {
			return nil, err
		}
		b.built = s
	}
	return b.built, nil
}

// build goes from an empty directory to the insight page of the trained, promoted and served model.
func (b *bench) build(ctx context.Context, cache string) (*study, error) {
	dir, err := b.fresh("study")
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("uv"); err != nil {
		return nil, &absent{"uv is not on PATH: make bench puts it there"}
	}
	data := filepath.Join(dir, "data")
	generate := exec.CommandContext(ctx, "go", "run", "./examples/parkinsons/generate", "-out", data) //nolint:gosec // our own
	generate.Dir = b.source
	if out, err := generate.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("generate the study's input: %w: %s", err, out)
	}
	begin := time.Now()
	p, up, err := b.up(ctx, filepath.Join(dir, "state"), "FATHOM_UV_CACHE="+cache)
	if err != nil {
		return nil, err
	}
	s := &study{platform: p}
	err = s.build(ctx, b.source, filepath.Join(data, "batch-1", "inbox"), begin, up)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return s, nil
}

// build declares the study, puts its files and waits for every object.
func (s *study) build(ctx context.Context, source, inbox string, begin time.Time, up time.Duration) error {
	folder := filepath.Join(source, "examples", "parkinsons", "study")
	workspace := filepath.Join(s.state, "workspace.yaml")
	text, err := os.ReadFile(filepath.Join(folder, "study.yaml"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n---\n")
	if err := os.WriteFile(workspace, []byte(first+"\n"), 0o600); err != nil {
		return err
	}
	o, err := s.observe(ctx, studyWorkspace)
	if err != nil {
		return err
	}
	defer o.stop()
	for _, args := range [][]string{
		{"apply", "-f", workspace}, {"put", "-n", studyWorkspace, inbox, "inbox"}, {"apply", "-f", folder},
	} {
		if err := s.verb(ctx, args...); err != nil {
			return err
		}
	}
	phases, last := []string{fmt.Sprintf("up %.1f", up.Seconds())}, begin.Add(up)
	done := func(name string, at time.Time) {
		at = maxTime(at, last)
		phases, last = append(phases, fmt.Sprintf("%s %.1f", name, at.Sub(last).Seconds())), at
	}
	done("declare and put", time.Now())
	for _, id := range []string{"dataset/cohort", "model/parkinsons", "endpoint/parkinsons", "report/findings"} {
		at, err := o.wait(ctx, id, studyPatience)
		if err != nil {
			return err
		}
		done(strings.TrimPrefix(id, "dataset/"), at)
	}
	if err := s.see(ctx, "/ui/workspaces/"+studyWorkspace+"/models/parkinsons"); err != nil {
		return err
	}
	done("insight page", time.Now())
	s.total = last.Sub(begin)
	own, family, err := cpuOf(s.server.Process.Pid)
	s.phases = strings.Join(phases, ", ") + fmt.Sprintf("; %.1f of it waiting for environments; CPU: server %.0f s, pods and tools %.0f s",
		o.environments().Seconds(), own.Seconds(), (family-own).Seconds())
	return err
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// see fetches a page.
func (p *platform) see(ctx context.Context, path string) error {
	_, err := p.fetch(ctx, path)
	return err
}

// fetch reads what a door answers.
func (p *platform) fetch(ctx context.Context, path string) ([]byte, error) {
	host, err := p.doors(ctx)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls.Clone()}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.300s", path, response.Status, body)
	}
	return body, err
}
