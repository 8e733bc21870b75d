// SPDX-License-Identifier: Apache-2.0
import { useMemo } from "react";
import { num } from "../format";
import { Grid, type GridColumn } from "../parts/Grid";

type Row = Record<string, unknown> & { "#": number };

/** One value of a table as text. */
export function shown(v: unknown): string {
  if (v === null || v === undefined) return "";
  if (typeof v === "number") return Number.isInteger(v) ? String(v) : num(v, 6);
  return typeof v === "object" ? JSON.stringify(v) : String(v);
}

/** Rows of data, any number of them. Widths follow what the first rows hold. */
export function Rows({
  rows,
  columns,
  label,
  height = 560,
}: {
  rows: Record<string, unknown>[];
  columns: string[];
  label: string;
  height?: number;
}) {
  const numbered = useMemo(() => rows.map((r, i) => ({ ...r, "#": i + 1 }) as Row), [rows]);
  const described = useMemo<GridColumn<Row>[]>(() => {
    const first = rows.slice(0, 60);
    return [
      { key: "#", title: "#", width: "64px", number: true, cell: (r) => <span className="quiet">{r["#"]}</span> },
      ...columns.map((name): GridColumn<Row> => {
        const values = first.map((r) => r[name]).filter((v) => v !== null && v !== undefined);
        const number = values.length > 0 && values.every((v) => typeof v === "number");
        const longest = Math.max(name.length, ...values.map((v) => shown(v).length));
        return {
          key: name,
          title: name,
          number,
          width: `minmax(${Math.min(340, Math.max(72, 28 + longest * 8.6))}px, 1fr)`,
          sort: (r) => (typeof r[name] === "number" ? (r[name] as number) : shown(r[name])),
          cell: (r) =>
            r[name] === null ? <span className="quiet">–</span> : <span title={shown(r[name])}>{shown(r[name])}</span>,
        };
      }),
    ];
  }, [rows, columns]);
  return <Grid label={label} rows={numbered} columns={described} rowKey={(r) => String(r["#"])} height={height} rowHeight={33} />;
}
