# SPDX-License-Identifier: Apache-2.0
"""Searches everything that the file system shows."""
import hashlib
import os
import stat
import time

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ssl", "/etc/ca-certificates", "/fathom/bin", "/fathom/env")
KERNEL = ("/proc", "/sys", "/dev")
OWN = ("/fathom/code",)
DATA = (".parquet", ".csv", ".onnx", ".dcm", ".ndjson", ".db", ".sqlite", ".jsonl", ".avro")
KEYS = (b"PRIVATE KEY", b"client-key-data", b"kind: Config", b"aws_secret_access_key")
KEY_FILES = (".pem", ".key", ".crt", ".kubeconfig", ".p12", "kubeconfig", "id_rsa", "id_ed25519", "credentials", "token")


def below(path: str, roots) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)


def walk(findings, deadline: float, python: str) -> None:
    """Reads every file that it can, except the host's programs, of which it reads what looks like keys or data."""
    system = SYSTEM + ((python,) if python not in ("/", "/usr", "/usr/local") else ())
    seen = 0
    for root, folders, files in os.walk("/", onerror=lambda e: None):
        folders[:] = [f for f in folders if not below(os.path.join(root, f), KERNEL + OWN)]
        for name in files:
            path = os.path.join(root, name)
            if time.monotonic() > deadline:
                findings.note("disk", "unfinished", root)
                return
            seen += 1
            look(findings, path, below(path, system))
    findings.note("disk", "files", seen)


def look(findings, path: str, system: bool) -> None:
    name = os.path.basename(path)
    interesting = name.endswith(DATA + KEY_FILES)
    if system and not interesting:
        return
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return
        with open(path, "rb") as f:
            content = f.read(1 << 20)
    except OSError:
        return
    findings.scan("disk:" + path, content)
    if any(key in content for key in KEYS) or name.endswith(KEY_FILES):
        findings.note("keys", path, hashlib.sha256(content).hexdigest())
    kind = magic(content) or (name.endswith(DATA) and not system and "name")
    if kind:
        findings.note("data", path, kind)


def magic(content: bytes) -> str:
    if content.startswith(b"PAR1"):
        return "parquet"
    if content.startswith(b"SQLite format 3"):
        return "sqlite"
    if content[128:132] == b"DICM":
        return "dicom"
    return ""


def places(findings, paths) -> None:
    """Tries paths that it was told of, also through other processes' eyes."""
    prefixes = ["", "/proc/1/root", "/proc/self/root", "/proc/1/cwd/../../../..", "/proc/self/cwd/../../../.."]
    for path in paths:
        for prefix in prefixes:
            full = prefix + path
            if os.path.lexists(full):
                findings.note("state", full, "exists")
            try:
                findings.note("state", full, "listed " + " ".join(os.listdir(full))[:200])
            except OSError:
                pass
            try:
                with open(full, "rb") as f:
                    findings.scan("state:" + full, f.read(1 << 20))
                findings.note("state", full, "read")
            except OSError:
                pass


def processes(findings) -> None:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for file in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{file}", "rb") as f:
                    content = f.read(1 << 16)
            except OSError:
                continue
            findings.scan(f"proc:{file}", content)
            if file == "cmdline":
                findings.note("processes", pid, content.replace(b"\0", b" ").decode(errors="replace")[:200])
    for file in ("/proc/keys", "/proc/kcore", "/proc/locks", "/proc/mounts", "/proc/net/tcp", "/proc/net/unix", "/proc/sysvipc/shm", "/proc/timer_list"):
        try:
            with open(file, "rb") as f:
                findings.scan("proc:" + file, f.read(1 << 20))
        except OSError:
            pass


def writable(findings, note: bytes) -> None:
    """Leaves a note wherever it may write."""
    tried = {"/", "/dev", "/dev/mqueue", "/proc/sys/kernel", "/proc/sys/net/ipv4", "/sys", "/sys/fs/cgroup", "/sys/kernel", "/run/lock", "/var/lib", "/etc/ssl"}
    for root, folders, _ in os.walk("/"):
        depth = root.count("/")
        folders[:] = [f for f in folders if depth < 3 and not below(os.path.join(root, f), ("/proc", "/sys", "/usr"))]
        tried.add(root)
    for folder in sorted(tried | {"/usr", "/usr/bin", "/usr/lib"}):
        path = os.path.join(folder, "note")
        try:
            with open(path, "wb") as f:
                f.write(note)
            findings.note("writable", folder, "file")
        except OSError:
            pass


def devices(findings) -> None:
    for root, _, files in os.walk("/dev"):
        for name in files:
            path = os.path.join(root, name)
            try:
                mode = os.stat(path).st_mode
            except OSError:
                continue
            if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                findings.note("devices", path, "block" if stat.S_ISBLK(mode) else "character")
    for major, minor in ((1, 1), (8, 0), (252, 0), (254, 0), (259, 0)):
        try:
            os.mknod(f"/tmp/device-{major}-{minor}", stat.S_IFBLK | 0o600, os.makedev(major, minor))
            findings.note("devices", f"made {major}:{minor}", "block")
        except OSError:
            pass
