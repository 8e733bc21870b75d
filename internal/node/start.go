// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/image"
	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/logs"
)

// prepare opens the sandbox (unless it is open), behind the rules that are for the pod, and fills the volumes, side by side.
func (n *Node) prepare(ctx context.Context, pod *v1.Pod, dir string, sandbox isolation.Pod) preparation {
	p := preparation{sandbox: sandbox}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.err = fault.Wrap(fault.Internal, "node", err)
		return p
	}
	var work errgroup.Group
	work.Go(func() (err error) {
		caughtUp := make(chan error, 1)
		go func() { caughtUp <- n.enforcer.catchUp(ctx, pod) }()
		if p.sandbox == nil {
			if p.sandbox, err = n.runtime.Open(ctx, podConfig(pod, dir)); err != nil {
				return err
			}
		}
		if err := <-caughtUp; err != nil {
			return err
		}
		return n.enforcer.cover(ctx, pod, p.sandbox.Address())
	})
	work.Go(func() (err error) {
		p.volumes, p.refreshAt, err = n.fillVolumes(ctx, pod, dir)
		return err
	})
	p.err = work.Wait()
	return p
}

func podConfig(pod *v1.Pod, dir string) isolation.PodConfig {
	c := isolation.PodConfig{ID: string(pod.UID), Dir: dir, Hostname: hostname(pod), Namespace: pod.Namespace, Subdomain: pod.Spec.Subdomain}
	for _, h := range pod.Spec.HostAliases {
		c.Hosts = append(c.Hosts, isolation.HostAlias{Address: h.IP, Names: h.Hostnames})
	}
	c.Names = namesOf(&pod.Spec)
	return c
}

func namesOf(s *v1.PodSpec) isolation.Names {
	n := isolation.Names{Only: s.DNSPolicy == v1.DNSNone}
	if s.DNSConfig == nil {
		return n
	}
	n.Servers, n.Searches = s.DNSConfig.Nameservers, s.DNSConfig.Searches
	for _, o := range s.DNSConfig.Options {
		text := o.Name
		if o.Value != nil {
			text += ":" + *o.Value
		}
		n.Options = append(n.Options, text)
	}
	return n
}

func hostname(pod *v1.Pod) string {
	name := pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	return strings.TrimRight(name[:min(len(name), 63)], "-.")
}

// starter holds what one attempt to start a container needs, apart from the worker's own state.
type starter struct {
	node    *Node
	pod     *v1.Pod
	sandbox isolation.Pod
	volumes map[string]filled
	spec    *v1.Container
	image   *image.Image // nil: the host's programs
	id      string
	dir     string
	log     string
}

// terminationPath is where the container finds its termination file.
func (s starter) terminationPath() string {
	if path := s.spec.TerminationMessagePath; path != "" {
		return path
	}
	return v1.TerminationMessagePathDefault
}

func (s starter) terminationFile() string { return filepath.Join(s.dir, "termination") }

// start resolves everything that the container refers to and runs it.
func (s starter) start(ctx context.Context) (isolation.Process, error) {
	pod := s.pod.DeepCopy()
	pod.Status.PodIP, pod.Status.HostIP = s.sandbox.Address().String(), s.node.hostAddress().String()
	v := variables{objects: s.node.objects, facts: s.node.facts, pod: pod}
	spec, base := s.withImage(append(s.node.serviceEnv(), "FATHOM_TERMINATION_LOG="+s.terminationPath()))
	env, args, err := v.resolve(ctx, spec, base)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, fault.New(fault.Invalid, "node", "container %s has neither command nor args, and image %s none of its own", s.spec.Name, s.spec.Image)
	}
	environment, err := s.node.environmentDir(pod)
	if err != nil {
		return nil, err
	}
	if err := s.makeFiles(); err != nil {
		return nil, fault.Wrap(fault.Internal, "node", err)
	}
	mounts, release, err := s.mounts(v.values)
	defer release()
	if err != nil {
		return nil, err
	}
	user, err := s.user(pod)
	if err != nil {
		return nil, err
	}
	root, readOnly := s.imageRoot()
	return s.sandbox.Start(ctx, isolation.Container{
		ID: s.id, Dir: s.dir, Args: args, Env: env, WorkingDir: spec.WorkingDir, Environment: environment, Mounts: mounts,
		Root: root, ReadOnly: readOnly, User: user, Limits: limitsOf(s.spec),
		Log: s.log,
	})
}

