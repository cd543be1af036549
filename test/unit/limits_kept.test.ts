// What the crash run and the soak say of limits over the whole fleet, from when jobs began and ended.
import { describe, expect, test } from "bun:test";

import type { CrashReport, Execution } from "../harness/crash.ts";
import { judgeLimits } from "../harness/crash/judge_limits.ts";
import type { RedisForm } from "../harness/crash/redis.ts";
import { mostAtOnce, overtakings, tooEarly } from "../harness/limits_kept.ts";

test("the most at a time: what begins as another ends is not beside it", () => {
  expect(mostAtOnce([])).toBe(0);
  expect(
    mostAtOnce([
      { from: 0, to: 10 },
      { from: 10, to: 20 },
    ]),
  ).toBe(1);
  expect(
    mostAtOnce([
      { from: 0, to: 11 },
      { from: 10, to: 20 },
      { from: 5, to: 30 },
    ]),
  ).toBe(3);
});

describe("a rate of two in 100 ms", () => {
  const early = (beganAt: readonly number[]) => tooEarly(beganAt, { max: 2, perMs: 100, lateMs: 5 });
  test("is kept by two at once in each of its times", () => expect(early([0, 0, 100, 100, 200, 201])).toEqual([]));
  test("is not by a third within its time", () => expect(early([0, 60, 94])).toEqual([{ from: 0, to: 94, by: 6 }]));
  test("a little too early is how late the first was written down", () => expect(early([0, 60, 96])).toEqual([]));
  test("a little too early each time is too early in the long run", () => {
    expect(early([0, 0, 97, 97, 194, 194])).toEqual([
      { from: 0, to: 194, by: 6 },
      { from: 0, to: 194, by: 6 },
    ]);
  });
});

test("one overtakes that begins before the one ahead of it has begun for the last time", () => {
  const place = (job: string, first: number, last = first) => ({ job, first, last });
  expect(overtakings([place("a", 1, 5), place("b", 5, 9), place("c", 10)])).toEqual([]);
  expect(overtakings([place("a", 1, 6), place("b", 5)])).toEqual([[place("a", 1, 6), place("b", 5)]]);
});

describe("what the judge of crashes says of limits", () => {
  const execution = (number: number, kind: Execution["kind"], beganAt: number, line = ""): Execution => ({
    job: `default:1000-d${number}`,
    kind,
    line,
    attempt: 1,
    pid: 7,
    beganAt,
  });
  const judged = (executions: readonly Execution[], ms: number, redis: RedisForm = "append-only", more = {}) => {
    const report: CrashReport = {
      kills: [],
      acknowledged: new Set(),
      effects: new Map(executions.map(({ job, beganAt }) => [job, beganAt + ms])),
      executions,
      completions: new Map(),
      left: { waiting: 0, delayed: 0, running: 0, dead: 0, gated: 0 },
    };
    return judgeLimits({ ...report, ...more }, redis);
  };
  const inTurn = [0, 1, 2].map((number) => execution(number, "in_order", 1_000 + 20 * number, "a"));

  test("nothing, where they were kept", () => expect(judged(inTurn, 20)).toEqual([]));

  test("that one began before another of its key, and not of another", () => {
    const swapped = [execution(1, "in_order", 1_000, "a"), execution(0, "in_order", 1_100, "a")];
    expect(judged(swapped, 20)).toEqual([
      "1 jobs overtook one of their key: default:1000-d1 began before default:1000-d0",
    ]);
    expect(judged([swapped[0]!, { ...swapped[1]!, line: "b" }], 20)).toEqual([]);
    const again = { ...inTurn[0]!, attempt: 2, pid: 8, beganAt: 1_030 };
    expect(judged([...inTurn, again], 20)).toEqual([
      "1 jobs overtook one of their key: default:1000-d1 began before default:1000-d0",
    ]);
  });

  test("that too many ran at a time, also where one of them had died with its worker", () => {
    const seven = Array.from({ length: 7 }, (_, number) => execution(number, "in_order", 1_000 + number, `${number}`));
    expect(judged(seven, 5)).toEqual([]);
    expect(judged(seven, 7)).toEqual(["7 jobs ran at a time, and 6 may"]);
  });

  test("that too many began, and not where one began again after a crash", () => {
    const many = Array.from({ length: 21 }, (_, number) => execution(number, "rated", 1_000));
    expect(judged(many, 1)).toEqual(["1 jobs began before the rate let them, one by 500 ms"]);
    expect(judged([...many.slice(0, 20), { ...many[0]!, attempt: 2, beganAt: 1_010 }], 20)).toEqual([]);
  });

  test("that places are left", () => {
    const left = { waiting: 0, delayed: 0, running: 0, dead: 0, gated: 2 };
    expect(judged(inTurn, 20, "append-only", { left })).toEqual([
      "2 places, or who waits for one, are left in the end",
    ]);
  });

  test("nothing of what a Redis may have forgotten", () => {
    const many = Array.from({ length: 21 }, (_, number) => execution(number, "rated", 10_000));
    const forms = ["append-only", "forgetful", "sentinel-memory", "sentinel-replicas"] as const;
    const complaining = (at: number) =>
      forms.filter(
        (form) => judged(many, 1, form, { kills: [{ what: "redis", pid: 1, since: at - 100, at }] }).length > 0,
      );
    expect(complaining(9_000)).toEqual(["append-only"]);
    expect(complaining(1_000)).toEqual(forms.slice());
    expect(complaining(12_000)).toEqual(forms.slice());
  });
});
