// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { type Series, shares, totals } from "./traffic";

const point = (versions: Series["points"][number]["versions"]) => ({
  at: "",
  waiting: 0,
  retries: 0,
  kept: 0,
  dropped: 0,
  versions,
});
const series: Series = {
  step: 10,
  points: [
    point([{ version: 1, ok: 90, refused: 0, failed: 0, p50: 0.002, p99: 0.01 }]),
    point([]),
    point([
      { version: 1, ok: 0, refused: 4, failed: 1, p50: 0.5, p99: 0.9 },
      { version: 2, ok: 5, refused: 0, failed: 0, p50: 0.004, p99: 0.02 },
    ]),
  ],
};

test("totals add up, the median is that of most answers, the 99th percentile that of the worst step", () => {
  expect(totals(series)).toEqual({ answers: 100, refused: 4, failed: 1, p50: 0.002, p99: 0.9 });
  expect(totals({ step: 10, points: [point([])] })).toMatchObject({ answers: 0, p50: undefined, p99: undefined });
});

test("versions share the traffic", () => {
  expect(shares(series).map((s) => [s.version, s.answers, s.of])).toEqual([
    [2, 5, 100],
    [1, 95, 100],
  ]);
});
