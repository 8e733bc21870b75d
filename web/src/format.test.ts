// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { ago, bytes, duration, num, percent, plural } from "./format";

test("numbers keep their meaning at every size", () => {
  expect([0, 1234567, 0.00012345, 0.0000123, 1e12, -2.5, Number.NaN, null, Number.POSITIVE_INFINITY].map((x) => num(x))).toEqual([
    "0",
    "1,235,000",
    "0.0001235",
    "1.23e-5",
    "1e+12",
    "−2.5",
    "–",
    "–",
    "∞",
  ]);
  expect([percent(0, 10), percent(1, 3000), percent(1, 16), percent(1, 2), percent(1, 0)]).toEqual([
    "0 %",
    "<0.1 %",
    "6.3 %",
    "50 %",
    "–",
  ]);
  expect([bytes(0), bytes(1023), bytes(16384), bytes(5 * 2 ** 30), bytes(undefined)]).toEqual([
    "0 B",
    "1023 B",
    "16.0 KiB",
    "5.0 GiB",
    "–",
  ]);
  expect([plural(1, "row"), plural(1200, "row")]).toEqual(["1 row", "1,200 rows"]);
});

test("times are told as people say them", () => {
  expect([0.42, 12, 200, 7500, 3 * 86400].map(duration)).toEqual(["0.4 s", "12 s", "3 min 20 s", "2 h 5 min", "3 d"]);
  const now = Date.parse("2026-01-02T00:00:00Z");
  expect(
    ["2026-01-01T23:59:58Z", "2026-01-01T23:59:30Z", "2026-01-01T23:00:00Z", "2025-12-01T00:00:00Z"].map((t) => ago(t, now)),
  ).toEqual(["just now", "30 s ago", "1 h ago", "32 d ago"]);
});
