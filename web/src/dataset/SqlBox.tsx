// SPDX-License-Identifier: Apache-2.0
import { Button, Group, SegmentedControl, Select, Stack, Text } from "@mantine/core";
import { useMutation, useQueries } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { queries, sql } from "../api/client";
import { ofKind, useLive } from "../api/live";
import { duration, plural } from "../format";
import { Empty, FaultView, Loading } from "../parts/Told";
import { Rows } from "./Rows";
import { SqlEditor } from "./SqlEditor";

const AnswerChart = lazy(() => import("./AnswerChart"));

const limits = [100, 1_000, 10_000, 100_000];

/** A statement over the workspace's datasets, with the caller's rights; the answer as a table or a chart. The address holds the statement. */
export function SqlBox({ start = "" }: { start?: string }) {
  const { objects, workspace } = useLive();
  const [search, setSearch] = useSearchParams();
  const [text, setText] = useState(search.get("q") ?? start);
  const [limit, setLimit] = useState(1_000);
  const view = search.get("view") ?? "table";
  const asked = useRef<AbortController>(undefined);
  const datasets = useMemo(() => ofKind(objects, "Dataset").filter((d) => d.status.version), [objects]);
  const schemas = useQueries({
    queries: datasets.slice(0, 60).map((d) => queries.versions(workspace, d.metadata.name, d.status.version ?? 0)),
  });
  const tables = Object.fromEntries(
    datasets.map((d, i) => [
      d.metadata.name.replaceAll("-", "_"),
      schemas[i]?.data?.versions?.[0]?.columns.map((c) => c.name) ?? [],
    ]),
  );
  const answer = useMutation({
    mutationFn: async (statement: string) => {
      asked.current?.abort();
      asked.current = new AbortController();
      const begin = performance.now();
      const rows = await sql(workspace, statement, limit, asked.current.signal);
      return { rows, seconds: (performance.now() - begin) / 1000 };
    },
  });
  const set = (change: Record<string, string>) =>
    setSearch(
      (s) => {
        for (const [k, v] of Object.entries(change)) s.set(k, v);
        return s;
      },
      { replace: true },
    );
  const go = (statement: string) => {
    if (!statement.trim()) return;
    set({ q: statement });
    answer.mutate(statement);
  };
  const columns = answer.data?.rows[0] ? Object.keys(answer.data.rows[0]) : [];
  return (
    <Stack gap="sm">
      <SqlEditor value={text} onChange={setText} onRun={go} tables={tables} />
      <Group gap="sm">
        <Button size="xs" onClick={() => go(text)} loading={answer.isPending}>
          Run
        </Button>
        <Text size="xs" className="quiet" visibleFrom="sm">
          Ctrl Enter
        </Text>
        {answer.isPending && (
          <Button size="xs" variant="default" onClick={() => asked.current?.abort()}>
            Stop
          </Button>
        )}
        <Select
          size="xs"
          w={176}
          aria-label="Rows at most"
          data={limits.map((n) => ({ value: String(n), label: `at most ${plural(n, "row")}` }))}
          value={String(limit)}
          allowDeselect={false}
          onChange={(v) => setLimit(Number(v))}
        />
        {answer.data && (
          <>
            <SegmentedControl
              size="xs"
              aria-label="Show the answer as"
              value={view}
              onChange={(v) => set({ view: v })}
              data={[
                { value: "table", label: "Table" },
                { value: "chart", label: "Chart" },
              ]}
            />
            <Text size="sm" className="quiet">
              {plural(answer.data.rows.length, "row")} in {duration(answer.data.seconds)}
              {answer.data.rows.length === limit ? "; there may be more" : ""}
            </Text>
          </>
        )}
      </Group>
      {answer.error && answer.error.name !== "AbortError" ? (
        <FaultView error={answer.error} />
      ) : !answer.data ? (
        <Empty title="Ask the datasets">
          Tables are datasets: {Object.keys(tables).join(", ") || "there are none yet"}. What you may not read is refused; each
          question leaves a line in the audit log.
        </Empty>
      ) : answer.data.rows.length === 0 ? (
        <Empty title="No rows">The statement is right; nothing matches it.</Empty>
      ) : view === "chart" ? (
        <Suspense fallback={<Loading what="Drawing" />}>
          <AnswerChart rows={answer.data.rows} columns={columns} />
        </Suspense>
      ) : (
        <Rows rows={answer.data.rows} columns={columns} label="Answer" />
      )}
    </Stack>
  );
}
