// SPDX-License-Identifier: Apache-2.0

package staging

import (
	"encoding/json"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"strconv"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/gang"
	"fathom.dev/fathom/internal/ref"
)

func (s *server) stage(w http.ResponseWriter, r *http.Request, c call) error {
	plan, err := s.Plan(r.Context(), c.run, c.Attempt)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("loopback") != "" { // the pod is a plain process and shares its address with the others
		plan.Gang = loopback(plan.Gang)
	}
	stage := plan.Stage
	stage.Attempt = c.Attempt
	env, err := plan.Gang.Environment(c.Rank)
	if err != nil {
		return err
	}
	stage.Env = map[string]string{}
	maps.Copy(stage.Env, plan.Stage.Env)
	maps.Copy(stage.Env, env) // the gang's variables are not the user's to set
	stage.Hosts = plan.Gang.Hosts()
	c.account.mu.Lock()
	stage.Checkpoints = c.account.saved()
	c.account.mu.Unlock()
	if err := stage.Validate(); err != nil {
		return err
	}
	s.allow(c, plan)
	return answer(w, stage)
}

// loopback gives the gang ports that follow from its name, so that all its ranks know them and other gangs have others.
func loopback(g gang.Gang) gang.Gang {
	h := fnv.New32a()
	_, _ = h.Write([]byte(g.Workspace + "/" + g.Name))
	const first, last, block = 20_000, 32_000, 16 // below the kernel's own choice of ports
	blocks := uint32((last - first) / block)
	g.Loopback, g.Port = true, first+block*int(h.Sum32()%blocks)
	return g
}

// allow remembers what an attempt may read, so that a blob costs no new plan.
func (s *server) allow(c call, plan Plan) map[ref.Digest]bool {
	digests := map[ref.Digest]bool{}
	for _, f := range plan.Stage.Inputs {
		digests[f.Digest] = true
	}
	if plan.Stage.Code != nil {
		digests[plan.Stage.Code.Digest] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.plans) > 4096 { // bounded; a plan that is thrown out is made again
		clear(s.plans)
	}
	s.plans[planKey{c.run, c.Attempt}] = digests
	return digests
}

func (s *server) mayRead(r *http.Request, c call, digest ref.Digest) (bool, error) {
	s.mu.Lock()
	digests := s.plans[planKey{c.run, c.Attempt}]
	s.mu.Unlock()
	if digests == nil {
		plan, err := s.Plan(r.Context(), c.run, c.Attempt)
		if err != nil {
			return false, err
		}
		digests = s.allow(c, plan)
	}
	if digests[digest] {
		return true, nil
	}
	c.account.mu.Lock()
	defer c.account.mu.Unlock()
	for _, f := range c.account.checkpoints {
		if f.Digest == digest {
			return true, nil
		}
	}
	return false, nil
}

func (s *server) blob(w http.ResponseWriter, r *http.Request, c call) error {
	digest, err := ref.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if ok, err := s.mayRead(r, c, digest); err != nil {
		return err
	} else if !ok { // the same answer whether or not the blob exists
		return fault.New(fault.NotFound, "staging", "the run %s has no input %s", c.run, digest.Short())
	}
	content, size, err := s.Blobs.OpenBlob(r.Context(), digest)
	if err != nil {
		return err
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	_, _ = io.Copy(w, content) // the status is sent; a short body tells the pod, which checks the digest
	return nil
}

func (s *server) listCheckpoints(w http.ResponseWriter, _ *http.Request, c call) error {
	c.account.mu.Lock()
	defer c.account.mu.Unlock()
	return answer(w, gang.Manifest{Files: c.account.saved()})
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the pod is gone: nobody to tell
	return nil
}
