// SPDX-License-Identifier: Apache-2.0
import { SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link, useSearchParams } from "react-router";
import { queries } from "../api/client";
import { ofKind, useLive } from "../api/live";
import { duration } from "../format";
import { phaseState } from "../graph/state";
import { Grid, type GridColumn } from "../parts/Grid";
import { Ago, Page } from "../parts/Page";
import { StateBadge } from "../parts/State";
import { Answer, Empty } from "../parts/Told";
import { pathOf } from "../shell/places";
import { type Line, linesOf } from "./lines";

export function Component() {
  const { objects, workspace } = useLive();
  const [search, setSearch] = useSearchParams();
  const phase = search.get("phase") ?? "";
  const live = useMemo(() => ofKind(objects, "Run"), [objects]);
  const stamp = live.map((r) => r.metadata.name).join();
  const history = useQuery({ ...queries.runs(workspace, {}, stamp), placeholderData: (old) => old });
  const lines = useMemo(() => linesOf(live, history.data?.runs ?? []), [live, history.data]);
  const rows = lines.filter((l) => !phase || (phase === "live" ? l.live : l.phase === phase));
  const columns = useMemo<GridColumn<Line>[]>(
    () => [
      {
        key: "name",
        title: "Run",
        width: "minmax(240px, 1.4fr)",
        sort: (l) => l.name,
        cell: (l) => (
          <Link className="link" to={pathOf(workspace, "Run", l.name)}>
            {l.name}
          </Link>
        ),
      },
      {
        key: "phase",
        title: "Phase",
        width: "130px",
        sort: (l) => l.phase,
        cell: (l) => <StateBadge state={phaseState(l.phase)} label={l.phase} />,
      },
      { key: "step", title: "Step", width: "100px", sort: (l) => l.step, cell: (l) => l.step },
      {
        key: "for",
        title: "For",
        width: "200px",
        sort: (l) => l.forName,
        cell: (l) => (
          <Link className="link" to={pathOf(workspace, l.forKind, l.forName)}>
            {l.forKind.toLowerCase()} {l.forName}
          </Link>
        ),
      },
      { key: "started", title: "Started", width: "110px", sort: (l) => l.started ?? "", cell: (l) => <Ago at={l.started} /> },
      {
        key: "took",
        title: "Took",
        width: "110px",
        number: true,
        sort: (l) => l.seconds ?? 0,
        cell: (l) => (l.seconds === undefined ? "" : duration(l.seconds)),
      },
      {
        key: "message",
        title: "What it says",
        width: "minmax(260px, 2fr)",
        cell: (l) => <span title={l.message}>{l.message}</span>,
      },
    ],
    [workspace],
  );
  return (
    <Page
      title="Runs"
      actions={
        <SegmentedControl
          size="xs"
          aria-label="Phase"
          value={phase}
          onChange={(v) => setSearch(v ? { phase: v } : {}, { replace: true })}
          data={[
            { value: "", label: "All" },
            { value: "live", label: "Live" },
            { value: "Succeeded", label: "Succeeded" },
            { value: "Failed", label: "Failed" },
          ]}
        />
      }
    >
      <Answer of={history} what="Reading the history">
        {() =>
          rows.length === 0 ? (
            <Empty title={phase ? "No such run" : "Nothing has run yet"}>
              {phase === "live"
                ? "Everything is as declared; nothing is to be done."
                : "A run starts by itself when an object is applied or what it reads changes."}
            </Empty>
          ) : (
            <Grid
              label="Runs"
              rows={rows}
              columns={columns}
              rowKey={(l) => l.uid}
              height={Math.max(320, window.innerHeight - 150)}
            />
          )
        }
      </Answer>
    </Page>
  );
}
