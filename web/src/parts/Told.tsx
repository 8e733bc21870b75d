// SPDX-License-Identifier: Apache-2.0
import { Button, Code, Group, Loader, Stack, Text, Title } from "@mantine/core";
import { IconMoodEmpty, IconPlugConnectedX } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Fault } from "../api/client";

/** Text in which `words` between back-ticks are code. */
export function Prose({ text }: { text: string }) {
  return (
    <>
      {text.split("`").map((part, i) =>
        i % 2 === 1 ? (
          <Code key={i} style={{ fontSize: "0.9em" }}>
            {part}
          </Code>
        ) : (
          part
        ),
      )}
    </>
  );
}

/** Says that there is nothing yet, and how there will be something. */
export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <Stack align="center" gap={6} py={48} px="md" ta="center">
      <IconMoodEmpty size={34} stroke={1.4} color="var(--quiet)" aria-hidden />
      <Title order={2}>{title}</Title>
      <Text size="sm" className="quiet" maw={560}>
        {children}
      </Text>
      {action}
    </Stack>
  );
}

const advice: Record<string, string> = {
  Unauthenticated: "The session has ended. Run `fathom open` in a terminal: it prints a link that logs this browser in again.",
  Forbidden: "Your role does not allow it. Members and their roles are on the workspace's page; an owner can change them.",
  NotFound: "It may have been removed, or the address is of another workspace.",
};

/** Says what went wrong and what to do next. */
export function FaultView({ error, retry }: { error: unknown; retry?: () => void }) {
  const fault = error instanceof Fault ? error : undefined;
  const more = fault ? advice[fault.kind] : undefined;
  return (
    <Stack align="center" gap={6} py={40} px="md" ta="center" role="alert">
      <IconPlugConnectedX size={32} stroke={1.4} color="var(--failed)" aria-hidden />
      <Title order={2}>
        {fault?.status === 401 ? "Please log in" : fault?.status === 403 ? "Not for you" : "That did not work"}
      </Title>
      <Text size="sm" maw={640} style={{ overflowWrap: "anywhere" }}>
        <Prose text={error instanceof Error ? error.message : String(error)} />
      </Text>
      {more && (
        <Text size="sm" className="quiet" maw={640}>
          <Prose text={more} />
        </Text>
      )}
      {retry && (
        <Button variant="default" size="xs" mt={6} onClick={retry}>
          Try again
        </Button>
      )}
    </Stack>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <Group justify="center" py={48} gap="sm" role="status">
      <Loader size="sm" />
      <Text size="sm" className="quiet">
        {what} …
      </Text>
    </Group>
  );
}

interface Asked<T> {
  data: T | undefined;
  error: unknown;
  refetch: () => unknown;
}

/** Shows the answer to a query, or why there is none. */
export function Answer<T>({ of, what, children }: { of: Asked<T>; what: string; children: (data: T) => ReactNode }) {
  if (of.data !== undefined) return <>{children(of.data)}</>;
  if (of.error) return <FaultView error={of.error} retry={() => of.refetch()} />;
  return <Loading what={what} />;
}
