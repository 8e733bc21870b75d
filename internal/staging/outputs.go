// SPDX-License-Identifier: Apache-2.0

package staging

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"slices"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/ref"
)

// maxDocument is the most JSON that a request may hold: a manifest of 100,000 files.
const maxDocument = 32 << 20

func (s *server) putOutput(w http.ResponseWriter, r *http.Request, c call) error {
	return s.put(w, r, c, "put")
}

func (s *server) putCheckpoint(w http.ResponseWriter, r *http.Request, c call) error {
	return s.put(w, r, c, "save")
}

// put stores the body and notes it in the account. The blob is durable then; the note is made durable by the
// completion, which asks again for a file whose note was lost.
func (s *server) put(w http.ResponseWriter, r *http.Request, c call, op string) error {
	path, err := ref.RelPath(r.PathValue("path"))
	if err != nil {
		return err
	}
	want, err := ref.ParseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	c.account.mu.Lock()
	left, files := s.MaxBytes-c.account.bytes, max(len(c.account.uploads), len(c.account.checkpoints))
	c.account.mu.Unlock()
	if r.ContentLength > left || files >= s.MaxFiles {
		return fault.New(fault.TooLarge, "staging", "the run's output holds more than %d bytes or %d files", s.MaxBytes, s.MaxFiles)
	}
	got, size, err := s.Blobs.PutBlob(r.Context(), http.MaxBytesReader(w, r.Body, left), want)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "staging "+path, err)
	}
	c.account.mu.Lock()
	defer c.account.mu.Unlock()
	if err := c.account.enter(c.Attempt); err != nil { // replaced while the body arrived
		return err
	}
	if err := c.account.write(entry{Op: op, Rank: c.Rank, File: &gang.File{Path: path, Digest: got, Size: size}}, op == "save"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) dropCheckpoint(w http.ResponseWriter, r *http.Request, c call) error {
	path, err := ref.RelPath(r.PathValue("path"))
	if err != nil {
		return err
	}
	c.account.mu.Lock()
	defer c.account.mu.Unlock()
	if err := c.account.enter(c.Attempt); err != nil {
		return err
	}
	if _, exists := c.account.checkpoints[path]; exists {
		if err := c.account.write(entry{Op: "drop", Rank: c.Rank, File: &gang.File{Path: path}}, false); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) progress(w http.ResponseWriter, r *http.Request, c call) error {
	var p gang.Progress
	if err := decode(w, r, &p); err != nil {
		return err
	}
	if math.IsNaN(p.Fraction) || p.Fraction < 0 || p.Fraction > 1 {
		return fault.New(fault.Invalid, "staging", "progress %v is not within 0 and 1", p.Fraction)
	}
	if len(p.Message) > 200 {
		p.Message = p.Message[:200]
	}
	c.account.mu.Lock()
	if c.Rank == 0 {
		c.account.report.Progress = p
	}
	c.account.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) failure(w http.ResponseWriter, r *http.Request, c call) error {
	var t gang.Termination
	if err := decode(w, r, &t); err != nil {
		return err
	}
	c.account.mu.Lock()
	defer c.account.mu.Unlock()
	if err := c.account.enter(c.Attempt); err != nil {
		return err
	}
	told := slices.ContainsFunc(c.account.report.Failures, func(f gang.Failure) bool { return f.Rank == c.Rank })
	if !told { // a retried request
		if err := c.account.write(entry{Op: "fail", Rank: c.Rank, Termination: &t}, true); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// complete notes that a rank has finished; the last rank's completion commits the output.
func (s *server) complete(w http.ResponseWriter, r *http.Request, c call) error {
	var done gang.Completion
	if err := decode(w, r, &done); err != nil {
		return err
	}
	plan, err := s.Plan(r.Context(), c.run, c.Attempt)
	if err != nil {
		return err
	}
	c.account.mu.Lock()
	defer c.account.mu.Unlock()
	if err := c.account.enter(c.Attempt); err != nil {
		return err
	}
	if output := c.account.report.Output; output != "" {
		return answer(w, gang.Receipt{Committed: true, Output: output})
	}
	if missing := c.account.unknown(c.Rank, done.Files); len(missing) > 0 {
		return answer(w, gang.Receipt{Missing: missing})
	}
	if err := c.account.write(entry{Op: "done", Rank: c.Rank, Files: done.Files}, true); err != nil {
		return err
	}
	if len(c.account.completed) < max(plan.Gang.Workers, 1) {
		return answer(w, gang.Receipt{})
	}
	if err := s.commit(r, c); err != nil {
		return err
	}
	return answer(w, gang.Receipt{Committed: true, Output: c.account.report.Output})
}

// unknown lists the files that were not uploaded in this attempt exactly as claimed. Without this a pod could claim,
// and so read, any blob whose digest it knows.
func (a *account) unknown(rank int, files []gang.File) []string {
	var missing []string
	for _, f := range files {
		if a.uploads[upload{rank, f.Path}] != f {
			missing = append(missing, f.Path)
		}
	}
	return missing
}

func (s *server) commit(r *http.Request, c call) error {
	var manifest gang.Manifest
	for _, files := range c.account.completed {
		manifest.Files = append(manifest.Files, files...)
	}
	encoded, err := manifest.Encode()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(encoded, &manifest); err != nil { // sorted now
		return fault.Wrap(fault.Internal, "staging", err)
	}
	digest, _, err := s.Blobs.PutBlob(r.Context(), bytes.NewReader(encoded), "")
	if err != nil {
		return fault.Wrap(fault.Unavailable, "staging", err)
	}
	if err := s.Complete(r.Context(), c.run, c.Attempt, manifest, digest); err != nil {
		return fault.Wrap(fault.Unavailable, "staging", err)
	}
	return c.account.write(entry{Op: "commit", Attempt: c.Attempt, Output: digest}, true)
}

func decode(w http.ResponseWriter, r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDocument)).Decode(into); err != nil {
		return fault.New(fault.Invalid, "staging", "the body is not the JSON that this route takes: %v", err)
	}
	return nil
}
