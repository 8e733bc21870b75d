// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

// judge asserts that a pod found nothing that it must not have.
func (s *study) judge(t *testing.T, f findings) {
	if len(f.Answers) < 100 || len(f.Processes) == 0 || f.Disk["files"] == nil {
		t.Errorf("the attack was not made: %d questions to doors, %d processes seen, disk %v, errors %v", len(f.Answers), len(f.Processes), f.Disk, f.Errors)
	}
	for what, err := range f.Errors {
		t.Errorf("part %s of the attack broke: %s", what, err)
	}
	s.judgeMarks(t, f)
	s.judgeDisk(t, f)
	judgeDoors(t, f)
	s.judgeNetwork(t, f)
	judgePowers(t, f)
}

// judgeMarks: no held-out subject, no note of another pod, nothing planted elsewhere.
func (s *study) judgeMarks(t *testing.T, f findings) {
	for source, ids := range f.Subjects {
		for _, id := range ids {
			fold, known := s.subjects[id]
			if !known || f.Part == "code" || f.Part == "fold-"+string(rune('0'+fold)) {
				t.Errorf("%s found the held-out subject %s in %s", f.Part, id, source)
			}
		}
	}
	for source, notes := range f.Notes {
		for _, note := range notes {
			onTheNetwork := strings.HasPrefix(source, "tcp ") || strings.HasPrefix(source, "udp ")
			if note != f.Own["note"] && (s.apart || !onTheNetwork) {
				t.Errorf("%s found %s in %s", f.Part, note, source)
			}
		}
	}
	for source, canaries := range f.Canaries {
		t.Errorf("%s found %v in %s", f.Part, canaries, source)
	}
}

// Where a pod may write: volumes of its own, which no other pod sees.
var writable = []string{"/fathom/code", "/fathom/inputs", "/fathom/output", "/fathom/checkpoints", "/fathom/run", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}

func (s *study) judgeDisk(t *testing.T, f findings) {
	for path, digest := range f.Keys {
		if file, ours := s.keys[digest]; ours && file != "pki/ca.crt" {
			t.Errorf("%s read %s, which is Fathom's %s", f.Part, path, file)
		}
		if strings.HasPrefix(path, "/fathom/") && !strings.HasPrefix(path, "/fathom/identity/") && !strings.HasPrefix(path, "/fathom/bin/") {
			t.Errorf("%s found key material at %s", f.Part, path)
		}
	}
	for path, kind := range f.Data {
		if !slices.ContainsFunc([]string{"/usr/", "/opt/", "/fathom/inputs/", "/fathom/output/", "/fathom/env/"}, func(dir string) bool { return strings.HasPrefix(path, dir) }) {
			t.Errorf("%s found data (%s) at %s", f.Part, kind, path)
		}
	}
	for path, how := range f.State {
		t.Errorf("%s reached %s: %s", f.Part, path, how)
	}
	for folder := range f.Writable {
		if !slices.ContainsFunc(writable, func(w string) bool { return folder == w || strings.HasPrefix(folder, w+"/") }) {
			t.Errorf("%s may write in %s", f.Part, folder)
		}
	}
	for device, kind := range f.Devices {
		if kind == "block" || slices.Contains([]string{"/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/vsock"}, device) {
			t.Errorf("%s has the device %s", f.Part, device)
		}
	}
	for pid, command := range f.Processes {
		if !strings.Contains(command, "fathom-launch") && !strings.Contains(command, "attack.py") {
			t.Errorf("%s sees the process %s: %s", f.Part, pid, command)
		}
	}
}

// judgeDoors: every question but those about the pod's own run was refused.
func judgeDoors(t *testing.T, f findings) {
	own := 0
	for what, status := range f.Answers {
		switch {
		case strings.HasPrefix(what, "own"):
			if status >= 200 && status < 300 {
				own++
			}
		case status == 0:
			t.Errorf("%s got no answer to %s", f.Part, what)
		case status < 400 || status == 500:
			t.Errorf("%s was answered %d to %s", f.Part, status, what)
		case strings.HasPrefix(what, "kubernetes") && status != 401 && status != 403:
			t.Errorf("%s was answered %d to %s, want 401 or 403", f.Part, status, what)
		}
	}
	if own < 2 {
		t.Errorf("%s was refused what is its own: %v", f.Part, f.Answers)
	}
}

// judgeNetwork: the forwards and names at the gateway, nothing else.
func (s *study) judgeNetwork(t *testing.T, f findings) {
	for address := range f.Gateway {
		port := address[strings.LastIndexByte(address, ':')+1:]
		if !slices.Contains([]string{"53", "6443", "7443", "7444"}, port) {
			t.Errorf("%s reached port %s of the machine", f.Part, port)
		}
	}
	for address, how := range f.Neighbours {
		if s.apart {
			t.Errorf("%s met a neighbour: %s %s", f.Part, address, how)
		}
	}
	for port := range f.Loopback {
		t.Errorf("%s reached port %s on loopback", f.Part, port)
	}
	for address := range f.Metadata {
		t.Errorf("%s reached %s", f.Part, address)
	}
	for name, address := range f.Names {
		if strings.Contains(name, oncology) || strings.Contains(name, "metadata") || strings.Contains(name, "docker") {
			t.Errorf("%s resolved %s to %s", f.Part, name, address)
		}
	}
}

func judgePowers(t *testing.T, f findings) {
	for power := range f.Powers {
		t.Errorf("%s could %s", f.Part, power)
	}
	if f.Own["capabilities"] != "0000000000000000" || f.Own["uid"] == 0.0 {
		t.Errorf("%s runs as user %v with capabilities %v", f.Part, f.Own["uid"], f.Own["capabilities"])
	}
}

// evaluated asserts that Fathom judged the hostile model on rows that its training had not seen.
func (s *study) evaluated(t *testing.T) {
	var m v1alpha1.Model
	s.Await("the evaluation", time.Minute, func(ctx context.Context) (bool, error) {
		err := s.Client.Get(ctx, client.ObjectKey{Namespace: hospital, Name: "parkinsons"}, &m)
		return m.Status.Latest > 0, err
	})
	if len(m.Status.Metrics) == 0 {
		t.Errorf("version %d has no metrics: %+v", m.Status.Latest, m.Status)
	}
}

// audited asserts that the log tells of the refusals.
func (s *study) audited(t *testing.T) {
	refused := 0
	err := filepath.WalkDir(filepath.Join(s.State, "audit"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		for line := range strings.SplitSeq(string(content), "\n") {
			if strings.Contains(line, "system:serviceaccount:hospital:code") && strings.Contains(line, `"refused"`) {
				refused++
			}
		}
		return err
	})
	if err != nil || refused < 10 {
		t.Errorf("the audit log tells of %d refusals, %v", refused, err)
	}
}
