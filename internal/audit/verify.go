// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

const maxLine = 64 << 10

// Report is what [Verify] found.
type Report struct {
	Entries     uint64 // lines that hold
	Segments    int
	Checkpoints int
	Head        Checkpoint // the last good entry's Seq and Hash, unsigned
	Signed      uint64     // entries covered by a checkpoint
	Key         string     // the signing key's id, to compare with what was noted elsewhere
	Torn        int64      // bytes of an unfinished last line: a crash, not tampering
	Problems    []Problem  // empty: the log is whole
}

// Problem is one broken place.
type Problem struct {
	Segment string // file name; "checkpoints" for a checkpoint
	Line    int    // from 1; 0 when the whole file is meant
	Message string
}

// String is the problem on one line.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.Segment, p.Message)
	}
	return fmt.Sprintf("%s line %d: %s", p.Segment, p.Line, p.Message)
}

// OK reports whether nothing is wrong.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Verify reads the whole log, also while it is written, and reports the first broken line, missing segments, and
// entries that a checkpoint proves to be missing. kept are checkpoints that a witness outside has kept: with them a log that was
// set back to an earlier state, or rewritten and signed again, is found too. The error is about reading, not about what was
// found.
func Verify(dir string, kept ...Checkpoint) (Report, error) {
	var r Report
	names, err := segments(dir)
	if err != nil {
		return r, err
	}
	r.Segments = len(names)
	marks, _, err := readCheckpoints(dir)
	if fault.Is(err, fault.Corrupt) {
		r.add("checkpoints", len(marks)+1, "not readable")
	} else if err != nil {
		return r, err
	}
	r.Checkpoints = len(marks)
	hashes, err := r.checkMarks(dir, marks)
	if err != nil {
		return r, err
	}
	hashes = r.witnessed(hashes, kept)
	for i, name := range names {
		if err := r.walk(dir, name, hashes, i == len(names)-1); err != nil || !r.OK() {
			return r, err
		}
	}
	if r.Signed > r.Head.Seq {
		r.add("", 0, fmt.Sprintf("the log ends at entry %d, but entry %d was signed: entries are missing", r.Head.Seq, r.Signed))
	}
	if len(marks) == 0 && r.Entries > 0 {
		r.add("checkpoints", 0, "there are entries, but no signed checkpoint: the file was removed")
	}
	return r, nil
}

func (r *Report) add(segment string, line int, message string) {
	r.Problems = append(r.Problems, Problem{segment, line, message})
}

// checkMarks verifies the signatures and returns the hashes that the chain must have at the signed places.
func (r *Report) checkMarks(dir string, marks []Checkpoint) (map[uint64]string, error) {
	if len(marks) == 0 {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "audit.Verify", err)
	}
	public, err := hex.DecodeString(string(bytes.TrimSpace(b)))
	if err != nil || len(public) != ed25519.PublicKeySize {
		return nil, fault.New(fault.Corrupt, "audit.Verify", "key.pub does not hold a public key")
	}
	r.Key = keyID(public)
	hashes, prev := map[uint64]string{}, uint64(0)
	for i, c := range marks {
		switch {
		case !c.signedBy(public):
			r.add("checkpoints", i+1, "the signature is wrong")
		case c.Prev != prev || c.Seq <= prev:
			r.add("checkpoints", i+1, "a checkpoint before this one is missing")
		}
		hashes[c.Seq], prev = c.Hash, c.Seq
	}
	r.Signed = prev
	return hashes, nil
}

// witnessed adds the hashes that a witness has kept to those that the log's own checkpoints tell.
func (r *Report) witnessed(hashes map[uint64]string, kept []Checkpoint) map[uint64]string {
	for i, c := range kept {
		own, known := hashes[c.Seq]
		switch {
		case c.Key != r.Key:
			r.add("checkpoints", 0, fmt.Sprintf("the witness knows a log signed with key %s, this one has key %s: the log was replaced", c.Key, r.Key))
			return hashes
		case known && own != c.Hash:
			r.add("checkpoints", 0, fmt.Sprintf("entry %d was witnessed with another hash (line %d): the log was rewritten and signed again", c.Seq, i+1))
			return hashes
		}
		if hashes == nil {
			hashes = map[uint64]string{}
		}
		hashes[c.Seq] = c.Hash
		r.Signed = max(r.Signed, c.Seq)
	}
	return hashes
}

