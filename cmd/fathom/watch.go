// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

// settled reports whether nothing more happens by itself: everything is ready, or awaits a person; failed names what
// cannot become ready without a change. A dataset of captured traffic that has none yet does not count.
func settled(lines []line) (done bool, failed []string) {
	done = true
	for _, l := range lines {
		switch l.State {
		case v1alpha1.ReasonReady, v1alpha1.ReasonAwaitingApproval:
		case v1alpha1.ReasonFailed, v1alpha1.ReasonInvalid, v1alpha1.ReasonCycle, v1alpha1.ReasonRefused:
			failed = append(failed, l.id()+": "+l.Message)
		default:
			done = done && strings.Contains(l.Message, "no request has been captured")
		}
	}
	return done, failed
}

// follow tells every change until the workspace has settled. It looks twice, because what becomes ready makes others
// stale.
func (c *connection) follow(ctx context.Context, timeout time.Duration, tell func(time.Duration, line)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begin, last, calm := time.Now(), map[string]line{}, 0
	for {
		lines, err := c.lines(ctx)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return late(timeout)
		} else if err != nil {
			return err
		}
		for _, l := range lines {
			if before, known := last[l.id()]; !known || !l.same(before) {
				last[l.id()] = l
				tell(time.Since(begin), l)
			}
		}
		done, failed := settled(lines)
		if len(failed) > 0 && calm >= 2 {
			return fault.New(fault.Conflict, "status", "%s", strings.Join(failed, "; "))
		}
		if done || len(failed) > 0 {
			calm++
		} else {
			calm = 0
		}
		if calm >= 3 && len(failed) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return late(timeout)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func late(timeout time.Duration) error {
	return fault.New(fault.Unavailable, "status", "not everything was ready in %s", timeout).WithHint("`fathom status` tells what is waited for; --timeout waits longer")
}

// teller tells a change as a line for people, or as one JSON object a line.
func (g *global) teller(w io.Writer) func(time.Duration, line) {
	switch g.output {
	case "json":
		lines := json.NewEncoder(w)
		return func(_ time.Duration, l line) { _ = lines.Encode(l) } // nobody reads any more if this fails
	case "yaml":
		return func(_ time.Duration, l line) {
			fmt.Fprintln(w, "---")
			_ = g.encode(w, l)
		}
	}
	return func(since time.Duration, l line) { tell(w, since, l, g.fit(w)) }
}

func tell(w io.Writer, since time.Duration, l line, fit int) {
	detail := l.says()
	if l.Detail != "" {
		detail = l.Detail + "  " + detail
	}
	text := cut(fmt.Sprintf("%6.1fs  %-28s %-16s  %s", since.Seconds(), l.id(), l.State, detail), fit)
	if colourful(w) {
		text = strings.Replace(text, " "+l.State+" ", " "+paint(stateColour(l.State), l.State)+" ", 1)
	}
	fmt.Fprintln(w, text)
}

// often is how often the state is read while it is followed.
const often = 250 * time.Millisecond

// tellChanges tells every change until it is interrupted.
func (c *connection) tellChanges(ctx context.Context, tell func(time.Duration, line)) error {
	begin, last := time.Now(), map[string]line{}
	for {
		lines, err := c.lines(ctx)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if before, known := last[l.id()]; !known || !l.same(before) {
				last[l.id()] = l
				tell(time.Since(begin), l)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(often):
		}
	}
}

// screen is the live graph on a terminal.
type screen struct {
	read          func() ([]line, error)
	workspace     string
	lines         []line
	err           error
	width, height int
	colours       bool
}

type (
	look    struct{}
	seen    struct{ lines []line }
	trouble struct{ err error }
)

// watch shows the graph until q or Ctrl-C; what it showed last stays on the terminal.
func (g *global) watch(ctx context.Context, c *connection, out io.Writer) error {
	s := screen{
		read: func() ([]line, error) { return c.lines(ctx) }, workspace: c.workspace, width: width(out), colours: colourful(out),
	}
	last, err := tea.NewProgram(s, tea.WithContext(ctx), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	if end, ok := last.(screen); err == nil && ok {
		_, err = io.WriteString(out, drawn(end.lines, g.fit(out), true, end.colours))
	}
	return err
}

func (s screen) refresh() tea.Msg {
	lines, err := s.read()
	if err != nil {
		return trouble{err}
	}
	return seen{lines}
}

// Init reads for the first time.
func (s screen) Init() tea.Cmd { return s.refresh }

// Update takes in what was read, keys and a new size of the terminal.
func (s screen) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	again := tea.Tick(2*often, func(time.Time) tea.Msg { return look{} })
	switch m := m.(type) {
	case look:
		return s, s.refresh
	case seen:
		s.lines, s.err = m.lines, nil
		return s, again
	case trouble:
		s.err = m.err
		return s, again
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case tea.KeyPressMsg:
		if k := m.String(); k == "q" || k == "ctrl+c" || k == "esc" {
			return s, tea.Quit
		}
	}
	return s, nil
}

// View draws the graph on a screen of its own.
func (s screen) View() tea.View {
	text := drawn(s.lines, s.width, true, s.colours)
	if s.lines == nil && s.err == nil {
		text = ""
	}
	body := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if room := s.height - 2; s.height > 0 && len(body) > room && room > 1 {
		body = append(body[:room-1], cut(fmt.Sprintf("… and %d more; `fathom status` lists them", len(body)-room+1), s.width))
	}
	foot := fmt.Sprintf("workspace %s, %s; q ends", s.workspace, tally(s.lines))
	if s.err != nil {
		foot = "no answer, trying again: " + s.err.Error()
	}
	v := tea.NewView(strings.Join(body, "\n") + "\n\n" + cut(foot, s.width))
	v.AltScreen = true
	return v
}

// tally counts the states: "7 Ready, 1 Running".
func tally(lines []line) string {
	counts := map[string]int{}
	for _, l := range lines {
		counts[l.State]++
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[state], state))
	}
	return strings.Join(parts, ", ")
}
