// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { curl, fieldsOf, questionOf, type Signature, scoresOf } from "./snippets";

const signature: Signature = {
  name: "m",
  inputs: [{ name: "X", datatype: "FP32", shape: [-1, 2] }],
  outputs: [],
  features: [
    { name: "age", type: "number" },
    { name: "site", type: "text" },
  ],
  classes: ["no", "yes"],
  scores: "p",
};

test("the form asks for the features, else for the tensors", () => {
  expect(fieldsOf(signature)).toEqual([
    { name: "age", text: false },
    { name: "site", text: true },
  ]);
  expect(fieldsOf({ ...signature, features: [] })).toEqual([{ name: "X", text: false }]);
});

test("a question has one tensor a field, and what is no number is named", () => {
  const fields = fieldsOf(signature);
  expect(questionOf(fields, { age: " 71,5", site: "north" }).inputs).toEqual([
    { name: "age", shape: [1, 1], datatype: "FP64", data: [71.5] },
    { name: "site", shape: [1, 1], datatype: "BYTES", data: ["north"] },
  ]);
  expect(() => questionOf(fields, { age: "old" })).toThrow('age: "old" is not a number');
  expect(() => questionOf(fields, {})).toThrow("age is empty");
});

test("scores are told by class, the highest first", () => {
  const answer = { outputs: [{ name: "p", datatype: "FP32", shape: [1, 2], data: [0.2, 0.8] }] };
  expect(scoresOf(signature, answer)).toEqual([
    { name: "yes", score: 0.8 },
    { name: "no", score: 0.2 },
  ]);
  expect(scoresOf({ ...signature, classes: undefined }, answer)).toBeUndefined();
});

test("no value ends the quoting of the shell", () => {
  const q = questionOf(fieldsOf(signature), { age: "1", site: "o'neill $(id)" });
  expect(curl("https://x/m", q)).toContain("<<'EOF'\n{");
});
