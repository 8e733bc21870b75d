// SPDX-License-Identifier: Apache-2.0
import { Group, MultiSelect, Select, SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link, useSearchParams } from "react-router";
import { queries } from "../api/client";
import { useLive } from "../api/live";
import type { DatasetVersion, Difference } from "../api/kinds";
import { bytes, count, digest, when } from "../format";
import { Grid, type GridColumn } from "../parts/Grid";
import { Card, Tile } from "../parts/Page";
import { Answer } from "../parts/Told";
import type { Looked } from "./DatasetPage";

export function Versions({ dataset, versions, version }: Looked) {
  const { workspace } = useLive();
  const name = dataset.metadata.name;
  const [search, setSearch] = useSearchParams();
  const to = Number(search.get("to") ?? version.number);
  const from = Number(search.get("from") ?? Math.max(1, to - 1));
  const columns = useMemo<GridColumn<DatasetVersion>[]>(
    () => [
      {
        key: "number",
        title: "Version",
        width: "90px",
        number: true,
        sort: (v) => v.number,
        cell: (v) => (
          <Link className="link" to={`/workspaces/${workspace}/datasets/${name}/overview?version=${v.number}`}>
            {v.number}
          </Link>
        ),
      },
      { key: "created", title: "Made", width: "200px", sort: (v) => v.created, cell: (v) => when(v.created) },
      { key: "rows", title: "Rows", width: "100px", number: true, sort: (v) => v.rows, cell: (v) => count(v.rows) },
      {
        key: "subjects",
        title: "Subjects",
        width: "100px",
        number: true,
        sort: (v) => v.summary?.subjectCount ?? 0,
        cell: (v) => (v.summary?.subjectCount ? count(v.summary.subjectCount) : "–"),
      },
      {
        key: "excluded",
        title: "Left out",
        width: "100px",
        number: true,
        cell: (v) => count((v.summary?.report.excluded ?? []).reduce((n, e) => n + e.rows, 0)),
      },
      { key: "bytes", title: "Size", width: "110px", number: true, sort: (v) => v.bytes, cell: (v) => bytes(v.bytes) },
      {
        key: "inputs",
        title: "Made from",
        width: "minmax(260px, 1fr)",
        cell: (v) => {
          const files = v.inputs?.filter((i) => i.kind === "file").length ?? 0;
          const sets = v.inputs?.filter((i) => i.kind === "dataset").map((i) => `${i.name} v${i.version}`) ?? [];
          const text = [...sets, files ? `${count(files)} files` : ""].filter(Boolean).join(", ");
          return <span title={text}>{text}</span>;
        },
      },
      {
        key: "fingerprint",
        title: "Fingerprint",
        width: "140px",
        cell: (v) => <span className="mono quiet">{digest(v.fingerprint)}</span>,
      },
    ],
    [workspace, name],
  );
  const options = versions.map((v) => ({ value: String(v.number), label: `version ${v.number}` }));
  const pick = (key: string, label: string, value: number) => (
    <Select
      size="xs"
      w={140}
      aria-label={label}
      data={options}
      value={String(value)}
      allowDeselect={false}
      onChange={(v) =>
        setSearch(
          (s) => {
            if (v) s.set(key, v);
            return s;
          },
          { replace: true },
        )
      }
    />
  );
  return (
    <Stack gap="md">
      {versions.length > 1 && (
        <Card
          title="What changed"
          aside={
            <Group gap="xs">
              {pick("from", "From version", from)}
              <span className="quiet">to</span>
              {pick("to", "To version", to)}
            </Group>
          }
        >
          {from === to ? (
            <Text size="sm" className="quiet">
              Choose two different versions.
            </Text>
          ) : (
            <Changes name={name} from={from} to={to} versions={versions} />
          )}
        </Card>
      )}
      <Grid label="Versions" rows={versions} columns={columns} rowKey={(v) => String(v.number)} height={460} />
    </Stack>
  );
}

