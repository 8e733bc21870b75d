// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"regexp"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// maxRequirements bounds a requirements file, in bytes.
const maxRequirements = 1 << 20

// requirement is one package of a requirements file.
type requirement struct {
	line int    // 1 for the first
	name string // normalised as PEP 503 says
	text string // normalised: name, extras, versions, marker, hashes
}

var (
	// requirementPattern is a name with extras, versions and a marker (PEP 508), without URLs.
	requirementPattern = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[A-Za-z0-9._,\s-]*\])?\s*(\(?[<>=!~][^;@#]*)?(;.*)?$`)
	hashPattern        = regexp.MustCompile(`^--hash=sha(256|384|512):[0-9a-f]+$`)
	commentPattern     = regexp.MustCompile(`(^|\s)#.*$`)
	separators         = regexp.MustCompile(`[-_.]+`)
)

// parse reads a requirements file. Only packages of the index are allowed: options, paths and URLs could make the
// installer read files of the machine or take packages from anywhere. A wrong line is Invalid and named.
func parse(file []byte) ([]requirement, error) {
	if len(file) > maxRequirements {
		return nil, fault.New(fault.TooLarge, "requirements", "the file has more than %d bytes", maxRequirements)
	}
	var list []requirement
	joined, first := "", 0
	for i, raw := range strings.Split(string(file), "\n") {
		raw = strings.TrimSuffix(raw, "\r")
		if first == 0 {
			first = i + 1
		}
		if strings.HasSuffix(raw, `\`) {
			joined += strings.TrimSuffix(raw, `\`) + " "
			continue
		}
		text := strings.TrimSpace(commentPattern.ReplaceAllString(joined+raw, ""))
		line := first
		joined, first = "", 0
		if text == "" {
			continue
		}
		r, err := parseOne(text, line)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	if joined != "" {
		return nil, wrong(first, strings.TrimSpace(joined), "it ends with a backslash and nothing follows")
	}
	return list, nil
}

func parseOne(text string, line int) (requirement, error) {
	switch {
	case strings.HasPrefix(text, "-"):
		return requirement{}, wrong(line, text, "options are not allowed here; name packages only")
	case strings.Contains(text, "://"), strings.HasPrefix(text, "."), strings.HasPrefix(text, "/"), strings.HasPrefix(text, "~"):
		return requirement{}, wrong(line, text, "paths and URLs are not allowed; name a package of the index")
	}
	words := strings.Fields(text)
	var hashes []string
	for len(words) > 1 && strings.HasPrefix(words[len(words)-1], "--") {
		hash := words[len(words)-1]
		if !hashPattern.MatchString(hash) {
			return requirement{}, wrong(line, text, "of options only --hash=sha256:… is allowed")
		}
		words, hashes = words[:len(words)-1], append(hashes, hash)
	}
	parts := requirementPattern.FindStringSubmatch(strings.Join(words, " "))
	if parts == nil || strings.Contains(strings.Join(words, " "), "--") {
		return requirement{}, wrong(line, text, "it is not of the form name[extra]>=version")
	}
	name := strings.ToLower(separators.ReplaceAllString(parts[1], "-"))
	slices.Sort(hashes)
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	normal := name + strings.ToLower(squeeze(parts[2])) + squeeze(parts[3])
	if marker := strings.TrimSpace(strings.TrimPrefix(parts[4], ";")); marker != "" {
		normal += " ; " + strings.Join(strings.Fields(marker), " ")
	}
	for _, h := range hashes {
		normal += " " + h
	}
	return requirement{line: line, name: name, text: normal}, nil
}

func wrong(line int, text, why string) error {
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return fault.New(fault.Invalid, "requirements", "line %d (%q): %s", line, text, why)
}

var exactVersion = regexp.MustCompile(`^[^=<>!~;]+===?[^*,;]+( ;.*| --hash.*)?$`)

// pinned tells whether every requirement names one version.
func pinned(list []requirement) bool {
	return !slices.ContainsFunc(list, func(r requirement) bool { return !exactVersion.MatchString(r.text) })
}

// normalised is the sorted set of the requirements' texts.
func normalised(list []requirement) []string {
	texts := make([]string, 0, len(list))
	for _, r := range list {
		texts = append(texts, r.text)
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}
