// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { applied, type Objects } from "../api/live";
import type { Moment, Obj } from "../api/kinds";
import { explain } from "./explain";
import { above, below, graphOf, madeFrom, promotedAt, versionsAt } from "./lineage";
import { stateOf } from "./state";

const object = (kind: string, name: string, spec: unknown, reason = "Ready", status: object = {}) =>
  ({
    kind,
    metadata: { name, namespace: "n", uid: name, creationTimestamp: "2026-01-01T00:00:00Z", generation: 1 },
    spec,
    status: {
      observedGeneration: 1,
      conditions: [{ type: "Ready", status: "True", reason, message: `${name} says ${reason}` }],
      ...status,
    },
  }) as unknown as Obj;

const study: Objects = applied(new Map(), {
  set: [
    object("Dataset", "consents", { from: { files: { url: "inbox/c", format: "fhir" } } }),
    object(
      "Dataset",
      "voice",
      { from: { files: { url: "inbox/v", format: "csv" } }, privacy: { consent: { dataset: "consents", purpose: "r" } } },
      "Running",
    ),
    object("Dataset", "cohort", { from: { query: { sql: "select" } } }, "Waiting", { inputs: ["voice"] }),
    object("Model", "m", { data: { dataset: "cohort", target: "y" }, train: {}, promote: { when: ["a > 1"] } }),
    object("Endpoint", "e", { model: "m" }),
    object("Report", "r", { page: "p.md" }, "Ready", { inputs: ["cohort"] }),
    object("Model", "alone", { data: { dataset: "gone", target: "y" }, train: {} }),
    object("Run", "voice-1", { for: { kind: "Dataset", name: "voice" }, step: "Ingest" }, "Ready", {
      phase: "Running",
      progress: "3 of 5 files",
    }),
  ],
});

test("the graph has what is declared, and where files come from", () => {
  const g = graphOf(study);
  expect(g.edges.map((e) => `${e.id} ${e.role}`)).toEqual([
    "Dataset/cohort→Model/m input",
    "Dataset/cohort→Report/r input",
    "Dataset/consents→Dataset/voice consent",
    "Dataset/voice→Dataset/cohort input",
    "Model/m→Endpoint/e serves",
    "Source/inbox/c→Dataset/consents source",
    "Source/inbox/v→Dataset/voice source",
  ]);
  expect(below(g, "Dataset/voice")).toEqual(["Dataset/cohort", "Model/m", "Report/r", "Endpoint/e"]);
  expect(above(g, "Model/m")).toEqual([
    "Dataset/cohort",
    "Dataset/voice",
    "Dataset/consents",
    "Source/inbox/v",
    "Source/inbox/c",
  ]);
});

test("an explanation names what is waited for and what follows", () => {
  const g = graphOf(study);
  const node = (id: string) => g.nodes.find((n) => n.id === id)!;
  const cohort = explain(node("Dataset/cohort"), g, study);
  expect([cohort.state, cohort.waitsFor, cohort.next[0]]).toEqual([
    "waiting",
    ["Dataset/voice"],
    "It starts by itself as soon as dataset voice is ready.",
  ]);
  const voice = explain(node("Dataset/voice"), g, study);
  expect(voice.next[0]).toBe("Run voice-1 (ingest) is running: 3 of 5 files");
  expect(voice.next[1]).toContain("dataset cohort, model m, report r, endpoint e");
  expect(explain(node("Model/m"), g, study).next).toEqual([
    "Nothing is to be done. When dataset cohort changes, it is made again.",
    "A new version goes into production if a > 1.",
  ]);
});

test("what was made by another recipe than the wanted one is stale", () => {
  expect(stateOf(object("Dataset", "d", {}, "Ready", { wanted: "a", fingerprint: "a" })).state).toBe("ready");
  expect(stateOf(object("Dataset", "d", {}, "Ready", { wanted: "b", fingerprint: "a" })).state).toBe("stale");
  expect(stateOf(object("Dataset", "d", {}, "Ready", { observedGeneration: 0 })).state).toBe("stale");
  expect(stateOf(object("Dataset", "d", {}, "Failed", { wanted: "b", fingerprint: "a" })).state).toBe("failed");
});

test("time travel: versions at a moment, and what a version was made from", () => {
  const moment = (
    kind: Moment["kind"],
    name: string,
    version: number,
    minute: number,
    ...inputs: [string, number][]
  ): Moment => ({
    kind,
    name,
    version,
    at: `2026-01-01T00:0${minute}:00Z`,
    inputs: inputs.map(([n, v]) => ({ kind: "Dataset", name: n, version: v })),
  });
  const moments = [
    moment("Dataset", "voice", 1, 1),
    moment("Dataset", "cohort", 1, 2, ["voice", 1]),
    moment("Model", "m", 1, 3, ["cohort", 1]),
    moment("Dataset", "voice", 2, 4),
    moment("Dataset", "cohort", 2, 5, ["voice", 2]),
  ];
  const at = versionsAt(moments, Date.parse("2026-01-01T00:04:30Z"));
  expect([...at].map(([k, m]) => `${k}@${m.version}`)).toEqual(["Dataset/voice@2", "Dataset/cohort@1", "Model/m@1"]);
  const promoted = [1, 2].map((v) => ({ ...moment("Model", "m", v, v), promoted: `2026-01-01T00:0${v + 4}:00Z` }));
  expect([4, 5, 6].map((minute) => promotedAt(promoted, "m", Date.parse(`2026-01-01T00:0${minute}:30Z`)))).toEqual([
    undefined,
    1,
    2,
  ]);
  expect([...madeFrom(moments, "Model", "m", 1)]).toEqual([
    ["Model/m", 1],
    ["Dataset/cohort", 1],
    ["Dataset/voice", 1],
  ]);
});

test("what failed, was refused or awaits a person says what to do", () => {
  const told = (reason: string, spec: object, status: object = {}) => {
    const objects = applied(study, {
      set: [
        object("Model", "m", { data: { dataset: "cohort", target: "y" }, train: {}, ...spec }, reason, status),
        {
          kind: "ModelVersion",
          metadata: { name: "m-2" },
          spec: { model: "m", number: 2 },
          status: { stage: "AwaitingApproval" },
        } as unknown as Obj,
      ],
    });
    const g = graphOf(objects);
    return explain(g.nodes.find((n) => n.id === "Model/m")!, g, objects).next.join(" ");
  };
  expect(told("AwaitingApproval", { promote: { approval: { role: "admin" } } }, { promoted: 1 })).toMatch(
    /Version 2 keeps all rules.*role admin.*version 1 stays/,
  );
  expect(told("Refused", {}, { promoted: 1 })).toMatch(/Version 1 stays in production.*judged anew/);
  expect(told("Failed", {})).toMatch(/fathom retry model m.*keep their last version: endpoint e/);
  expect(told("Invalid", {})).toMatch(/Correct the declaration/);
});
