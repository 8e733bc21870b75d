// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { ColumnProfile } from "../api/kinds";
import { aligned, shift } from "./profile";

const numbers = (least: number, greatest: number, bars: number[]): ColumnProfile => ({
  name: "x",
  type: "number",
  missing: 0,
  distinct: 50,
  least,
  greatest,
  bars,
});
const words = (top: Record<string, number>): ColumnProfile => ({
  name: "x",
  type: "text",
  missing: 0,
  distinct: Object.keys(top).length,
  top: Object.entries(top).map(([value, rows]) => ({ value, rows })),
});

test("two histograms on one axis keep their rows and places", () => {
  const [a, b] = aligned(numbers(0, 4, [1, 2, 3, 4]), numbers(4, 8, [4, 3, 2, 1]))!;
  expect(a).toEqual([3, 7, 0, 0]);
  expect(b).toEqual([0, 0, 7, 3]);
});

test("a version that did not move has no shift, one that moved has much", () => {
  expect(shift(numbers(0, 4, [5, 5, 5, 5]), numbers(0, 4, [5, 5, 5, 5]))).toBeCloseTo(0);
  expect(shift(numbers(0, 4, [5, 5, 5, 5]), numbers(4, 8, [5, 5, 5, 5]))!).toBeGreaterThan(1);
  // By hand: (0.5−0.75)·ln(0.5/0.75) + (0.5−0.25)·ln(0.5/0.25).
  expect(shift(words({ a: 50, b: 50 }), words({ a: 75, b: 25 }))).toBeCloseTo(0.2747, 4);
  expect(shift(words({ a: 1 }), { ...words({}), top: undefined })).toBeUndefined();
});
