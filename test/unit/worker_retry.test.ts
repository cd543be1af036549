import { expect, test } from "bun:test";

import { attemptOf, postponed, verdictBefore, verdictOf } from "../../worker/retry.ts";
import { solitudeOf } from "../../worker/solitude.ts";

const policy = { attemptsMax: 10, backoff: { baseMs: 15_000, maxMs: 3_600_000 } };
const failed = { kind: "failed", reason: "no" } as const;
const highest = () => 1 - Number.EPSILON;

test("an attempt that returned is completed, whichever it was", () => {
  expect(verdictOf({ kind: "returned" }, 1, policy)).toEqual({ to: "completed" });
  expect(verdictOf({ kind: "returned" }, 10, policy)).toEqual({ to: "completed" });
});

test("a job that completed takes along what it returned, and how long it is to be kept", () => {
  expect(verdictOf({ kind: "returned", result: "7" }, 1, { ...policy, keepMs: 0 })).toEqual({
    to: "completed",
    result: "7",
    keepMs: 0,
  });
});

test("a cancelled attempt is the last, and counts", () => {
  expect(verdictOf({ kind: "cancelled" }, 2, policy)).toEqual({ to: "cancelled", attempts: 2, reason: "cancelled" });
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

test("of attempts that began and never ended each counts, and after three the job must not begin again", () => {
  const died = (starts: number, attempts = 0, alone = false) => verdictBefore({ attempts, starts, alone }, policy);
  expect(attemptOf({ attempts: 2, starts: 3 })).toBe(6);
  expect([died(0), died(1), died(2, 9), died(3), died(8)]).toEqual(Array.from({ length: 5 }, () => undefined));
  expect([died(1, 0, true), died(2, 0, true)]).toEqual([undefined, undefined]);
  expect(died(10)).toEqual({ to: "discarded", attempts: 10, reason: "its worker died or hung 10 times in a row" });
  expect(died(3, 0, true)).toEqual({
    to: "discarded",
    attempts: 3,
    reason: "its worker died or hung 3 times in a row, the last time with nothing else running",
  });
});

test("a job of few attempts outlives workers that died with others beside it, but not for ever", () => {
  const once = { ...policy, attemptsMax: 1 };
  const verdicts = [0, 1, 2, 3].map((starts) => verdictBefore({ attempts: 0, starts, alone: false }, once)?.to);
  expect(verdicts).toEqual([undefined, undefined, undefined, "discarded"]);
});

test("a job is alone only where it is under suspicion", () => {
  expect([0, 1, 2, 5].map((starts) => solitudeOf({ starts })?.aloneMs)).toEqual([undefined, 100, 30_000, 30_000]);
});
