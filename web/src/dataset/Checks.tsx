// SPDX-License-Identifier: Apache-2.0
import { Stack, Text } from "@mantine/core";
import { IconAlertTriangle, IconCheck, IconMinus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { queries } from "../api/client";
import { useLive } from "../api/live";
import { when } from "../format";
import { stateOf } from "../graph/state";
import { Card } from "../parts/Page";
import { Empty } from "../parts/Told";
import { pathOf } from "../shell/places";
import type { Looked } from "./DatasetPage";

const most = 24;

/** Each check in each version, oldest on the left. A version that breaks a check is not made: those tries stand below. */
export function Checks({ dataset, versions }: Looked) {
  const { workspace } = useLive();
  const { name } = dataset.metadata;
  const tries = useQuery(
    queries.runs(workspace, { kind: "Dataset", name, phase: "Failed", limit: "20" }, stateOf(dataset).since ?? ""),
  );
  const shown = versions.slice(0, most).reverse();
  const names = [...new Set(shown.flatMap((v) => v.summary?.report.checks?.map((c) => c.check) ?? []))];
  if (names.length === 0) {
    return (
      <Empty title="No checks are declared">
        Checks keep wrong data out: a version that breaks one is not made, and everybody keeps the last good one. In the dataset's
        spec, for example <code>{'checks: [{column: jitter, notNull: true, between: [0, 1]}, {expect: "count(*) >= 30"}]'}</code>
      </Empty>
    );
  }
  const broken = shown.some((v) => v.summary?.report.checks?.some((c) => !c.passed));
  const failing = dataset.status.conditions?.find((c) => c.type === "Ready" && c.reason === "Failed");
  return (
    <Stack gap="md">
      {failing && (
        <Text size="sm" mb="sm" role="alert" style={{ color: "var(--failed)" }}>
          The next version was not made: {failing.message}
        </Text>
      )}
      <section className="card" style={{ overflowX: "auto" }} tabIndex={0} aria-label="Checks by version">
        <table className="plain">
          <thead>
            <tr>
              <th>Check</th>
              {shown.map((v) => (
                <th key={v.number} title={when(v.created)} style={{ textAlign: "center" }}>
                  v{v.number}
                </th>
              ))}
              {broken && <th>What did not hold</th>}
            </tr>
          </thead>
          <tbody>
            {names.map((name) => {
              const results = shown.map((v) => v.summary?.report.checks?.find((c) => c.check === name));
              const last = results.findLast((r) => r && !r.passed);
              return (
                <tr key={name}>
                  <td>
                    <code>{name}</code>
                  </td>
                  {results.map((r, i) => (
                    <td key={shown[i]!.number} style={{ textAlign: "center" }}>
                      {r === undefined ? (
                        <IconMinus size={16} color="var(--quiet)" aria-label="not declared then" />
                      ) : r.passed ? (
                        <IconCheck size={17} color="var(--ready)" aria-label="holds" />
                      ) : (
                        <IconAlertTriangle size={17} color="var(--failed)" aria-label="does not hold" />
                      )}
                    </td>
                  ))}
                  {broken && <td className="quiet">{last?.message}</td>}
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
      {tries.data?.runs && tries.data.runs.length > 0 && (
        <Card title="Tries that made no version" pad={false}>
          <table className="plain">
            <tbody>
              {tries.data.runs.map((r) => (
                <tr key={r.uid}>
                  <td style={{ whiteSpace: "nowrap" }}>{when(r.finished)}</td>
                  <td>
                    <Link className="link" to={pathOf(workspace, "Run", r.name)}>
                      {r.name}
                    </Link>
                  </td>
                  <td>{r.message}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Card>
      )}
    </Stack>
  );
}
