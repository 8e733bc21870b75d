// SPDX-License-Identifier: Apache-2.0
import "@xyflow/react/dist/style.css";
import { ActionIcon, Box, Drawer, useComputedColorScheme } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Background, Controls, type Edge, Handle, MiniMap, type Node, type NodeProps, Position, ReactFlow } from "@xyflow/react";
import { useCallback, useEffect, useMemo } from "react";
import { useSearchParams } from "react-router";
import { queries } from "../api/client";
import { useLive } from "../api/live";
import { count, plural } from "../format";
import { KindIcon, StateBadge } from "../parts/State";
import { Empty } from "../parts/Told";
import { fitting, sizeOf } from "./layout";
import { above, below, type GraphNode, graphOf, madeFrom, promotedAt, versionsAt } from "./lineage";
import { NodePanel } from "./NodePanel";
import { type State, stateNames, stateOf } from "./state";
import { TimeTravel } from "./TimeTravel";

interface Drawn extends Record<string, unknown> {
  node: GraphNode;
  state: State;
  label: string;
  version?: number;
  detail: string;
  chosen: boolean;
  faded: boolean;
  down: boolean;
}

function detailOf(node: GraphNode): string {
  const o = node.object;
  switch (o?.kind) {
    case "Dataset": {
      const { rows, excludedRows } = o.status;
      return rows === undefined
        ? "no version yet"
        : `${plural(rows, "row")}${excludedRows ? `, ${count(excludedRows)} left out` : ""}`;
    }
    case "Model":
      return o.status.headline ?? o.status.progress ?? "no version yet";
    case "Endpoint":
      return o.status.replicas ? `${o.status.replicas} replicas` : "asleep";
    case "Report":
      return o.status.version ? o.spec.page : "not rendered yet";
    default:
      return "files";
  }
}

const versionOf = (o: GraphNode["object"]) => (o?.kind === "Model" ? o.status.promoted || o.status.latest : o?.status.version);

