// SPDX-License-Identifier: Apache-2.0
import { Progress, SimpleGrid, Stack, Text } from "@mantine/core";
import { Link } from "react-router";
import { ofKind, useLive } from "../api/live";
import type { Run } from "../api/kinds";
import { bytes, num, percent } from "../format";
import { phaseState } from "../graph/state";
import { Ago, Card } from "../parts/Page";
import { StateBadge } from "../parts/State";
import { Empty, Prose } from "../parts/Told";
import { pathOf } from "../shell/places";
import { quantity } from "./quantity";
import type { AboutWorkspace } from "./WorkspacePage";

const shares = [
  { key: "cpu", title: "CPU", show: (n: number) => `${num(n)} cores`, what: "what runs and endpoints hold now" },
  { key: "memory", title: "Memory", show: (n: number) => bytes(n), what: "what runs and endpoints hold now" },
  { key: "storage", title: "Storage", show: (n: number) => bytes(n), what: "all versions of datasets" },
] as const;

const ended = ["Succeeded", "Failed", "Cancelled"];
const waits = (r: Run) => ["Pending", "Queued", ""].includes(r.status.phase ?? "");

export function Queue({ about }: { about: AboutWorkspace }) {
  const { objects, workspace } = useLive();
  const live = ofKind(objects, "Run").filter((r) => !ended.includes(r.status.phase ?? ""));
  const rank = (r: Run) => `${waits(r) ? 1 : 0}${String(1e6 - (r.spec.priority ?? 0))}${r.metadata.creationTimestamp}`;
  live.sort((a, b) => rank(a).localeCompare(rank(b)));
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, sm: 3 }} spacing="sm">
        {shares.map((s) => {
          const [used, quota] = [quantity(about.status.used?.[s.key]) ?? 0, quantity(about.spec.quota?.[s.key])];
          const full = quota ? used / quota : 0;
          return (
            <div key={s.key} className="card" style={{ padding: "10px 14px" }}>
              <Text size="xs" className="quiet">
                {s.title}
              </Text>
              <Text fw={650} fz={20} lh={1.3}>
                {s.show(used)}{" "}
                <Text span size="sm" className="quiet">
                  {quota ? `of ${s.show(quota)}` : "without a quota"}
                </Text>
              </Text>
              {quota && (
                <Progress
                  value={100 * full}
                  color={full > 0.9 ? "var(--failed)" : full > 0.75 ? "var(--stale)" : "var(--bar)"}
                  aria-label={`${s.title} in use`}
                  my={4}
                />
              )}
              <Text size="xs" className="quiet">
                {quota ? `${percent(used, quota)} in use: ${s.what}` : s.what}
              </Text>
            </div>
          );
        })}
      </SimpleGrid>
      <Card title="Who runs, who waits and why" pad={false}>
        {live.length === 0 ? (
          <Empty title="Nothing runs and nothing waits">
            Runs start by themselves when what they read changes. The priority of this workspace is {about.spec.priority ?? 0}:
            those with a higher one go first where room is short.
          </Empty>
        ) : (
          <div className="scroll" tabIndex={0} role="group" aria-label="The queue">
            <table className="plain">
              <thead>
                <tr>
                  <th>Run</th>
                  <th>Phase</th>
                  <th>For</th>
                  <th className="number">CPU</th>
                  <th className="number">Memory</th>
                  <th className="number">Priority</th>
                  <th>Since</th>
                  <th>Why</th>
                </tr>
              </thead>
              <tbody>
                {live.map((r) => {
                  const workers = Math.max(1, r.spec.workers ?? 1);
                  return (
                    <tr key={r.metadata.name}>
                      <td style={{ whiteSpace: "nowrap" }}>
                        <Link className="link" to={pathOf(workspace, "Run", r.metadata.name)}>
                          {r.metadata.name}
                        </Link>
                      </td>
                      <td>
                        <StateBadge state={phaseState(r.status.phase)} label={r.status.phase || "Pending"} />
                      </td>
                      <td style={{ whiteSpace: "nowrap" }}>
                        {r.spec.for.kind.toLowerCase()} {r.spec.for.name}
                      </td>
                      <td className="number">
                        {workers > 1 ? `${workers} × ` : ""}
                        {r.spec.resources?.cpu ?? "–"}
                      </td>
                      <td className="number">
                        {workers > 1 ? `${workers} × ` : ""}
                        {r.spec.resources?.memory ?? "–"}
                      </td>
                      <td className="number">{r.spec.priority ?? 0}</td>
                      <td style={{ whiteSpace: "nowrap" }}>
                        <Ago at={r.status.startedAt ?? r.metadata.creationTimestamp} />
                      </td>
                      <td style={{ minWidth: 260 }}>
                        <Prose text={r.status.message ?? ""} />
                      </td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
        <Text size="xs" className="quiet" px="md" py="xs">
          Other workspaces' runs are not shown; where they hold the room, the reason says so.
        </Text>
      </Card>
    </Stack>
  );
}
