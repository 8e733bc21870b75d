// SPDX-License-Identifier: Apache-2.0
import "@mantine/charts/styles.css";
import { BarChart } from "@mantine/charts";
import type { ColumnProfile } from "../api/kinds";
import { count, dayOf, num, percent } from "../format";
import { aligned, axis } from "./profile";

interface Props {
  column: ColumnProfile;
  rows: number;
  other?: ColumnProfile;
  /** How the two versions are named in the legend. */
  names: [string, string];
}

/** A column's distribution at full width, against another version if one is compared. */
export default function ColumnDetail({ column, rows, other, names }: Props) {
  const words = column.top && (column.type !== "number" || !column.bars) ? column.top : undefined;
  const share: Share = (n, total) => (total ? Math.round((1000 * n) / total) / 10 : 0);
  const data = words ? ofWords(column, other, names, share) : ofBars(column, other, names, share);
  const [present, then] = [rows - column.missing, other ? sum(other) : 0];
  const edges = column.type === "time" ? (x: number) => dayOf(x * 1000) : (x: number) => num(x, 3);
  return (
    <section aria-label={`Distribution of ${column.name}`} style={{ padding: "6px 4px 12px" }}>
      {data.length > 0 && (
        <BarChart
          h={230}
          data={data}
          dataKey="at"
          series={[
            { name: names[0], color: "var(--bar)" },
            ...(other && then > 0 ? [{ name: names[1], color: "var(--bar-other)" }] : []),
          ]}
          unit=" %"
          maxBarWidth={72}
          withLegend={!!other}
          tickLine="none"
          barChartProps={{ margin: { top: 8 }, barGap: 0, barCategoryGap: "8%" }}
          xAxisProps={{ interval: "preserveStartEnd", minTickGap: 24 }}
        />
      )}
      <p className="quiet" style={{ fontSize: 13, margin: "6px 8px 0" }}>
        {count(present)} values, {count(column.distinct)} distinct, {percent(column.missing, rows)} missing
        {column.least !== undefined && column.greatest !== undefined && (
          <>
            ; from {edges(column.least)} to {edges(column.greatest)}
          </>
        )}
        {column.quantiles && column.type === "number" && (
          <>
            ; 5 % {num(column.quantiles[0], 3)}, quarter {num(column.quantiles[1], 3)}, median {num(column.quantiles[2], 3)},
            three quarters {num(column.quantiles[3], 3)}, 95 % {num(column.quantiles[4], 3)}; mean {num(column.mean)} with
            standard deviation {num(column.deviation, 3)}
          </>
        )}
        .
      </p>
    </section>
  );
}

const sum = (c: ColumnProfile) => (c.bars ?? c.top?.map((t) => t.rows) ?? []).reduce((a, b) => a + b, 0);

type Share = (n: number, total: number) => number;

function ofWords(column: ColumnProfile, other: ColumnProfile | undefined, names: [string, string], share: Share) {
  const [all, then] = [sum(column), other ? sum(other) : 0];
  const values = [...new Set([...column.top!, ...(other?.top ?? [])].map((t) => t.value))].slice(0, 16);
  const rows = (c: ColumnProfile | undefined, v: string) => c?.top?.find((t) => t.value === v)?.rows ?? 0;
  return values.map((v) => ({
    at: v === "" ? "(empty)" : v,
    [names[0]]: share(rows(column, v), all),
    [names[1]]: share(rows(other, v), then),
  }));
}

function ofBars(column: ColumnProfile, other: ColumnProfile | undefined, names: [string, string], share: Share) {
  if (!column.bars) return [];
  const pair = other ? aligned(column, other) : undefined;
  const [now, then] = pair ?? [column.bars, undefined];
  const [all, before] = [sum(column), other ? sum(other) : 0];
  const at = axis(column, pair ? other : undefined);
  const text = column.type === "time" ? (x: number) => dayOf(x * 1000) : (x: number) => num(x, 3);
  return now.map((n, i) => ({
    at: `${text(at.low + i * at.width)} – ${text(at.low + (i + 1) * at.width)}`,
    [names[0]]: share(n, all),
    [names[1]]: share(then?.[i] ?? 0, before),
  }));
}
