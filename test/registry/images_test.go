// SPDX-License-Identifier: Apache-2.0

// Package registry_test pushes images to a real Fathom with other people's clients, and runs pods from them.
package registry_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/test/platform"
)

// world is a Fathom with two workspaces, and crane logged in to it as the owner.
type world struct {
	*platform.Platform
	host, home, crane string
}

func start(t *testing.T, flags ...string) *world {
	t.Helper()
	crane, err := filepath.Abs(filepath.Join("..", "..", ".tools", "bin", "crane"))
	if err == nil {
		_, err = os.Stat(crane)
	}
	if err != nil {
		if crane, err = exec.LookPath("crane"); err != nil {
			t.Skip("needs crane (make judges)")
		}
	}
	w := &world{Platform: platform.Start(t, flags...), home: t.TempDir(), crane: crane}
	address, err := url.Parse(w.Doors)
	if err != nil {
		t.Fatal(err)
	}
	w.host = address.Host
	if err := os.WriteFile(filepath.Join(w.home, "ca.crt"), w.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	w.Fathom("apply", "-f", "testdata/workspaces.yaml")
	for _, name := range []string{"clinic", "elsewhere"} {
		w.Await("workspace "+name, time.Minute, func(ctx context.Context) (bool, error) {
			var ws v1alpha1.Workspace
			err := w.Client.Get(ctx, client.ObjectKey{Name: name}, &ws)
			reason, _ := v1alpha1.Ready(ws.Status.Conditions)
			return reason == v1alpha1.ReasonReady, err
		})
	}
	w.run(false, "auth", "login", w.host, "-u", "me", "-p", strings.TrimSpace(w.Fathom("token")))
	return w
}

// run runs crane.
func (w *world) run(wantFail bool, args ...string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), w.crane, args...)
	cmd.Env = []string{"HOME=" + w.home, "SSL_CERT_FILE=" + filepath.Join(w.home, "ca.crt"), "PATH=" + os.Getenv("PATH")}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); (err != nil) != wantFail {
		w.Fatalf("crane %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(out.String())
}

// layer is a tar of a static program and the files that name its user.
func layer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "tell"), "./testdata/tell")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "tell"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range []struct {
		name    string
		mode    int64
		content []byte
	}{
		{"bin/tell", 0o755, program}, {"etc/passwd", 0o644, []byte("root:x:0:0::/:/bin/tell\napp:x:1234:1235::/home/app:/bin/tell\n")},
		{"data/own.txt", 0o644, []byte("of the image")},
	} {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "scratch", Mode: 0o1777, Typeflag: tar.TypeDir}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "layer.tar")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// push makes an image that tells about itself, and returns its digest.
func (w *world) push(name string) string {
	w.Helper()
	w.run(false, "append", "--oci-empty-base", "-f", layer(w.T), "-t", w.host+"/"+name, "--platform", "linux/"+runtime.GOARCH)
	w.run(false, "mutate", w.host+"/"+name, "--entrypoint", "/bin/tell", "--cmd", "by,itself", "--env", "FROM=image", "--env", "BOTH=image",
		"--user", "app", "--workdir", "/data", "--set-platform", "linux/"+runtime.GOARCH, "-t", w.host+"/"+name)
	return w.run(false, "digest", w.host+"/"+name)
}

// pod runs a container; change may change it.
func (w *world) pod(namespace, name, image string, change func(*corev1.PodSpec, *corev1.Container)) {
	w.Helper()
	no, yes := false, true
	c := corev1.Container{Name: "main", Image: image, SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, RunAsNonRoot: &yes,
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no, Containers: []corev1.Container{c}}}
	if change != nil {
		change(&pod.Spec, &pod.Spec.Containers[0])
	}
	if err := w.Client.Create(w.Context(), pod); err != nil {
		w.Fatal(err)
	}
}

// told is what the program in the image found.
type told struct {
	Args, Env   []string
	UID, GID    int
	Dir, Own    string
	Wrote, Root string
	Host        []string
}