function Changes({ name, from, to, versions }: { name: string; from: number; to: number; versions: DatasetVersion[] }) {
  const { workspace } = useLive();
  const [search, setSearch] = useSearchParams();
  const key = search.get("key") ?? "";
  const difference = useQuery(queries.difference(workspace, name, from, to, key));
  const [a, b] = [versions.find((v) => v.number === from), versions.find((v) => v.number === to)];
  const shared = b?.columns.filter((c) => a?.columns.some((o) => o.name === c.name)).map((c) => c.name) ?? [];
  return (
    <Answer of={difference} what="Comparing rows">
      {(d) => (
        <Stack gap="sm">
          <SimpleGrid cols={{ base: 1, sm: 3 }}>
            <Tile
              label="Rows"
              value={d.rows.compared ? <Delta moved={d.rows} /> : "–"}
              note={
                d.rows.compared
                  ? key
                    ? `rows are the same by ${key}`
                    : "a row that changed counts as gone and as new"
                  : d.rows.why
              }
            />
            <Tile
              label="Subjects"
              value={d.subjects ? <Delta moved={d.subjects} /> : "–"}
              note={d.subjects ? `${count(d.subjects.kept)} are in both` : "no subject is named"}
            />
            <Tile
              label="Columns"
              value={d.columns.length === 0 ? "the same" : `${d.columns.length} changed`}
              note="by name and type"
            />
          </SimpleGrid>
          <MultiSelect
            size="xs"
            maw={460}
            label="Columns that say which rows are the same row"
            placeholder={key ? undefined : "whole rows are compared"}
            data={shared}
            value={key ? key.split(",") : []}
            searchable
            onChange={(v) =>
              setSearch(
                (s) => {
                  if (v.length) s.set("key", v.join(","));
                  else s.delete("key");
                  return s;
                },
                { replace: true },
              )
            }
          />
          {d.columns.length > 0 && (
            <Both
              title="Column"
              from={from}
              to={to}
              rows={d.columns.map((c) => ({ name: c.name, from: c.from ?? "not there", to: c.to ?? "gone" }))}
            />
          )}
          <Text size="sm">
            {d.inputs.length === 0 && !d.declaration && "It was made from the same things."}
            {d.declaration && "Its declaration changed. "}
            <Inputs inputs={d.inputs} />
          </Text>
          <Reasons a={a} b={b} />
        </Stack>
      )}
    </Answer>
  );
}

/** What it was made from that is not the same, many files in few words. */
function Inputs({ inputs }: { inputs: Difference["inputs"] }) {
  const files = inputs.filter((i) => i.kind === "file");
  const others = inputs.filter((i) => i.kind !== "file");
  const part = (list: typeof files, word: string) => (list.length ? [`${count(list.length)} ${word}`] : []);
  const said = [
    ...others.map((i) =>
      `${i.kind === i.role || i.role === "input" ? "" : `${i.role} `}${i.kind} ${i.name} ${told(i.from)} → ${told(i.to)}`.trim(),
    ),
    ...part(
      files.filter((f) => !f.from),
      "files are new",
    ),
    ...part(
      files.filter((f) => !f.to),
      "files are gone",
    ),
    ...part(
      files.filter((f) => f.from && f.to),
      "files changed",
    ),
  ];
  return said.length > 0 && <>What it was made from: {said.join("; ")}.</>;
}

const told = (v: string | undefined) => (v === undefined ? "none" : /^\d+$/.test(v) ? `v${v}` : digest(v));

function Both({
  title,
  from,
  to,
  rows,
}: {
  title: string;
  from: number;
  to: number;
  rows: { name: string; from: string; to: string }[];
}) {
  return (
    <table className="plain">
      <thead>
        <tr>
          <th>{title}</th>
          <th>Version {from}</th>
          <th>Version {to}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((c) => (
          <tr key={c.name}>
            <td style={{ fontWeight: 600 }}>{c.name}</td>
            <td className="mono">{c.from}</td>
            <td className="mono">{c.to}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Delta({ moved }: { moved: { added: number; removed: number; changed?: number } }) {
  return (
    <>
      <span style={{ color: "var(--ready)" }}>+{count(moved.added)}</span>{" "}
      <span style={{ color: moved.removed ? "var(--failed)" : "var(--quiet)" }}>−{count(moved.removed)}</span>
      {moved.changed ? ` ${count(moved.changed)} changed` : ""}
    </>
  );
}

function Reasons({ a, b }: { a?: DatasetVersion; b?: DatasetVersion }) {
  const rows = (v: DatasetVersion | undefined, reason: string) =>
    v?.summary?.report.excluded?.find((e) => e.reason.trim() === reason)?.rows ?? 0;
  const reasons = [...new Set([a, b].flatMap((v) => v?.summary?.report.excluded?.map((e) => e.reason.trim()) ?? []))];
  const moved = reasons.filter((r) => rows(a, r) !== rows(b, r));
  if (moved.length === 0) return null;
  return <Text size="sm">Rows left out: {moved.map((r) => `${r} ${count(rows(a, r))} → ${count(rows(b, r))}`).join("; ")}.</Text>;
}
