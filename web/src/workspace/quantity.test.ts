// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { quantity } from "./quantity";

test.each([
  ["500m", 0.5],
  ["8", 8],
  ["16Gi", 16 * 2 ** 30],
  ["4111853", 4111853],
  ["1.5k", 1500],
  ["1e3", 1000],
  ["", undefined],
  ["many", undefined],
  [undefined, undefined],
])("%s is %s", (text, want) => {
  expect(quantity(text)).toBe(want);
});