// ended waits for the pod's end and returns what its program said.
func (w *world) ended(namespace, name string) (told, *corev1.Pod) {
	w.Helper()
	var pod corev1.Pod
	w.Await("the end of pod "+name, time.Minute, func(ctx context.Context) (bool, error) {
		err := w.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &pod)
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed, err
	})
	stream, err := w.Clientset.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{}).Stream(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	var said told
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	if err != nil {
		w.Fatalf("%v: the pod %s said %q: %+v", err, pod.Status.Phase, text, pod.Status.ContainerStatuses)
	}
	return said, &pod
}

// waits returns the reasons and the last message with which a pod's container waits, until it has shown all wanted.
func (w *world) waits(namespace, name string, reasons ...string) string {
	w.Helper()
	seen, message := map[string]bool{}, ""
	w.Await(fmt.Sprintf("pod %s to wait with %v", name, reasons), time.Minute, func(ctx context.Context) (bool, error) {
		var pod corev1.Pod
		if err := w.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &pod); err != nil {
			return false, err
		}
		for _, s := range pod.Status.ContainerStatuses {
			if s.State.Waiting != nil && s.State.Waiting.Message != "" {
				seen[s.State.Waiting.Reason], message = true, s.State.Waiting.Message
			}
		}
		for _, r := range reasons {
			if !seen[r] {
				return false, nil
			}
		}
		return true, nil
	})
	return message
}

func TestPodsRunImages(t *testing.T) {
	w := start(t)
	if !strings.HasPrefix(w.Isolation, "sandbox") {
		t.Skipf("needs sandboxes: %s", w.Isolation)
	}
	digest := w.push("clinic/tools/tell:v1")
	t.Run("as the image says", func(t *testing.T) {
		w := w.in(t)
		w.pod("clinic", "itself", "registry.fathom/clinic/tools/tell:v1", func(_ *corev1.PodSpec, c *corev1.Container) {
			c.Env = []corev1.EnvVar{{Name: "BOTH", Value: "pod"}}
		})
		said, pod := w.ended("clinic", "itself")
		want := told{Args: []string{"/bin/tell", "by", "itself"}, UID: 1234, GID: 1235, Dir: "/data", Own: "of the image", Wrote: "yes", Root: "no"}
		if strings.Join(said.Args, " ") != strings.Join(want.Args, " ") || said.UID != want.UID || said.GID != want.GID || said.Dir != want.Dir ||
			said.Own != want.Own || said.Wrote != want.Wrote || said.Root != want.Root {
			t.Errorf("it said %+v, want %+v", said, want)
		}
		env := " " + strings.Join(said.Env, " ") + " "
		for _, pair := range []string{"FROM=image", "BOTH=pod", "HOME=/home/app"} {
			if !strings.Contains(env, " "+pair+" ") {
				t.Errorf("its environment lacks %s: %s", pair, env)
			}
		}
		if len(said.Host) > 0 {
			t.Errorf("it sees the host's %v", said.Host)
		}
		if got, want := pod.Status.ContainerStatuses[0].ImageID, "registry.fathom/clinic/tools/tell@"+digest; got != want {
			t.Errorf("imageID %s, want %s", got, want)
		}
	})
	t.Run("as the pod says", func(t *testing.T) {
		w := w.in(t)
		w.pod("clinic", "pod", w.host+"/clinic/tools/tell@"+digest, func(s *corev1.PodSpec, c *corev1.Container) {
			uid, yes := int64(4321), true
			c.Args, c.WorkingDir = []string{"$(FROM)", "$$(FROM)"}, "/scratch"
			c.SecurityContext.RunAsUser, c.SecurityContext.ReadOnlyRootFilesystem = &uid, &yes
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/new/place"}}
		})
		said, _ := w.ended("clinic", "pod")
		if got := strings.Join(said.Args, " "); got != "/bin/tell image $(FROM)" || said.UID != 4321 || said.Dir != "/scratch" || said.Wrote != "no" {
			t.Errorf("it said %+v", said)
		}
	})
	t.Run("refused", func(t *testing.T) {
		w := w.in(t)
		w.pod("elsewhere", "stranger", "registry.fathom/clinic/tools/tell:v1", nil)
		w.pod("clinic", "absent", "registry.fathom/clinic/tools/tell:v9", nil)
		w.pod("clinic", "foreign", "docker.io/library/busybox:1", nil)
		w.pod("clinic", "never", "registry.fathom/clinic/tools/other:v1", func(_ *corev1.PodSpec, c *corev1.Container) { c.ImagePullPolicy = corev1.PullNever })
		for name, want := range map[string]string{"absent": "there is no such image", "foreign": "crane copy docker.io/library/busybox:1"} {
			if got := w.waits("clinic", name, "ErrImagePull", "ImagePullBackOff"); !strings.Contains(got, want) {
				t.Errorf("%s waits with %q, want %q", name, got, want)
			}
		}
		if got := w.waits("elsewhere", "stranger", "ErrImagePull"); !strings.Contains(got, "belongs to workspace clinic") {
			t.Errorf("a stranger waits with %q", got)
		}
		w.waits("clinic", "never", "ErrImageNeverPull")
	})
	t.Run("with a pull secret", func(t *testing.T) {
		w := w.in(t)
		config := fmt.Sprintf(`{"auths":{"registry.fathom":{"username":"me","password":%q}}}`, strings.TrimSpace(w.Fathom("token")))
		err := w.Client.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(config)}})
		if err != nil {
			t.Fatal(err)
		}
		w.pod("elsewhere", "guest", "registry.fathom/clinic/tools/tell:v1", func(s *corev1.PodSpec, _ *corev1.Container) {
			s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
		})
		w.ended("elsewhere", "guest")
	})
	t.Run("from a layout", func(t *testing.T) {
		w := w.in(t)
		w.run(false, "pull", "--format=oci", w.host+"/clinic/tools/tell:v1", filepath.Join(w.State, "images", "tell"))
		w.pod("elsewhere", "layout", "oci:tell", nil)
		if _, pod := w.ended("elsewhere", "layout"); pod.Status.ContainerStatuses[0].ImageID != "oci:tell@"+digest {
			t.Errorf("imageID %s", pod.Status.ContainerStatuses[0].ImageID)
		}
	})
	w.Await("the overlays of ended containers to go", 10*time.Second, func(context.Context) (bool, error) {
		mounts, err := os.ReadFile("/proc/mounts")
		return !strings.Contains(string(mounts), "overlay "+w.State), err
	})
}

