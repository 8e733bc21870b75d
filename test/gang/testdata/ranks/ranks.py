# SPDX-License-Identifier: Apache-2.0
"""A gang without any framework: all ranks talk to all others, count together, and go on after one of them is killed.

Parameters: steps; die_at, the step at which rank 1 kills itself if it did not start from a checkpoint; stubborn, the rank
that ignores SIGTERM.
"""

import json
import os
import signal
import socket
import sys
import threading
import time

rank, workers = int(os.environ["FATHOM_RANK"]), int(os.environ["FATHOM_WORKERS"])
peers = [p.rsplit(":", 1) for p in os.environ["FATHOM_PEERS"].split(",")]
checkpoint = os.path.join(os.environ["FATHOM_CHECKPOINTS"], "state.json")
output = os.environ["FATHOM_OUTPUT"]
params = json.load(open(os.environ["FATHOM_PARAMS"]))


def listen():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("", int(os.environ["FATHOM_PORT"])))
    server.listen()
    return server


def connect(host, port):
    deadline = time.time() + 30
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=30)
        except OSError:
            if time.time() > deadline:
                raise
            time.sleep(0.05)


def line(f):
    text = f.readline()
    if not text:
        while params.get("stubborn") == rank:
            time.sleep(1)  # as some frameworks do when they lose a peer
        raise SystemExit(f"rank {rank}: a peer is gone")
    return json.loads(text)


class Ring:
    """Rank 0 adds what all ranks send and answers with the sum."""

    def __init__(self):
        if rank == 0:
            server = listen()
            found = [server.accept()[0].makefile("rw") for _ in range(workers - 1)]
            self.others = {line(f): f for f in found}
        else:
            self.hub = connect(*peers[0]).makefile("rw")
            self.say(self.hub, rank)

    @staticmethod
    def say(f, value):
        f.write(json.dumps(value) + "\n")
        f.flush()

    def sum(self, value):
        if rank != 0:
            self.say(self.hub, value)
            return line(self.hub)
        total = value + sum(line(f) for f in self.others.values())
        for f in self.others.values():
            self.say(f, total)
        return total


def reach_everyone():
    """Every rank listens under its own name and is called by every other."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    offset = workers  # beside the ring's ports
    server.bind(("", int(os.environ["FATHOM_PORT"]) + offset))
    server.listen()
    heard = []

    def accept():
        while len(heard) < workers - 1:
            heard.append(line(server.accept()[0].makefile("r")))

    thread = threading.Thread(target=accept)
    thread.start()
    for i, (host, port) in enumerate(peers):
        if i != rank:
            with connect(host, int(port) + offset) as s:
                s.sendall((json.dumps(rank) + "\n").encode())
    thread.join(30)
    return sorted(heard)


if params.get("stubborn") == rank:
    signal.signal(signal.SIGTERM, lambda *_: print("SIGTERM is ignored", flush=True))

heard = reach_everyone()
ring = Ring()
state = {"step": 0, "total": 0}
if os.path.exists(checkpoint):
    state = json.load(open(checkpoint))
start = state["step"]
print(f"rank {rank} of {workers} starts at step {start}, heard {heard}", flush=True)
while state["step"] < params["steps"]:
    state["step"] += 1
    state["total"] += ring.sum(state["step"] * (rank + 1))
    if rank == 0:
        with open(checkpoint + ".tmp", "w") as f:
            json.dump(state, f)
        os.replace(checkpoint + ".tmp", checkpoint)
        with open(os.environ["FATHOM_PROGRESS"], "w") as f:
            f.write(f"{state['step'] / params['steps']:.2f} step {state['step']}")
    if rank == 1 and start == 0 and state["step"] == params.get("die_at"):
        print("rank 1 is killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(params.get("pause", 0.25))

with open(os.path.join(output, f"rank-{rank}.json"), "w") as f:
    json.dump({"rank": rank, "heard": heard, "start": start, **state}, f)
sys.exit(0)
