// SPDX-License-Identifier: Apache-2.0

// Package hostile_test runs training code that searches for held-out rows, other workspaces, keys and the state of
// Fathom, and asserts that there was nothing to find.
package hostile_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/test/platform"
)

const (
	hospital = "hospital"
	oncology = "oncology"
	folds    = 2
)

// study is what the test knows and the hostile code should not find out.
type study struct {
	*platform.Platform
	apart    bool           // the node keeps pods from each other, as policies say
	subjects map[string]int // in which fold's test rows
	canary   string         // of the other workspace
	keys     map[string]string
	told     map[string]any
}

// findings is what one pod reports.
type findings struct {
	Part                        string
	Own                         map[string]any
	Subjects, Notes, Canaries   map[string][]string
	Keys, Data, State, Writable map[string]string
	Answers                     map[string]int
	Gateway, Neighbours         map[string]string
	Loopback, Metadata, Names   map[string]string
	Processes, Devices, Powers  map[string]string
	Errors                      map[string]string
	Disk                        map[string]any
}

func TestHostileTraining(t *testing.T) {
	p := platform.Start(t)
	if !strings.HasPrefix(p.Isolation, "sandbox") {
		t.Skipf("isolation is %q: as plain processes nothing keeps code from the disk, and Fathom says so", p.Isolation)
	}
	s := &study{Platform: p, apart: !strings.Contains(p.Isolation, "NetworkPolicy"), subjects: map[string]int{}, canary: "CANARY-oncology-" + random(8)}
	s.prepare()
	all := s.attack()
	for _, f := range all {
		t.Run(f.Part, func(t *testing.T) { s.judge(t, f) })
	}
	t.Run("network", func(t *testing.T) {
		if !s.apart {
			t.Skipf("isolation is %q: pods of one machine can reach each other, and Fathom says so", p.Isolation)
		}
	})
	t.Run("evaluation", func(t *testing.T) { s.evaluated(t) })
	t.Run("audit", func(t *testing.T) { s.audited(t) })
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// prepare declares two workspaces with data, and gathers what the hostile code is told.
func (s *study) prepare() {
	s.Helper()
	var patients, public strings.Builder
	patients.WriteString("patient_id,visit,jitter,shimmer,fold,status\n")
	for i := range 40 {
		id := fmt.Sprintf("SUBJ-%03d-%s", i, random(4))
		s.subjects[id] = i % folds
		for visit := range 3 {
			x := float64(i*7%40)/40 + float64(visit)/100
			fmt.Fprintf(&patients, "%s,%d,%g,%g,%d,%d\n", id, visit, x, 1-x/2, i%folds, i/2%2)
		}
	}
	public.WriteString("place,people\nhere,1\nthere,2\n")
	s.Fathom("apply", "-f", "testdata/study.yaml")
	for workspace, files := range map[string]map[string]string{
		hospital: {"patients.csv": patients.String(), "public.csv": public.String()},
		oncology: {"tumours.csv": "patient_id,note\nT1," + s.canary + "\nT2," + s.canary + "\n"},
	} {
		s.Await("workspace "+workspace, time.Minute, func(ctx context.Context) (bool, error) {
			var w v1alpha1.Workspace
			err := s.Client.Get(ctx, client.ObjectKey{Name: workspace}, &w)
			reason, _ := v1alpha1.Ready(w.Status.Conditions)
			return reason == v1alpha1.ReasonReady, err
		})
		s.Fathom("put", "-n", workspace, s.Write(files), "inbox")
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: workspace, Name: "planted"}, StringData: map[string]string{"password": "CANARY-secret-" + random(8)}}
		if err := s.Client.Create(s.Context(), secret); err != nil {
			s.Fatal(err)
		}
	}
	s.Ready(hospital, "public")
	s.Ready(oncology, "tumours")
	s.Ready(hospital, "patients")
	s.tell()
}

