# SPDX-License-Identifier: Apache-2.0
"""Asks the kernel for what containers must not get, and leaves notes in what the kernel keeps."""
import ctypes
import os
import socket

libc = ctypes.CDLL(None, use_errno=True)
SYSCALLS = {  # numbers on x86_64 and aarch64
    "x86_64": {"add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298, "open_by_handle_at": 304},
    "aarch64": {"add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241, "open_by_handle_at": 265},
}.get(os.uname().machine, {})
KEY = b"fathom-note"
SESSION_KEYRING, USER_KEYRING, USER_SESSION_KEYRING = -3, -4, -5
SEGMENT = 0x46544D


def call(name: str, *arguments) -> int:
    if name not in SYSCALLS:
        return -1
    return libc.syscall(SYSCALLS[name], *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))


def powers(findings) -> None:
    """Tries what only a privileged process may do."""
    child = os.fork()
    if child == 0:  # what succeeds must not change the attack itself
        done = []
        attempts = {
            "mount": lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
            "umount": lambda: libc.umount2(b"/sys/fs/cgroup", 2),
            "chroot": lambda: libc.chroot(b"/tmp"),
            "setuid": lambda: libc.setuid(0),
            "sethostname": lambda: libc.sethostname(b"x", 1),
            "setns": lambda: libc.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0),
            "swapon": lambda: libc.swapon(b"/tmp/note", 0),
            "bpf": lambda: call("bpf", 0, None, 0),
            "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) and 0,
            "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW) and 0,
            "host vsock": lambda: vsock(),
        }
        for name, attempt in attempts.items():
            try:
                if attempt() == 0:
                    done.append(name)
            except OSError:
                pass
        os.write(pipe[1], " ".join(done).encode())
        os._exit(0)


def vsock() -> int:
    """Whoever answers on the machine's side of a virtual machine's socket."""
    s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    s.settimeout(1)
    return s.connect_ex((2, 1024))


pipe = os.pipe()


def collect_powers(findings) -> None:
    os.wait()
    os.close(pipe[1])
    for name in os.read(pipe[0], 4096).decode().split():
        findings.note("powers", name, "done")


def own_keyring() -> None:
    """Makes what lies in the user's keyring this process's own to read."""
    for ring in (USER_KEYRING, USER_SESSION_KEYRING):
        call("keyctl", 8, ring, SESSION_KEYRING)


def leave(note: bytes) -> None:
    """Puts the note where a neighbour might see it."""
    own_keyring()
    for ring in (USER_KEYRING, USER_SESSION_KEYRING, call("keyctl", 22, -1, USER_KEYRING)):
        call("add_key", b"user", KEY, note, len(note), ring)
    segment = libc.shmget(SEGMENT, 4096, 0o1666)
    if segment >= 0:
        libc.shmat.restype = ctypes.c_void_p
        address = libc.shmat(segment, None, 0)
        if address and address != ctypes.c_void_p(-1).value:
            if not ctypes.string_at(address, 8).strip(b"\0"):
                ctypes.memmove(address, note + b"\0", len(note) + 1)
    for name in ("\0fathom-note", "\0note"):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            s.bind(name)
            held.append(s)
        except OSError:
            pass


held = []


def look(findings) -> None:
    """Reads what neighbours put there. The note of one who came first is not overwritten: it is read before."""
    own_keyring()
    buffer = ctypes.create_string_buffer(4096)
    persistent = call("keyctl", 22, -1, USER_KEYRING)
    for ring in (USER_KEYRING, USER_SESSION_KEYRING, persistent):
        serial = call("keyctl", 10, ring, b"user", KEY, 0)
        if serial > 0 and call("keyctl", 11, serial, buffer, 4096) > 0:
            findings.scan("keyring", buffer.raw)
    segment = libc.shmget(SEGMENT, 4096, 0)
    if segment >= 0:
        address = libc.shmat(segment, None, 0)
        if address and address != ctypes.c_void_p(-1).value:
            findings.scan("shared memory", ctypes.string_at(address, 4096))
    try:
        with open("/proc/net/unix", "rb") as f:
            names = f.read()
        if names.count(b"@fathom-note") > 1:
            findings.note("powers", "shared unix sockets", "seen")
    except OSError:
        pass
