// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { apart, atThreshold, better, type Evaluation, metricNames } from "./evaluation";

const of = (part: Partial<Evaluation>) =>
  ({ metrics: {}, population: { rows: 10, subjects: 10 }, ...part }) as unknown as Evaluation;

// Scores of 4 positive rows: .9 .8 .6 .3; of 6 negative ones: .7 .5 .4 .2 .1 .1
const binary = of({
  positive: "1",
  population: { rows: 10, subjects: 10, classes: { "0": 6, "1": 4 } },
  curves: {
    roc: [
      { x: 0, y: 0 },
      { x: 0, y: 1 / 4, threshold: 0.9 },
      { x: 0, y: 2 / 4, threshold: 0.8 },
      { x: 1 / 6, y: 2 / 4, threshold: 0.7 },
      { x: 1 / 6, y: 3 / 4, threshold: 0.6 },
      { x: 2 / 6, y: 3 / 4, threshold: 0.5 },
      { x: 3 / 6, y: 3 / 4, threshold: 0.4 },
      { x: 3 / 6, y: 1, threshold: 0.3 },
      { x: 4 / 6, y: 1, threshold: 0.2 },
      { x: 1, y: 1, threshold: 0.1 },
    ],
  },
});

test("the confusion at a threshold counts what counting rows would", () => {
  expect(atThreshold(binary, 0.5)).toMatchObject({
    tp: 3,
    fp: 2,
    tn: 4,
    fn: 1,
    sensitivity: 0.75,
    precision: 0.6,
    accuracy: 0.7,
  });
  expect(atThreshold(binary, 0.55)).toMatchObject({ tp: 3, fp: 1 }); // between two scores
  expect(atThreshold(binary, 0)).toMatchObject({ tp: 4, fp: 6, tn: 0, fn: 0 });
  expect(atThreshold(binary, 0.95)).toMatchObject({ tp: 0, fp: 0, tn: 6, fn: 4 });
  expect(atThreshold(of({}), 0.5)).toBeUndefined();
});

test("better knows what is good for a metric", () => {
  expect(better("roc_auc", 0.8, 0.7)).toBe(1);
  expect(better("brier", 0.2, 0.1)).toBe(-1);
  expect(better("calibration_slope", 1.4, 0.9)).toBe(-1);
  expect(better("calibration_slope", 1, 1)).toBe(0);
});

test("intervals that touch are not apart", () => {
  const m = (low: number, high: number) => ({ value: (low + high) / 2, low, high, method: "delong", n: 1, subjects: 1 });
  expect(apart(m(0.1, 0.2), m(0.3, 0.4))).toBe(true);
  expect(apart(m(0.1, 0.3), m(0.3, 0.4))).toBe(false);
  expect(apart(m(0.1, 0.3), undefined)).toBeUndefined();
});

test("declared metrics come first, each once, and only those that are there", () => {
  const m = { value: 1, method: "none", n: 1, subjects: 1 };
  const e = of({ metrics: { brier: m, roc_auc: m, own: m } });
  expect(metricNames([e, e], ["brier", "f1"])).toEqual(["brier", "roc_auc", "own"]);
});
