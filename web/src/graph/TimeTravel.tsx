// SPDX-License-Identifier: Apache-2.0
import { ActionIcon, Box, Button, Group, Text } from "@mantine/core";
import { IconChevronLeft, IconChevronRight, IconHistory } from "@tabler/icons-react";
import { useMemo } from "react";
import type { Moment } from "../api/kinds";
import { when } from "../format";

interface Props {
  moments: Moment[];
  at?: number;
  set: (change: Record<string, string | undefined>) => void;
}

/** A line of all versions by time; stepping along it shows the workspace as it was. */
export function TimeTravel({ moments, at, set }: Props) {
  const times = useMemo(() => [...new Set(moments.map((m) => Date.parse(m.at)))].sort((a, b) => a - b), [moments]);
  // Its place is kept while it is empty, so that the graph does not move when times arrive.
  if (times.length < 2) return <Box h={45} style={{ borderTop: "1px solid var(--line)", background: "var(--surface)" }} />;
  const position =
    at === undefined
      ? times.length - 1
      : Math.max(
          0,
          times.findLastIndex((t) => t <= at),
        );
  const go = (i: number) => set({ at: i >= times.length - 1 ? undefined : String(times[i]), version: undefined });
  const last = at === undefined ? undefined : moments.findLast((m) => Date.parse(m.at) <= at);
  return (
    <Box
      px="md"
      py={8}
      style={{ borderTop: "1px solid var(--line)", background: at === undefined ? "var(--surface)" : "var(--accent-tint)" }}
    >
      <Group gap="xs" wrap="nowrap">
        <IconHistory size={17} stroke={1.8} aria-hidden style={{ flex: "none" }} />
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          onClick={() => go(position - 1)}
          disabled={position === 0}
          aria-label="One change back"
        >
          <IconChevronLeft size={16} />
        </ActionIcon>
        <input
          type="range"
          min={0}
          max={times.length - 1}
          value={position}
          onChange={(e) => go(Number(e.currentTarget.value))}
          style={{ flex: 1, minWidth: 60, accentColor: "var(--accent)" }}
          aria-label="Time"
          aria-valuetext={at === undefined ? "now" : when(times[position])}
        />
        <ActionIcon
          variant="subtle"
          color="gray"
          size="sm"
          onClick={() => go(position + 1)}
          disabled={at === undefined}
          aria-label="One change on"
        >
          <IconChevronRight size={16} />
        </ActionIcon>
        <Text size="sm" style={{ whiteSpace: "nowrap", fontVariantNumeric: "tabular-nums" }} visibleFrom="xs">
          {at === undefined ? "Now" : when(times[position])}
          {last ? `: ${last.kind.toLowerCase()} ${last.name} v${last.version}` : ""}
        </Text>
        {at !== undefined && (
          <Button size="compact-xs" variant="default" onClick={() => set({ at: undefined })}>
            Back to now
          </Button>
        )}
      </Group>
    </Box>
  );
}
