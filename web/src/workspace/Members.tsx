// SPDX-License-Identifier: Apache-2.0
import { Code, SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { queries, useRights } from "../api/client";
import { useLive } from "../api/live";
import { Card } from "../parts/Page";
import { StateBadge } from "../parts/State";
import { Empty } from "../parts/Told";
import type { AboutWorkspace } from "./WorkspacePage";

const roles: { role: string; may: string }[] = [
  { role: "viewer", may: "sees everything but identified data, reads rows and logs, asks endpoints" },
  { role: "editor", may: "also declares datasets, models, endpoints and reports, uploads files, cancels runs" },
  { role: "steward", may: "reads identified data, declares datasets and reports, uploads files, reads all audit lines" },
  { role: "approver", may: "sees, and decides which version goes into production" },
  { role: "admin", may: "declares, decides about promotion, reads all audit lines; no identified data" },
];

const accounts: Record<string, string> = {
  steps: "Fathom's own steps: their run's files, nothing else",
  code: "your code: its run's files and its tracking run; no bucket, no other data",
  endpoints: "model servers: the model they serve",
  default: "made by Kubernetes; it may do nothing",
};

const rightNames: Record<string, string> = {
  data: "read rows",
  identified: "read identified rows",
  upload: "upload files",
  log: "read logs",
  cancelRun: "cancel runs",
  retryDataset: "change datasets",
  retryModel: "change models",
  retryReport: "change reports",
  decide: "decide about promotion",
  predict: "ask endpoints",
  tracking: "read what training logged",
  audit: "read everyone's audit lines",
};

export function Members({ about }: { about: AboutWorkspace }) {
  const { workspace } = useLive();
  const may = useRights(workspace);
  const me = useQuery(queries.me()).data;
  const members = about.spec.members ?? [];
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card title="Members" pad={false}>
          {members.length === 0 ? (
            <Empty title="Nobody is a member">
              Only owners of Fathom see this workspace. Name groups or users in spec.members.
            </Empty>
          ) : (
            <table className="plain">
              <thead>
                <tr>
                  <th>Who</th>
                  <th>Role</th>
                </tr>
              </thead>
              <tbody>
                {members.map((m) => (
                  <tr key={`${m.group}/${m.user}/${m.role}`}>
                    <td>
                      {m.group ? `group ${m.group}` : `user ${m.user}`}
                      {(m.user && m.user === me?.user) || (m.group && me?.groups?.includes(m.group)) ? " (you)" : ""}
                    </td>
                    <td>{m.role}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
          <Text size="xs" className="quiet" px="md" py="xs">
            Owners change them: <Code>kubectl edit workspace {workspace}</Code>, spec.members.
          </Text>
        </Card>
        <Card title="What you may do here">
          <Text size="sm" className="quiet" mb="xs">
            As {me?.user}
          </Text>
          <div style={{ display: "flex", flexWrap: "wrap", gap: 6 }}>
            {Object.entries(rightNames).map(([right, name]) => {
              const allowed = may[right as keyof typeof may];
              return <StateBadge key={right} state={allowed ? "ready" : "waiting"} label={allowed ? name : `not: ${name}`} />;
            })}
          </div>
        </Card>
        <Card title="Roles" pad={false}>
          <table className="plain">
            <tbody>
              {roles.map((r) => (
                <tr key={r.role}>
                  <td>
                    <b>{r.role}</b>
                  </td>
                  <td>{r.may}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Card>
        <Card title="Accounts of pods" pad={false}>
          <table className="plain">
            <tbody>
              {about.accounts.map((a) => (
                <tr key={a}>
                  <td>
                    <b>{a}</b>
                  </td>
                  <td>{accounts[a] ?? "made by hand; see its RoleBindings"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Card>
      </SimpleGrid>
    </Stack>
  );
}
