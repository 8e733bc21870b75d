// SPDX-License-Identifier: Apache-2.0
import { useElementSize } from "@mantine/hooks";
import type { ReactNode } from "react";
import { fixed, num } from "../format";

/** Colours of series, in order; each is also told apart by its dashes. */
export const seriesColours = ["var(--bar)", "var(--bar-other)", "var(--approval)", "var(--ready)"];
export const seriesDashes = [undefined, "7 4", "2 4", "9 3 2 3"];

export interface Line {
  name: string;
  points: { x: number; y: number }[];
  colour: string;
  dash?: string;
  /** Draws a step at each point, as a ROC curve has. */
  dots?: boolean;
}

export interface Mark {
  x: number;
  y: number;
  low?: number;
  high?: number;
  colour: string;
  title: string;
  size?: number;
}

interface Props {
  label: string;
  x: string;
  y: string;
  domain?: { x: [number, number]; y: [number, number] };
  lines?: Line[];
  marks?: Mark[];
  /** A dashed line of what chance or perfection would reach. */
  guide?: { x: number; y: number }[];
  height?: number;
  children?: ReactNode;
}

const left = 46;
const bottom = 40;

/** nice are round numbers between two bounds, about so many. */
export function nice(low: number, high: number, about = 5): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw)!;
  const out = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-9; t += step)
    out.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return out;
}

/** A plot with two axes of numbers. The label says to those who do not see it what it shows; tables beside it have the numbers. */
export function Plot({ label, x, y, domain, lines = [], marks = [], guide, height = 300 }: Props) {
  const { ref, width } = useElementSize();
  const all = [...lines.flatMap((l) => l.points), ...marks, ...(guide ?? [])];
  const range = (of: (p: { x: number; y: number }) => number): [number, number] => {
    const values = all.map(of).filter(Number.isFinite);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  };
  const [x0, x1] = domain?.x ?? range((p) => p.x);
  const [y0, y1] = domain?.y ?? range((p) => p.y);
  const [w, h] = [Math.max(width, 120) - left - 12, height - bottom - 10];
  const px = (v: number) => left + ((v - x0) / (x1 - x0)) * w;
  const py = (v: number) => 10 + h - ((v - y0) / (y1 - y0)) * h;
  const path = (points: { x: number; y: number }[]) =>
    points.map((p, i) => `${i ? "L" : "M"}${px(p.x).toFixed(1)} ${py(p.y).toFixed(1)}`).join("");
  return (
    <div ref={ref}>
      {width > 0 && (
        <svg className="plot" width={width} height={height} role="img" aria-label={label}>
          {nice(x0, x1, w < 300 ? 4 : 5).map((t) => (
            <g key={t}>
              <line x1={px(t)} x2={px(t)} y1={10} y2={10 + h} className="plot-grid" />
              <text x={px(t)} y={h + 26} textAnchor="middle">
                {num(t)}
              </text>
            </g>
          ))}
          {nice(y0, y1).map((t) => (
            <g key={t}>
              <line x1={left} x2={left + w} y1={py(t)} y2={py(t)} className="plot-grid" />
              <text x={left - 7} y={py(t) + 4} textAnchor="end">
                {num(t)}
              </text>
            </g>
          ))}
          <text x={left + w / 2} y={height - 2} textAnchor="middle" className="plot-title">
            {x}
          </text>
          <text transform={`translate(11 ${10 + h / 2}) rotate(-90)`} textAnchor="middle" className="plot-title">
            {y}
          </text>
          {guide && <path d={path(guide)} className="plot-guide" />}
          {lines.map((l) => (
            <g key={l.name}>
              <path
                d={path(l.points)}
                fill="none"
                stroke={l.colour}
                strokeWidth={2}
                strokeDasharray={l.dash}
                strokeLinejoin="round"
              />
              {(l.dots || l.points.length === 1) &&
                l.points.map((p, i) => (
                  <circle key={i} cx={px(p.x)} cy={py(p.y)} r={2.5} fill={l.colour}>
                    <title>{`${l.name}: ${num(p.x)}, ${num(p.y)}`}</title>
                  </circle>
                ))}
            </g>
          ))}
          {marks.map((m, i) => (
            <g key={i}>
              {m.low !== undefined && m.high !== undefined && (
                <line x1={px(m.x)} x2={px(m.x)} y1={py(m.low)} y2={py(m.high)} stroke={m.colour} strokeWidth={1.5} />
              )}
              <circle cx={px(m.x)} cy={py(m.y)} r={m.size ?? 4} fill={m.colour} stroke="var(--surface)">
                <title>{m.title}</title>
              </circle>
            </g>
          ))}
        </svg>
      )}
    </div>
  );
}

