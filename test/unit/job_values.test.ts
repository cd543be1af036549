import { expect, test } from "bun:test";

import { progressText, resultText } from "../../src/runtime/job_values.ts";

test("progress is JSON of a bounded size, and what is not says so to the handler", () => {
  expect(progressText("j", { percent: 40 })).toBe('{"percent":40}');
  expect(() => progressText("j", undefined)).toThrow(/the progress of job "j" is undefined/);
  expect(() => progressText("j", { n: Number.NaN })).toThrow(/the progress of job "j"\.n is NaN/);
  expect(() => progressText("j", "x".repeat(4_096))).toThrow(/is 4098 bytes, expected at most 4096/);
});

test("a result that cannot be kept is none: the job has completed all the same", () => {
  expect(resultText("j", undefined)).toBeUndefined();
  expect(resultText("j", null)).toBe("null");
  expect(resultText("j", { rows: [1, "ü"] })).toBe('{"rows":[1,"ü"]}');
  expect(resultText("j", 1n)).toBeUndefined();
  expect(resultText("j", new Map())).toBeUndefined();
  expect(resultText("j", "x".repeat(16_382))).toHaveLength(16_384);
  expect(resultText("j", "x".repeat(16_383))).toBeUndefined();
});
