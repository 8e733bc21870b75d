// SPDX-License-Identifier: Apache-2.0

// Package console_test walks through the console as people do: Chromium, on a whole Fathom that runs the study. Each page is
// looked at in light, in dark and on a phone, for errors, for what hinders people with disabilities, and as a picture.
package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/test/platform"
)

const (
	workspace = "neurology"
	patience  = 2 * time.Minute
)

// finding is a line that walk.mjs prints.
type finding struct {
	Name   string `json:"name"`
	Failed string `json:"failed"` // why; empty when all is well
	Note   string `json:"note"`   // a figure, for the log
}

func TestConsole(t *testing.T) {
	for _, needed := range []string{"node", "chromium"} {
		if _, err := exec.LookPath(needed); err != nil && os.Getenv("FATHOM_CHROMIUM") == "" {
			t.Skipf("needs %s: %v", needed, err)
		}
	}
	if _, err := os.Stat("../../web/node_modules/playwright-core"); err != nil {
		t.Skipf("needs the console's packages (make web): %v", err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if out, err := exec.CommandContext(t.Context(), "go", "run", "../../examples/parkinsons/generate", "-out", data).CombinedOutput(); err != nil {
		t.Fatalf("generate: %v\n%s", err, out)
	}
	p := platform.Start(t)
	p.Fathom("apply", "-f", "../../examples/parkinsons/study")
	viewer := viewerToken(p)
	// The first walk watches the study become true.
	walk(p, "live", viewer, filepath.Join(data, "batch-1", "inbox"))
	p.Fathom("status", "-n", workspace, "--wait")
	p.Fathom("predict", "parkinsons", "-n", workspace)
	p.Fathom("put", "-n", workspace, filepath.Join(data, "batch-2", "inbox"), "inbox")
	p.Await("version 2 of the consents", patience, func(ctx context.Context) (bool, error) {
		var d v1alpha1.Dataset
		err := p.Client.Get(ctx, client.ObjectKey{Namespace: workspace, Name: "consents"}, &d)
		return d.Status.Version == 2, err
	})
	p.Fathom("status", "-n", workspace, "--wait")
	walk(p, "pages", viewer, "")
}

// viewerToken is of somebody who may look, but not read identified data, retry, cancel or approve.
func viewerToken(p *platform.Platform) string {
	p.Helper()
	who := metav1.ObjectMeta{Namespace: "default", Name: "visitor"}
	if _, err := p.Clientset.CoreV1().ServiceAccounts(who.Namespace).Create(p.Context(), &corev1.ServiceAccount{ObjectMeta: who}, metav1.CreateOptions{}); err != nil {
		p.Fatal(err)
	}
	p.Await("the workspace's namespace", patience, func(ctx context.Context) (bool, error) {
		var ns corev1.Namespace
		err := p.Client.Get(ctx, client.ObjectKey{Name: workspace}, &ns)
		return err == nil, client.IgnoreNotFound(err)
	})
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: workspace, Name: who.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "fathom-viewer"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: who.Namespace, Name: who.Name}},
	}
	if _, err := p.Clientset.RbacV1().RoleBindings(workspace).Create(p.Context(), binding, metav1.CreateOptions{}); err != nil {
		p.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"fathom"}}}
	answer, err := p.Clientset.CoreV1().ServiceAccounts(who.Namespace).CreateToken(p.Context(), who.Name, request, metav1.CreateOptions{})
	if err != nil {
		p.Fatal(err)
	}
	return answer.Status.Token
}

// walk runs a part of walk.mjs; each of its findings is a test.
func walk(p *platform.Platform, part, viewer, inbox string) {
	p.Helper()
	command := exec.CommandContext(p.Context(), "node", "walk.mjs", part)
	command.Env = append(os.Environ(), "FATHOM_STATE="+p.State, "KUBECONFIG="+filepath.Join(p.State, "kubeconfig"), "FATHOM="+filepath.Join(p.Bin, "fathom"),
		"DOORS="+p.Doors, "VIEWER="+viewer, "INBOX="+inbox, "WORKSPACE="+workspace)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		p.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var names []string
	for lines.Scan() {
		var f finding
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			p.Errorf("walk.mjs said %s", lines.Text())
			continue
		}
		names = append(names, f.Name)
		p.Run(strings.ReplaceAll(f.Name, " ", "_"), func(t *testing.T) {
			if f.Note != "" {
				t.Log(f.Note)
			}
			if f.Failed != "" {
				t.Error(f.Failed)
			}
		})
	}
	if err := command.Wait(); err != nil {
		p.Errorf("walk.mjs %s: %v", part, err)
	}
	if !slices.Contains(names, part+" is done") {
		p.Errorf("walk.mjs %s did not come to its end: %q", part, names)
	}
}
