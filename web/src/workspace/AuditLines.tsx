// SPDX-License-Identifier: Apache-2.0
import { Group, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Button } from "@mantine/core";
import { getJSON, useRights, v1 } from "../api/client";
import { useLive } from "../api/live";
import { when } from "../format";
import { Grid, type GridColumn } from "../parts/Grid";
import { StateBadge } from "../parts/State";
import { Answer, Empty } from "../parts/Told";

interface Entry {
  seq: number;
  time: string;
  user: string;
  action: string;
  object: string;
  decision: "allowed" | "refused" | "failed";
  reason?: string;
  remote?: string;
  door?: string;
}

const tones = { allowed: "ready", refused: "refused", failed: "failed" } as const;
const page = 200;

/** Decisions on data in the workspace: one's own, or everyone's with the right to it. */
export function AuditLines() {
  const { workspace } = useLive();
  const may = useRights(workspace);
  const [whose, setWhose] = useState<"mine" | "all">("mine");
  const [decision, setDecision] = useState("");
  const [words, setWords] = useState("");
  const [action] = useDebouncedValue(words.trim(), 300);
  const all = whose === "all" && may.audit === true;
  const lines = useInfiniteQuery({
    queryKey: ["audit", workspace, all, decision, action],
    initialPageParam: 0,
    queryFn: ({ pageParam, signal }) => {
      const asked = new URLSearchParams();
      if (decision) asked.set("decision", decision);
      if (action) asked.set("action", action);
      if (pageParam) asked.set("before", String(pageParam));
      return getJSON<{ lines: Entry[] }>(v1(workspace, `audit${all ? "" : "/mine"}?${asked}`), signal);
    },
    getNextPageParam: (last) => (last.lines.length < page ? undefined : last.lines.at(-1)!.seq),
  });
  const rows = useMemo(() => lines.data?.pages.flatMap((p) => p.lines) ?? [], [lines.data]);
  const columns = useMemo<GridColumn<Entry>[]>(
    () => [
      { key: "seq", title: "Line", width: "84px", number: true, sort: (l) => l.seq, cell: (l) => l.seq },
      { key: "time", title: "When", width: "190px", sort: (l) => l.time, cell: (l) => when(l.time) },
      {
        key: "user",
        title: "Who",
        width: "minmax(150px, 1fr)",
        sort: (l) => l.user,
        cell: (l) => <span title={l.user}>{l.user}</span>,
      },
      {
        key: "action",
        title: "Action",
        width: "200px",
        sort: (l) => l.action,
        cell: (l) => <span title={l.action}>{l.action}</span>,
      },
      {
        key: "object",
        title: "On",
        width: "minmax(260px, 3fr)",
        sort: (l) => l.object,
        cell: (l) => <span title={l.object}>{l.object}</span>,
      },
      {
        key: "decision",
        title: "Decision",
        width: "116px",
        sort: (l) => l.decision,
        cell: (l) => <StateBadge state={tones[l.decision]} label={l.decision} />,
      },
      { key: "door", title: "Door", width: "90px", sort: (l) => l.door ?? "", cell: (l) => l.door },
      { key: "reason", title: "Reason", width: "minmax(160px, 1fr)", cell: (l) => <span title={l.reason}>{l.reason}</span> },
    ],
    [],
  );
  return (
    <Stack gap="sm">
      <Group gap="sm">
        {may.audit ? (
          <SegmentedControl
            size="xs"
            aria-label="Whose lines"
            value={whose}
            onChange={(v) => setWhose(v as "mine" | "all")}
            data={[
              { value: "mine", label: "Mine" },
              { value: "all", label: "Everyone's" },
            ]}
          />
        ) : (
          <Text size="sm" className="quiet">
            Your own lines. Stewards and admins see everyone's.
          </Text>
        )}
        <SegmentedControl
          size="xs"
          aria-label="Decision"
          value={decision}
          onChange={setDecision}
          data={[
            { value: "", label: "All" },
            { value: "allowed", label: "Allowed" },
            { value: "refused", label: "Refused" },
          ]}
        />
        <TextInput
          size="xs"
          w={240}
          aria-label="Action begins with"
          placeholder="Action, for example get datasets"
          value={words}
          onChange={(e) => setWords(e.currentTarget.value)}
        />
        <Button
          size="xs"
          variant="default"
          onClick={() => lines.refetch()}
          loading={lines.isFetching && !lines.isFetchingNextPage}
        >
          Look again
        </Button>
      </Group>
      <Answer of={lines} what="Reading the audit log">
        {() =>
          rows.length === 0 ? (
            <Empty title="There is no such line">
              A line is written for each decision on data: reading rows, files, models and tracking, uploads, predictions,
              promotions.
            </Empty>
          ) : (
            <>
              <Grid
                label="Audit lines"
                rows={rows}
                columns={columns}
                rowKey={(l) => String(l.seq)}
                height={Math.max(320, window.innerHeight - 300)}
              />
              {lines.hasNextPage && (
                <Group>
                  <Button size="xs" variant="default" loading={lines.isFetchingNextPage} onClick={() => lines.fetchNextPage()}>
                    Older lines
                  </Button>
                </Group>
              )}
            </>
          )
        }
      </Answer>
    </Stack>
  );
}
