// SPDX-License-Identifier: Apache-2.0
import { Anchor, Button, Group, Select, Stack, Text, Title } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { useLive } from "../api/live";
import type { Moment } from "../api/kinds";
import { when } from "../format";
import { Ago } from "../parts/Page";
import { Retry } from "../parts/Retry";
import { KindIcon, StateBadge } from "../parts/State";
import { Prose } from "../parts/Told";
import { pathOf } from "../shell/places";
import { explain } from "./explain";
import { below, type Graph, type GraphNode } from "./lineage";
import { stateOf } from "./state";

interface Props {
  node: GraphNode;
  graph: Graph;
  moments: Moment[];
  version?: number;
  set: (change: Record<string, string | undefined>) => void;
}

/** What is known of the chosen node: how it is, why, and what happens next. */
export function NodePanel({ node, graph, moments, version, set }: Props) {
  const { objects, workspace } = useLive();
  const told = explain(node, graph, objects);
  const versions = useMemo(() => moments.filter((m) => m.kind === node.kind && m.name === node.name).reverse(), [moments, node]);
  const since = node.object ? stateOf(node.object).since : undefined;
  return (
    <Stack gap="sm" p="md">
      <Group gap={8} wrap="nowrap" align="start">
        <KindIcon kind={node.kind} size={20} />
        <div style={{ minWidth: 0 }}>
          <Title order={2} style={{ overflowWrap: "anywhere" }}>
            {node.name}
          </Title>
          <Text size="xs" className="quiet">
            {node.kind === "Source" ? "Files" : node.kind}
          </Text>
        </div>
      </Group>
      {node.object && (
        <Group gap="xs">
          <StateBadge state={told.state} label={told.reason} />
          <Text size="xs" className="quiet">
            since <Ago at={since} />
          </Text>
        </Group>
      )}
      <Section title="Why">
        <Text size="sm" style={{ overflowWrap: "anywhere" }}>
          <Prose text={told.why || "It says nothing."} />
        </Text>
      </Section>
      <Section title="What happens next">
        {told.next.map((sentence) => (
          <Text size="sm" key={sentence} mb={4} style={{ overflowWrap: "anywhere" }}>
            <Prose text={sentence} />
          </Text>
        ))}
      </Section>
      {told.waitsFor.length > 0 && (
        <Section title="Not ready above it">
          <Ids ids={told.waitsFor} set={set} />
        </Section>
      )}
      {told.runs.length > 0 && (
        <Section title="Runs">
          {told.runs.map((r) => (
            <Group key={r.metadata.name} gap={6}>
              <Link className="link" to={pathOf(workspace, "Run", r.metadata.name)}>
                <Text size="sm" span>
                  {r.metadata.name}
                </Text>
              </Link>
              <StateBadge state={stateOf(r).state} label={r.status.phase} />
            </Group>
          ))}
        </Section>
      )}
      {versions.length > 0 && (
        <Section title="Travel to a version">
          <Select
            size="xs"
            aria-label="Version to travel to"
            placeholder="As it is now"
            clearable
            data={versions.map((v) => ({ value: String(v.version), label: `version ${v.version} · ${when(v.at)}` }))}
            value={version ? String(version) : null}
            onChange={(v) => set({ version: v ?? undefined, at: undefined })}
          />
          <Text size="xs" className="quiet" mt={4}>
            The graph then shows what exactly that version was made from.
          </Text>
        </Section>
      )}
      <Section title="It reads">
        <Ids ids={graph.edges.filter((e) => e.to === node.id).map((e) => e.from)} none="nothing" set={set} />
      </Section>
      <Section title="What depends on it">
        <Ids ids={below(graph, node.id)} none="nothing yet" set={set} />
      </Section>
      <Group gap="xs" mt="xs">
        {node.kind !== "Source" && (
          <Button component={Link} to={pathOf(workspace, node.kind, node.name)} size="xs">
            Open its page
          </Button>
        )}
        {node.object && told.state === "failed" && <Retry kind={node.object.kind} name={node.name} />}
        {node.kind === "Dataset" && node.object?.kind === "Dataset" && node.object.status.version && (
          <Anchor component={Link} to={`${pathOf(workspace, "Dataset", node.name)}/columns`} size="sm">
            Columns
          </Anchor>
        )}
      </Group>
    </Stack>
  );
}

function Section({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <section aria-label={title}>
      <Text size="xs" fw={600} className="quiet" mb={2}>
        {title}
      </Text>
      {children}
    </section>
  );
}

function Ids({ ids, none, set }: { ids: string[]; none?: string; set: Props["set"] }) {
  const { objects } = useLive();
  if (ids.length === 0) {
    return (
      <Text size="sm" className="quiet">
        {none}
      </Text>
    );
  }
  return (
    <Group gap={6}>
      {ids.map((id) => {
        const o = objects.get(id);
        const state = o ? stateOf(o).state : "unknown";
        return (
          <button
            key={id}
            type="button"
            className={`state state-${state}`}
            style={{ border: 0, cursor: "pointer", font: "inherit", fontSize: 12 }}
            onClick={() => set({ object: id, version: undefined })}
          >
            <KindIcon kind={id.slice(0, id.indexOf("/"))} size={13} />
            {id.slice(id.indexOf("/") + 1)}
          </button>
        );
      })}
    </Group>
  );
}
