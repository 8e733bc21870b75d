// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fathom.dev/fathom/api/v1alpha1"
)

const (
	plainWorkspace = "bench"
	plainPatience  = time.Minute
)

// plain gives a Fathom with one empty workspace, which rows share that need no study.
func (b *bench) plain(ctx context.Context) (*platform, error) {
	if b.empty != nil {
		return b.empty, nil
	}
	state, err := b.fresh("plain")
	if err != nil {
		return nil, err
	}
	p, _, err := b.up(ctx, filepath.Join(state, "state"))
	if err != nil {
		return nil, err
	}
	if err := p.workspace(ctx, plainWorkspace, v1alpha1.Quota{}); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	b.empty = p
	return p, nil
}

func (b *bench) closePlain() {
	if b.empty != nil {
		_ = b.empty.stop() // the figures are told already
		b.empty = nil
	}
}

// workspace makes a workspace and waits until it is ready.
func (p *platform) workspace(ctx context.Context, name string, quota v1alpha1.Quota) error {
	w := &v1alpha1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.WorkspaceSpec{
		Quota: quota, Members: []v1alpha1.Member{{Group: "system:serviceaccounts:" + name, Role: "editor"}},
	}}
	if err := p.client.Create(ctx, w); err != nil {
		return err
	}
	limit := time.Now().Add(plainPatience)
	for {
		if err := p.client.Get(ctx, client.ObjectKeyFromObject(w), w); err != nil {
			return err
		}
		if reason, message := v1alpha1.Ready(w.Status.Conditions); reason == v1alpha1.ReasonReady {
			return nil
		} else if time.Now().After(limit) {
			return errors.New("the workspace did not get ready: " + message)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// editor makes a service account in the plain workspace, whose accounts may all edit there, and returns its token as a pod
// would show it to the doors.
func (p *platform) editor(ctx context.Context, workspace string) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: workspace, Name: "editor"}}
	if err := client.IgnoreAlreadyExists(p.client.Create(ctx, account)); err != nil {
		return "", err
	}
	hour := int64(3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"fathom"}, ExpirationSeconds: &hour}}
	err := p.client.SubResource("token").Create(ctx, account, request)
	return request.Status.Token, err
}
