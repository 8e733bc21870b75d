// SPDX-License-Identifier: Apache-2.0
import { seriesColours } from "../parts/Plot";

/** What internal/traffic remembers. */
export interface Series {
  step: number;
  points: {
    at: string;
    waiting: number;
    retries: number;
    kept: number;
    dropped: number;
    versions: { version: number; ok: number; refused: number; failed: number; p50?: number; p99?: number }[];
  }[];
}

export const versionsOf = (s: Series) =>
  [...new Set(s.points.flatMap((p) => p.versions.map((v) => v.version)))].sort((a, b) => b - a);

/** The newest version has the first colour. */
export const colourOf = (s: Series, version: number) => seriesColours[versionsOf(s).indexOf(version) % seriesColours.length]!;

const answers = (v: { ok: number; refused: number; failed: number }) => v.ok + v.refused + v.failed;

/** Sums; the median is the middle step's, weighted by its answers, since quantiles do not add up; p99 that of the worst step. */
export function totals(s: Series) {
  const all = s.points.flatMap((p) => p.versions);
  const sum = (of: (v: (typeof all)[number]) => number) => all.reduce((n, v) => n + of(v), 0);
  const total = sum(answers);
  let seen = 0;
  let p50: number | undefined;
  for (const v of all.filter((v) => v.p50 !== undefined).toSorted((a, b) => a.p50! - b.p50!)) {
    p50 = v.p50;
    seen += answers(v);
    if (seen >= total / 2) break;
  }
  const worst = all.map((v) => v.p99).filter((v) => v !== undefined);
  return {
    answers: total,
    refused: sum((v) => v.refused),
    failed: sum((v) => v.failed),
    p50,
    p99: worst.length ? Math.max(...worst) : undefined,
  };
}

export function shares(s: Series) {
  const of = totals(s).answers;
  return versionsOf(s).map((version) => ({
    version,
    of,
    colour: colourOf(s, version),
    answers: s.points.reduce(
      (n, p) => n + p.versions.filter((v) => v.version === version).reduce((m, v) => m + answers(v), 0),
      0,
    ),
  }));
}
