// SPDX-License-Identifier: Apache-2.0
import { Stack, Text } from "@mantine/core";
import { BarChart } from "@mantine/charts";
import "@mantine/charts/styles.css";
import { count, percent } from "../format";
import { Card } from "../parts/Page";
import { Empty } from "../parts/Told";
import type { Looked } from "./DatasetPage";

const colours = ["#3a8fa0", "#d08a2e", "#8b6bb8", "#5a9e5f", "#c2607a", "#7c8896"];

/** Who was left out and why, as counts, in this version and over all. */
export function Excluded({ version, versions, dataset }: Looked) {
  const excluded = (version.summary?.report.excluded ?? []).toSorted((a, b) => b.rows - a.rows);
  const all = versions.toReversed();
  const reasons = [...new Set(all.flatMap((v) => v.summary?.report.excluded?.map((e) => e.reason.trim()) ?? []))];
  if (reasons.length === 0) {
    return (
      <Empty title="Nobody was left out">
        {dataset.spec.privacy?.consent
          ? "Every row has a permit."
          : "With privacy.subject and privacy.consent in its spec, rows of people without a permit never enter, and are counted here by reason."}
      </Empty>
    );
  }
  const data = all.slice(-40).map((v) => ({
    version: `v${v.number}`,
    ...Object.fromEntries(reasons.map((r) => [r, v.summary?.report.excluded?.find((e) => e.reason.trim() === r)?.rows ?? 0])),
  }));
  const total = excluded.reduce((n, e) => n + e.rows, 0);
  return (
    <Stack gap="md">
      <Card title={`Left out of version ${version.number}`} pad={false}>
        {excluded.length === 0 ? (
          <Text size="sm" className="quiet" px="md" pb="md">
            Nobody.
          </Text>
        ) : (
          <table className="plain">
            <thead>
              <tr>
                <th>Why</th>
                <th className="number">Rows</th>
                <th className="number">Subjects</th>
                <th className="number">Of what came in</th>
              </tr>
            </thead>
            <tbody>
              {excluded.map((e) => (
                <tr key={e.reason}>
                  <td>{e.reason.trim()}</td>
                  <td className="number">{count(e.rows)}</td>
                  <td className="number">{e.subjects ? count(e.subjects) : "–"}</td>
                  <td className="number">{percent(e.rows, total + version.rows)}</td>
                </tr>
              ))}
              <tr>
                <td className="quiet">All</td>
                <td className="number">{count(total)}</td>
                <td className="number">–</td>
                <td className="number">{percent(total, total + version.rows)}</td>
              </tr>
            </tbody>
          </table>
        )}
      </Card>
      <Card title="Rows left out, by version">
        <BarChart
          h={260}
          data={data}
          dataKey="version"
          type="stacked"
          series={reasons.map((name, i) => ({ name, color: colours[i % colours.length]! }))}
          withLegend
          legendProps={{ verticalAlign: "bottom" }}
          maxBarWidth={64}
          tickLine="none"
          barChartProps={{ margin: { top: 8 } }}
        />
      </Card>
    </Stack>
  );
}
