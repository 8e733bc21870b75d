// SPDX-License-Identifier: Apache-2.0
import { ofKind, type Objects } from "../api/live";
import type { Model, ModelVersion, Run } from "../api/kinds";
import { above, below, type Graph, type GraphNode, type NodeObject, reads } from "./lineage";
import { type State, stateOf } from "./state";

/** Why an object is as it is, and what happens next, in sentences. */
export interface Explanation {
  state: State;
  reason: string;
  why: string;
  next: string[];
  /** Runs that work on it, or that wait to. */
  runs: Run[];
  /** What it waits for, as ids of nodes. */
  waitsFor: string[];
}

/** "Dataset/voice" as people say it: "dataset voice". */
const title = (id: string) => {
  const [kind, name] = [id.slice(0, id.indexOf("/")), id.slice(id.indexOf("/") + 1)];
  return `${kind === "Source" ? "files" : kind.toLowerCase()} ${name}`;
};

export function runsOf(objects: Objects, node: { kind: string; name: string }): Run[] {
  return ofKind(objects, "Run").filter((r) => r.spec.for.kind === node.kind && r.spec.for.name === node.name);
}

const alive = (r: Run) => !["Succeeded", "Failed", "Cancelled"].includes(r.status.phase ?? "");

export function explain(node: GraphNode, graph: Graph, objects: Objects): Explanation {
  if (!node.object) return source(node, graph);
  const told = stateOf(node.object);
  const runs = runsOf(objects, node).filter(alive);
  const waitsFor = above(graph, node.id).filter((id) => {
    const o = objects.get(id);
    return o !== undefined && stateOf(o).state !== "ready";
  });
  const out: Explanation = { state: told.state, reason: told.reason, why: told.message, next: [], runs, waitsFor };
  const followers = below(graph, node.id);
  switch (told.state) {
    case "ready":
      out.next = whenReady(node.object);
      return out;
    case "stale":
    case "running":
      out.next = runs.map(runSentence);
      if (out.next.length === 0) out.next.push("Its station takes the next step by itself.");
      if (followers.length > 0)
        out.next.push(`Then these follow, each only if what it reads really changed: ${followers.map(title).join(", ")}.`);
      return out;
    case "waiting":
      out.next = [
        waitsFor.length > 0
          ? `It starts by itself as soon as ${list(waitsFor.map(title))} ${waitsFor.length === 1 ? "is" : "are"} ready.`
          : "It starts by itself as soon as what it waits for is there.",
        ...runs.map(runSentence),
      ];
      return out;
    case "approval":
      out.next = approval(node.object, objects);
      return out;
    case "refused":
      out.next = refused(node.object);
      return out;
    case "failed":
      out.next = failed(node.object, told.reason);
      if (followers.length > 0) out.next.push(`Until then these keep their last version: ${followers.map(title).join(", ")}.`);
      return out;
    default:
      out.next = ["Its station looks at it within a second. If it stays so, run `fathom doctor`."];
      return out;
  }
}

function source(node: GraphNode, graph: Graph): Explanation {
  const readers = below(graph, node.id);
  return {
    state: "unknown",
    reason: "Files",
    why: `Files that match ${node.name}; a relative address is below the workspace's bucket.`,
    next: [`When a file is added, changed or removed, these are made again: ${readers.map(title).join(", ")}.`],
    runs: [],
    waitsFor: [],
  };
}

function whenReady(o: NodeObject): string[] {
  const inputs = reads(o).map((r) => title(r.from));
  const out = [
    `Nothing is to be done. When ${list(inputs, "or")} changes, it is ${o.kind === "Endpoint" ? "switched" : "made"} again.`,
  ];
  if (o.kind === "Dataset" && o.status.refreshAfter) {
    out.push(`A consent ends on ${o.status.refreshAfter.slice(0, 10)}: it is then made again without those rows.`);
  }
  if (o.kind === "Model") {
    if (!(o.spec.retrain?.triggers ?? ["data"]).includes("data"))
      out[0] = "Nothing is to be done. New data does not retrain it: spec.retrain.triggers does not name data.";
    if (o.spec.promote?.when?.length) out.push(`A new version goes into production if ${list(o.spec.promote.when, "and")}.`);
    if (o.spec.promote?.approval) out.push(`Someone with the role ${o.spec.promote.approval.role} must approve it.`);
  }
  return out;
}

function runSentence(r: Run): string {
  const { phase = "Pending", message, progress } = r.status;
  const what = `Run ${r.metadata.name} (${r.spec.step.toLowerCase()}) is ${phase.toLowerCase()}`;
  return [what, progress, message].filter(Boolean).join(": ");
}

function approval(o: NodeObject, objects: Objects): string[] {
  const model = o as Model;
  const versions = ofKind(objects, "ModelVersion").filter(
    (v: ModelVersion) => v.spec.model === model.metadata.name && v.status.stage === "AwaitingApproval",
  );
  const role = model.spec.promote?.approval?.role ?? "approver";
  return [
    `Version ${versions.map((v) => v.spec.number).join(" and ")} keeps all rules. Someone with the role ${role} approves it on the model's page, or with \`fathom promote ${model.metadata.name}\`.`,
    model.status.promoted
      ? `Until then version ${model.status.promoted} stays in production.`
      : "Until then nothing is in production.",
  ];
}

function refused(o: NodeObject): string[] {
  const model = o as Model;
  return [
    model.status.promoted
      ? `Version ${model.status.promoted} stays in production; endpoints do not change.`
      : "Nothing is in production.",
    "New data, code or parameters train a new version, which is judged anew. Rules are in spec.promote.when.",
  ];
}

function failed(o: NodeObject, reason: string): string[] {
  if (reason === "Invalid" || reason === "Cycle")
    return ["Correct the declaration and apply it again; Fathom goes on by itself."];
  const verb = `fathom retry ${o.kind.toLowerCase()} ${o.metadata.name}`;
  return [
    `The run's log says more. When the cause is gone, try again here or with \`${verb}\`. A change of data or code tries again by itself.`,
  ];
}

function list(items: string[], word = "and"): string {
  if (items.length <= 1) return items[0] ?? "its declaration";
  return `${items.slice(0, -1).join(", ")} ${word} ${items.at(-1)}`;
}