function DrawnNode({ data }: NodeProps<Node<Drawn>>) {
  const { node, state, version, detail, chosen, faded, down, label } = data;
  const source = node.kind === "Source";
  return (
    <div
      className={`graph-node ${source ? "graph-source" : ""} ${chosen ? "chosen" : ""} ${faded ? "faded" : ""}`}
      style={{ ...sizeOf(node.kind), "--state": `var(--${state})` } as React.CSSProperties}
    >
      <Handle type="target" position={down ? Position.Top : Position.Left} isConnectable={false} />
      <div style={{ display: "flex", alignItems: "center", gap: 6 }}>
        <KindIcon kind={node.kind} />
        <span className="graph-node-name" title={node.name} style={{ flex: 1 }}>
          {node.name}
        </span>
        {version ? <span className="quiet mono">v{version}</span> : null}
      </div>
      {!source && (
        <div style={{ display: "flex", alignItems: "center", gap: 6, marginTop: 5 }}>
          {state !== "ready" && label !== "" && <StateBadge state={state} label={label} />}
          <span className="quiet" style={{ fontSize: 12, overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" }}>
            {detail}
          </span>
        </div>
      )}
      <Handle type="source" position={down ? Position.Bottom : Position.Right} isConnectable={false} />
    </div>
  );
}

const nodeTypes = { drawn: DrawnNode };

export function Component() {
  const { objects, workspace } = useLive();
  const [search, setSearch] = useSearchParams();
  const narrow = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false }) ?? false;
  const scheme = useComputedColorScheme("light", { getInitialValueInEffect: false });
  const graph = useMemo(() => graphOf(objects), [objects]);
  // Places change only when nodes or edges do, not with each state.
  const shape = graph.nodes.map((n) => n.id).join() + graph.edges.map((e) => e.id).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const { places, down } = useMemo(
    () => fitting(graph, window.innerWidth - (narrow ? 0 : 236), window.innerHeight - 110),
    [shape, narrow],
  );
  const versions = graph.nodes.map((n) => versionOf(n.object) ?? 0).join();
  const timeline = useQuery({ ...queries.timeline(workspace, versions), placeholderData: (old) => old });
  const moments = useMemo(() => timeline.data?.moments ?? [], [timeline.data]);

  const chosen = search.get("object");
  const at = search.get("at") ? Number(search.get("at")) : undefined;
  const set = useCallback(
    (change: Record<string, string | undefined>) =>
      setSearch(
        (s) => {
          for (const [key, value] of Object.entries(change)) {
            if (value === undefined) s.delete(key);
            else s.set(key, value);
          }
          return s;
        },
        { replace: true },
      ),
    [setSearch],
  );
  useEffect(() => {
    document.title = `Graph of ${workspace} · Fathom`;
  }, [workspace]);

  const then = useMemo(() => (at === undefined ? undefined : versionsAt(moments, at)), [moments, at]);
  const asked = search.get("version");
  const lineage = useMemo(() => {
    if (!chosen || !asked) return undefined;
    const [kind, name] = [chosen.slice(0, chosen.indexOf("/")), chosen.slice(chosen.indexOf("/") + 1)];
    return madeFrom(moments, kind, name, Number(asked));
  }, [moments, chosen, asked]);

  const near = useMemo(
    () => (chosen && !then && !lineage ? new Set([chosen, ...above(graph, chosen), ...below(graph, chosen)]) : undefined),
    [graph, chosen, then, lineage],
  );

  const nodes = useMemo<Node<Drawn>[]>(
    () =>
      graph.nodes.map((node) => {
        const told = node.object ? stateOf(node.object) : undefined;
        const past = then?.get(node.id);
        const pinned = lineage?.get(node.id);
        const data: Drawn = {
          node,
          state: then || lineage ? "unknown" : (told?.state ?? "unknown"),
          label: told?.reason ?? "",
          version: lineage ? pinned : then ? past?.version : versionOf(node.object),
          detail: detailOf(node),
          chosen: node.id === chosen,
          faded: near
            ? !near.has(node.id)
            : lineage
              ? pinned === undefined && node.kind !== "Source"
              : then !== undefined && !past && node.kind !== "Source" && node.kind !== "Endpoint",
          down,
        };
        if (then && node.object?.kind === "Endpoint" && at !== undefined) {
          data.version = promotedAt(moments, node.object.spec.model, at);
          data.detail = data.version ? "served it, as promoted then" : "nothing to serve yet";
          data.faded = !data.version;
        } else if (then) {
          data.detail = past
            ? past.rows !== undefined
              ? plural(past.rows, "row")
              : (past.headline ?? "")
            : node.kind === "Source"
              ? "files"
              : "not yet";
        }
        if (lineage)
          data.detail = pinned !== undefined ? `version ${pinned} was used` : node.kind === "Source" ? "files" : "not part of it";
        if (then || lineage) {
          data.label = "";
          data.state = node.kind !== "Source" && (data.version ?? pinned) !== undefined ? "ready" : "unknown";
        }
        const name = `${node.kind} ${node.name}${data.version ? `, version ${data.version}` : ""}, ${told ? told.reason : "files"}, ${data.detail}`;
        return {
          id: node.id,
          type: "drawn",
          position: places.get(node.id)!,
          data,
          ariaLabel: name,
          draggable: false,
          connectable: false,
          ...sizeOf(node.kind),
          measured: sizeOf(node.kind),
        };
      }),
    [graph, places, chosen, then, lineage, near, down, moments, at],
  );
  const edges = useMemo<Edge[]>(
    () =>
      graph.edges.map((e) => {
        const target = objects.get(e.to);
        const moving = !then && !lineage && target !== undefined && stateOf(target).state === "running";
        const dim = near && !(near.has(e.from) && near.has(e.to));
        return {
          id: e.id,
          source: e.from,
          target: e.to,
          className: `edge-${e.role}${moving ? " edge-live" : ""}`,
          animated: moving,
          focusable: false,
          style: { opacity: dim ? 0.2 : 1 },
          ariaLabel: `${e.from} to ${e.to}: ${e.role}`,
        };
      }),
    [graph, objects, then, lineage, near],
  );

  if (graph.nodes.length === 0) {
    return (
      <Empty title="Nothing is declared yet">
        A dataset, a model on it, an endpoint that serves it: write them as YAML and run <code>fathom apply -f FOLDER</code>. They
        appear here at once, with what depends on what.
      </Empty>
    );
  }
  const choice = graph.nodes.find((n) => n.id === chosen);
  const panel = choice && (
    <NodePanel
      key={choice.id}
      node={choice}
      graph={graph}
      moments={moments}
      version={asked ? Number(asked) : undefined}
      set={set}
    />
  );
  return (
    <Box style={{ display: "flex", height: "calc(100dvh - 52px)" }}>
      <h1 style={{ position: "absolute", left: -9999 }}>Graph of workspace {workspace}</h1>
      <Box style={{ flex: 1, minWidth: 0, display: "flex", flexDirection: "column" }}>
        <Box style={{ flex: 1, minHeight: 0, position: "relative" }}>
          <Legend />
          <ReactFlow
            key={down ? "down" : "right"}
            nodes={nodes}
            edges={edges}
            nodeTypes={nodeTypes}
            colorMode={scheme}
            fitView
            fitViewOptions={{ padding: 0.08, maxZoom: 1.1, minZoom: 0.25 }}
            minZoom={0.1}
            maxZoom={1.6}
            nodesDraggable={false}
            nodesConnectable={false}
            elementsSelectable
            onlyRenderVisibleElements={graph.nodes.length > 150}
            onNodeClick={(_, n) => set({ object: n.id, version: undefined })}
            onPaneClick={() => set({ object: undefined, version: undefined })}
            onSelectionChange={undefined}
            onKeyDown={(e) => {
              const id = (e.target as HTMLElement).closest(".react-flow__node")?.getAttribute("data-id");
              if (id && (e.key === "Enter" || e.key === " ")) set({ object: id, version: undefined });
              if (e.key === "Escape") set({ object: undefined, version: undefined });
            }}
            proOptions={{ hideAttribution: true }}
            aria-label={`Lineage of workspace ${workspace}`}
          >
            <Background gap={22} size={1} color="var(--line)" />
            <Controls showInteractive={false} aria-label="Zoom" />
            {graph.nodes.length > 24 && !narrow && (
              <MiniMap pannable zoomable ariaLabel="Overview" nodeColor={(n) => `var(--${(n.data as Drawn).state})`} />
            )}
          </ReactFlow>
        </Box>
        <TimeTravel moments={moments} at={at} set={set} />
      </Box>
      {!narrow && panel && (
        <Box
          component="aside"
          aria-label="About the chosen object"
          w={390}
          style={{ borderLeft: "1px solid var(--line)", background: "var(--surface)", overflow: "auto", flex: "none" }}
        >
          {panel}
        </Box>
      )}
      {narrow && (
        <Drawer
          opened={!!panel}
          onClose={() => set({ object: undefined, version: undefined })}
          position="bottom"
          size="70%"
          padding={0}
          withCloseButton={false}
          attributes={{ content: { "aria-label": `About ${choice?.name}` } }}
        >
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Close"
            onClick={() => set({ object: undefined, version: undefined })}
            style={{ position: "absolute", right: 10, top: 12, zIndex: 1 }}
          >
            <IconX size={20} />
          </ActionIcon>
          {panel}
        </Drawer>
      )}
    </Box>
  );
}

function Legend() {
  const states: State[] = ["ready", "running", "waiting", "stale", "approval", "refused", "failed"];
  return (
    <Box
      visibleFrom="lg"
      style={{ position: "absolute", top: 10, right: 12, zIndex: 4, display: "flex", gap: 10, fontSize: 12 }}
      aria-hidden
    >
      {states.map((s) => (
        <span key={s} className="quiet" style={{ display: "inline-flex", alignItems: "center", gap: 5 }}>
          <span style={{ width: 5, height: 14, borderRadius: 2, background: `var(--${s})` }} />
          {stateNames[s]}
        </span>
      ))}
    </Box>
  );
}
