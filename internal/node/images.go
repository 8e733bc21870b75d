// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/image"
	"fathom.dev/fathom/internal/node/isolation"
)

// unusedImages stay for so long.
const unusedImages = 7 * 24 * time.Hour

// openImages makes the store of images. Plain processes have no root of their own, hence no images.
func (n *Node) openImages() error {
	if n.runtime.Level() != isolation.LevelSandbox {
		return nil
	}
	o := n.options.Images
	o.Dir, o.Logger, o.Now = filepath.Join(n.options.Dir, "images"), n.options.Logger, n.options.Now
	var err error
	if n.images, err = image.Open(o); err != nil {
		return err
	}
	if len(n.runtime.Kept()) > 0 {
		return nil // pods of a former run use images; a later start sweeps
	}
	return n.images.Sweep(unusedImages, nil) // nothing runs yet
}

// pulling is a container's way to its image.
type pulling struct {
	image   *image.Image // nil until it is here, for the attempt that is about to start
	id      string       // of the image that the last attempt ran
	busy    bool
	backAt  time.Time // from when on a failed pull shows as waiting for the next
	retryAt time.Time
	backoff time.Duration
	reason  string // why the last pull failed
}

// wake tells when the pull changes by itself.
func (p *pulling) wake(at func(time.Time), now time.Time) {
	for _, t := range []time.Time{p.backAt, p.retryAt} {
		if t.After(now) {
			at(t)
		}
	}
}

// pulled tells whether the container's image is here, and sees to it otherwise. Failed pulls are tried again after 10 s, 20 s… up
// to 5 min, as a kubelet does.
func (w *worker) pulled(c *container, now time.Time) bool {
	switch {
	case isHostImage(c.spec.Image):
		c.pull.id = HostImage
		return true
	case c.pull.image != nil:
		return true
	case c.pull.busy:
		return false
	case now.Before(c.pull.backAt):
		return false
	case now.Before(c.pull.retryAt):
		c.waiting = &v1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: fmt.Sprintf(
			"Back-off %s pulling image %q: %s", c.pull.retryAt.Sub(now).Round(time.Second), c.spec.Image, c.pull.reason)}
		return false
	}
	c.pull.busy, c.waiting = true, nil
	w.node.event(w.pod, v1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", c.spec.Image))
	pod, spec := w.pod, c.spec
	go func() {
		found, err := w.node.getImage(w.background, pod, spec)
		w.send(func() { w.pullEnded(c, found, err) })
	}()
	return false
}

