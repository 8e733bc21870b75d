// SPDX-License-Identifier: Apache-2.0
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useMemo, useRef, useState } from "react";

export interface GridColumn<T> {
  key: string;
  title: string;
  /** What a cell shows. */
  cell: (row: T) => ReactNode;
  /** What rows are sorted by; a column without it is not sortable. */
  sort?: (row: T) => string | number;
  /** A CSS track: "160px", "minmax(120px, 1fr)". Widths are fixed, because rows are drawn one by one. */
  width: string;
  number?: boolean;
}

interface Props<T> {
  label: string;
  rows: T[];
  columns: GridColumn<T>[];
  rowKey: (row: T) => string;
  height?: number;
  rowHeight?: number;
  /** Sorted by this column at first. */
  initial?: { key: string; down: boolean };
}

/** A table of any length: only what is in view is drawn. */
export function Grid<T>({ label, rows, columns, rowKey, height = 560, rowHeight = 35, initial }: Props<T>) {
  const [order, setOrder] = useState(initial);
  const scroller = useRef<HTMLDivElement>(null);
  const sorted = useMemo(() => {
    const by = columns.find((c) => c.key === order?.key)?.sort;
    if (!by || !order) return rows;
    const sign = order.down ? -1 : 1;
    return rows.toSorted((a, b) => {
      const [x, y] = [by(a), by(b)];
      return x < y ? -sign : x > y ? sign : 0;
    });
  }, [rows, columns, order]);
  const virtual = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    getItemKey: (i) => rowKey(sorted[i]!),
  });
  const template = columns.map((c) => c.width).join(" ");
  const head = 35;
  // Each row is a grid of its own: all have the same width, at least that of their narrowest columns together.
  const narrowest = columns.reduce((sum, c) => sum + Number(/\d+/.exec(c.width)?.[0] ?? 0), 0);
  const track = { gridTemplateColumns: template, width: "100%", minWidth: narrowest };
  return (
    <div
      ref={scroller}
      className="grid"
      role="table"
      aria-label={label}
      aria-rowcount={sorted.length + 1}
      tabIndex={0}
      style={{ maxHeight: height }}
    >
      <div className="grid-head" role="rowgroup">
        <div role="row" tabIndex={-1} aria-rowindex={1} style={track}>
          {columns.map((c) => (
            <div
              key={c.key}
              role="columnheader"
              tabIndex={-1}
              className={c.number ? "number" : undefined}
              aria-sort={order?.key === c.key ? (order.down ? "descending" : "ascending") : undefined}
            >
              {c.sort ? (
                <button
                  type="button"
                  className="sorter"
                  onClick={() => setOrder((o) => ({ key: c.key, down: o?.key === c.key ? !o.down : !!c.number }))}
                >
                  {c.title}
                  {order?.key === c.key ? (order.down ? " ↓" : " ↑") : ""}
                </button>
              ) : (
                c.title
              )}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" style={{ height: Math.max(virtual.getTotalSize(), head), position: "relative", minWidth: narrowest }}>
        {virtual.getVirtualItems().map((item) => {
          const row = sorted[item.index]!;
          return (
            <div
              key={item.key}
              role="row"
              tabIndex={-1}
              className="grid-row"
              aria-rowindex={item.index + 2}
              style={{
                ...track,
                position: "absolute",
                top: 0,
                height: rowHeight,
                transform: `translateY(${item.start}px)`,
              }}
            >
              {columns.map((c) => (
                <div key={c.key} role="cell" tabIndex={-1} className={c.number ? "number" : undefined}>
                  {c.cell(row)}
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}
