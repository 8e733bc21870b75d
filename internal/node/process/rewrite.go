// SPDX-License-Identifier: Apache-2.0

package process

import (
	"sort"
	"strings"

	"fathom.dev/fathom/internal/node/isolation"
)

// rewriter puts real directories in the place of paths inside the container.
type rewriter []isolation.Mount

// newRewriter prefers the longest target.
func newRewriter(mounts []isolation.Mount) rewriter {
	r := append(rewriter(nil), mounts...)
	sort.SliceStable(r, func(i, j int) bool { return len(r[i].Target) > len(r[j].Target) })
	return r
}

// path rewrites every mention of a mount's target in s: a mention begins where no other path can end and ends where
// its last component does.
func (r rewriter) path(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '/' && (i == 0 || !partOfPath(s[i-1])) {
			if m, ok := r.match(s[i:]); ok {
				out.WriteString(m.Source)
				i += len(m.Target)
				continue
			}
		}
		out.WriteByte(s[i])
		i++
	}
	return out.String()
}

func (r rewriter) match(s string) (isolation.Mount, bool) {
	for _, m := range r {
		if rest, ok := strings.CutPrefix(s, m.Target); ok && m.Target != "/" && (rest == "" || rest[0] == '/' || !partOfPath(rest[0])) {
			return m, true
		}
	}
	return isolation.Mount{}, false
}

// partOfPath tells whether c can be a character inside of a path. Separators of lists, quotes, "=" and ":" cannot.
func partOfPath(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("/._-+@~%", c) >= 0
}

func (r rewriter) paths(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = r.path(s)
	}
	return out
}

// loopbackNames replaces names of the pod's own subdomain (rank-0.train, rank-0.train.neurology.svc…) by the loopback
// address: without a name server this is where the other pods of a gang are.
func loopbackNames(s string, pod isolation.PodConfig, address string) string {
	if pod.Subdomain == "" || !strings.Contains(s, "."+pod.Subdomain) {
		return s
	}
	suffixes := []string{
		"." + pod.Subdomain + "." + pod.Namespace + ".svc.cluster.local",
		"." + pod.Subdomain + "." + pod.Namespace + ".svc", "." + pod.Subdomain + "." + pod.Namespace, "." + pod.Subdomain,
	}
	var out strings.Builder
	for len(s) > 0 {
		start, end := hostAt(s)
		out.WriteString(s[:start])
		word := s[start:end]
		for _, suffix := range suffixes {
			if host, ok := strings.CutSuffix(word, suffix); ok && host != "" && !strings.Contains(host, ".") {
				word = address
				break
			}
		}
		out.WriteString(word)
		s = s[end:]
	}
	return out.String()
}

// hostAt finds the first run of characters that a host name may have.
func hostAt(s string) (start, end int) {
	isHost := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.'
	}
	for start < len(s) && !isHost(s[start]) {
		start++
	}
	for end = start; end < len(s) && isHost(s[end]); {
		end++
	}
	return start, end
}