// walk checks one segment and stops at its first problem.
func (r *Report) walk(dir, name string, signed map[uint64]string, last bool) error {
	if want := fmt.Sprintf("%020d.log", r.Head.Seq+1); name != want {
		r.add(name, 0, fmt.Sprintf("expected the segment %s: entries are missing between", want))
		return nil
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return fault.Wrap(fault.Unavailable, "audit.Verify", err)
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, maxLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				r.torn(name, n, int64(len(line)), last)
			}
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fault.Wrap(fault.Unavailable, "audit.Verify", err)
		}
		if problem := r.follow(bytes.TrimSuffix(line, []byte("\n")), signed); problem != "" {
			r.add(name, n, problem)
			return nil
		}
	}
}

func (r *Report) torn(name string, line int, n int64, last bool) {
	if last {
		r.Torn = n
		return
	}
	r.add(name, line, "the line is cut off")
}

// follow checks that the line continues the chain; it returns what is wrong.
func (r *Report) follow(line []byte, signed map[uint64]string) string {
	e, err := parse(line)
	switch {
	case err != nil:
		return "changed: it does not match its hash"
	case e.Seq != r.Head.Seq+1:
		return fmt.Sprintf("entry %d follows entry %d: lines were removed, inserted or moved", e.Seq, r.Head.Seq)
	case e.Prev != r.Head.Hash:
		return "it does not continue the line before it: a line was replaced"
	}
	if want, ok := signed[e.Seq]; ok && want != e.Hash {
		return "it is not the entry that was signed: the chain was rewritten"
	}
	r.Head = Checkpoint{Seq: e.Seq, Hash: e.Hash, Time: e.Time}
	r.Entries++
	return ""
}

// segments lists the segment files in order.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "audit", err)
	}
	var names []string
	for _, e := range entries {
		if len(e.Name()) == 24 && strings.HasSuffix(e.Name(), ".log") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

type tail struct {
	segment string
	size    int64 // bytes of whole lines
	torn    int64
	last    Entry
}

// findTail finds the last whole line. Segments that a crash left empty are passed over.
func findTail(dir string) (tail, error) {
	names, err := segments(dir)
	if err != nil {
		return tail{}, err
	}
	var t tail
	for i := len(names) - 1; i >= 0; i-- {
		size, torn, line, err := lastLine(filepath.Join(dir, names[i]))
		if err != nil {
			return tail{}, err
		}
		if t.segment == "" {
			t = tail{segment: names[i], size: size, torn: torn}
		}
		if line == nil {
			continue
		}
		if t.last, err = parse(line); err != nil {
			return tail{}, fault.New(fault.Corrupt, "audit.Open", "the last line of %s does not match its hash", names[i]).
				WithHint("run `fathom doctor`, keep the directory as evidence and move it aside to begin a new log")
		}
		return t, nil
	}
	return t, nil
}

// lastLine reads the last line that is whole. Bytes after it, and zeros that a power cut left, are torn.
func lastLine(path string) (size, torn int64, line []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, nil, fault.Wrap(fault.Unavailable, "audit", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, nil, fault.Wrap(fault.Unavailable, "audit", err)
	}
	start := max(0, info.Size()-2*maxLine)
	b := make([]byte, info.Size()-start)
	if _, err := f.ReadAt(b, start); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, nil, fault.Wrap(fault.Unavailable, "audit", err)
	}
	whole := bytes.TrimRight(b, "\x00")
	whole = whole[:bytes.LastIndexByte(whole, '\n')+1]
	size = start + int64(len(whole))
	if len(whole) == 0 {
		return size, int64(len(b)), nil, nil
	}
	whole = whole[:len(whole)-1]
	return size, info.Size() - size, whole[bytes.LastIndexByte(whole, '\n')+1:], nil
}
