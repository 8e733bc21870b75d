// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"fathom.dev/fathom/internal/fault"
)

// The decisions.
const (
	Allowed = "allowed"
	Refused = "refused"
	Failed  = "failed" // allowed or not, the answer could not be found
)

// Entry is one line. The log sets Seq, Prev and Hash, and Time where it is zero. Long texts are cut: 1 KiB for Object,
// 256 bytes for the others, 32 groups.
type Entry struct {
	Seq      uint64    `json:"seq"`  // 1, 2, 3 …: the order; never the clock
	Time     time.Time `json:"time"` // UTC
	User     string    `json:"user"`
	Groups   []string  `json:"groups,omitempty"`
	Action   string    `json:"action"`           // "get datasets/data"
	Object   string    `json:"object"`           // "neurology/voice", "s3://neurology/inbox/a.csv"
	Decision string    `json:"decision"`         // allowed, refused, failed
	Reason   string    `json:"reason,omitempty"` // why, for people
	Remote   string    `json:"remote,omitempty"` // the caller's address
	Door     string    `json:"door,omitempty"`   // s3, mlflow, console …
	Prev     string    `json:"prev"`             // hash of the line before, "" in the first
	Hash     string    `json:"hash,omitempty"`   // SHA-256 in hex of this line without its hash
}

func (e Entry) clean(now func() time.Time) Entry {
	if e.Time.IsZero() || e.Time.Year() < 0 || e.Time.Year() > 9999 {
		e.Time = now()
	}
	e.Time = e.Time.UTC().Round(0)
	for _, s := range []*string{&e.User, &e.Action, &e.Decision, &e.Reason, &e.Remote, &e.Door} {
		*s = cut(*s, 256)
	}
	e.Object = cut(e.Object, 1024)
	groups := e.Groups[:min(len(e.Groups), 32)]
	e.Groups = nil
	for _, g := range groups {
		e.Groups = append(e.Groups, cut(g, 256))
	}
	return e
}

// cut makes a text short and valid UTF-8, so that decoding and encoding it again gives the same bytes.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// seal links the entry to the line before it and returns its line.
func (e *Entry) seal(seq uint64, prev string) ([]byte, error) {
	e.Seq, e.Prev, e.Hash = seq, prev, ""
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "audit", err)
	}
	sum := sha256.Sum256(body)
	e.Hash = hex.EncodeToString(sum[:])
	line, err := json.Marshal(e)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "audit", err)
	}
	return append(line, '\n'), nil
}

// parse reads a line without its end and checks that it is exactly what was written.
func parse(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fault.New(fault.Corrupt, "audit", "the line is not an entry")
	}
	again := e
	want, err := again.seal(e.Seq, e.Prev)
	if err != nil {
		return Entry{}, err
	}
	if again.Hash != e.Hash || !bytes.Equal(want[:len(want)-1], line) {
		return Entry{}, fault.New(fault.Corrupt, "audit", "the line does not match its hash")
	}
	return e, nil
}
