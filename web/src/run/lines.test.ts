// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { Run, RunRecord } from "../api/kinds";
import { linesOf } from "./lines";

const live = (uid: string, phase: string, startedAt?: string) =>
  ({
    kind: "Run",
    metadata: { name: uid, uid, creationTimestamp: "2026-01-01T00:00:00Z" },
    spec: { step: "Train", for: { kind: "Model", name: "m" } },
    status: { phase, startedAt, message: "waits for 1 cpu", progress: "" },
  }) as unknown as Run;

const record = (uid: string, started: string) =>
  ({
    uid,
    name: uid,
    step: "Train",
    forKind: "Model",
    forName: "m",
    phase: "Failed",
    started,
    finished: "2026-01-01T00:01:00Z",
    attempt: 1,
  }) as unknown as RunRecord;

test("a run that has just ended is told once, by its record", () => {
  const lines = linesOf(
    [live("a", "Queued"), live("b", "Succeeded")],
    [record("b", "2026-01-01T00:00:30Z"), record("c", "0001-01-01T00:00:00Z")],
  );
  expect(lines.map((l) => [l.uid, l.phase, l.live, l.seconds])).toEqual([
    ["a", "Queued", true, undefined],
    ["b", "Failed", false, 30],
    ["c", "Failed", false, undefined], // it never started
  ]);
  expect(lines[0]!.message).toBe("waits for 1 cpu");
});
