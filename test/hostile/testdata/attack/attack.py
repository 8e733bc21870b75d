# SPDX-License-Identifier: Apache-2.0
"""Training code that wants what it must not have: held-out rows, other workspaces, keys, the state of Fathom.

It searches the disk, the kernel, the doors and the network of its pod, leaves a note for the pods of other folds
wherever it can, and prints what it found as one line of JSON. It reaches out to nothing but the pods' own network and
loopback. FATHOM_PARAMS tells it more than an attacker would know: digests, names, paths.
"""
import faulthandler
import json
import os
import secrets
import sys
import threading
import time

import disk
import doors
import findings
import kernel
import model
import network

begin = time.monotonic()
LIFE = 30.0  # seconds that a pod stays for the others to find it
faulthandler.dump_traceback_later(3 * LIFE, exit=True)


def told() -> dict:
    given = {}
    try:
        with open(os.environ["FATHOM_PARAMS"], encoding="utf-8") as f:
            given = json.load(f)
    except (OSError, KeyError, ValueError):
        pass
    told = given.get("parameters", given).get("told", {})
    if not told:  # code of a dataset gets no parameters: the bundle tells it
        try:
            with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "told.json"), encoding="utf-8") as f:
                told = json.load(f)
        except OSError:
            pass
    return {"part": given.get("part", "code"), "features": len(given.get("features", [])), **{k: told.get(k, []) for k in ("digests", "runs", "tracking", "workspaces", "tables", "keys", "paths", "ports")}}


def main() -> None:
    known = told()
    run = os.environ["FATHOM_RUN"]
    stem = run.removesuffix(known["part"])
    me = {"run": run, "part": known["part"], "workspace": os.environ["FATHOM_WORKSPACE"], "tracking": os.environ.get("MLFLOW_RUN_ID", ""),
          "siblings": [stem + part for part in ("split", "final", "fold-0", "fold-1", "evaluate") if stem != run]}
    note = f"NOTE-{known['part']}-{secrets.token_hex(8)}".encode()
    f = findings.Findings(known["part"])
    f.note("own", "note", note.decode())
    f.note("own", "uid", os.getuid())
    f.note("own", "capabilities", [line.split()[1] for line in open("/proc/self/status", encoding="ascii") if line.startswith("CapEff")][0])
    listener = network.Listener(f, note)

    url, ca, token = os.environ["FATHOM_RUN_URL"], os.environ["FATHOM_CA_FILE"], doors.token()
    main_door = doors.Door(f, url, ca, token)
    s3_door = doors.Door(f, os.environ["AWS_ENDPOINT_URL_S3"], ca, token)
    kubernetes = doors.Door(f, "https://kubernetes.default.svc:6443", ca, token)

    f.scan("environment", json.dumps(dict(os.environ)).encode())
    disk.writable(f, note)
    kernel.look(f)
    kernel.leave(note)
    stages = [
        lambda: (kernel.powers(f), kernel.collect_powers(f)),
        lambda: disk.processes(f), lambda: disk.devices(f), lambda: disk.places(f, known["paths"]),
        lambda: doors.staging(main_door, me, known, note), lambda: doors.tracking(main_door, me, known, note), lambda: doors.console(main_door, me, known),
        lambda: doors.kubernetes(kubernetes, me, known), lambda: doors.objects(s3_door, me, known, note),
        lambda: network.names(f, known), lambda: network.elsewhere(f), lambda: network.loopback(f, known), lambda: network.broadcast(note), lambda: network.look(f, note, known),
        lambda: kernel.look(f),
    ]
    walker = threading.Thread(target=disk.walk, args=(f, begin + LIFE - 5, os.path.realpath(sys.prefix)))
    walker.start()
    for i, stage in enumerate(stages):
        try:
            stage()
        except Exception as e:  # an attack that fails is not the last one
            f.note("errors", str(i), repr(e)[:300])
        print(f"stage {i} ended after {time.monotonic() - begin:.1f} s", flush=True)
    while time.monotonic() < begin + LIFE:
        network.broadcast(note)
        kernel.look(f)
        time.sleep(2)
    doors.tracking(main_door, me, known, note)
    network.look(f, note, {"ports": []})
    walker.join()
    listener.tcp.close()
    with open(os.path.join(os.environ["FATHOM_OUTPUT"], "model.onnx"), "wb") as out:
        out.write(model.onnx(known["features"]))
    f.show()


main()
