// SPDX-License-Identifier: Apache-2.0

// These tests drive the built server, so that this test binary need not link Kubernetes.
package kube_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fathom.dev/fathom/internal/testenv"
)

func TestObjectsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	server := testenv.Launch(t, dir)
	client := connect(t, server, "owner")
	const secret, plain = "canary-9f8a7b6c5d4e", "canary-0123456789ab"
	_, err := client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "canary"}, StringData: map[string]string{"key": secret}}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "canary"}, Data: map[string]string{"key": plain}}, metav1.CreateOptions{})
	must(t, err)
	acknowledged := writeUntilKilled(t, server, client, 300)

	if found := search(t, dir, plain); !found {
		t.Error("the ConfigMap's value is not on disk, so this test could not find the Secret's either")
	}
	if found := search(t, dir, secret); found {
		t.Error("the Secret's value is on disk in the clear")
	}

	if !search(t, filepath.Join(dir, "logs"), `"resource":"secrets","namespace":"default","name":"canary"`) {
		t.Error("the audit log does not tell who made the Secret")
	}

	again := testenv.Launch(t, dir)
	if again.Endpoint != server.Endpoint {
		t.Errorf("the address changed from %s to %s", server.Endpoint, again.Endpoint)
	}
	got, err := connect(t, again, "owner").CoreV1().Secrets("default").Get(t.Context(), "canary", metav1.GetOptions{})
	must(t, err)
	if string(got.Data["key"]) != secret {
		t.Errorf("the Secret holds %q after the restart, want %q", got.Data["key"], secret)
	}
	list, err := connect(t, again, "owner").CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	must(t, err)
	present := map[string]bool{}
	for _, item := range list.Items {
		present[item.Name] = true
	}
	for _, name := range acknowledged {
		if !present[name] {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	_, err = connect(t, again, "owner").CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{})
	must(t, err)
	if code := again.Interrupt(); code != 0 {
		t.Errorf("exit code %d after an interrupt while somebody watches, want 0", code)
	}
}

// writeUntilKilled makes ConfigMaps with several writers, kills the server after count of them, and returns the names
// of those that the server acknowledged.
func writeUntilKilled(t *testing.T, server *testenv.Server, client kubernetes.Interface, count int) []string {
	t.Helper()
	names := make(chan string)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("write-%d-%d", w, i)
				cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"x": name}}
				if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
					return
				}
				names <- name
			}
		})
	}
	go func() {
		writers.Wait()
		close(names)
	}()
	var acknowledged []string
	for name := range names {
		acknowledged = append(acknowledged, name)
		if len(acknowledged) == count {
			go server.Kill()
		}
	}
	<-server.Exited()
	return acknowledged
}

// search reports whether any file of the directory contains text.
func search(t *testing.T, dir, text string) (found bool) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return err
	}))
	return found
}

func TestRefusals(t *testing.T) {
	running := testenv.Shared(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(running.Endpoint, "https://"))
	must(t, err)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct {
		name      string
		dir       string
		arguments []string
		wantCode  int
		want      string
	}{
		{"directory in use", running.Dir, nil, 3, "process " + strconv.Itoa(running.Pid)},
		{"port taken", t.TempDir(), []string{"--port", port}, 4, "port " + port},
		{"directory cannot be written", filepath.Join(file, "state"), nil, 6, "cannot be written"},
		{"bad service range", t.TempDir(), []string{"--service-cidr", "10.96"}, 2, "10.96"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, message := testenv.LaunchFails(t, c.dir, c.arguments...)
			if code != c.wantCode || !strings.Contains(message, c.want) {
				t.Errorf("code %d, %q; want code %d and %q", code, message, c.wantCode, c.want)
			}
		})
	}
	if _, err := connect(t, running.Server, "owner").CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Errorf("the running server was disturbed: %v", err)
	}
}

func TestDamagedDirectoryIsRefusedAndKept(t *testing.T) {
	original := t.TempDir()
	server := testenv.Launch(t, original)
	if code := server.Interrupt(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, c := range []struct{ name, file, how string }{
		{"database cut short", "etcd/member/snap/db", "cut"},
		{"database overwritten", "etcd/member/snap/db", "overwrite"},
		{"database pages flipped", "etcd/member/snap/db", "flip"},
		{"log overwritten", "etcd/member/wal/0000000000000000-0000000000000000.wal", "overwrite"},
		{"log flipped", "etcd/member/wal/0000000000000000-0000000000000000.wal", "flip"},
		{"authority's key gone", "pki/ca.key", "remove"},
		{"authority's key damaged", "pki/ca.key", "overwrite"},
		{"encryption key gone", "pki/encryption.yaml", "remove"},
		{"token key gone", "pki/service-accounts.key", "remove"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.CopyFS(dir, os.DirFS(original)))
			damage(t, filepath.Join(dir, c.file), c.how)
			before := contents(t, filepath.Join(dir, "etcd"))
			code, message := testenv.LaunchFails(t, dir)
			if code != 5 || !strings.Contains(message, "restore the state directory from a backup") {
				t.Errorf("code %d, %q; want code 5 and what to do next", code, message)
			}
			if strings.Contains(message, "goroutine ") {
				t.Errorf("the message is a stack trace: %s", message)
			}
			for path, data := range contents(t, filepath.Join(dir, "etcd")) {
				if data != before[path] {
					t.Errorf("%s was changed", path)
				}
			}
		})
	}
	testenv.Launch(t, original) // undamaged, it starts
}

func damage(t *testing.T, path, how string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	switch how {
	case "remove":
		must(t, os.Remove(path))
		return
	case "cut":
		data = data[:20_000]
	case "overwrite":
		copy(data, bytes.Repeat([]byte("damaged "), min(2048, len(data)/8)))
	case "flip":
		for i := 2500; i < len(data) && i < 400_000; i += 1009 {
			data[i] ^= 0x55
		}
	}
	must(t, os.WriteFile(path, data, 0o600))
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}))
	return files
}
