// SPDX-License-Identifier: Apache-2.0
import "@mantine/charts/styles.css";
import { AreaChart, BarChart, LineChart } from "@mantine/charts";
import { SimpleGrid, Text } from "@mantine/core";
import { num } from "../format";
import { Card } from "../parts/Page";
import { colourOf, type Series, versionsOf } from "./traffic";

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Rate, latency and errors over time. */
export default function Charts({ series }: { series: Series }) {
  const versions = versionsOf(series);
  const label = series.step < 60 ? exact : clock;
  const rows = series.points.map((p) => {
    const row: Record<string, string | number | null> = {
      at: label.format(new Date(p.at)),
      "refused (4xx)": 0,
      "failed (5xx)": 0,
      waiting: p.waiting,
    };
    for (const n of versions) row[`version ${n}`] = 0;
    for (const v of p.versions) {
      row[`version ${v.version}`] = (v.ok + v.refused + v.failed) / series.step;
      row[`v${v.version} median`] = v.p50 === undefined ? null : 1000 * v.p50;
      row[`v${v.version} 99 %`] = v.p99 === undefined ? null : 1000 * v.p99;
      row["refused (4xx)"] = (row["refused (4xx)"] as number) + v.refused;
      row["failed (5xx)"] = (row["failed (5xx)"] as number) + v.failed;
    }
    return row;
  });
  const shared = {
    h: 230,
    data: rows,
    dataKey: "at",
    tickLine: "none" as const,
    withLegend: true,
    xAxisProps: { minTickGap: 40 },
    legendProps: { verticalAlign: "bottom" as const },
  };
  return (
    <SimpleGrid cols={{ base: 1, lg: 2 }}>
      <Card title="Requests a second">
        <AreaChart
          {...shared}
          type="stacked"
          curveType="linear"
          withDots={false}
          valueFormatter={(v) => num(v, 3)}
          series={versions.map((n) => ({ name: `version ${n}`, color: colourOf(series, n) }))}
        />
      </Card>
      <Card title="Time to answer, ms">
        <LineChart
          {...shared}
          curveType="linear"
          connectNulls={false}
          dotProps={{ r: 2 }}
          valueFormatter={(v) => `${num(v, 3)} ms`}
          series={versions.flatMap((n) => [
            { name: `v${n} median`, color: colourOf(series, n) },
            { name: `v${n} 99 %`, color: `color-mix(in srgb, ${colourOf(series, n)} 45%, var(--ink))`, strokeDasharray: "5 4" },
          ])}
        />
      </Card>
      <Card title="Errors">
        {rows.every((r) => !r["refused (4xx)"] && !r["failed (5xx)"]) ? (
          <Text size="sm" className="quiet">
            Every request was answered.
          </Text>
        ) : (
          <BarChart
            {...shared}
            type="stacked"
            valueFormatter={(v) => num(v)}
            yAxisProps={{ allowDecimals: false }}
            series={[
              { name: "refused (4xx)", color: "var(--bar-other)" },
              { name: "failed (5xx)", color: "var(--failed)" },
            ]}
          />
        )}
      </Card>
      <Card title="Requests that wait for a replica">
        {rows.every((r) => !r.waiting) ? (
          <Text size="sm" className="quiet">
            None had to wait when it was looked.
          </Text>
        ) : (
          <AreaChart
            {...shared}
            curveType="step"
            withDots={false}
            yAxisProps={{ allowDecimals: false }}
            valueFormatter={(v) => num(v)}
            series={[{ name: "waiting", color: "var(--approval)" }]}
          />
        )}
      </Card>
    </SimpleGrid>
  );
}
