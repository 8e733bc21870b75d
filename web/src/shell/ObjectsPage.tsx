// SPDX-License-Identifier: Apache-2.0
import { Group, SegmentedControl, TextInput } from "@mantine/core";
import { useMemo } from "react";
import { Link, useSearchParams } from "react-router";
import { useLive } from "../api/live";
import type { Obj } from "../api/kinds";
import { stateOf } from "../graph/state";
import { Grid, type GridColumn } from "../parts/Grid";
import { Ago, Page } from "../parts/Page";
import { KindIcon, StateBadge } from "../parts/State";
import { Empty } from "../parts/Told";
import { pathOf, sections } from "./places";

const versionOf = (o: Obj) => (o.kind === "Model" ? o.status.promoted : "version" in o.status ? o.status.version : undefined);

export function Component() {
  const { objects, workspace } = useLive();
  const [search, setSearch] = useSearchParams();
  const [kind, words] = [search.get("kind") ?? "", (search.get("q") ?? "").toLowerCase()];
  const set = (key: string, value: string) =>
    setSearch(
      (s) => {
        if (value) s.set(key, value);
        else s.delete(key);
        return s;
      },
      { replace: true },
    );
  const rows = useMemo(
    () =>
      [...objects.values()].filter(
        (o) =>
          o.kind !== "ModelVersion" &&
          o.kind !== "Run" &&
          (!kind || o.kind === kind) &&
          (!words || `${o.metadata.name} ${stateOf(o).reason} ${stateOf(o).message}`.toLowerCase().includes(words)),
      ),
    [objects, kind, words],
  );
  const columns = useMemo<GridColumn<Obj>[]>(
    () => [
      {
        key: "name",
        title: "Name",
        width: "minmax(200px, 1.2fr)",
        sort: (o) => o.metadata.name,
        cell: (o) => (
          <Link className="link" to={pathOf(workspace, o.kind, o.metadata.name)}>
            <Group gap={6} wrap="nowrap">
              <KindIcon kind={o.kind} />
              {o.metadata.name}
            </Group>
          </Link>
        ),
      },
      { key: "kind", title: "Kind", width: "110px", sort: (o) => o.kind, cell: (o) => o.kind },
      {
        key: "state",
        title: "State",
        width: "150px",
        sort: (o) => stateOf(o).state,
        cell: (o) => <StateBadge state={stateOf(o).state} label={stateOf(o).reason} />,
      },
      {
        key: "version",
        title: "Version",
        width: "90px",
        number: true,
        sort: (o) => versionOf(o) ?? 0,
        cell: (o) => versionOf(o) ?? "–",
      },
      {
        key: "since",
        title: "Since",
        width: "110px",
        sort: (o) => stateOf(o).since ?? "",
        cell: (o) => <Ago at={stateOf(o).since} />,
      },
      {
        key: "message",
        title: "What it says",
        width: "minmax(320px, 3fr)",
        cell: (o) => <span title={stateOf(o).message}>{stateOf(o).message}</span>,
      },
    ],
    [workspace],
  );
  return (
    <Page title="All objects">
      <Group mb="sm" gap="sm">
        <TextInput
          aria-label="Filter by name, state or message"
          placeholder="Filter"
          size="sm"
          w={260}
          defaultValue={search.get("q") ?? ""}
          onChange={(e) => set("q", e.currentTarget.value)}
        />
        <SegmentedControl
          size="xs"
          aria-label="Kind"
          value={kind}
          onChange={(v) => set("kind", v)}
          data={[{ value: "", label: "All" }, ...sections.map((s) => ({ value: s.kind, label: s.title }))]}
        />
      </Group>
      {rows.length === 0 ? (
        <Empty title={words || kind ? "Nothing matches" : "Nothing is declared yet"}>
          {words || kind ? (
            "Take words out of the filter, or choose all kinds."
          ) : (
            <>
              Write a few YAML objects and run <code>fathom apply -f FOLDER</code>; they appear here at once.
            </>
          )}
        </Empty>
      ) : (
        <Grid
          label="Objects"
          rows={rows}
          columns={columns}
          rowKey={(o) => `${o.kind}/${o.metadata.name}`}
          height={Math.max(320, window.innerHeight - 180)}
          initial={{ key: "name", down: false }}
        />
      )}
    </Page>
  );
}
