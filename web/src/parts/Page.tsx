// SPDX-License-Identifier: Apache-2.0
import { Box, Group, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect, useState } from "react";
import { ago, when } from "../format";

/** The frame of a page: its title for the browser and for screen readers, and what can be done on the right. */
export function Page({
  title,
  before,
  actions,
  children,
}: {
  title: string;
  before?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Fathom`;
  }, [title]);
  return (
    <Box px={{ base: "sm", sm: "lg" }} py="md" maw={1480} mx="auto">
      <Group justify="space-between" align="center" mb="sm" gap="xs">
        <Group gap="sm" miw={0}>
          {before}
          <Title order={1} style={{ overflowWrap: "anywhere" }}>
            {title}
          </Title>
        </Group>
        <Group gap="xs">{actions}</Group>
      </Group>
      {children}
    </Box>
  );
}

export function Card({
  title,
  aside,
  children,
  pad = true,
}: {
  title?: string;
  aside?: ReactNode;
  children: ReactNode;
  pad?: boolean;
}) {
  return (
    <section className="card" aria-label={title}>
      {title && (
        <Group justify="space-between" px="md" pt="sm" pb={pad ? 0 : "xs"} gap="xs">
          <Title order={2}>{title}</Title>
          {aside}
        </Group>
      )}
      <Box p={pad ? "md" : 0} pt={pad && title ? "xs" : undefined}>
        {children}
      </Box>
    </section>
  );
}

/** One number with its name. */
export function Tile({ label, value, note }: { label: string; value: ReactNode; note?: ReactNode }) {
  return (
    <div className="card" style={{ padding: "10px 14px" }}>
      <Text size="xs" className="quiet">
        {label}
      </Text>
      <Text fw={650} fz={20} lh={1.3} style={{ fontVariantNumeric: "tabular-nums" }}>
        {value}
      </Text>
      {note && (
        <Text size="xs" className="quiet">
          {note}
        </Text>
      )}
    </div>
  );
}

const beat = 5_000;

/** now, again every few seconds. */
export function useNow(): number {
  const [now, set] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), beat);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** A moment as people say it, exactly on hovering. */
export function Ago({ at }: { at?: string }) {
  const now = useNow();
  return (
    <time dateTime={at} title={when(at)}>
      {ago(at, now)}
    </time>
  );
}
