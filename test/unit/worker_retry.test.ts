import { expect, test } from "bun:test";

import { postponed, verdictBefore, verdictOf } from "../../worker/retry.ts";

const policy = { attemptsMax: 10, backoff: { baseMs: 15_000, maxMs: 3_600_000 } };
const failed = { kind: "failed", reason: "no" } as const;
const highest = () => 1 - Number.EPSILON;

test("an attempt that returned is completed, whichever it was", () => {
  expect(verdictOf({ kind: "returned" }, 1, policy)).toEqual({ to: "completed" });
  expect(verdictOf({ kind: "returned" }, 10, policy)).toEqual({ to: "completed" });
});

test("the pause doubles from the base to the ceiling, and is spread over all of it", () => {
  const pauses = (random: () => number) =>
    Array.from({ length: 9 }, (_, index) => {
      const verdict = verdictOf(failed, index + 1, policy, random);
      if (verdict.to !== "retryable") throw new Error(verdict.to);
      return verdict.delayMs;
    });
  const seconds = pauses(highest).map((delayMs) => Math.ceil(delayMs / 1_000));
  expect(seconds).toEqual([15, 30, 60, 120, 240, 480, 960, 1920, 3600]);
  expect(pauses(() => 0)).toEqual(Array.from({ length: 9 }, () => 0));
});

test("the last attempt that fails is the last", () => {
  expect(verdictOf(failed, 9, policy)).toMatchObject({ to: "retryable", attempts: 9 });
  expect(verdictOf(failed, 10, policy)).toEqual({ to: "discarded", attempts: 10, reason: "no" });
  expect(verdictOf(failed, 1, { ...policy, attemptsMax: 1 })).toMatchObject({ to: "discarded" });
});

test("an attempt that was stopped, or could not begin, does not count", () => {
  expect(verdictOf({ kind: "stopped" }, 4, policy)).toEqual({ to: "available", attempts: 3 });
  expect(postponed(4, "unknown", () => 0)).toEqual({ to: "scheduled", attempts: 3, delayMs: 7_500, reason: "unknown" });
});

test("a handler that says what it wants gets it: never again, then, later", () => {
  const reason = "r";
  expect(verdictOf({ kind: "discarded", reason }, 1, policy)).toMatchObject({ to: "discarded", attempts: 1, reason });
  expect(verdictOf({ kind: "failed", reason, delayMs: 7 }, 2, policy)).toMatchObject({
    to: "retryable",
    attempts: 2,
    delayMs: 7,
  });
  expect(verdictOf({ kind: "failed", reason, delayMs: 7 }, 10, policy)).toMatchObject({ to: "discarded" });
  expect(verdictOf({ kind: "snoozed", reason, delayMs: 7 }, 10, policy)).toMatchObject({
    to: "scheduled",
    attempts: 9,
    delayMs: 7,
  });
});

test("a job whose worker died in its last attempt is not begun once more", () => {
  expect(verdictBefore(10, 10, policy)).toBeUndefined();
  expect(verdictBefore(11, 11, policy)).toMatchObject({ to: "discarded", attempts: 10 });
});

test("a job of few attempts outlives workers that died before they began it, but not for ever", () => {
  const once = { ...policy, attemptsMax: 1 };
  expect([1, 2, 3].map((deliveries) => verdictBefore(deliveries, deliveries, once))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(verdictBefore(4, 4, once)).toEqual({
    to: "discarded",
    attempts: 3,
    reason: "its worker died or hung 3 times in a row",
  });
});
