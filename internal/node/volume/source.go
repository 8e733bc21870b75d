// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"io/fs"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fathom.dev/fathom/internal/fault"
)

// Objects gives what volumes are made of. Errors of kind NotFound name the missing object.
type Objects interface {
	ConfigMap(ctx context.Context, namespace, name string) (*v1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*v1.Secret, error)
	// Token makes a token for the pod's service account; an empty audience is the API's own.
	Token(ctx context.Context, pod *v1.Pod, audience string, seconds int64) (token string, expires time.Time, err error)
}

// Facts are what the pod's own fields and resources say.
type Facts interface {
	Field(pod *v1.Pod, path string) (string, error)
	Resource(pod *v1.Pod, container *v1.Container, ref *v1.ResourceFieldSelector) (string, error)
}

// Content is what a volume holds now.
type Content struct {
	Files map[string]File
	// Secret content must not be written to a disk.
	Secret bool
	// RefreshAt is when a token in it should be replaced; zero for never.
	RefreshAt time.Time
}

// Reader reads the sources of volumes.
type Reader struct {
	Objects Objects
	Facts   Facts
	Now     func() time.Time
}

const (
	defaultMode = 0o644
	// tokenLifetime is the default of a projected token, in seconds.
	tokenLifetime = 3600
)

// Read gives the content of a ConfigMap, Secret, downward API or projected volume; ok is false for any other source.
func (r Reader) Read(ctx context.Context, pod *v1.Pod, v v1.Volume) (content Content, ok bool, err error) {
	c := Content{Files: map[string]File{}}
	switch {
	case v.ConfigMap != nil:
		source := v.ConfigMap
		err = r.configMap(ctx, &c, pod.Namespace, &v1.ConfigMapProjection{LocalObjectReference: source.LocalObjectReference, Items: source.Items, Optional: source.Optional}, mode(source.DefaultMode))
	case v.Secret != nil:
		source := v.Secret
		c.Secret = true
		err = r.secret(ctx, &c, pod.Namespace, &v1.SecretProjection{LocalObjectReference: v1.LocalObjectReference{Name: source.SecretName}, Items: source.Items, Optional: source.Optional}, mode(source.DefaultMode))
	case v.DownwardAPI != nil:
		err = r.downward(&c, pod, v.DownwardAPI.Items, mode(v.DownwardAPI.DefaultMode))
	case v.Projected != nil:
		err = r.projected(ctx, &c, pod, v.Projected)
	default:
		return c, false, nil
	}
	return c, true, err
}

func mode(m *int32) fs.FileMode {
	if m == nil {
		return defaultMode
	}
	return fs.FileMode(*m) & fs.ModePerm
}

func (r Reader) projected(ctx context.Context, c *Content, pod *v1.Pod, p *v1.ProjectedVolumeSource) error {
	for _, s := range p.Sources {
		var err error
		switch {
		case s.ConfigMap != nil:
			err = r.configMap(ctx, c, pod.Namespace, s.ConfigMap, mode(p.DefaultMode))
		case s.Secret != nil:
			c.Secret = true
			err = r.secret(ctx, c, pod.Namespace, s.Secret, mode(p.DefaultMode))
		case s.DownwardAPI != nil:
			err = r.downward(c, pod, s.DownwardAPI.Items, mode(p.DefaultMode))
		case s.ServiceAccountToken != nil:
			c.Secret = true
			err = r.token(ctx, c, pod, s.ServiceAccountToken, mode(p.DefaultMode))
		default:
			err = fault.New(fault.Invalid, "node.volume", "the local node knows no such projected source").
				WithHint("use configMap, secret, downwardAPI or serviceAccountToken")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r Reader) configMap(ctx context.Context, c *Content, namespace string, p *v1.ConfigMapProjection, m fs.FileMode) error {
	object, err := r.Objects.ConfigMap(ctx, namespace, p.Name)
	if missing(err) && p.Optional != nil && *p.Optional {
		return nil
	}
	if err != nil {
		return err
	}
	data := map[string][]byte{}
	for k, v := range object.Data {
		data[k] = []byte(v)
	}
	for k, v := range object.BinaryData {
		data[k] = v
	}
	return c.add("ConfigMap "+p.Name, data, p.Items, p.Optional, m)
}

func (r Reader) secret(ctx context.Context, c *Content, namespace string, p *v1.SecretProjection, m fs.FileMode) error {
	object, err := r.Objects.Secret(ctx, namespace, p.Name)
	if missing(err) && p.Optional != nil && *p.Optional {
		return nil
	}
	if err != nil {
		return err
	}
	return c.add("Secret "+p.Name, object.Data, p.Items, p.Optional, m)
}

func missing(err error) bool { return apierrors.IsNotFound(err) || fault.Is(err, fault.NotFound) }

// add takes over all keys, or the items under their own paths and modes.
func (c *Content) add(what string, data map[string][]byte, items []v1.KeyToPath, optional *bool, m fs.FileMode) error {
	if len(items) == 0 {
		for key, value := range data {
			c.Files[key] = File{Data: value, Mode: m}
		}
		return nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if optional != nil && *optional {
				continue
			}
			return fault.New(fault.NotFound, "node.volume", "%s has no key %q", what, item.Key)
		}
		own := m
		if item.Mode != nil {
			own = mode(item.Mode)
		}
		c.Files[item.Path] = File{Data: value, Mode: own}
	}
	return nil
}

func (r Reader) downward(c *Content, pod *v1.Pod, items []v1.DownwardAPIVolumeFile, m fs.FileMode) error {
	for _, item := range items {
		var text string
		var err error
		switch {
		case item.FieldRef != nil:
			text, err = r.Facts.Field(pod, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			text, err = r.Facts.Resource(pod, nil, item.ResourceFieldRef)
		}
		if err != nil {
			return err
		}
		own := m
		if item.Mode != nil {
			own = mode(item.Mode)
		}
		c.Files[item.Path] = File{Data: []byte(text), Mode: own}
	}
	return nil
}

func (r Reader) token(ctx context.Context, c *Content, pod *v1.Pod, p *v1.ServiceAccountTokenProjection, m fs.FileMode) error {
	seconds := int64(tokenLifetime)
	if p.ExpirationSeconds != nil {
		seconds = *p.ExpirationSeconds
	}
	token, expires, err := r.Objects.Token(ctx, pod, p.Audience, seconds)
	if err != nil {
		return err
	}
	c.Files[p.Path] = File{Data: []byte(token), Mode: m}
	// As the kubelet: after 80 % of the lifetime, and daily.
	refresh := r.Now().Add(min(expires.Sub(r.Now())*4/5, 24*time.Hour))
	if c.RefreshAt.IsZero() || refresh.Before(c.RefreshAt) {
		c.RefreshAt = refresh
	}
	return nil
}
