// SPDX-License-Identifier: Apache-2.0
import "@mantine/charts/styles.css";
import { BarChart, LineChart, ScatterChart } from "@mantine/charts";
import { Group, Select } from "@mantine/core";
import { useState } from "react";
import { num } from "../format";
import { Empty } from "../parts/Told";
import { shown } from "./Rows";

/** More points than this are thinned out evenly: they would lie on each other. */
const most = 2_000;

type Row = Record<string, unknown>;

export default function AnswerChart({ rows, columns }: { rows: Row[]; columns: string[] }) {
  const numbers = columns.filter((c) => rows.some((r) => typeof r[c] === "number"));
  const words = columns.filter((c) => !numbers.includes(c));
  const [kind, setKind] = useState(words.length > 0 ? "bar" : numbers.length > 1 ? "scatter" : "bar");
  const [x, setX] = useState(words[0] ?? columns[0]!);
  const [y, setY] = useState(numbers.find((c) => c !== (words[0] ?? columns[0])) ?? numbers[0] ?? "");
  if (numbers.length === 0)
    return <Empty title="There is no number to draw">Ask for one, for example with count(*) or avg(…).</Empty>;
  const step = Math.ceil(rows.length / most);
  const some = rows.filter((_, i) => i % step === 0);
  const data = some.map((r) => ({ [x]: typeof r[x] === "number" ? num(r[x] as number) : shown(r[x]), [y]: r[y] as number }));
  const series = [{ name: y, color: "var(--bar)" }];
  const shared = {
    h: 380,
    data,
    dataKey: x,
    series,
    valueFormatter: (v: number) => num(v),
    tickLine: "none" as const,
    xAxisLabel: x,
    yAxisLabel: y,
  };
  return (
    <div className="card" style={{ padding: 16 }}>
      <Group mb="md" gap="sm">
        <Select
          size="xs"
          w={120}
          aria-label="Kind of chart"
          label="Chart"
          data={["bar", "line", "scatter"]}
          value={kind}
          allowDeselect={false}
          onChange={(v) => v && setKind(v)}
        />
        <Select
          size="xs"
          w={180}
          aria-label="Across"
          label="Across"
          data={columns}
          value={x}
          allowDeselect={false}
          onChange={(v) => v && setX(v)}
        />
        <Select
          size="xs"
          w={180}
          aria-label="Up"
          label="Up"
          data={numbers}
          value={y}
          allowDeselect={false}
          onChange={(v) => v && setY(v)}
        />
      </Group>
      {kind === "bar" && <BarChart {...shared} barChartProps={{ margin: { top: 8 } }} maxBarWidth={56} />}
      {kind === "line" && <LineChart {...shared} withDots={some.length < 60} curveType="linear" />}
      {kind === "scatter" && (
        <ScatterChart
          h={380}
          data={[
            {
              name: `${y} by ${x}`,
              color: "var(--bar)",
              data: some.filter((r) => typeof r[x] === "number" && typeof r[y] === "number") as Record<string, number>[],
            },
          ]}
          dataKey={{ x, y }}
          xAxisLabel={x}
          yAxisLabel={y}
          valueFormatter={(v) => num(v)}
        />
      )}
    </div>
  );
}
