// SPDX-License-Identifier: Apache-2.0
import { keyOf, type Objects } from "../api/live";
import type { Dataset, Endpoint, Model, Moment, Obj, Report } from "../api/kinds";

export type NodeObject = Dataset | Model | Endpoint | Report;

/** A node is an object, or a place outside that files come from. */
export interface GraphNode {
  id: string;
  kind: "Dataset" | "Model" | "Endpoint" | "Report" | "Source";
  name: string;
  object?: NodeObject;
}

export interface GraphEdge {
  id: string;
  from: string;
  to: string;
  role: "input" | "consent" | "source" | "capture" | "serves";
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

const isNode = (o: Obj): o is NodeObject =>
  o.kind === "Dataset" || o.kind === "Model" || o.kind === "Endpoint" || o.kind === "Report";

/** What an object reads, as its declaration and status say. */
export function reads(o: NodeObject): Omit<GraphEdge, "id" | "to">[] {
  const dataset = (name: string, role: GraphEdge["role"] = "input") => ({ from: `Dataset/${name}`, role });
  switch (o.kind) {
    case "Dataset": {
      const { files, code, capture } = o.spec.from;
      const consent = o.spec.privacy?.consent?.dataset;
      const out: Omit<GraphEdge, "id" | "to">[] = [];
      if (files) out.push({ from: `Source/${files.url}`, role: "source" });
      if (capture) out.push({ from: `Endpoint/${capture.endpoint}`, role: "capture" });
      if (consent) out.push(dataset(consent, "consent"));
      for (const name of new Set([...(code?.inputs ?? []), ...(o.status.inputs ?? [])])) {
        if (name !== consent) out.push(dataset(name));
      }
      return out;
    }
    case "Model":
      return [dataset(o.spec.data.dataset)];
    case "Endpoint":
      return [{ from: `Model/${o.spec.model}`, role: "serves" }];
    case "Report":
      return (o.status.inputs ?? []).map((name) => dataset(name));
  }
}

/** graphOf draws the workspace. Edges to objects that do not exist are left out: the object that reads them says so. */
export function graphOf(objects: Objects): Graph {
  const nodes = new Map<string, GraphNode>();
  for (const o of objects.values()) {
    if (isNode(o)) nodes.set(keyOf(o), { id: keyOf(o), kind: o.kind, name: o.metadata.name, object: o });
  }
  const edges: GraphEdge[] = [];
  for (const node of [...nodes.values()]) {
    for (const read of reads(node.object!)) {
      if (read.role === "source" && !nodes.has(read.from)) {
        nodes.set(read.from, { id: read.from, kind: "Source", name: read.from.slice("Source/".length) });
      }
      if (nodes.has(read.from)) edges.push({ ...read, to: node.id, id: `${read.from}→${node.id}` });
    }
  }
  const sorted = [...nodes.values()].sort((a, b) => a.id.localeCompare(b.id));
  return { nodes: sorted, edges: edges.sort((a, b) => a.id.localeCompare(b.id)) };
}

/** below lists what depends on a node, nearest first; above lists what it depends on. */
export const below = (g: Graph, id: string) => walk(g, id, "from", "to");
export const above = (g: Graph, id: string) => walk(g, id, "to", "from");

function walk(g: Graph, start: string, at: "from" | "to", next: "from" | "to"): string[] {
  const found: string[] = [];
  const seen = new Set([start]);
  for (let layer = [start]; layer.length > 0; ) {
    const ahead = g.edges.filter((e) => layer.includes(e[at]) && !seen.has(e[next])).map((e) => e[next]);
    layer = [...new Set(ahead)];
    for (const id of layer) seen.add(id);
    found.push(...layer);
  }
  return found;
}

/** The workspace as it was: which version each object had at a moment. Absent: there was none yet. */
export function versionsAt(moments: Moment[], at: number): Map<string, Moment> {
  const found = new Map<string, Moment>();
  for (const m of moments) {
    if (Date.parse(m.at) <= at) found.set(`${m.kind}/${m.name}`, m);
  }
  return found;
}

/** The version of a model that was in production at a moment; times of former promotions are not kept beyond the last of a version. */
export function promotedAt(moments: Moment[], model: string, at: number): number | undefined {
  const before = moments.filter((m) => m.kind === "Model" && m.name === model && m.promoted && Date.parse(m.promoted) <= at);
  return before.toSorted((a, b) => a.promoted!.localeCompare(b.promoted!)).at(-1)?.version;
}

/** What one version was made from, all the way up: "Kind/name" to version. */
export function madeFrom(moments: Moment[], kind: string, name: string, version: number): Map<string, number> {
  const byVersion = new Map(moments.map((m) => [`${m.kind}/${m.name}@${m.version}`, m]));
  const found = new Map<string, number>();
  const queue = [{ kind, name, version }];
  for (let next = queue.pop(); next; next = queue.pop()) {
    const key = `${next.kind}/${next.name}`;
    if (found.has(key)) continue;
    found.set(key, next.version);
    queue.push(...(byVersion.get(`${key}@${next.version}`)?.inputs ?? []));
  }
  return found;
}
