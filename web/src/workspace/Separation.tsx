// SPDX-License-Identifier: Apache-2.0
import { List, SimpleGrid, Text } from "@mantine/core";
import { Card } from "../parts/Page";
import { StateBadge } from "../parts/State";
import type { AboutWorkspace } from "./WorkspacePage";

/** What really keeps pods apart on this machine. */
export function Separation({ about }: { about: AboutWorkspace }) {
  const { isolation, missing, policies } = about.enforcement;
  const sandbox = isolation === "sandbox";
  const network = sandbox && !missing.some((m) => /network/i.test(m));
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <Card title="Pods" aside={<StateBadge state={sandbox ? "ready" : "stale"} label={isolation} />}>
        <Text size="sm">
          {sandbox
            ? "Each pod has namespaces, a root filesystem, limits and a network of its own; it sees neither other pods nor this machine's files."
            : "Pods run as plain processes: they are not kept from this machine's files and network. Start Fathom as root on a recent Linux, and the sandbox is used."}
        </Text>
      </Card>
      <Card
        title="Network"
        aside={<StateBadge state={network ? "ready" : "stale"} label={network ? "enforced" : "not enforced"} />}
      >
        <Text size="sm" mb="xs">
          {network
            ? "NetworkPolicies are enforced: pods reach Fathom's doors and what a policy allows, nothing else."
            : "NetworkPolicies are stored, but nothing enforces them on this machine."}
        </Text>
        <Text size="sm" className="quiet">
          {policies.length ? `In this workspace: ${policies.join(", ")}` : "There is none in this workspace."}
        </Text>
      </Card>
      <Card
        title="What is not enforced here"
        aside={
          <StateBadge state={missing.length ? "stale" : "ready"} label={missing.length ? String(missing.length) : "nothing"} />
        }
      >
        {missing.length === 0 ? (
          <Text size="sm">Everything that a pod asks for is enforced.</Text>
        ) : (
          <>
            <List size="sm">
              {missing.map((m) => (
                <List.Item key={m}>{m}</List.Item>
              ))}
            </List>
            <Text size="xs" className="quiet" mt="xs">
              Pods that ask for these run all the same. On a cluster of your own its nodes enforce them.
            </Text>
          </>
        )}
      </Card>
    </SimpleGrid>
  );
}
