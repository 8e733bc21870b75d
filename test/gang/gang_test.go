// SPDX-License-Identifier: Apache-2.0

package gang_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/lake"
	"fathom.dev/fathom/internal/testenv"
)

const (
	steps = 12
	grace = 3 * time.Second
)

func TestGangInSandboxes(t *testing.T) { testGang(t, "sandbox") }
func TestGangOfProcesses(t *testing.T) { testGang(t, "process") }

func testGang(t *testing.T, level string) {
	p := start(t, level)
	ws := &v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: workspaceName}}
	must(t, client.IgnoreAlreadyExists(p.client.Create(t.Context(), ws)))
	testenv.Eventually(t, "the workspace", func(ctx context.Context) (bool, error) {
		err := p.client.Get(ctx, client.ObjectKeyFromObject(ws), ws)
		reason, _ := v1alpha1.Ready(ws.Status.Conditions)
		return reason == v1alpha1.ReasonReady, err
	})
	t.Run("together", func(t *testing.T) { p.in(t).together() })
	t.Run("nothing to do", func(t *testing.T) { p.in(t).noop() })
	t.Run("killed rank", func(t *testing.T) { p.in(t).killedRank() })
	t.Run("stubborn rank", func(t *testing.T) { p.in(t).stubbornRank() })
	t.Run("node restarts", func(t *testing.T) { p.in(t).nodeRestarts() })
	t.Run("operator restarts", func(t *testing.T) { p.in(t).operatorRestarts() })
	t.Run("environment", func(t *testing.T) { p.in(t).environments() })
	t.Run("cancel", func(t *testing.T) { p.in(t).cancel() })
}

func (p *platform) in(t *testing.T) *platform {
	own := *p
	own.T = t
	t.Cleanup(func() { p.node, p.stop, p.ledger = own.node, own.stop, own.ledger })
	return &own
}

type params map[string]any

// submit declares a run of three ranks.
func (p *platform) submit(name string, with params) *v1alpha1.Run {
	p.Helper()
	text, err := json.Marshal(with)
	must(p.T, err)
	return p.create(name, func(r *v1alpha1.Run) { r.Spec.Parameters = p.blob(string(text)) })
}

func (p *platform) create(name string, change func(*v1alpha1.Run)) *v1alpha1.Run {
	p.Helper()
	cpu, memory := resource.MustParse("50m"), resource.MustParse("128Mi")
	r := &v1alpha1.Run{
		ObjectMeta: metav1.ObjectMeta{Namespace: workspaceName, GenerateName: name + "-"},
		Spec: v1alpha1.RunSpec{
			For: v1alpha1.RunFor{Kind: "Model", Name: "m"}, Step: v1alpha1.StepTrain, Fingerprint: name, Framework: "python",
			Workers: 3, Command: []string{"python", "ranks.py"}, Code: p.code("testdata/ranks"),
			Resources: v1alpha1.Resources{CPU: &cpu, Memory: &memory}, Retries: 1,
		},
	}
	change(r)
	must(p.T, p.client.Create(p.Context(), r))
	p.Cleanup(func() {
		if p.Failed() {
			p.explain(r)
		}
		_ = p.client.Delete(context.Background(), r)
	})
	return r
}

