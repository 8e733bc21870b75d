# SPDX-License-Identifier: Apache-2.0
"""Looks for whoever answers on the pods' own network and on loopback; it sends nothing anywhere else."""
import asyncio
import os
import socket
import threading

NOTE_PORT = 7777
NEIGHBOUR_PORTS = (NOTE_PORT, 22, 80, 443, 2379, 5000, 6443, 7443, 7444, 8000, 8080, 8443, 8888, 9000, 10250)


def own_address() -> str:
    """The address of eth0, from the kernel's table of local addresses."""
    with open("/proc/net/fib_trie", encoding="ascii") as f:
        lines = f.read().split("\n")
    for i, line in enumerate(lines):
        address = line.split()[-1] if line.split() else ""
        if "/32 host LOCAL" in (lines[i + 1] if i + 1 < len(lines) else "") and not address.startswith("127."):
            return address
    return "127.0.0.1"


class Listener:
    """Gives its note to whoever connects, and takes the notes that others bring."""

    def __init__(self, findings, note: bytes):
        self.findings, self.note = findings, note
        self.tcp = socket.create_server(("0.0.0.0", NOTE_PORT), backlog=64)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("0.0.0.0", NOTE_PORT))
        threading.Thread(target=self.serve, daemon=True).start()
        threading.Thread(target=self.receive, daemon=True).start()

    def serve(self) -> None:
        while True:
            connection, (address, _) = self.tcp.accept()
            try:
                connection.settimeout(2)
                connection.sendall(self.note)
                brought = connection.recv(4096)
                if address not in ("127.0.0.1", own_address()):
                    self.findings.note("neighbours", f"{address} came", "tcp")
                    self.findings.scan("tcp from " + address, brought)
            except OSError:
                pass
            finally:
                connection.close()

    def receive(self) -> None:
        while True:
            content, (address, _) = self.udp.recvfrom(4096)
            if address != own_address():
                self.findings.note("neighbours", f"{address} came", "udp")
                self.findings.scan("udp from " + address, content)


async def knock(gate, findings, host: str, port: int, note: bytes, kind: str) -> None:
    async with gate:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 0.7)
        except (OSError, asyncio.TimeoutError):
            return
        findings.note(kind, f"{host}:{port}", "open")
        try:
            writer.write(note)
            findings.scan(f"tcp at {host}:{port}", await asyncio.wait_for(reader.read(4096), 0.7))
        except (OSError, asyncio.TimeoutError):
            pass
        finally:
            writer.close()


async def scan(findings, note: bytes, ports) -> None:
    own = own_address()
    subnet = own.rpartition(".")[0]
    gateway = subnet + ".1"
    gate = asyncio.Semaphore(400)
    if subnet.startswith("127"):
        return
    knocks = [knock(gate, findings, gateway, p, note, "gateway") for p in ports]
    for last in range(2, 255):
        host = f"{subnet}.{last}"
        if host != own:
            knocks += [knock(gate, findings, host, p, note, "neighbours") for p in NEIGHBOUR_PORTS]
    await asyncio.gather(*knocks)


def look(findings, note: bytes, told: dict) -> None:
    ports = sorted({*range(1, 4096), *told["ports"], *(p for p in NEIGHBOUR_PORTS)})
    asyncio.run(scan(findings, note, ports))


def loopback(findings, told: dict) -> None:
    for port in (*told["ports"], 22, 2379, 2380, 6443, 10250, 10257, 10259):
        with socket.socket() as s:
            s.settimeout(0.5)
            if s.connect_ex(("127.0.0.1", port)) == 0:
                findings.note("loopback", str(port), "open")


def elsewhere(findings) -> None:
    """Addresses that would be of the cloud that the machine is in; there must be no way to them."""
    for host, port in (("169.254.169.254", 80), ("fd00:ec2::254", 80)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as s:
            s.settimeout(1)
            try:
                s.connect((host, port))
                findings.note("metadata", host, "open")
            except OSError as e:
                findings.note("metadata errors", host, str(e))


def names(findings, told: dict) -> None:
    for name in ("kubernetes.default.svc", "doors.fathom.internal", "s3.fathom.internal", "localhost", "metadata.google.internal", "host.docker.internal", os.uname().nodename,
                 *(f"{service}.{w}.svc.cluster.local" for w in told["workspaces"] for service in ("parkinsons", "endpoint"))):
        try:
            findings.note("names", name, socket.gethostbyname(name))
        except OSError:
            pass


def broadcast(note: bytes) -> None:
    subnet = own_address().rpartition(".")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for host in [subnet + ".255", "255.255.255.255", *(f"{subnet}.{i}" for i in range(2, 255))]:
            try:
                s.sendto(note, (host, NOTE_PORT))
            except OSError:
                pass