/** What the lines of a plot are. */
export function Legend({ of }: { of: { name: string; colour: string; dash?: string }[] }) {
  return (
    <div className="legend">
      {of.map((s) => (
        <span key={s.name}>
          <svg width={26} height={10} aria-hidden>
            <line x1={1} x2={25} y1={5} y2={5} stroke={s.colour} strokeWidth={3} strokeDasharray={s.dash} />
          </svg>
          {s.name}
        </span>
      ))}
    </div>
  );
}

export interface Row {
  name: string;
  note?: string;
  /** One interval a series; undefined where the series has none. */
  values: ({ value: number; low?: number; high?: number; faint?: boolean } | undefined)[];
}

/** Values with their intervals, one line a row, several series beneath each other. */
export function Forest({
  label,
  rows,
  series,
  domain,
  line,
}: {
  label: string;
  rows: Row[];
  series: { name: string; colour: string }[];
  domain?: [number, number];
  /** A dashed line at a value. */
  line?: number;
}) {
  const { ref, width } = useElementSize();
  const per = 15;
  const rowHeight = Math.max(30, series.length * per + 12);
  const numbers = rows.flatMap((r) => r.values.flatMap((v) => (v ? [v.value, v.low ?? v.value, v.high ?? v.value] : [])));
  if (line !== undefined) numbers.push(line);
  const [low, high] = domain ?? [Math.min(...numbers), Math.max(...numbers)];
  const names = Math.min(210, Math.max(96, width * 0.3));
  const values = width > 560 ? 150 : 0;
  const w = Math.max(60, width - names - values - 16);
  const pad = domain ? 0 : (high - low || 1) * 0.06;
  const px = (v: number) => names + ((Math.min(Math.max(v, low), high) - (low - pad)) / (high - low + 2 * pad || 1)) * w;
  const height = rows.length * rowHeight + 26;
  const said = (v: { value: number; low?: number; high?: number }) =>
    `${fixed(v.value)}${v.low === undefined ? "" : ` (${fixed(v.low)} to ${fixed(v.high)})`}`;
  return (
    <div ref={ref}>
      {width > 0 && (
        <svg className="plot" width={width} height={height} role="img" aria-label={label}>
          {nice(low, high, w < 260 ? 3 : 5).map((t) => (
            <g key={t}>
              <line x1={px(t)} x2={px(t)} y1={0} y2={rows.length * rowHeight} className="plot-grid" />
              <text x={px(t)} y={rows.length * rowHeight + 18} textAnchor="middle">
                {num(t)}
              </text>
            </g>
          ))}
          {line !== undefined && <line x1={px(line)} x2={px(line)} y1={0} y2={rows.length * rowHeight} className="plot-guide" />}
          {rows.map((r, i) => {
            const top = i * rowHeight;
            const first = top + rowHeight / 2 - ((series.length - 1) * per) / 2;
            return (
              <g key={r.name}>
                {i > 0 && <line x1={0} x2={width} y1={top} y2={top} className="plot-grid" />}
                <text x={0} y={top + rowHeight / 2 + 4} className="plot-name">
                  {r.name.length > names / 7.4 ? `${r.name.slice(0, names / 7.4 - 1)}…` : r.name}
                  <title>{[r.name, r.note].filter(Boolean).join(": ")}</title>
                </text>
                {r.values.map((v, s) => {
                  if (!v) return null;
                  const y = first + s * per;
                  const colour = series[s]!.colour;
                  return (
                    <g key={series[s]!.name} opacity={v.faint ? 0.45 : 1}>
                      <title>{`${r.name}, ${series[s]!.name}: ${said(v)}`}</title>
                      {v.low !== undefined && v.high !== undefined && (
                        <line x1={px(v.low)} x2={px(v.high)} y1={y} y2={y} stroke={colour} strokeWidth={2} />
                      )}
                      <circle cx={px(v.value)} cy={y} r={4} fill={colour} />
                      {values > 0 && (
                        <text x={width} y={y + 4} textAnchor="end" className="plot-value">
                          {said(v)}
                        </text>
                      )}
                    </g>
                  );
                })}
              </g>
            );
          })}
        </svg>
      )}
    </div>
  );
}
