// SPDX-License-Identifier: Apache-2.0
import { Button, Checkbox, Group, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { useLive } from "../api/live";
import { fixed, when } from "../format";
import { stageState } from "../graph/state";
import { Card } from "../parts/Page";
import { StateBadge } from "../parts/State";
import { pathOf } from "../shell/places";
import { Decide } from "./Decide";
import { termOf } from "./evaluation";
import type { Looked } from "./ModelPage";

const most = 4;

/** All versions; two or more that are marked are shown side by side. */
export function Versions({ model, versions, shown }: Looked) {
  const { workspace } = useLive();
  const navigate = useNavigate();
  const name = model.metadata.name;
  const [marked, setMarked] = useState<number[]>(shown.map((s) => s.version.spec.number));
  const there = new Set(versions.flatMap((v) => v.status.metrics?.map((m) => m.name) ?? []));
  const metrics = [...new Set([...(model.spec.evaluate?.metrics ?? []), ...there])].filter((m) => there.has(m)).slice(0, 3);
  const mark = (n: number, on: boolean) => setMarked((m) => (on ? [...m, n] : m.filter((o) => o !== n)));
  const [first, ...others] = marked.toSorted((a, b) => b - a);
  return (
    <Stack gap="md">
      <Group gap="sm">
        <Button
          size="xs"
          disabled={marked.length < 2}
          onClick={() => navigate(`/workspaces/${workspace}/models/${name}/metrics?version=${first}&with=${others.join(",")}`)}
        >
          Compare {marked.length > 1 ? marked.length : "marked"} versions
        </Button>
        <Text size="xs" className="quiet">
          Mark two to {most}.
        </Text>
      </Group>
      <Card pad={false}>
        <div className="scroll" tabIndex={0} role="group" aria-label="Versions">
          <table className="plain">
            <thead>
              <tr>
                <th>
                  <span className="quiet">Compare</span>
                </th>
                <th className="number">Version</th>
                <th>Stage</th>
                {metrics.map((m) => (
                  <th key={m} className="number">
                    {termOf(m).label}
                  </th>
                ))}
                <th>Data</th>
                <th>Trained</th>
                <th>Why</th>
              </tr>
            </thead>
            <tbody>
              {versions.map((v) => {
                const n = v.spec.number;
                return (
                  <tr key={n}>
                    <td>
                      <Checkbox
                        size="xs"
                        aria-label={`Compare version ${n}`}
                        checked={marked.includes(n)}
                        disabled={!marked.includes(n) && marked.length >= most}
                        onChange={(e) => mark(n, e.currentTarget.checked)}
                      />
                    </td>
                    <td className="number">
                      <Link className="link" to={`/workspaces/${workspace}/models/${name}/overview?version=${n}`}>
                        {n}
                      </Link>
                    </td>
                    <td>
                      <StateBadge state={stageState(v.status.stage)} label={v.status.stage ?? "Candidate"} />
                    </td>
                    {metrics.map((m) => {
                      const found = v.status.metrics?.find((x) => x.name === m);
                      return (
                        <td key={m} className="number" style={{ whiteSpace: "nowrap" }}>
                          {found ? fixed(Number(found.value)) : "–"}
                          {found?.low && (
                            <span className="quiet" style={{ display: "block", fontSize: 12 }}>
                              ({fixed(Number(found.low))} to {fixed(Number(found.high))})
                            </span>
                          )}
                        </td>
                      );
                    })}
                    <td style={{ whiteSpace: "nowrap" }}>
                      <Link
                        className="link"
                        to={`${pathOf(workspace, "Dataset", v.spec.dataset)}?version=${v.spec.datasetVersion}`}
                      >
                        {v.spec.dataset} v{v.spec.datasetVersion}
                      </Link>
                    </td>
                    <td style={{ whiteSpace: "nowrap" }}>{when(v.metadata.creationTimestamp)}</td>
                    <td className="quiet" style={{ minWidth: 200, overflowWrap: "anywhere" }}>
                      {v.status.why}
                      <Decide model={model} versions={versions} version={v} />
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </Card>
    </Stack>
  );
}
