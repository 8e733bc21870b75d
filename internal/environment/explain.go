// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"fmt"
	"regexp"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// Words by which uv and pip tell of trouble that may pass.
var (
	offline  = regexp.MustCompile(`(?i)failed to fetch|error sending request|dns error|connection (refused|reset|error|aborted)|timed out|temporary failure|max retries|newconnectionerror|503 |502 |network`)
	full     = regexp.MustCompile(`(?i)no space left|disk quota exceeded`)
	noWheel  = regexp.MustCompile(`(?i)no usable wheels|no wheels|wheels are required|building from source is disabled|only-binary`)
	namesRun = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._-]*`)
)

// explain turns an installer's complaint into an error with a kind, the line at fault and a next step.
func (j job) explain(out string, err error) error {
	switch {
	case j.ctx.Err() != nil:
		return fault.Wrap(fault.Unavailable, "environment", j.ctx.Err())
	case full.MatchString(out):
		return fault.New(fault.Exhausted, "environment", "the disk is full").WithHint("free space and try again")
	case offline.MatchString(out):
		return fault.New(fault.Unavailable, "environment", "packages could not be fetched: %s", lastLines(out)).
			WithHint("check the network, or set UV_DEFAULT_INDEX to an index that can be reached")
	case strings.TrimSpace(out) == "":
		return fault.Wrap(fault.Unavailable, "environment", err)
	}
	where := ""
	if r := j.blamed(out); r != nil {
		where = fmt.Sprintf("line %d (%q): ", r.line, r.text)
	}
	problem := fault.New(fault.Invalid, "requirements", "%s%s", where, cause(out))
	if noWheel.MatchString(out) {
		return problem.WithHint("choose a version with a wheel for Python %s on %s; packages are not built from source here", j.python.Version, platform())
	}
	return problem.WithHint("correct the line and apply again")
}

// blamed finds the requirement that a message is about: the first one that it names.
func (j job) blamed(out string) *requirement {
	byName := map[string]*requirement{}
	for i := range j.lines {
		byName[j.lines[i].name] = &j.lines[i]
	}
	text := cause(out)
	if _, after, found := strings.Cut(text, "you require "); found {
		text = after + " " + text
	}
	for _, word := range namesRun.FindAllString(text, -1) {
		word = strings.TrimRight(word, ".")
		if r := byName[strings.ToLower(separators.ReplaceAllString(word, "-"))]; r != nil {
			return r
		}
	}
	return nil
}

// cause is the part of an installer's output that explains.
func cause(out string) string {
	for _, mark := range []string{"cause: ", "╰─▶ ", "ERROR: "} {
		if _, after, found := strings.Cut(out, mark); found {
			text, _, _ := strings.Cut(after, "\n\n")
			text = strings.Join(strings.Fields(strings.ReplaceAll(text, "cause: ", "")), " ")
			if len(text) > 600 {
				text = strings.ToValidUTF8(text[:600], "") + "…"
			}
			return text
		}
	}
	return lastLines(out)
}

// lastLines are the last three lines, on one.
func lastLines(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	lines = lines[max(0, len(lines)-3):]
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}
