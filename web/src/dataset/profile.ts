// SPDX-License-Identifier: Apache-2.0
import type { ColumnProfile } from "../api/kinds";

/**
 * aligned puts the histograms of a column in two versions onto one axis, from the least to the greatest value of both. Rows of
 * a bar are spread evenly over it, as nothing is known of their places within.
 */
export function aligned(a: ColumnProfile, b: ColumnProfile): [number[], number[]] | undefined {
  if (
    !a.bars ||
    !b.bars ||
    a.least === undefined ||
    b.least === undefined ||
    a.greatest === undefined ||
    b.greatest === undefined
  )
    return undefined;
  const { low, width } = axis(a, b);
  const high = low + width * a.bars.length;
  return [rebinned(a, low, high), rebinned(b, low, high)];
}

/** Where bars lie: the least value of both columns, and the width of a bar. */
export function axis(a: ColumnProfile, b?: ColumnProfile): { low: number; width: number } {
  const low = Math.min(a.least!, b?.least ?? Number.POSITIVE_INFINITY);
  const high = Math.max(a.greatest!, b?.greatest ?? Number.NEGATIVE_INFINITY);
  return { low, width: (high - low) / a.bars!.length };
}

function rebinned(c: ColumnProfile, low: number, high: number): number[] {
  const bars = c.bars!;
  const out = new Array<number>(bars.length).fill(0);
  const width = (high - low) / out.length;
  const own = (c.greatest! - c.least!) / bars.length;
  bars.forEach((n, i) => {
    const [from, to] = [c.least! + i * own, c.least! + (i + 1) * own];
    const [first, last] = [Math.floor((from - low) / width), Math.min(out.length - 1, Math.floor((to - low) / width))];
    for (let k = Math.max(0, first); k <= last; k++) {
      const overlap = Math.min(to, low + (k + 1) * width) - Math.max(from, low + k * width);
      if (overlap > 0) out[k]! += n * (overlap / own);
    }
  });
  return out;
}

const small = 1e-4; // stands for an empty bar, as is usual

/** The population stability index between two versions of a column; undefined when there is nothing to compare. */
export function shift(a: ColumnProfile, b: ColumnProfile): number | undefined {
  const pair = shares(a, b);
  if (!pair) return undefined;
  const [p, q] = pair.map((list) => {
    const total = list.reduce((x, y) => x + y, 0);
    return list.map((n) => Math.max(small, total ? n / total : 0));
  }) as [number[], number[]];
  return p.reduce((sum, x, i) => sum + (x - q[i]!) * Math.log(x / q[i]!), 0);
}

function shares(a: ColumnProfile, b: ColumnProfile): [number[], number[]] | undefined {
  if (a.top && b.top && a.distinct <= 12 && b.distinct <= 12) {
    const values = [...new Set([...a.top, ...b.top].map((t) => t.value))];
    const of = (c: ColumnProfile) => values.map((v) => c.top!.find((t) => t.value === v)?.rows ?? 0);
    return [of(a), of(b)];
  }
  // With few rows in a bar the index says more about chance than about the data: ten bars are compared, not twenty.
  const pair = aligned(a, b);
  return pair && [paired(pair[0]), paired(pair[1])];
}

function paired(bars: number[]): number[] {
  const out: number[] = [];
  for (let i = 0; i < bars.length; i += 2) out.push(bars[i]! + (bars[i + 1] ?? 0));
  return out;
}