func (s starter) makeFiles() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil { //nolint:gosec // the parents are closed
		return err
	}
	if err := os.WriteFile(s.terminationFile(), nil, 0o666); err != nil { //nolint:gosec // written by the container
		return err
	}
	return os.Chmod(s.terminationFile(), 0o666) //nolint:gosec // written by the container
}

// mounts lists what the container sees of its volumes; release lets go of what keeps the sources in place until the
// container has started.
func (s starter) mounts(values map[string]string) (mounts []isolation.Mount, release func(), err error) {
	var held []io.Closer
	release = func() {
		for _, h := range held {
			_ = h.Close()
		}
	}
	mounts = []isolation.Mount{{Source: s.terminationFile(), Target: s.terminationPath()}}
	for _, m := range s.spec.VolumeMounts {
		v, ok := s.volumes[m.Name]
		dir := v.dir
		if !ok {
			return nil, release, fault.New(fault.Invalid, "node", "container %s mounts the unknown volume %q", s.spec.Name, m.Name)
		}
		sub := m.SubPath
		if m.SubPathExpr != "" {
			sub = expand(m.SubPathExpr, values)
		}
		var opened *os.File
		if sub != "" {
			if opened, err = subPath(dir, sub); err != nil {
				return nil, release, fault.Wrap(fault.Invalid, "node: subPath "+sub, err)
			}
			dir, held = filepath.Join(dir, sub), append(held, opened)
		}
		mounts = append(mounts, isolation.Mount{Source: dir, Target: filepath.Clean(m.MountPath), ReadOnly: m.ReadOnly || v.readOnly, Opened: opened})
	}
	return mounts, release, nil
}

// subPath opens a path inside of a volume; links that the pod's containers have put there lead no further than the
// volume. A missing path becomes a directory.
func subPath(dir, sub string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	if _, err := root.Stat(sub); errors.Is(err, fs.ErrNotExist) {
		if err := errors.Join(root.MkdirAll(sub, 0o777), root.Chmod(sub, 0o777)); err != nil {
			return nil, err
		}
	}
	return root.OpenFile(sub, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block
}

var environmentDigest = regexp.MustCompile(`^sha256:([0-9a-f]{64})$`)

// environmentDir is the host directory of the environment that the pod's annotation names; "" without one.
func (n *Node) environmentDir(pod *v1.Pod) (string, error) {
	value := pod.Annotations[EnvironmentAnnotation]
	if value == "" {
		return "", nil
	}
	match := environmentDigest.FindStringSubmatch(value)
	if match == nil {
		return "", fault.New(fault.Invalid, "node", "annotation %s: %q is not sha256:<64 hex digits>", EnvironmentAnnotation, value)
	}
	dir := filepath.Join(n.options.EnvDir, match[1])
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fault.New(fault.NotFound, "node", "environment %s is not built on this node", value)
	}
	return dir, nil
}

const (
	maxTerminationMessage = 4096
	fallbackLines         = 80
	fallbackBytes         = 2048
)

// terminationMessage is what the container wrote into its termination file, or the end of its log if it asks for that.
func (s starter) terminationMessage(code int) string {
	if text := endOf(s.terminationFile(), maxTerminationMessage); text != "" {
		return text
	}
	if code != 0 && s.spec.TerminationMessagePolicy == v1.TerminationMessageFallbackToLogsOnError {
		return logs.TailText(s.log, fallbackLines, fallbackBytes)
	}
	return ""
}

// endOf reads at most the last limit bytes of a file, however large a container has made it.
func endOf(path string, limit int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-limit), limit))
	if err != nil {
		return ""
	}
	return string(raw)
}

// serviceEnv tells programs where the Kubernetes API is.
func (n *Node) serviceEnv() []string {
	host, port, ok := n.kubernetesAddress()
	if !ok {
		return nil
	}
	return []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + strconv.Itoa(port), "KUBERNETES_SERVICE_PORT_HTTPS=" + strconv.Itoa(port)}
}