func (w *worker) pullEnded(c *container, found image.Image, err error) {
	now := w.node.now()
	c.pull.busy = false
	if err == nil {
		c.pull.image, c.pull.id = &found, found.ID
		c.pull.backoff, c.pull.backAt, c.pull.retryAt, c.waiting = 0, time.Time{}, time.Time{}, nil
		w.node.event(w.pod, v1.EventTypeNormal, "Pulled", fmt.Sprintf("Image %q is here as %s", c.spec.Image, found.ID))
		return
	}
	c.pull.backoff = min(max(2*c.pull.backoff, firstBackoff), maxBackoff)
	c.pull.backAt, c.pull.retryAt, c.pull.reason = now.Add(c.pull.backoff/4), now.Add(c.pull.backoff), err.Error()
	reason := "ErrImagePull"
	var never *image.NeverError
	if errors.As(err, &never) {
		reason = "ErrImageNeverPull"
	}
	c.waiting = &v1.ContainerStateWaiting{Reason: reason, Message: err.Error()}
	w.node.event(w.pod, v1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %v", c.spec.Image, err))
}

// getImage asks the store as the pod may.
func (n *Node) getImage(ctx context.Context, pod *v1.Pod, spec *v1.Container) (image.Image, error) {
	if n.images == nil {
		return image.Image{}, fault.New(fault.Unavailable, "image", "%q needs a root file system of its own, which plain processes do not have", spec.Image).
			WithHint("start Fathom as root, for isolation sandbox, or use image %q (this machine's programs)", HostImage)
	}
	if pod.Annotations[EnvironmentAnnotation] != "" {
		return image.Image{}, fault.New(fault.Invalid, "image", "%q: environments are made for this machine's programs, image %q; an image brings its own", spec.Image, HostImage)
	}
	credentials, err := n.pullSecrets(ctx, pod)
	if err != nil {
		return image.Image{}, err
	}
	return n.images.Get(ctx, image.Request{Image: spec.Image, Namespace: pod.Namespace, Policy: image.Policy(spec.ImagePullPolicy), Credentials: credentials})
}

// pullSecrets reads the pod's credentials for registries; a Secret that is not there is passed over, as a kubelet does.
func (n *Node) pullSecrets(ctx context.Context, pod *v1.Pod) (map[string]image.Credential, error) {
	found := map[string]image.Credential{}
	for _, reference := range pod.Spec.ImagePullSecrets {
		secret, err := n.objects.Secret(ctx, pod.Namespace, reference.Name)
		if apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, fault.Wrap(fault.Unavailable, "image: secret "+reference.Name, err)
		}
		if err := readCredentials(secret, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// readCredentials reads what `kubectl create secret docker-registry` writes.
func readCredentials(secret *v1.Secret, into map[string]image.Credential) error {
	var config struct {
		Auths map[string]struct{ Username, Password, Auth string } `json:"auths"`
	}
	if err := json.Unmarshal(secret.Data[v1.DockerConfigJsonKey], &config); err != nil {
		return fault.New(fault.Invalid, "image", "secret %s is no pull secret: its key %s is missing or no JSON", secret.Name, v1.DockerConfigJsonKey)
	}
	for host, a := range config.Auths {
		if text, err := base64.StdEncoding.DecodeString(a.Auth); err == nil && a.Username == "" {
			a.Username, a.Password, _ = strings.Cut(string(text), ":")
		}
		host = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://"), "/")
		into[host] = image.Credential{User: a.Username, Password: a.Password}
	}
	return nil
}

// withImage fills in what the container leaves to its image: program, arguments, working directory, and variables below its own.
func (s starter) withImage(base []string) (*v1.Container, []string) {
	if s.image == nil {
		return s.spec, base
	}
	spec, config := s.spec.DeepCopy(), s.image.Config
	if len(spec.Command) == 0 {
		spec.Command = literally(config.Entrypoint)
		if len(spec.Args) == 0 {
			spec.Args = literally(config.Cmd)
		}
	}
	if spec.WorkingDir == "" {
		spec.WorkingDir = config.WorkingDir
	}
	env := append([]string(nil), config.Env...)
	if user, said, err := s.image.User(); err == nil && said && user.Home != "" {
		env = append([]string{"HOME=" + user.Home}, env...)
	}
	return spec, append(env, base...)
}

// literally keeps an image's arguments from being expanded: only the pod's are.
func literally(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = strings.ReplaceAll(a, "$", "$$")
	}
	return out
}

// user is who the container runs as: as the pod says, else as its image says unless that is root, else somebody of its own.
func (s starter) user(pod *v1.Pod) (isolation.User, error) {
	user := runAs(pod.Spec.SecurityContext, s.spec.SecurityContext)
	if user.UID != unprivileged {
		return user, nil
	}
	user.UID = ownUser(pod)
	if s.image == nil {
		return user, nil
	}
	own, said, err := s.image.User()
	if err != nil || !said || own.UID == 0 {
		return user, err
	}
	user.UID = own.UID
	if own.Group && user.GID == unprivileged {
		user.GID = own.GID
	}
	return user, nil
}

// imageRoot is the folder that the container sees as "/", and whether it may write there.
func (s starter) imageRoot() (root string, readOnly bool) {
	if s.image == nil {
		return "", true
	}
	c := s.spec.SecurityContext
	return s.image.Root, c != nil && c.ReadOnlyRootFilesystem != nil && *c.ReadOnlyRootFilesystem
}