// tell collects names, digests and places that an attacker might guess, and the digests of all secrets on the disk.
func (s *study) tell() {
	s.Helper()
	s.keys = map[string]string{}
	var digests []string
	err := filepath.WalkDir(s.State, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // a file may go while we look
		}
		relative, _ := filepath.Rel(s.State, path)
		if strings.HasPrefix(relative, "lake/blobs/") && len(digests) < 16 {
			if name := regexp.MustCompile(`[0-9a-f]{64}`).FindString(path); name != "" {
				digests = append(digests, name)
			}
		}
		if content, err := os.ReadFile(path); err == nil && (strings.HasPrefix(relative, "pki/") || relative == "kubeconfig") {
			sum := sha256.Sum256(content)
			s.keys[hex.EncodeToString(sum[:])] = relative
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	var ports []int
	for _, address := range []string{s.Doors, s.S3, s.Config.Host} {
		if n, err := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:]); err == nil {
			ports = append(ports, n)
		}
	}
	paths := []string{s.State, "/root", "/home", "/var/lib", "/var/log"}
	for _, name := range []string{"kubeconfig", "pki", "pki/ca.key", "etcd", "lake/objects", "lake/objects/" + oncology, "lake/blobs", "db/tracking.db", "audit", "node/pods"} {
		paths = append(paths, filepath.Join(s.State, name))
	}
	s.told = map[string]any{
		"digests": digests, "workspaces": []string{oncology, "kube-system", "fathom-system"}, "tables": []string{"patients", "tumours", "public"},
		"keys": []string{"inbox/patients.csv", "inbox/tumours.csv"}, "paths": paths, "ports": ports,
	}
	if len(digests) < 3 || len(s.keys) < 3 {
		s.Fatalf("found %d blobs and %d keys in the state directory: has its layout changed?", len(digests), len(s.keys))
	}
}

// attack applies the hostile model and dataset and returns what their pods report.
func (s *study) attack() []findings {
	s.Helper()
	told, err := json.Marshal(s.told)
	if err != nil {
		s.Fatal(err)
	}
	files := map[string]string{"attack/told.json": string(told)}
	code, err := filepath.Glob("testdata/attack/*.py")
	if err != nil || len(code) == 0 {
		s.Fatal("no code", err)
	}
	for _, path := range append(code, "testdata/attack.yaml") {
		content, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		name, _ := filepath.Rel("testdata", path)
		files[name] = strings.Replace(string(content), "TOLD", string(told), 1)
	}
	s.Fathom("apply", "-f", filepath.Join(s.Write(files), "attack.yaml"))
	var all []findings
	wanted := []string{"final", "fold-0", "fold-1", "code"}
	seen := map[string]bool{}
	s.Await("the hostile code", 3*time.Minute, func(ctx context.Context) (bool, error) {
		var runs v1alpha1.RunList
		if err := s.Client.List(ctx, &runs, client.InNamespace(hospital)); err != nil {
			return false, err
		}
		for _, r := range runs.Items {
			hostile := r.Spec.Step == v1alpha1.StepTrain || r.Spec.Step == v1alpha1.StepCode
			if !hostile || seen[r.Name] || r.Status.Phase != v1alpha1.RunSucceeded && r.Status.Phase != v1alpha1.RunFailed {
				continue
			}
			seen[r.Name] = true
			all = append(all, s.read(&r))
		}
		return len(all) == len(wanted), nil
	})
	for _, f := range all {
		wanted = slices.DeleteFunc(wanted, func(part string) bool { return part == f.Part })
	}
	if len(wanted) > 0 {
		s.Fatalf("nothing was heard of %v", wanted)
	}
	return all
}

// read finds the report in a run's log.
func (s *study) read(r *v1alpha1.Run) findings {
	s.Helper()
	log := s.Fathom("logs", "-n", r.Namespace, r.Name)
	_, after, found := strings.Cut(log, "FINDINGS ")
	if !found {
		s.Fatalf("run %s (%s, %s) reports nothing: %.4000s", r.Name, r.Status.Phase, r.Status.Message, log)
	}
	if dir := os.Getenv("FATHOM_KEEP_FINDINGS"); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, r.Name+".json"), []byte(after), 0o600)
	}
	var f findings
	if err := json.NewDecoder(strings.NewReader(after)).Decode(&f); err != nil {
		s.Fatalf("the report of %s: %v: %.400s", r.Name, err, after)
	}
	return f
}
