// SPDX-License-Identifier: Apache-2.0
import { Graph as Dagre, layout } from "@dagrejs/dagre";
import type { Graph } from "./lineage";

export const nodeSize = { width: 216, height: 66 };

/** Places of nodes, top left, so that what is read stands before what reads it: left to right, or downwards on narrow screens. */
export function placed(graph: Graph, down: boolean): Map<string, { x: number; y: number }> {
  const g = new Dagre();
  g.setGraph({ rankdir: down ? "TB" : "LR", nodesep: down ? 16 : 22, ranksep: down ? 44 : 72, marginx: 8, marginy: 8 });
  g.setDefaultEdgeLabel(() => ({}));
  for (const n of graph.nodes) g.setNode(n.id, { ...nodeSize });
  // What an endpoint captured leads back to datasets; drawn against the flow it would turn the picture around.
  for (const e of graph.edges) g.setEdge(e.from, e.to);
  layout(g);
  return new Map(
    graph.nodes.map((n) => {
      const p = g.node(n.id) as { x: number; y: number };
      return [n.id, { x: p.x - nodeSize.width / 2, y: p.y - nodeSize.height / 2 }];
    }),
  );
}