// explain shows what there is to see of a run that disappointed.
func (p *platform) explain(r *v1alpha1.Run) {
	_ = p.client.Get(context.Background(), client.ObjectKeyFromObject(r), r)
	text, _ := json.MarshalIndent(r.Status, "", " ")
	p.Logf("%s", text)
	var pods corev1.PodList
	_ = p.client.List(context.Background(), &pods, client.InNamespace(r.Namespace), client.MatchingLabels{v1alpha1.LabelRun: r.Name})
	for _, pod := range pods.Items {
		p.Logf("%s: %s %s %s %v", pod.Name, pod.Status.Phase, pod.Status.Reason, pod.Status.Message, pod.Status.ContainerStatuses)
	}
	var events corev1.EventList
	_ = p.client.List(context.Background(), &events, client.InNamespace(r.Namespace))
	for _, e := range events.Items {
		p.Logf("%s %s: %s %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
	if r.Status.Log != "" {
		p.Logf("%s", p.read(r.Status.Log))
	}
}

// await waits until the run is as wanted, or has ended otherwise.
func (p *platform) await(r *v1alpha1.Run, what string, ok func() bool) {
	p.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		must(p.T, p.client.Get(p.Context(), client.ObjectKeyFromObject(r), r))
		if ok() {
			return
		}
		ended := r.Status.FinishedAt != nil
		if ended || time.Now().After(deadline) {
			p.Fatalf("run %s never %s: %s %s %s", r.Name, what, r.Status.Phase, r.Status.Reason, r.Status.Message)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *platform) awaitEnd(r *v1alpha1.Run, phase string) {
	p.Helper()
	p.await(r, phase, func() bool { return r.Status.Phase == phase })
}

type result struct {
	Rank, Start, Step, Total int
	Heard                    []int
}

// results reads the ranks' outputs and checks what holds however the run went.
func (p *platform) results(r *v1alpha1.Run) []result {
	p.Helper()
	var m lake.FileManifest
	must(p.T, json.Unmarshal([]byte(p.read(r.Status.Output)), &m))
	if len(m.Files) != 3 {
		p.Fatalf("%d output files", len(m.Files))
	}
	all := make([]result, 3)
	for i, f := range m.Files {
		must(p.T, json.Unmarshal([]byte(p.read(string(f.Digest))), &all[i]))
		others := slices.DeleteFunc([]int{0, 1, 2}, func(n int) bool { return n == i })
		want := 6 * steps * (steps + 1) / 2 // as if nothing had happened
		if got := all[i]; got.Rank != i || got.Step != steps || got.Total != want || !slices.Equal(got.Heard, others) {
			p.Errorf("rank %d: %+v, want total %d and to hear of %v", i, got, want, others)
		}
	}
	return all
}

func (p *platform) together() {
	began := time.Now()
	r := p.submit("together", params{"steps": steps, "pause": 0.05})
	p.awaitEnd(r, v1alpha1.RunSucceeded)
	p.Logf("three ranks took %s", time.Since(began).Round(time.Millisecond))
	p.results(r)
	if r.Status.Attempt != 1 || !strings.Contains(p.read(r.Status.Log), "rank 2 of 3 starts at step 0") {
		p.Errorf("attempt %d, log %s", r.Status.Attempt, p.read(r.Status.Log))
	}
	row, err := p.lake.Run(p.Context(), workspaceName, r.Name)
	if err != nil || row.Phase != "Succeeded" || string(row.Output) != r.Status.Output || row.Host["node"] != testenv.NodeName {
		p.Errorf("history %+v %v", row, err)
	}
	testenv.Eventually(p.T, "the Job to be removed", func(ctx context.Context) (bool, error) {
		var jobs batchv1.JobList
		err := p.client.List(ctx, &jobs, client.InNamespace(workspaceName), client.MatchingLabels{v1alpha1.LabelRun: r.Name})
		return len(jobs.Items) == 0, err
	})
}

// noop shows what a run costs by itself, from its declaration to its recorded end.
func (p *platform) noop() {
	var took []time.Duration
	for range 5 {
		began := time.Now()
		r := p.create("noop", func(r *v1alpha1.Run) { r.Spec.Workers, r.Spec.Command = 1, []string{"true"} })
		p.awaitEnd(r, v1alpha1.RunSucceeded)
		took = append(took, time.Since(began).Round(time.Millisecond))
	}
	slices.Sort(took)
	p.Logf("a run that does nothing took %s (median of %v)", took[2], took)
}

func (p *platform) killedRank() {
	r := p.submit("killed", params{"steps": steps, "die_at": 10, "pause": 0.4})
	p.await(r, "restarted", func() bool { return r.Status.Reason == "Restarting" })
	killed := time.Now()
	p.await(r, "ran again", func() bool { return r.Status.Attempt == 2 && r.Status.Phase == v1alpha1.RunRunning })
	p.Logf("the gang ran again %s after the station saw the loss", time.Since(killed).Round(time.Millisecond))
	p.awaitEnd(r, v1alpha1.RunSucceeded)
	for _, got := range p.results(r) {
		if got.Start == 0 {
			p.Errorf("rank %d did not start from the checkpoint", got.Rank)
		}
	}
	if r.Status.Attempt != 2 || r.Status.Failures != 1 {
		p.Errorf("attempt %d, %d failures", r.Status.Attempt, r.Status.Failures)
	}
}

// stubbornRank: rank 2 ignores SIGTERM and that its peers are gone; the gang restarts all the same, once it is killed.
func (p *platform) stubbornRank() {
	r := p.submit("stubborn", params{"steps": steps, "die_at": 4, "pause": 0.4, "stubborn": 2})
	p.await(r, "restarted", func() bool { return r.Status.Reason == "Restarting" })
	began := time.Now()
	p.await(r, "began again", func() bool { return r.Status.Attempt == 2 })
	if took := time.Since(began); took < grace-time.Second || took > grace+10*time.Second {
		p.Errorf("the stubborn rank was given %s, its grace period is %s", took, grace)
	}
	p.awaitEnd(r, v1alpha1.RunSucceeded)
	p.results(r)
	if r.Status.Attempt != 2 {
		p.Errorf("attempt %d", r.Status.Attempt)
	}
}

func (p *platform) nodeRestarts() {
	r := p.submit("lost", params{"steps": steps, "pause": 0.4})
	p.await(r, "progressed", func() bool { return strings.Contains(r.Status.Progress, "step") })
	p.restartNode()
	p.awaitEnd(r, v1alpha1.RunSucceeded)
	p.results(r)
	if r.Status.Attempt < 2 || r.Status.Failures != 0 {
		p.Errorf("attempt %d, %d failures: a lost pod is not the code's fault", r.Status.Attempt, r.Status.Failures)
	}
}

// operatorRestarts: the pods never notice, and the attempt that was under way ends well.
func (p *platform) operatorRestarts() {
	r := p.submit("restart", params{"steps": steps, "pause": 0.3})
	p.await(r, "progressed", func() bool { return strings.Contains(r.Status.Progress, "step") })
	p.restartOperator()
	p.awaitEnd(r, v1alpha1.RunSucceeded)
	p.results(r)
	if r.Status.Attempt != 1 {
		p.Errorf("attempt %d", r.Status.Attempt)
	}
}

func (p *platform) environments() {
	requirements := []byte("six==1.17.0\n")
	if _, err := p.envs.Build(p.Context(), requirements, nil); err != nil {
		p.Skipf("no environment can be built: %v", err)
	}
	code := p.TempDir()
	program := "import json, os, six, sys\njson.dump([six.__version__, sys.prefix], open(os.environ['FATHOM_OUTPUT'] + '/x', 'w'))\n"
	must(p.T, os.WriteFile(filepath.Join(code, "x.py"), []byte(program), 0o644))
	r := p.create("environment", func(r *v1alpha1.Run) {
		r.Spec.Code, r.Spec.Workers, r.Spec.Command = p.code(code), 1, []string{"python", "x.py"}
		r.Spec.Requirements = p.blob(string(requirements))
	})
	p.awaitEnd(r, v1alpha1.RunSucceeded)
	var m lake.FileManifest
	must(p.T, json.Unmarshal([]byte(p.read(r.Status.Output)), &m))
	if got := p.read(string(m.Files[0].Digest)); !strings.Contains(got, "1.17.0") || r.Status.Environment == "" {
		p.Errorf("the program saw %s in environment %q", got, r.Status.Environment)
	}
}

func (p *platform) cancel() {
	r := p.submit("cancelled", params{"steps": 1000, "stubborn": 0})
	p.await(r, "progressed", func() bool { return strings.Contains(r.Status.Progress, "step") })
	before := r.DeepCopy()
	r.Spec.Cancel = true
	must(p.T, p.client.Patch(p.Context(), r, client.MergeFrom(before)))
	began := time.Now()
	p.awaitEnd(r, v1alpha1.RunCancelled)
	if took := time.Since(began); took < grace-time.Second || took > grace+10*time.Second {
		p.Errorf("it took %s to cancel", took)
	}
	if !strings.Contains(p.read(r.Status.Log), fmt.Sprintf("rank %d of 3", 1)) {
		p.Error("the log is lost")
	}
}