func TestCodeIsAnArtifact(t *testing.T) {
	w := start(t)
	dir := w.Write(map[string]string{"data.yaml": "apiVersion: fathom.dev/v1alpha1\nkind: Dataset\nmetadata: {name: numbers, namespace: clinic}\n" +
		"spec: {from: {code: {path: ./code, command: [python3, main.py]}}}\n", "code/main.py": "print('made by code')\n"})
	w.Fathom("apply", "-f", dir)
	repository := w.host + "/clinic/bundles"
	tag := w.run(false, "ls", repository)
	if len(tag) != 64 || strings.Contains(tag, "\n") {
		t.Fatalf("bundles are %q, want one, by the digest of its content", tag)
	}
	var manifest struct {
		ArtifactType string
		Layers       []struct{ Digest string }
	}
	if err := json.Unmarshal([]byte(w.run(false, "manifest", repository+":"+tag)), &manifest); err != nil || len(manifest.Layers) != 1 {
		t.Fatalf("%+v, %v", manifest, err)
	}
	code := w.run(false, "blob", repository+"@"+manifest.Layers[0].Digest)
	if manifest.Layers[0].Digest != "sha256:"+tag || !strings.Contains(code, "made by code") || manifest.ArtifactType != "application/vnd.fathom.code.v1" {
		t.Errorf("%+v holds %.80q", manifest, code)
	}
	w.run(true, "delete", repository+":"+tag)
}

func TestPlainProcessesHaveNoImages(t *testing.T) {
	w := start(t, "--isolation", "process")
	w.pod("clinic", "image", "registry.fathom/clinic/tools/tell:v1", nil)
	if got := w.waits("clinic", "image", "ErrImagePull", "ImagePullBackOff"); !strings.Contains(got, "plain processes do not have") {
		t.Errorf("it waits with %q", got)
	}
}

// in gives the world to a sub-test.
func (w *world) in(t *testing.T) *world {
	own, p := *w, *w.Platform
	p.T = t
	own.Platform = &p
	return &own
}
