// SPDX-License-Identifier: Apache-2.0
import { Graph as Dagre, layout } from "@dagrejs/dagre";
import type { Graph } from "./lineage";

export const nodeSize = { width: 208, height: 62 };
/** Places that files come from say little: they are small. */
export const sourceSize = { width: 168, height: 34 };

export const sizeOf = (kind: string) => (kind === "Source" ? sourceSize : nodeSize);

export interface Layout {
  down: boolean;
  width: number;
  height: number;
  /** Top left corners. */
  places: Map<string, { x: number; y: number }>;
}

/** What is read stands before what reads it: left to right, or downwards. */
export function placed(graph: Graph, down: boolean): Layout {
  const g = new Dagre();
  g.setGraph({ rankdir: down ? "TB" : "LR", nodesep: down ? 24 : 18, ranksep: down ? 46 : 54, marginx: 8, marginy: 8 });
  g.setDefaultEdgeLabel(() => ({}));
  for (const n of graph.nodes) g.setNode(n.id, { ...sizeOf(n.kind) });
  for (const e of graph.edges) g.setEdge(e.from, e.to);
  layout(g);
  const whole = g.graph() as { width?: number; height?: number };
  const places = new Map(
    graph.nodes.map((n) => {
      const p = g.node(n.id) as { x: number; y: number };
      const size = sizeOf(n.kind);
      return [n.id, { x: p.x - size.width / 2, y: p.y - size.height / 2 }];
    }),
  );
  return { down, width: whole.width ?? 0, height: whole.height ?? 0, places };
}

/** The direction in which the graph is drawn larger in a window of this size; left to right if both are the same. */
export function fitting(graph: Graph, width: number, height: number): Layout {
  const [right, down] = [placed(graph, false), placed(graph, true)];
  const zoom = (l: Layout) => Math.min(1, width / l.width, height / l.height);
  return zoom(down) > zoom(right) + 0.05 ? down : right;
}
