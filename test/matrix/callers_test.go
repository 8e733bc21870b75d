// SPDX-License-Identifier: Apache-2.0

// Package matrix_test asks a real Fathom every question of every door, as everybody, and compares who was let in with
// what is written down in testdata. Its tables are made from the doors' own tables of routes: a new route is a new line.
package matrix_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/kube/pki"
	"fathom.dev/fathom/internal/tracking"
	"fathom.dev/fathom/test/platform"
)

const (
	clinic          = "clinic"
	certificateLife = 30 * time.Minute
)

// roles of the workspace, and the group that has each.
var roles = []string{"viewer", "editor", "steward", "approver", "admin"}

// caller is somebody who asks.
type caller struct {
	name   string
	token  string // a bearer token, or what keys are asked for with
	client *http.Client
}

// world is a Fathom with a workspace, its people and its pods.
type world struct {
	*platform.Platform
	authority *pki.Authority
	past      *pki.Authority // the same, a year ago
	certified []caller       // people with client certificates, and those without a right to be here
	keyed     []caller       // the same with tokens, for keys
}

func start(p *platform.Platform) *world {
	p.Helper()
	w := &world{Platform: p}
	var err error
	dir := filepath.Join(p.State, "pki")
	if w.authority, err = pki.Open(dir, false, time.Now); err != nil {
		p.Fatal(err)
	}
	if w.past, err = pki.Open(dir, false, func() time.Time { return time.Now().Add(-time.Hour) }); err != nil {
		p.Fatal(err)
	}
	p.Fathom("apply", "-f", "testdata/workspaces.yaml")
	for _, workspace := range []string{clinic, "elsewhere"} {
		p.Await("workspace "+workspace, time.Minute, func(ctx context.Context) (bool, error) {
			var ws v1alpha1.Workspace
			err := p.Client.Get(ctx, client.ObjectKey{Name: workspace}, &ws)
			reason, _ := v1alpha1.Ready(ws.Status.Conditions)
			return reason == v1alpha1.ReasonReady, err
		})
	}
	own, code, step := w.pod("mine", v1alpha1.StepCode), w.pod("other", v1alpha1.StepCode), w.pod("step", v1alpha1.StepEvaluate)
	w.certified = []caller{
		{name: "nobody", client: w.http(nil)},
		{name: "garbage", client: w.http(nil), token: "garbage"},
		{name: "audience", client: w.http(nil), token: w.token("default", "admin", "", "elsewhere")},
		{name: "expired", client: w.http(w.certificate(w.past, "old", "system:masters"))},
		{name: "other", client: w.http(w.certificate(w.authority, "olaf", "others"))},
	}
	w.keyed = append([]caller(nil), w.certified[:3]...)
	w.keyed = append(w.keyed, caller{name: "other", client: w.http(nil), token: w.token("default", "other", "", "fathom")})
	for _, role := range roles {
		w.certified = append(w.certified, caller{name: role, client: w.http(w.certificate(w.authority, "the "+role, role+"s"))})
		w.keyed = append(w.keyed, caller{name: role, client: w.http(nil), token: w.token("default", role, "", "fathom")})
	}
	pods := []caller{ // of the run that is asked about, of another one, and of a step of Fathom's own
		{name: "own", client: w.http(nil), token: w.token(clinic, "code", own, "fathom")},
		{name: "pod", client: w.http(nil), token: w.token(clinic, "code", code, "fathom")},
		{name: "step", client: w.http(nil), token: w.token(clinic, "steps", step, "fathom")},
	}
	w.certified, w.keyed = append(w.certified, pods...), append(w.keyed, pods...)
	return w
}

// certificate is what `fathom login` or an administrator would give a member of the group.
func (w *world) certificate(authority *pki.Authority, user, group string) *tls.Certificate {
	w.Helper()
	pair, err := authority.Client(user, []string{group}, certificateLife)
	if err != nil {
		w.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		w.Fatal(err)
	}
	return &certificate
}

// http makes a client that shows the certificate, if there is one, and follows no redirects.
func (w *world) http(certificate *tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.CA)
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 4}, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// token is a token of a service account, made if need be, bound to a pod if there is one.
func (w *world) token(namespace, account, pod, audience string) string {
	w.Helper()
	if namespace == "default" {
		err := w.Client.Create(w.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}})
		if client.IgnoreAlreadyExists(err) != nil {
			w.Fatal(err)
		}
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	if pod != "" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod}
	}
	answer, err := w.Clientset.CoreV1().ServiceAccounts(namespace).CreateToken(w.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return answer.Status.Token
}

// tracked is the tracking run of a run: one that does not exist, so that nothing comes of being let in.
func tracked(run string) string { return tracking.RunID(run) }

// pod starts a run that only waits, and returns the name of its pod.
func (w *world) pod(run, step string) string {
	w.Helper()
	cpu, memory := resource.MustParse("20m"), resource.MustParse("64Mi")
	r := &v1alpha1.Run{
		ObjectMeta: metav1.ObjectMeta{Namespace: clinic, Name: run},
		Spec: v1alpha1.RunSpec{
			For: v1alpha1.RunFor{Kind: "Dataset", Name: run}, Step: step, Fingerprint: run, Workers: 1, Framework: "python",
			Command: []string{"sleep", "300"}, TrackingRun: tracked(run),
			Resources: v1alpha1.Resources{CPU: &cpu, Memory: &memory},
		},
	}
	if err := w.Client.Create(w.Context(), r); err != nil {
		w.Fatal(err)
	}
	name := ""
	w.Await("the pod of run "+run, time.Minute, func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		err := w.Client.List(ctx, &pods, client.InNamespace(clinic), client.MatchingLabels{v1alpha1.LabelRun: run})
		if len(pods.Items) == 1 {
			name = pods.Items[0].Name
		}
		return name != "", err
	})
	return name
}
