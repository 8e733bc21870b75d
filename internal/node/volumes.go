// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/claims"
	"fathom.dev/fathom/internal/node/volume"
)

// filled is a volume that is ready to be mounted.
type filled struct {
	dir      string
	readOnly bool
	// refreshAt is when a token in it should be replaced; zero for never.
	refreshAt time.Time
}

// fillVolumes makes the directories of all volumes; called again, it brings their content up to date.
func (n *Node) fillVolumes(ctx context.Context, pod *v1.Pod, dir string) (volumes map[string]filled, refreshAt time.Time, err error) {
	results := make([]filled, len(pod.Spec.Volumes))
	work, ctx := errgroup.WithContext(ctx)
	for i, v := range pod.Spec.Volumes {
		work.Go(func() (err error) {
			results[i], err = n.fillVolume(ctx, pod, dir, v)
			return fault.Wrap(fault.Unavailable, "volume "+v.Name, err)
		})
	}
	if err := work.Wait(); err != nil {
		return nil, time.Time{}, err
	}
	volumes = map[string]filled{}
	for i, v := range pod.Spec.Volumes {
		volumes[v.Name] = results[i]
		if at := results[i].refreshAt; !at.IsZero() && (refreshAt.IsZero() || at.Before(refreshAt)) {
			refreshAt = at
		}
	}
	return volumes, refreshAt, nil
}

func (n *Node) fillVolume(ctx context.Context, pod *v1.Pod, dir string, v v1.Volume) (filled, error) {
	path, secret := filepath.Join(dir, "volumes", v.Name), filepath.Join(n.secretDir(string(pod.UID)), v.Name)
	if claim, readOnly := claimOf(pod, v); claim != "" {
		path, err := n.claimed(ctx, pod, claim)
		return filled{dir: path, readOnly: readOnly}, err
	}
	if v.EmptyDir != nil {
		if v.EmptyDir.Medium == v1.StorageMediumMemory {
			path = secret
		}
		return filled{dir: path}, emptyDir(path, pod)
	}
	reader := volume.Reader{Objects: n.objects, Facts: n.facts, Now: n.now}
	content, ok, err := reader.Read(ctx, pod, v)
	if err != nil || !ok {
		return filled{}, err
	}
	if content.Secret {
		path = secret
	}
	return filled{dir: path, refreshAt: content.RefreshAt}, volume.Write(path, content.Files, fsGroup(pod))
}

// claimOf names the claim behind a volume; "" when there is none.
func claimOf(pod *v1.Pod, v v1.Volume) (name string, readOnly bool) {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName, v.PersistentVolumeClaim.ReadOnly
	case v.Ephemeral != nil:
		return pod.Name + "-" + v.Name, false
	}
	return "", false
}

func hasClaim(pod *v1.Pod) bool {
	for _, v := range pod.Spec.Volumes {
		if name, _ := claimOf(pod, v); name != "" {
			return true
		}
	}
	return false
}

// claimed is the directory of the volume that a claim is bound to.
func (n *Node) claimed(ctx context.Context, pod *v1.Pod, name string) (string, error) {
	claim, err := n.objects.Claim(ctx, pod.Namespace, name)
	if err != nil {
		return "", err
	}
	if claim.Spec.VolumeName == "" || claim.Status.Phase != v1.ClaimBound {
		return "", fault.New(fault.Unavailable, "node", "PersistentVolumeClaim %s is not bound yet", name).WithHint("kubectl describe pvc %s", name)
	}
	persistent, err := n.objects.Volume(ctx, claim.Spec.VolumeName)
	if err != nil {
		return "", err
	}
	if err := claims.Mine(claim, persistent); err != nil {
		return "", err
	}
	dir := claims.Directory(n.volumesDir(), persistent)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fault.New(fault.NotFound, "node", "the directory %s of PersistentVolume %s is gone: restore it from a backup", dir, persistent.Name)
	}
	return dir, ownBy(dir, pod)
}

func (n *Node) volumesDir() string { return filepath.Join(n.options.Dir, "volumes") }

// ownBy gives everything in a persistent volume to the pod's group, as a kubelet does, unless its policy is content with
// the root.
func ownBy(dir string, pod *v1.Pod) error {
	group := fsGroup(pod)
	if group < 0 || os.Geteuid() != 0 {
		return nil
	}
	if policy := pod.Spec.SecurityContext.FSGroupChangePolicy; policy != nil && *policy == v1.FSGroupChangeOnRootMismatch && belongs(dir, group) {
		return nil
	}
	root, err := os.OpenRoot(dir) // other pods may be at work in it: links that they make lead nowhere else
	if err != nil {
		return fault.Wrap(fault.Internal, "node: fsGroup", err)
	}
	defer func() { _ = root.Close() }()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o060
		if d.IsDir() {
			mode = info.Mode().Perm() | 0o070 | fs.ModeSetgid
		}
		return errors.Join(root.Lchown(path, -1, group), root.Chmod(path, mode))
	})
	return fault.Wrap(fault.Internal, "node: fsGroup", err)
}

func belongs(dir string, group int) bool {
	info, err := os.Stat(dir)
	if err != nil || info.Mode()&fs.ModeSetgid == 0 {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Gid) == group
}

// fsGroup is the group that owns the pod's volumes; -1 when it names none.
func fsGroup(pod *v1.Pod) int {
	if s := pod.Spec.SecurityContext; s != nil && s.FSGroup != nil {
		return int(*s.FSGroup)
	}
	return -1
}

// emptyDir makes a directory that the pod's user may write.
func emptyDir(path string, pod *v1.Pod) error {
	if err := os.MkdirAll(path, 0o777); err != nil { //nolint:gosec // as a kubelet's; the parents are closed
		return fault.Wrap(fault.Internal, "node: emptyDir", err)
	}
	mode := fs.FileMode(0o777)
	if group := fsGroup(pod); group >= 0 {
		mode |= fs.ModeSetgid
		_ = os.Chown(path, -1, group) // allowed to root only; the mode admits everybody
	}
	return fault.Wrap(fault.Internal, "node: emptyDir", os.Chmod(path, mode))
}
