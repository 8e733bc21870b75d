// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"fathom.dev/fathom/internal/node/isolation"
	"fathom.dev/fathom/internal/node/network"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// cpuPeriod is the length of a CFS period, in microseconds.
const cpuPeriod = 100_000

// writeBundle prepares the directory from which runc starts a container.
func (p *pod) writeBundle(c isolation.Container) (string, error) {
	bundle := filepath.Join(c.Dir, "bundle")
	root := filepath.Join(bundle, "rootfs")
	if err := os.MkdirAll(root, 0o755); err != nil { //nolint:gosec // the container's root
		return "", err
	}
	if c.Root != "" {
		if err := overlay(c, root); err != nil {
			return "", err
		}
	}
	mounts, err := p.mounts(root, c)
	if err != nil {
		return "", err
	}
	spec := p.spec(c)
	spec.Mounts = append(kernelMounts(c.Limits), mounts...)
	raw, err := json.Marshal(spec)
	if err != nil {
		return "", err
	}
	return bundle, os.WriteFile(filepath.Join(bundle, "config.json"), raw, 0o600)
}

func (p *pod) mounts(root string, c isolation.Container) ([]specs.Mount, error) {
	var mounts []specs.Mount
	if c.Root == "" {
		var err error
		if mounts, err = p.runtime.rootfs(root, c); err != nil {
			return nil, err
		}
	}
	tmp := filepath.Join(c.Dir, "tmp")
	if err := os.Mkdir(tmp, 0o777); err != nil && !os.IsExist(err) { //nolint:gosec // the container's /tmp
		return nil, err
	}
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil { //nolint:gosec // the container's /tmp
		return nil, err
	}
	mounts = append(mounts, bind(tmp, "/tmp", false), bind(tmp, "/var/tmp", false))
	for _, name := range []string{"hosts", "resolv.conf", "hostname"} {
		mounts = append(mounts, bind(filepath.Join(p.etc, name), "/etc/"+name, true))
	}
	if c.Root == "" && (c.User.UID != 65532 || c.User.GID != 65532) {
		file := filepath.Join(c.Dir, "passwd")
		if err := os.WriteFile(file, []byte(passwd(c.User)), 0o644); err != nil { //nolint:gosec // read by the container
			return nil, err
		}
		mounts = append(mounts, bind(file, "/etc/passwd", true))
	}
	if p.runtime.options.BinDir != "" {
		mounts = append(mounts, bind(p.runtime.options.BinDir, isolation.BinPath, true))
	}
	if c.Environment != "" {
		mounts = append(mounts, bind(c.Environment, isolation.EnvironmentPath, true))
	}
	own := make([]specs.Mount, 0, len(c.Mounts))
	for _, m := range c.Mounts {
		own = append(own, bind(m.Source, m.Target, m.ReadOnly))
	}
	sort.SliceStable(own, func(i, j int) bool { return len(own[i].Destination) < len(own[j].Destination) })
	return append(mounts, own...), nil
}

func kernelMounts(l isolation.Limits) []specs.Mount {
	shm := []string{"nosuid", "noexec", "nodev", "mode=1777"}
	if l.Memory > 0 {
		shm = append(shm, "size="+strconv.FormatInt(l.Memory, 10))
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: shm},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	}
}

func (p *pod) spec(c isolation.Container) *specs.Spec {
	cwd := c.WorkingDir
	if cwd == "" {
		cwd = "/"
	}
	return &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: "rootfs", Readonly: c.Root == "" || c.ReadOnly},
		Process: p.process(c, c.Args, cwd),
		Linux: &specs.Linux{
			CgroupsPath: p.runtime.cgroupPath(p.config.ID, c.ID),
			Resources:   resources(c.Limits),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace},
				{Type: specs.NetworkNamespace, Path: network.Path(p.ns.Net)},
				{Type: specs.IPCNamespace, Path: network.Path(p.ns.IPC)},
				{Type: specs.UTSNamespace, Path: network.Path(p.ns.UTS)},
			},
			MaskedPaths: []string{
				"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
				"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
				"/sys/devices/virtual/powercap", "/sys/fs/cgroup", "/sys/block",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// process describes a program of the container: its own, or one that Exec adds.
func (p *pod) process(c isolation.Container, args []string, cwd string) *specs.Process {
	score := 500
	return &specs.Process{
		Args: args, Cwd: cwd, Env: p.env(c),
		User:            specs.User{UID: c.User.UID, GID: c.User.GID, AdditionalGids: c.User.Groups},
		Capabilities:    &specs.LinuxCapabilities{},
		NoNewPrivileges: true,
		OOMScoreAdj:     &score,
		Rlimits: []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: openFiles(), Hard: openFiles()},
			{Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
		},
	}
}

// openFiles is as many as this process may grant, up to 65536.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return min(limit.Max, 65536)
}

// env adds what every program may expect, where the pod does not set it.
func (p *pod) env(c isolation.Container) []string {
	path, ok := isolation.Lookup(c.Env, "PATH")
	if !ok {
		path = defaultPath
		if prefix := p.runtime.options.PythonPrefix; c.Root == "" && prefix != "" && !inSystemDirs(prefix) {
			path += ":" + filepath.Join(prefix, "bin")
		}
	}
	env := append([]string{"HOME=/tmp", "HOSTNAME=" + p.config.Hostname, "FATHOM_ISOLATION=" + string(isolation.LevelSandbox)}, c.Env...)
	if c.Environment != "" {
		path = isolation.EnvironmentPath + "/bin:" + path
		env = append(env, "VIRTUAL_ENV="+isolation.EnvironmentPath)
	}
	return append(env, "PATH="+path)
}

func resources(l isolation.Limits) *specs.LinuxResources {
	r := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	if l.Memory > 0 {
		r.Memory = &specs.LinuxMemory{Limit: &l.Memory}
	}
	if l.Processes > 0 {
		r.Pids = &specs.LinuxPids{Limit: &l.Processes}
	}
	shares := uint64(max(2, l.CPURequest*1024/1000)) //nolint:gosec // never negative
	r.CPU = &specs.LinuxCPU{Shares: &shares}
	if l.CPULimit > 0 {
		period := uint64(cpuPeriod)
		quota := max(1000, l.CPULimit*cpuPeriod/1000)
		r.CPU.Period, r.CPU.Quota = &period, &quota
	}
	return r
}
