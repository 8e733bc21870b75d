// SPDX-License-Identifier: Apache-2.0
import { SimpleGrid, Stack, Text } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { useLive } from "../api/live";
import { explain } from "../graph/explain";
import { below, graphOf, reads } from "../graph/lineage";
import { stateOf } from "../graph/state";
import { bytes, count, percent, when } from "../format";
import { Ago, Card, Tile } from "../parts/Page";
import { KindIcon, StateBadge } from "../parts/State";
import { Prose } from "../parts/Told";
import { pathOf } from "../shell/places";
import type { Looked } from "./DatasetPage";

export function Overview({ dataset, version, versions }: Looked) {
  const { objects, workspace } = useLive();
  const graph = useMemo(() => graphOf(objects), [objects]);
  const id = `Dataset/${dataset.metadata.name}`;
  const node = graph.nodes.find((n) => n.id === id);
  const told = node ? explain(node, graph, objects) : undefined;
  const report = version.summary?.report;
  const checks = report?.checks ?? [];
  const passed = checks.filter((c) => c.passed).length;
  const excluded = report?.excluded ?? [];
  const left = excluded.reduce((n, e) => n + e.rows, 0);
  const before = versions.find((v) => v.number === version.number - 1);
  const { from, privacy } = dataset.spec;
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">
        <Tile
          label="Rows"
          value={count(version.rows)}
          note={before ? `${signed(version.rows - before.rows)} since version ${before.number}` : "the first version"}
        />
        <Tile
          label="Subjects"
          value={version.summary?.subjectCount ? count(version.summary.subjectCount) : "–"}
          note={privacy?.subject ? `by ${privacy.subject}` : "no subject is named"}
        />
        <Tile label="Columns" value={count(version.columns.length)} />
        <Tile label="Size" value={bytes(version.bytes)} note="all files" />
        <Tile
          label="Left out"
          value={left ? count(left) : "0"}
          note={left ? `${percent(left, left + version.rows)} of what came in` : "nobody"}
        />
        <Tile
          label="Checks"
          value={checks.length ? `${passed} of ${checks.length}` : "–"}
          note={checks.length ? (passed === checks.length ? "all hold" : "some do not hold") : "none are declared"}
        />
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card title="How it is" aside={<StateBadge state={told?.state ?? "unknown"} label={told?.reason} />}>
          <Stack gap={6}>
            <Text size="sm">
              <Prose text={told?.why ?? ""} />
            </Text>
            {told?.next.map((n) => (
              <Text size="sm" key={n} className="quiet">
                <Prose text={n} />
              </Text>
            ))}
          </Stack>
        </Card>
        <Card title="How it is made">
          <dl className="facts">
            <dt>From</dt>
            <dd>
              {from.files && (
                <>
                  files <code>{from.files.url}</code> as {from.files.format}
                </>
              )}
              {from.query && (
                <>
                  SQL over{" "}
                  {reads(dataset)
                    .map((r) => r.from.split("/")[1])
                    .join(", ") || "datasets"}
                </>
              )}
              {from.code && <code>{from.code.command.join(" ")}</code>}
              {from.capture && <>requests that endpoint {from.capture.endpoint} answered</>}
            </dd>
            {privacy?.consent && (
              <>
                <dt>Consent</dt>
                <dd>
                  only rows with a permit for {privacy.consent.purpose} in{" "}
                  <Link className="link" to={pathOf(workspace, "Dataset", privacy.consent.dataset)}>
                    {privacy.consent.dataset}
                  </Link>
                </dd>
              </>
            )}
            {privacy?.pseudonymise && (
              <>
                <dt>Pseudonyms</dt>
                <dd>{privacy.pseudonymise.join(", ")}</dd>
              </>
            )}
            {privacy?.drop && (
              <>
                <dt>Dropped</dt>
                <dd>{privacy.drop.join(", ")}</dd>
              </>
            )}
            {privacy?.deidentify && (
              <>
                <dt>De-identified</dt>
                <dd>
                  DICOM profile {privacy.deidentify.profile ?? "basic"}
                  {privacy.deidentify.options?.length ? ` with ${privacy.deidentify.options.join(", ")}` : ""}
                </dd>
              </>
            )}
            <dt>Readers</dt>
            <dd>{report?.identified || dataset.status.identified ? "identified rows: stewards alone" : "all members"}</dd>
            <dt>This version</dt>
            <dd title={when(version.created)}>
              <Ago at={version.created} />
            </dd>
          </dl>
        </Card>
        <Card title="It reads">
          <Neighbours ids={graph.edges.filter((e) => e.to === id).map((e) => e.from)} none="Nothing: it is a source." />
        </Card>
        <Card title="What depends on it">
          <Neighbours ids={below(graph, id)} none="Nothing yet. A query, a model or a report that names it does." />
        </Card>
      </SimpleGrid>
    </Stack>
  );
}

const signed = (n: number) => (n === 0 ? "no change" : `${n > 0 ? "+" : "−"}${count(Math.abs(n))}`);

function Neighbours({ ids, none }: { ids: string[]; none: string }) {
  const { objects, workspace } = useLive();
  if (ids.length === 0) {
    return (
      <Text size="sm" className="quiet">
        {none}
      </Text>
    );
  }
  return (
    <table className="plain">
      <tbody>
        {ids.map((other) => {
          const [kind, name] = [other.slice(0, other.indexOf("/")), other.slice(other.indexOf("/") + 1)];
          const o = objects.get(other);
          return (
            <tr key={other}>
              <td>
                <Link
                  className="link"
                  to={pathOf(workspace, kind, name)}
                  style={{ display: "inline-flex", gap: 6, alignItems: "center" }}
                >
                  <KindIcon kind={kind} /> {name}
                </Link>
              </td>
              <td className="quiet">{kind === "Source" ? "files" : kind.toLowerCase()}</td>
              <td className="number">{o ? <StateBadge state={stateOf(o).state} label={stateOf(o).reason} /> : ""}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
